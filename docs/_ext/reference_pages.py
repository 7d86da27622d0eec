"""The reference: a page for each public module, made of its docstrings, and one of all networks."""

import re
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from zerosum.networks import entry, names
from zerosum.settings import describe_keys

MODULES = {  # a page each: its title, and what is documented there
    "run": (
        "Train, load, judge",
        ("zerosum.train:train,Run", "zerosum.model:load", "zerosum.evaluate:evaluate,Outcome"),
    ),
    "models": (
        "Models",
        ("zerosum.sampler:Sampler", "zerosum.model:Model,Ensemble", "zerosum.translator:Translator", "zerosum.shown"),
    ),
    "losses": ("Losses", ("zerosum.losses",)),
    "penalties": ("Penalties", ("zerosum.penalties",)),
    "likelihoods": ("Likelihoods", ("zerosum.likelihoods",)),
    "games": ("Games", ("zerosum.games",)),
    "augment": ("Augmentation", ("zerosum.augment",)),
    "data": ("Data", ("zerosum.data",)),
    "metrics": ("Metrics", ("zerosum.metrics",)),
    "health": ("Health", ("zerosum.diagnosis", "zerosum.evidence")),
    "errors": ("Errors", ("zerosum.errors",)),
}
SECTIONS = ("Args:", "Attributes:", "Returns:", "Raises:", "Yields:", "Example:", "Examples:")
CODE = re.compile(r"(``.*?``|`[^`]*`|>>>.*)")


def tidied(line: str) -> str:
    """A line of plain English, in which what reStructuredText would read as markup outside of code is escaped."""
    pieces = CODE.split(line)
    return "".join(
        piece if place % 2 else re.sub(r"([*|])|(?<=\w)_(?=\W|$)", lambda found: "\\" + found[0], piece)
        for place, piece in enumerate(pieces)
    )


def tidy(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Called for each docstring: Google's sections are left to napoleon, the rest becomes reStructuredText."""
    if lines[:1] and lines[0].startswith("Alias for field number"):  # Python's own words for a tuple's field
        lines.clear()
    end = next((place for place, line in enumerate(lines) if line in SECTIONS), len(lines))
    blocks = "\n".join(map(tidied, lines[:end])).split("\n\n")
    own = "\n\n".join(as_it_stands(block) if block.startswith(" ") else listed(block) for block in blocks)
    lines[:] = [*own.split("\n"), "", *map(tidied, lines[end:])]


def as_it_stands(block: str) -> str:
    """An indented block, an equation or a table, with its own lines."""
    return "::\n\n" + block.replace("\\*", "*").replace("\\|", "|").replace("\\_", "_")


def listed(block: str) -> str:
    """A block in which a line `name: words` tells of an argument, as a list; any other as it is."""
    made: list[str] = []
    for line in block.split("\n"):
        item = re.match(r"([a-z_]\w*(?:, [a-z_]\w*)*): ", line)
        if item:
            made += ["", f"* `{item[1]}`: {line[item.end() :]}"]
        elif line.startswith(" ") and made:
            made[-1] += " " + line.strip()
        else:
            made += ["", line] if made and made[-1].startswith("* ") else [line]
    return "\n".join(made)


def reference(module: str) -> str:
    """The directive for a module, or for some of its names after a colon."""
    module, _, some = module.partition(":")
    if not some:
        imported = "   :imported-members:\n" if hasattr(import_module(module), "__all__") else ""
        return f".. automodule:: {module}\n   :members:\n{imported}"
    return "\n".join(
        f".. auto{'class' if name[0].isupper() else 'function'}:: {module}.{name}\n"
        + ("   :members:\n   :inherited-members: ndarray\n" if name[0].isupper() else "")
        for name in some.split(",")
    )


def settings() -> str:
    """Every key of the configuration, as reStructuredText."""
    rows = ""
    for key, default, words in describe_keys():
        shown = f"``{default}``" if default not in ("", "{}", "[]") else ""
        rows += f"   * - ``{key}``\n     - {shown}\n     - {tidied(words)}\n"
    words = "Every key of a recipe's TOML is a flag of ``zerosum train``, ``--training.batch 64``, and a key of "
    words += "``settings`` in Python, ``{'training.batch': 64}``."
    head = "Settings\n========\n\n" + words + "\n\n.. list-table::\n   :header-rows: 1\n   :widths: 30 20 50\n\n"
    return f"{head}   * - key\n     - default\n     - what it is\n{rows}"


def networks() -> str:
    """Every registered network, by its role, as reStructuredText."""
    words = "Each is registered under a name, which a recipe or a flag gives: ``--generator.network quick-generator``."
    parts = [f"Networks\n========\n\n{words}\n\n.. automodule:: zerosum.networks.registry\n   :members:\n"]
    for role in ("generator", "discriminator", "translator"):
        parts.append(f"{role.capitalize()}s\n{'-' * (len(role) + 1)}\n")
        for name in names(role):
            found = entry(name).network
            parts.append(f"{name}\n{'^' * len(name)}\n\n.. autoclass:: {found.__module__}.{found.__qualname__}\n")
    return "\n".join(parts)


def write(app: Sphinx) -> None:
    """Write `api/*.rst`."""
    folder = Path(app.srcdir) / "api"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for page, (title, modules) in MODULES.items():
        body = "\n".join(reference(module) for module in modules)
        (folder / f"{page}.rst").write_text(f"{title}\n{'=' * len(title)}\n\n{body}", encoding="utf-8")
    (folder / "networks.rst").write_text(networks(), encoding="utf-8")
    (folder / "settings.rst").write_text(settings(), encoding="utf-8")
    tree = "\n   ".join([*MODULES, "networks", "settings"])
    words = "The parts of zerosum, from their docstrings. The ground floor (losses, penalties, networks, augmentation, "
    words += "data, metrics) can be used alone, from a notebook or another trainer."
    text = f"Reference\n=========\n\n{words}\n\n.. toctree::\n   :maxdepth: 1\n\n   {tree}\n"
    (folder / "index.rst").write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", write, priority=100)  # before the lessons register parts of their own
    app.connect("autodoc-process-docstring", tidy, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
