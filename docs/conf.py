"""How the documentation is built: `sphinx-build -W docs build/docs`, which runs every lesson.

ZEROSUM_DOCS_BUDGET: times the minutes that the lessons train; 1 (the default) makes good pictures in half an hour, 0.05
shows that everything runs.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from zerosum import __version__

os.environ.setdefault("ZEROSUM_DOCS_BUDGET", "1")

project, release = "zerosum", __version__
author = project_copyright = "the zerosum maintainers"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "recipe_pages",
    "reference_pages",
]
exclude_patterns = ["course", "extend", "_ext", "**/README.rst", "recipes/*.toml"]
myst_enable_extensions = ["colon_fence", "attrs_block", "attrs_inline", "dollarmath"]
myst_heading_anchors = 3
default_role = "code"  # the docstrings' own habit: a name between backticks is code
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
autodoc_default_options = {"exclude-members": "__new__"}
python_maximum_signature_line_length = 88
napoleon_use_rtype = False
smartquotes = False  # flags are written with two dashes

html_theme = "furo"
html_title = "zerosum"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

sphinx_gallery_conf = {
    "examples_dirs": ["course", "extend"],
    "gallery_dirs": ["lessons", "extending"],
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("matplotlib", "gallery.pictures"),
    "reset_modules": ("matplotlib", "gallery.fresh"),
    "capture_repr": ("_repr_html_",),  # animations; PNGs are taken by the scraper
    "min_reported_time": 1e9,
    "show_memory": False,
    "remove_config_comments": True,
    "download_all_examples": False,
    "plot_gallery": True,
    "abort_on_example_error": True,
    "thumbnail_size": (400, 280),
    "write_computation_times": False,
}
