"""Directions as a thing that is kept: two small files that any tool can read.

directions.safetensors    `vectors`, float32 (K, length): unit vectors in the space of the points
directions.json           format, method, space ("z" or "w"), layers (of styles, those moved; empty: all), generator
                          (the SHA-256 of its weights), and for each direction its name, step (the length that counts as
                          1), effect, and what else its method says; size and SHA-256 of the other file

To move a point p by s along direction k: p + s · step_k · vector_k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zerosum.errors import RunError, UsageError
from zerosum.explore.space import Space
from zerosum.files import load_tensors, save_tensors, write_folder

NAME = "directions"
FORMAT = 1
MOST = 4096  # directions, and layers


@dataclass(frozen=True)
class Directions:
    """Directions in the space of a generator's points, in the order of their effect.

    Attributes:
        method: how they were found: "sefa", "pca" or "labels".
        space: "z" or "w".
        vectors: float32 (K, length), each of length 1.
        steps: of each, the deviation of the generator's own points along it: what counts as 1.
        effects: of each, the mean change of a pixel that a step of 1 makes, as a share of the range from black to
            white.
        names: of each.
        layers: the layers of a style generator that are moved; none: all.
        generator: the SHA-256 of the weights it was found in, see `space.fingerprint`.
        facts: of each, what else its method says of it.
    """

    method: str
    space: str
    vectors: Tensor
    steps: tuple[float, ...]
    effects: tuple[float, ...]
    names: tuple[str, ...]
    layers: tuple[int, ...] = ()
    generator: str = ""
    facts: tuple[dict[str, Any], ...] = field(default=())

    def __len__(self) -> int:
        return len(self.vectors)

    def save(self, folder: Path) -> None:
        """Write the two files into `folder`, whole or not at all; what else it held is gone."""
        write_folder(folder, self.fill)

    def fill(self, inside: Path) -> None:
        """Write the two files into a folder that is being written."""
        save_tensors(inside, NAME, {"vectors": self.vectors}, self.content())

    def content(self) -> dict[str, Any]:
        """What directions.json says, but for the size and the hash of the vectors."""
        facts = self.facts or ({},) * len(self)
        each = zip(self.names, self.steps, self.effects, facts, strict=True)
        rows = [{"name": name, "step": step, "effect": effect, **more} for name, step, effect, more in each]
        return {
            "format": FORMAT,
            "method": self.method,
            "space": self.space,
            "layers": list(self.layers),
            "generator": self.generator,
            "directions": rows,
        }

    def check(self, space: Space) -> None:
        """Raises `UsageError` where these are no directions of this space."""
        layers = 0 if space.styled is None else len(space.styled.layers)
        if self.space != space.name or self.vectors.shape[1] != space.length or max(self.layers, default=-1) >= layers:
            raise UsageError(
                f"These directions are of {self.vectors.shape[1]} numbers in {self.space}, and this generator has "
                f"{space.length} in {space.name}: find some of its own with zerosum explore directions RUN."
            )


def load_directions(folder: str | Path) -> Directions:
    """What `Directions.save` wrote, size and SHA-256 verified before memory is taken. Raises `RunError`."""
    folder = Path(folder)
    if not (folder / f"{NAME}.json").is_file():
        raise RunError(f"{folder} holds no directions: zerosum explore directions RUN finds some.")
    tensors, about = load_tensors(folder, NAME)
    try:
        return _checked(tensors, about)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{folder / f'{NAME}.json'} does not say what {NAME}.safetensors holds: {error}") from error


def _checked(tensors: dict[str, Tensor], about: dict[str, Any]) -> Directions:
    """Raises ValueError and its like for what zerosum does not write."""
    vectors, rows, layers = tensors["vectors"], about["directions"], about["layers"]
    if about["format"] != FORMAT:
        raise ValueError(f"its format is {about['format']!r}, and this version of zerosum reads {FORMAT}")
    if set(tensors) != {"vectors"} or vectors.dtype != torch.float32 or vectors.dim() != 2 or not vectors.numel():
        raise ValueError("its vectors are no rows of float32")
    if not bool(vectors.isfinite().all()) or len(vectors) != len(rows) or len(rows) > MOST:
        raise ValueError("its vectors are not those that are named")
    if about["space"] not in ("z", "w") or not all(type(layer) is int and 0 <= layer < MOST for layer in layers):
        raise ValueError("its space or its layers are none that there can be")
    steps, effects = (tuple(float(row[key]) for row in rows) for key in ("step", "effect"))
    if not all(map(math.isfinite, (*steps, *effects))):
        raise ValueError("its steps and effects are no finite numbers")
    names = tuple(str(row["name"]) for row in rows)
    facts = tuple({key: row[key] for key in row if key not in ("name", "step", "effect")} for row in rows)
    texts = str(about["method"]), str(about["space"])
    return Directions(*texts, vectors, steps, effects, names, tuple(layers), str(about["generator"]), facts)
