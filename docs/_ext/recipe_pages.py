"""A page for each recipe, made of its TOML, and a table of all of them."""

import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from zerosum.settings import describe_keys, read_recipe, recipe_names

GROUPS = {  # the headings of the table, and what belongs there; what is in none comes last
    "To begin with": ("quick", "r3gan", "stylegan2"),
    "The history, from 2014 on": (
        "gan-gaussian", "gan-mlp", "dcgan-28", "dcgan-64", "dcgan-dense", "lsgan", "wgan", "wgan-gp-28", "wgan-gp",
        "sngan", "relativistic", "style-mlp", "style-28",
    ),
    "Against collapse": (
        "gan-mlp-minibatch", "gan-mlp-feature-matching", "gan-mlp-replay", "pacgan", "points", "infogan",
    ),
    "With an encoder": (
        "autoencoder", "denoising-autoencoder", "vae", "vae-gan", "bigan", "adversarial-autoencoder",
        "encoder-generator",
    ),
    "With labels": ("cgan", "cgan-projection", "acgan", "sgan"),
    "A picture of a picture": ("pix2pix", "cyclegan", "super-resolution", "inpainting", "colorization"),
    "As published, for GPUs": (),
}  # fmt: skip

FOR_DAYS = "This recipe is for days of GPUs, and no run of it was made here. The same game with small networks, recipe"
KIN = {  # whose picture stands for a recipe that has none of its own
    f"r3gan-{data}": "r3gan" for data in ("cifar-10", "ffhq-64", "ffhq-256", "imagenet-32", "imagenet-64")
}


def plain(words: str) -> str:
    """Text from a TOML as Markdown that shows it as it stands, with its addresses as links and its flags as code."""
    pieces = re.split(r"(https?://[^\s,;]+[^\s,;:.)]|--[a-z][\w.-]*\w)", " ".join(words.split()))
    return "".join(
        (f"`{piece}`" if piece.startswith("--") else f"<{piece}>")
        if place % 2
        else re.sub(r"([\\`*_{}\[\]<>|$#~^])", r"\\\1", piece)
        for place, piece in enumerate(pieces)
    )


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        nested = isinstance(value, dict) and value
        found |= flat(value, f"{prefix}{key}.") if nested else {prefix + key: value}
    return found


def page(name: str, tables: dict[str, Any], pictures: Path) -> str:
    """The Markdown of one recipe."""
    about = tables.pop("recipe")
    meanings = {key: text for key, _, text in describe_keys()}
    shown = name if (pictures / f"{name}.webp").exists() else KIN.get(name, name)
    lines = [f"# {name}", "", plain(about["title"]) + ".", "", f"```\nzerosum train DATA --recipe {name}\n```", ""]
    if (pictures / f"{shown}.webp").exists():
        words = (pictures / f"{shown}.txt").read_text(encoding="utf-8")
        lines += [f"![A run of {shown}](/images/recipes/{shown}.webp)", ""]
        lines += [f"*{plain(words if shown == name else f'{FOR_DAYS} {shown}. {words}')}*", ""]
    else:
        lines += ["*No run of this recipe has been kept yet for a picture.*", ""]
    for title, key in (("Source", "source"), ("What was published", "published"), ("What departs from it", "departs")):
        lines += [f"## {title}", "", plain(about[key]), ""]
    lines += ["## Settings", "", "What the recipe sets; every line is a flag, as `--training.batch 32`. "]
    lines += [
        f"`zerosum recipes {name}` shows all others, too.",
        "",
        "| key | value | what it is |",
        "| --- | --- | --- |",
    ]
    for key, value in flat(tables).items():
        lines.append(f"| `{key}` | `{value}` | {plain(meanings.get(key, ''))} |".replace("``", ""))
    return "\n".join(lines) + "\n"


def index(titles: dict[str, str]) -> str:
    """The Markdown of the table of all recipes."""
    named = {name for members in GROUPS.values() for name in members}
    last = list(GROUPS)[-1]
    lines = [
        "# Recipes", "",
        "A recipe fixes a whole run but for its data: networks, losses, optimizers, schedule. Each page says where the "
        "recipe comes from, what was published with it, and what is different here. Without `--recipe` zerosum takes "
        "the one that fits data, device and time.", "",
    ]  # fmt: skip
    for group, members in GROUPS.items():
        shown = members if group != last else tuple(name for name in titles if name not in named)
        lines += [f"## {group}", "", "| recipe | what it is |", "| --- | --- |"]
        lines += [f"| [{name}]({name}.md) | {plain(titles[name])} |" for name in shown if name in titles] + [""]
    return "\n".join([*lines, "```{toctree}", ":hidden:", "", *titles, "```", ""])


def write(app: Sphinx) -> None:
    """Write `recipes/*.md`."""
    folder = Path(app.srcdir) / "recipes"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    titles: dict[str, str] = {}
    for name in recipe_names():
        tables = read_recipe(name)
        titles[name] = tables["recipe"]["title"]
        (folder / f"{name}.md").write_text(page(name, tables, Path(app.srcdir) / "images/recipes"), encoding="utf-8")
    (folder / "index.md").write_text(index(titles), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
