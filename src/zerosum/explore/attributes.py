"""Directions of an attribute: the normal of the plane that best parts labelled samples.

Logistic regression on the samples' points; a direction for each class against the others, of two classes one: from the
first towards the second. Shen, Gu, Tang & Zhou 2020, "Interpreting the latent space of GANs", CVPR,
https://arxiv.org/abs/1907.10786, section 3.2, with a support vector machine there.

A plane can be put between any labels, so each direction says how often it is right about samples that it was not
fitted to: cross-validated, and balanced, the mean over both sides, so that a guess is right half the time however rare
the attribute is.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from zerosum.errors import DataError, UsageError
from zerosum.explore.artefact import Directions
from zerosum.explore.finding import judged
from zerosum.explore.progress import Progress
from zerosum.explore.space import Space, space_of

FOLDS = 5
CHANCE = 0.5  # a guess's balanced accuracy
MOST_BYTES, MOST_ROWS = 2**24, 100_000
MOST_CLASSES = 64
NUMBER = 10**9  # above which no sample is labelled
INSTALL = "Attribute directions need scikit-learn: pip install 'zerosum[explore]'"


@dataclass(frozen=True)
class Fit:
    """A plane between one class and the others.

    Attributes:
        normal: unit vector, float64 (features,), towards the class.
        accuracy: cross-validated and balanced: of held-out rows, the share of either side that is found on its side,
            and the mean of the two.
    """

    normal: np.ndarray
    accuracy: float


def attribute_directions(
    model: Any,
    labels: Mapping[int, str],
    *,
    seed: int = 0,
    label: int | str | None = None,
    progress: Progress | None = None,
) -> Directions:
    """A direction for each attribute that samples were labelled with, sorted by effect.

    Args:
        model: as `zerosum.load` gives it.
        labels: of numbers of samples of the seed, what each shows. Every class needs 5 samples or more.
        seed: which samples.
        label: their class, where the generator takes labels; None: as drawn.
        progress: called with what is done, how much of it and of how much, from two seconds on.

    Each direction's `facts` hold `accuracy`, `chance` (0.5), `labelled` (samples) and `class` (what it goes towards).
    Raises `UsageError` for what is no image generator, for fewer than two classes, for too few samples of one, and
    without scikit-learn.
    """
    space = space_of(model)
    names = check_labels(labels)
    numbers = sorted(labels)
    points = space.points(numbers, seed=seed, label=label)
    rows = _scaled(space, points.rows)
    said = np.array([labels[number] for number in numbers])
    goals = names[1:] if len(names) == 2 else names
    fits = [fitted(rows, said == name) for name in goals]
    vectors = torch.zeros(len(fits), space.length)
    vectors[:, space.free] = torch.from_numpy(np.stack([fit.normal for fit in fits])).float()
    facts = tuple(
        {"class": name, "accuracy": fit.accuracy, "chance": CHANCE, "labelled": len(numbers)}
        for name, fit in zip(goals, fits, strict=True)
    )
    options: dict[str, Any] = {"seed": seed, "label": label, "progress": progress}
    return judged(space, "labels", vectors, tuple(f"to {name}" for name in goals), facts=facts, **options)


def _scaled(space: Space, rows: torch.Tensor) -> np.ndarray:
    """The numbers that may be moved, all divided by one, so that the penalty on weights means the same in any space."""
    spread = float(space.moments[1][space.free].square().mean().sqrt())
    scaled: np.ndarray = (rows[:, space.free] / spread).double().numpy()
    return scaled


# max Σ log σ(y_i (n·x_i + b)) − |n|²/2
def fitted(rows: np.ndarray, positive: np.ndarray) -> Fit:
    """The plane between positive and other rows (N, features), by logistic regression. Raises `UsageError`."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_score
    except ModuleNotFoundError as error:
        raise UsageError(INSTALL) from error
    regression = LogisticRegression(max_iter=1000, class_weight="balanced")
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    accuracy = float(cross_val_score(regression, rows, positive, cv=folds, scoring="balanced_accuracy").mean())
    normal = regression.fit(rows, positive).coef_[0]
    return Fit(normal / max(float(np.linalg.norm(normal)), 1e-12), accuracy)


def check_labels(labels: Mapping[int, str]) -> list[str]:
    """The names of the classes, sorted. Raises `UsageError` where they are too few, too many, or too seldom."""
    counts = Counter(labels.values())
    if not 2 <= len(counts) <= MOST_CLASSES:
        raise UsageError(f"Labels are of 2 to {MOST_CLASSES} classes, and these are of {len(counts)}.")
    rare = [name for name, count in sorted(counts.items()) if count < FOLDS]
    if rare:
        raise UsageError(
            f"{rare[0]!r} was said of {counts[rare[0]]} samples: label {FOLDS} of each class at least, better fifty."
        )
    return sorted(counts)


def read_labels(path: str | Path) -> dict[int, str]:
    """Labels of samples, of a CSV with two columns: a sample's number, or its file in a folder of `zerosum sample`, and
    its label. A first line whose first cell is neither is taken for a header.

    Raises `DataError` for a file that cannot be read, is too large, or contradicts itself.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: over {MOST_BYTES:,} bytes: label fewer samples.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8: {error}.") from error
    labels: dict[int, str] = {}
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                _add(labels, [cell.strip() for cell in cells], f"{path}, line {reader.line_num}", reader.line_num == 1)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: is no CSV: {error}.") from error
    return labels


def _add(labels: dict[int, str], cells: list[str], where: str, first: bool) -> None:
    """One line more. Raises `DataError` where it says nothing, or something else than one before."""
    stem = PurePosixPath(cells[0].replace("\\", "/")).stem
    if not (stem.isascii() and stem.isdecimal()) or int(stem[:12]) >= NUMBER:
        if first:
            return
        raise DataError(f"{where}: {cells[0][:80]!r} is no sample's number or file, as 7 or 007.png.")
    if len(cells) != 2 or not cells[1]:
        raise DataError(f"{where}: give two columns, a sample's number or file, and its label.")
    number = int(stem)
    if labels.setdefault(number, cells[1][:80]) != cells[1][:80]:
        raise DataError(f"{where}: sample {number} is {cells[1][:80]!r} here, and was {labels[number]!r} before.")
    if len(labels) > MOST_ROWS:
        raise DataError(f"{where}: over {MOST_ROWS:,} samples: label fewer.")
