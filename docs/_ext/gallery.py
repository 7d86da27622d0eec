"""What sphinx-gallery has to know of zerosum: values that show themselves, and runs that begin anew."""

import shutil
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

LAST = "___"  # where sphinx-gallery keeps the value at the end of a block


def pictures(block: tuple[Any, ...], block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """The PNG of a value at the end of a block, as a notebook would show it: a scraper."""
    value = block_vars["example_globals"].get(LAST)
    show = getattr(value, "_repr_png_", None)
    data = None if show is None else show()
    if data is None:
        return ""
    block_vars["example_globals"][LAST] = None  # else it would be shown again after a block that has no value
    path = Path(next(block_vars["image_path_iterator"]))
    path.write_bytes(data)
    text = getattr(value, "text", "") or "samples"
    return figure_rst([str(path)], gallery_conf["src_dir"], text.replace("\n", " "))


def fresh(gallery_conf: dict[str, Any], name: str) -> None:
    """Before a lesson: the runs that former builds left beside it are taken away."""
    for folder in gallery_conf["examples_dirs"]:
        shutil.rmtree(Path(gallery_conf["src_dir"]) / folder / "runs", ignore_errors=True)
