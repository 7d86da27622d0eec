"""The picture on each recipe's page of the documentation: what a run of it, some minutes of one thread, has made.

    python benchmarks/recipe_pictures.py                           those that have none yet, ten minutes each
    python benchmarks/recipe_pictures.py pix2pix --minutes 20      this one again

Recipes that bring their data have that. Others have the embedded digits, or emoji at 64 × 64 (`emoji.py`): Google's,
or OpenMoji's, whose line drawings are the sources of pix2pix. A picture and its caption stay in `docs/images/recipes`,
the runs in `--runs`, where an interrupted one goes on. The recipes of R3GAN for its published data sets have no run of
their own: they are for days of GPUs.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import emoji
import zerosum
from zerosum.files import write_whole
from zerosum.settings import recipe_names

HOME = Path(__file__).parent.parent / "docs" / "images" / "recipes"
LONG = ("r3gan-cifar-10", "r3gan-ffhq-64", "r3gan-ffhq-256", "r3gan-imagenet-32", "r3gan-imagenet-64")
ON_EMOJI = ("dcgan-64", "lsgan", "wgan", "wgan-gp", "sngan", "relativistic", "r3gan", "stylegan2")
ON_COLOURS = ("super-resolution", "inpainting", "colorization")
WIDEST = 960  # pixels


def data_of(recipe: str, cache: Path | None) -> tuple[str | None, dict[str, Any], str]:
    """What the recipe is trained on: the source, settings that name more of it, and words for it."""
    if recipe in ON_EMOJI:
        return str(emoji.google(cache, 64)), {}, "Google's emoji"
    if recipe in ON_COLOURS:
        return str(emoji.pictures(cache, 64) / "color"), {}, "OpenMoji"
    if recipe == "pix2pix":
        folder = emoji.pictures(cache, 64)
        return None, {"data.source": str(folder / "black"), "data.target": str(folder / "color")}, "OpenMoji"
    if recipe == "cyclegan":
        folder = emoji.pictures(cache, 64, domains=True)
        return None, {"data.a": str(folder / "color"), "data.b": str(folder / "google")}, "OpenMoji and Google's emoji"
    return None, {}, "the 5,000 digits"


def draw(recipe: str, options: argparse.Namespace) -> None:
    """Train, or go on, and keep the picture that says best what the model does."""
    source, settings, words = data_of(recipe, options.cache)
    run = zerosum.train(
        source,
        recipe=recipe,
        out=options.runs / recipe,
        minutes=options.minutes,
        seed=0,
        device="cpu",
        settings=settings,
    )
    if run.signal is not None:
        sys.exit(128 + run.signal)
    picture = Image.open(io.BytesIO(figure_of(run)))
    picture = picture.convert("RGB")
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=85, method=6)
    write_whole(HOME / f"{recipe}.txt", f"{caption(run, words)}\n".encode())
    write_whole(HOME / f"{recipe}.webp", buffer.getvalue())


def figure_of(run: zerosum.Run) -> bytes:
    """The PNG: of a game that makes pictures of noise with real ones beside them."""
    picture = run.samples()
    if picture.file == "samples.png":
        picture = run.figure("real-and-generated")
    if picture.data is None:
        sys.exit(f"{run.path} has no picture: {picture.text}")
    return picture.data


def caption(run: zerosum.Run, words: str) -> str:
    """How long, and on what."""
    shown = "points" if run.samples().file == "scatter.png" else f"images of {words}"
    return f"A run of {run.seconds / 60:.3g} minutes on one CPU thread: {run.images:,} {shown} shown. Seed 0."


def main() -> int:
    """Draw what is missing, or what is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="default: all that have no picture")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--cache", type=Path, help="where emoji are kept (default: the user's cache)")
    parser.add_argument("--runs", type=Path, default=Path("recipe-runs"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    missing = [name for name in recipe_names() if name not in LONG and not (HOME / f"{name}.webp").exists()]
    for recipe in options.recipes or missing:
        draw(recipe, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
