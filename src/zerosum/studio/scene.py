"""One picture of a generator: a sample, moved along directions; a place between several; or two of them mixed.

A scene is plain numbers and words, so the page's picture and `draw`, which makes it again anywhere, are the same code.
"""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zerosum.errors import UsageError
from zerosum.explore import Directions, Points, Space, load_directions, space_of
from zerosum.explore.layers import layer_count, parse_layers
from zerosum.explore.sheet import sheet_of
from zerosum.explore.walks import between, chosen_way
from zerosum.files import write_whole
from zerosum.model import load
from zerosum.sampler import picture

REACH = 4.0  # steps of a direction to either side


@dataclass(frozen=True)
class Pick:
    """Sample 0 of a seed.

    Attributes:
        seed: which.
        truncation: ψ.
        label: its class, as `Model.sample` takes it; None: as drawn.
        moves: steps along each of the directions, as many as are given.
    """

    seed: int = 0
    truncation: float = 1.0
    label: str | None = None
    moves: tuple[float, ...] = ()

    @property
    def words(self) -> str:
        """It in short: "seed 7, ψ 0.7, 3"."""
        parts = [f"seed {self.seed}"]
        parts += [f"ψ {self.truncation:g}"] if self.truncation != 1 else []
        parts += [self.label] if self.label is not None else []
        parts += ["moved"] if any(self.moves) else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Scene:
    """What is shown.

    Attributes:
        picks: one, or several.
        at: where between them: 0 the first, 1 the second, 1.5 half way from there to the third.
        layers: of two picks, the layers that the second one's style drives ("2-5"); None: they are not mixed.
    """

    picks: tuple[Pick, ...]
    at: float = 0.0
    layers: str | None = None


def image_of(model: Any, scene: Scene, found: Directions | None = None) -> Tensor:
    """The image of a scene, float32 (C, H, W) in [-1, 1].

    Raises `UsageError` for what is no image generator, a seed or label that there is not, directions that are not this
    generator's, and mixing where there are no styles.
    """
    space = space_of(model)
    if found is not None:
        found.check(space)
    if not scene.picks:
        raise UsageError("There is nothing to draw: pin a sample first.")
    ends = [_point(model, pick, found) for pick in scene.picks]
    point = _between(space, ends, scene.at) if scene.layers is None else _mixed(space, ends, scene.layers)
    return space.images(point)[0]


def _point(model: Any, pick: Pick, found: Directions | None) -> Points:
    space = space_of(model, None, pick.truncation)
    point = space.points([0], seed=pick.seed, label=pick.label)
    if found is None or not any(pick.moves):
        return point
    amounts = torch.zeros(len(found))
    given = torch.tensor(pick.moves[: len(found)])
    amounts[: len(given)] = given
    by = (amounts * torch.tensor(found.steps)) @ found.vectors
    return point.at(space.moved(point.rows, by[None], found.layers))


def _between(space: Space, ends: Sequence[Points], at: float) -> Points:
    """The point at `at` of the way through all ends; a class beside it is that of the nearer end."""
    at = min(max(at, 0.0), len(ends) - 1.0)
    first = min(int(at), len(ends) - 1)
    second = min(first + 1, len(ends) - 1)
    if at == first:
        return ends[first]
    a, b = ends[first], ends[second]
    near = a if at - first < 0.5 else b
    if a.rows.dim() != b.rows.dim():
        a, b = (Points(space.layered(end.rows), end.labels) for end in (a, b))
    shape = a.rows.shape
    time = torch.full((1, 1), at - first, dtype=torch.float64)
    if len(shape) == 3:  # styles of each layer by itself
        rows = torch.lerp(a.rows.double(), b.rows.double(), at - first).to(a.rows.dtype)
    else:
        rows = between(space, a.rows, b.rows, time, chosen_way(space.model, None))
    return Points(rows, near.labels)


def _mixed(space: Space, ends: Sequence[Points], layers: str) -> Points:
    """The first end's style, and in some layers that of the last."""
    many = layer_count(space.model)
    rows = space.layered(ends[0].rows).clone()
    chosen = list(parse_layers(layers, many)) if layers else []
    rows[:, chosen] = space.layered(ends[-1].rows)[:, chosen]
    return Points(rows)


def png_of(model: Any, image: Tensor) -> bytes:
    """One image (C, H, W) in [-1, 1] as `zerosum sample` writes it: in the data's depth, in its own size."""
    data = model.config["data"]
    array = sheet_of(image[None], 1, model, "").array[0, 0]
    buffer = io.BytesIO()
    picture(array, data["low"], data["high"]).save(buffer, "PNG")
    return buffer.getvalue()


def draw(
    run: str | Path,
    out: str | Path,
    picks: Sequence[dict[str, Any]],
    *,
    at: float = 0.0,
    layers: str | None = None,
    directions: str | Path | None = None,
) -> None:
    """Write the PNG of a scene.

    Args:
        run: a run folder, or a model folder.
        out: the file.
        picks: the fields of each `Pick`.
        at, layers: as `Scene` has them.
        directions: the folder that `zerosum explore directions` wrote.

    Raises a `ZerosumError` for what is not there, or does not fit.
    """
    model = load(run)
    found = None if directions is None else load_directions(directions)
    made = tuple(Pick(**pick | {"moves": tuple(pick.get("moves", ()))}) for pick in picks)
    write_whole(Path(out), png_of(model, image_of(model, Scene(made, at, layers), found)))


def command_of(run: Path, out: str, scene: Scene, directions: Path | None) -> str:
    """The command of a shell that writes the scene's picture: `zerosum sample` where that can, else `draw`."""
    if len(scene.picks) == 1 and not any(scene.picks[0].moves):
        pick = scene.picks[0]
        words = ["zerosum", "sample", str(run), "--count", "1", "--seed", str(pick.seed)]
        words += ["--truncation", f"{pick.truncation:g}"] if pick.truncation != 1 else []
        words += ["--label", pick.label] if pick.label is not None else []
        return shlex.join([*words, "--out", out])
    plain = asdict(Pick(seed=-1))  # what need not be said
    picks = [{key: value for key, value in asdict(pick).items() if value != plain[key]} for pick in scene.picks]
    along = str(directions) if directions is not None and any(any(pick.moves) for pick in scene.picks) else None
    more = {"at": scene.at or None, "layers": scene.layers, "directions": along}
    words = [_word(str(run)), _word(out), _word(picks)]
    words += [f"{name}={_word(value)}" for name, value in more.items() if value is not None]
    code = f"from zerosum.studio.scene import draw; draw({', '.join(words)})"
    return shlex.join(["python", "-c", code])


def _word(value: Any) -> str:
    """Texts, numbers and lists of them in Python's words, with the quotation marks that a shell leaves alone."""
    return json.dumps(value)
