"""Labels for samples that nobody labelled: from the classes of the data, by a classifier of real images.

A logistic regression learns the classes from features of real images, and says of each sample which one it looks like.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zerosum.data import Store, normalise
from zerosum.errors import UsageError
from zerosum.explore.attributes import FOLDS, INSTALL
from zerosum.explore.progress import Progress, ticker
from zerosum.explore.space import image_generator, space_of
from zerosum.explore.target import coloured
from zerosum.metrics.extractors import Extractor, best_installed, extractor
from zerosum.model import Model

REAL = 1000  # images that the classifier learns from
PURPOSE = "pixels"  # what classes are told by where no learnt features are installed


@dataclass(frozen=True)
class Guess:
    """What samples look like.

    Attributes:
        labels: of numbers of samples, the class.
        accuracy: of the classifier on real images that it did not learn from, cross-validated; 1 where they are known.
        features: what it tells classes by; "" where they are known.
    """

    labels: dict[int, str]
    accuracy: float
    features: str = ""


def labels_of_own(model: Model, count: int, seed: int) -> Guess:
    """The classes that samples were asked for, of a style generator, whose styles hold them.

    Raises `UsageError` where a label stands beside the latent: no direction of z has anything to do with it.
    """
    space = space_of(model)
    drawn = model.labels(count, seed=seed)
    if space.name == "z" or drawn is None:
        raise UsageError(
            "This generator is told the class beside its latent, so no direction leads to it: give --label, or "
            "--labels FILE.csv with attributes of another kind."
        )
    return Guess({number: model.classes[label] for number, label in enumerate(drawn.tolist())}, 1.0)


def labels_by_data(
    model: Model, store: Store, count: int, seed: int = 0, progress: Progress | None = None, name: str | None = None
) -> Guess:
    """The class of the data that samples 0 to `count` − 1 of a seed look like; of classes seen under 5 times, none.

    Args:
        model: an image generator without labels.
        store: its data, with labels.
        count: how many samples.
        seed: which ones.
        progress: called with what is done, how much of it and of how much, from two seconds on.
        name: of the extractor; None: efficientnet-lite0 where it is installed, else the pixels.

    Raises `UsageError` for data without two classes, of another shape, samples of fewer, and without scikit-learn.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import cross_val_score
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ModuleNotFoundError as error:
        raise UsageError(INSTALL) from error
    model = image_generator(model)
    if store.labels is None or len(set(store.labels.tolist())) < 2 or tuple(store.shape) != model.shape:
        raise UsageError("The data have no two classes, or are not of the generator's size: give --labels FILE.csv.")
    best = name or best_installed()
    maker = extractor(PURPOSE if best == "random" else best)
    rows = np.unique(np.linspace(0, len(store) - 1, REAL).round().astype(np.int64))  # all along: files lie by class
    real = normalise(store.gather(rows), store.low, store.high)
    space = space_of(model)
    samples = space.images(space.points(range(count), seed=seed))
    counter = ticker(progress, "features", len(real) + len(samples))
    known, seen = (_features(maker, images, model.device, counter.advance) for images in (real, samples))
    judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, C=0.01))
    classes = store.labels[rows]
    folds = min(FOLDS, *np.unique(classes, return_counts=True)[1].tolist())
    if folds < 2:
        raise UsageError(
            "A class of the data has a single image, from which nothing is learnt: give --labels FILE.csv."
        )
    said = [str(store.classes[label]) for label in judge.fit(known, classes).predict(seen).tolist()]
    seen_often = {name for name, times in Counter(said).items() if times >= FOLDS}
    if len(seen_often) < 2:
        raise UsageError(
            f"{count:,} samples look like {len(seen_often)} of the {len(store.classes)} classes of the data, so "
            "nothing parts them: train on, look at more --samples, or give --labels FILE.csv."
        )
    labels = {number: label for number, label in enumerate(said) if label in seen_often}
    accuracy = float(cross_val_score(judge, known, classes, cv=folds).mean())
    return Guess(labels, accuracy, maker.name)


def _features(maker: Extractor, images: Tensor, device: torch.device, advance: Callable[[int], None]) -> np.ndarray:
    """Features float64 (N, width) of images, some at a time."""
    maker.to(device)
    pieces = []
    with torch.no_grad():
        for some in images.split(maker.at_once):
            pieces.append(maker.features(coloured(some.to(device))).cpu())
            advance(len(some))
    made: np.ndarray = torch.cat(pieces).double().numpy()
    return made
