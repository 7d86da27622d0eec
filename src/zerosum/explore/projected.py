"""What a projection leaves: the points that came nearest; and on the way, all that the next step needs.

projection/{projection.safetensors, projection.json}    points, labels, and of each its loss, PSNR and distance
checkpoint/{state.safetensors, state.json}              the descent as it stands, and what it is a descent of
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zerosum.errors import RunError, UsageError
from zerosum.explore.sheet import Sheet, sheet_of
from zerosum.explore.space import Points, Space
from zerosum.files import load_tensors, recover_folders, save_tensors, write_folder

NAME, STATE = "projection", "state"
FORMAT = 1
LABELS = "labels"


@dataclass(frozen=True)
class Projection:
    """The points of a generator's space whose images came nearest to a picture, the nearest first.

    Attributes:
        space: "z" or "w".
        points: one of each start.
        images: theirs, float32 (starts, C, H, W) in [-1, 1].
        target: the picture (C, H, W).
        losses: of each start, what was minimised.
        psnrs: of each, in dB, higher is nearer.
        distances: of the features of each, 0 where they are the same; none where pixels alone were compared.
        generator: the SHA-256 of the weights, see `space.fingerprint`.
    """

    space: str
    points: Points
    images: Tensor
    target: Tensor
    losses: tuple[float, ...]
    psnrs: tuple[float, ...]
    distances: tuple[float, ...]
    generator: str

    def sheet(self, model: Any) -> Sheet:
        """The picture beside what became of each start, the nearest first."""
        heads = [f"{value:.1f} dB" for value in self.psnrs]
        images = torch.cat((self.target[None], self.images))
        title = f"The picture, and the nearest in {self.space}"
        return sheet_of(images, 1, model, title, columns=("picture", *heads))

    def words(self) -> str:
        """How near the nearest came."""
        distance = f", distance of features {self.distances[0]:.3f}" if self.distances else ""
        return f"PSNR {self.psnrs[0]:.1f} dB{distance}"

    def save(self, folder: Path) -> None:
        """Write `folder`, whole or not at all."""
        write_folder(folder, self.fill)

    def fill(self, inside: Path) -> None:
        """Write the two files into a folder that is being written."""
        about: dict[str, Any] = {"format": FORMAT, "space": self.space, "generator": self.generator}
        about |= {"losses": list(self.losses), "psnr": list(self.psnrs), "distances": list(self.distances)}
        labels = {} if self.points.labels is None else {LABELS: self.points.labels}
        save_tensors(inside, NAME, {"points": self.points.rows, **labels}, about)


def load_points(folder: str | Path, space: Space) -> tuple[Points, str]:
    """The points that a projection found, the nearest first, and the SHA-256 of the generator that they are of.

    Size and SHA-256 are verified first. Raises `RunError` where there are none, or they are damaged, and `UsageError`
    for those of another generator's space.
    """
    folder = Path(folder)
    folder = folder / NAME if (folder / NAME).is_dir() else folder
    if not (folder / f"{NAME}.json").is_file():
        raise RunError(f"{folder} holds no projection: zerosum explore project RUN IMAGE makes one.")
    tensors, about = load_tensors(folder, NAME)
    rows, labels = tensors.get("points"), tensors.get(LABELS)
    sound = rows is not None and rows.dtype == torch.float32 and rows.dim() == 2 and bool(rows.isfinite().all())
    if rows is None or not sound or about.get("format") != FORMAT:
        raise RunError(f"{folder / f'{NAME}.json'} does not say what {NAME}.safetensors holds: project again.")
    needed = bool(space.model.classes) and space.name == "z"
    classes = len(space.model.classes)
    fits = labels is None or (labels.shape == rows.shape[:1] and 0 <= int(labels.min()) <= int(labels.max()) < classes)
    if about.get("space") != space.name or rows.shape[1] != space.length or needed != (labels is not None) or not fits:
        raise UsageError(f"{folder} is a projection into another generator's space: project the picture into this one.")
    return Points(rows, labels), str(about.get("generator"))


@dataclass(frozen=True)
class Step:
    """A descent between two steps.

    Attributes:
        points: of each start, (starts, length).
        labels: (starts,), where there are classes beside the points.
        first, second: Adam's moments, as the points.
        best: of each start the point with the least loss so far.
        least: that loss, (starts,).
        done: how many steps are done.
    """

    points: Tensor
    labels: Tensor | None
    first: Tensor
    second: Tensor
    best: Tensor
    least: Tensor
    done: int


TENSORS = tuple(item.name for item in fields(Step) if item.name not in ("done", LABELS))


def save_step(folder: Path, step: Step, about: dict[str, Any]) -> None:
    """Write the checkpoint, whole or not at all; `about`: what it is a descent of."""
    tensors = {name: getattr(step, name) for name in TENSORS}
    tensors |= {} if step.labels is None else {LABELS: step.labels}
    content = {"format": FORMAT, "done": step.done, "of": about}
    write_folder(folder, lambda inside: save_tensors(inside, STATE, tensors, content))


def load_step(folder: Path, about: dict[str, Any]) -> Step | None:
    """The descent as `save_step` left it; None where there is none yet.

    Raises `RunError` where it is damaged, and `UsageError` where it is another descent.
    """
    if folder.parent.is_dir():
        recover_folders(folder.parent)
    if not folder.is_dir():
        return None
    tensors, content = load_tensors(folder, STATE)
    of, done = content.get("of"), content.get("done")
    if content.get("format") != FORMAT or not isinstance(of, dict) or type(done) is not int or done < 0:
        raise RunError(f"{folder} is no checkpoint of a projection: delete it to begin anew.")
    other = sorted(key for key in about if of.get(key) != about[key])
    if other:
        raise UsageError(
            f"{folder.parent} holds another projection ({', '.join(other)} differ): give another folder with --out, or "
            "delete it to begin anew."
        )
    shapes = {tensors[name].shape for name in TENSORS if name in tensors and name != "least"}
    if (
        set(tensors) - {LABELS} != set(TENSORS)
        or len(shapes) != 1
        or tensors["points"].shape[:1] != tensors["least"].shape
    ):
        raise RunError(f"{folder} is no checkpoint of a projection: delete it to begin anew.")
    tensors = {name: value.clone() for name, value in tensors.items()}  # aligned, for products of the same bits
    return Step(labels=tensors.get(LABELS), done=done, **{name: tensors[name] for name in TENSORS})
