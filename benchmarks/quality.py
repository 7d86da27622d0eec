"""Recipes against each other in the same minutes: the Fréchet distance of their samples to real images.

    python benchmarks/quality.py quick dcgan-28 --data fashion-mnist --minutes 5

The features are the 128 of a small convolutional classifier, trained here on the data set's own labels with a fixed
seed; so a figure compares with others of this script and data set only. It is not FID, whose features are Inception's.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import zerosum
from zerosum.data import Store, normalise, open_data
from zerosum.training.display import PlainDisplay

SAMPLES = 10_000


def classifier(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Images (N, C, H, W) to logits; its last layer but one gives the features."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * (shape[1] // 4) * (shape[2] // 4), 128), nn.ReLU(),
        nn.Linear(128, classes),
    )  # fmt: skip


def trained_features(store: Store, epochs: int) -> nn.Sequential:
    """The classifier without its last layer, trained on all but every tenth image; prints its accuracy on those."""
    if store.labels is None:
        raise SystemExit(f"{store.name} has no labels to train the features on")
    torch.manual_seed(0)
    network = classifier(store.shape, len(store.classes))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    held = np.arange(len(store)) % 10 == 0
    rows = np.flatnonzero(~held)
    generator = np.random.default_rng(0)
    for _ in range(epochs):
        for part in np.array_split(generator.permutation(rows), len(rows) // 128):
            labels = torch.from_numpy(store.labels[part])
            loss = cross_entropy(network(normalise(store.gather(part), store.low, store.high)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        test = np.flatnonzero(held)
        guess = network(normalise(store.gather(test), store.low, store.high)).argmax(1).numpy()
    print(f"features: a classifier that is right on {(guess == store.labels[test]).mean():.1%} of held-out images")
    return network[:-1]


@torch.no_grad()
def moments(features: nn.Module, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the features, in float64."""
    rows = torch.cat([features(part) for part in images.split(500)]).double().numpy()
    return rows.mean(0), np.cov(rows, rowvar=False)


def frechet(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> float:
    """|m₁ − m₂|² + tr(S₁ + S₂ − 2 (S₁½ S₂ S₁½)½), Dowson & Landau 1982."""
    values, vectors = np.linalg.eigh(one[1])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ other[1] @ root).clip(0)).sum()
    return float(((one[0] - other[0]) ** 2).sum() + np.trace(one[1]) + np.trace(other[1]) - 2 * cross)


def main() -> None:
    """Print a line a recipe; write a picture of each one's samples where --pictures says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    store = open_data(options.data, labels=True)
    features = trained_features(store, epochs=2 if len(store) > 20_000 else 10)
    rows = np.random.default_rng(1).permutation(len(store))
    half = min(SAMPLES, len(store) // 2)

    def real(part: np.ndarray) -> Tensor:
        return normalise(store.gather(part), store.low, store.high)

    reference = moments(features, real(rows[:half]))
    floor = frechet(reference, moments(features, real(rows[half : 2 * half])))
    print(f"{options.data}, {half} images against {half} others: {floor:.2f}")
    for recipe in options.recipes:
        with tempfile.TemporaryDirectory() as folder:
            run = zerosum.train(
                options.data,
                recipe=recipe,
                out=Path(folder) / "run",
                minutes=options.minutes,
                seed=options.seed,
                settings={"training.checkpoint_every": 10**9},
                display=PlainDisplay(Console(file=io.StringIO())),
            )
            model = run.model
            made = model.generate(model.latents(SAMPLES, seed=1))
            if options.pictures:
                options.pictures.mkdir(parents=True, exist_ok=True)
                newest = max((run.path / "samples").glob("[0-9]*.png"))
                Image.open(newest).save(options.pictures / f"{options.data}-{recipe}.png")
        distance = frechet(reference, moments(features, made))
        rate = run.images / (options.minutes * 60)
        print(
            f"{recipe}: Fréchet {distance:.2f} after {options.minutes:g} minutes, {run.images:,} images, {rate:.0f}/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
