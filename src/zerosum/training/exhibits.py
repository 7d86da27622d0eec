"""What every report shows of a model, by what it can do: samples, restored images, what codes mean, a plane."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from zerosum.data import Store, normalise, to_pixels
from zerosum.games import Game, Latents, Randomness
from zerosum.metrics import psnr, ssim
from zerosum.model import Model
from zerosum.training.samples import grid_shape, spread, write_grid, write_points, write_rows

POINTS = 1000  # points a report shows
CLASS_ROWS = 20  # at most, in a picture with a row for each class
CODE_ROWS = 20  # at most, in a picture of what codes mean; fewer where images are large
JUDGED, JUDGED_NUMBERS = 256, 2**24  # restored images from which PSNR and SSIM are taken, and numbers in all of them
REACH = 2.0  # how far a picture of a latent plane goes from its middle, in deviations


class Showing(Protocol):
    """What a reporter asks of what it shows; `model`: the released networks of the moment."""

    def write_real(self) -> None:
        """Real samples, once."""

    def samples(self, model: Any, images: int) -> np.ndarray:
        """Write what the model makes, always of the same; and return it, in the data's form."""

    def figures(self, model: Any) -> dict[str, float]:
        """What is measured of the model at every report."""

    def by_class(self, game: Game, samples: np.ndarray) -> dict[str, dict[str, float]]:
        """Figures of each class that is shown."""


class Exhibits:
    """Samples of the same latents at every report, and what belongs beside them.

    Args:
        folder: where they are written.
        store: the training's data.
        held: data that it never saw, from which images to be restored are taken; None: the training's own.
        latents: what the generator starts from.
        classes: names of those that it takes labels of; none where it takes none.
        corrupted: what makes of images (N, C, H, W) those that a denoiser is to restore; None: they are as they are.
        seed: of everything that is drawn.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        held: Store | None,
        latents: Latents,
        classes: Sequence[str],
        corrupted: Callable[[Tensor], Tensor] | None,
        seed: int,
    ) -> None:
        self.folder, self.store, self.latents, self.seed = folder, store, latents, seed
        rows, self.columns = (1, POINTS) if store.is_points else grid_shape(store.shape)
        self.classes = tuple(classes[: CLASS_ROWS if store.is_points else CLASS_ROWS * rows // 8])
        order = store.order(np.random.Generator(np.random.Philox(key=seed)))
        picks = np.resize(order, rows * self.columns)
        self.labels: Tensor | None = None
        if self.classes and (labels := store.labels) is not None:
            if not store.is_points:  # a row for each class; points are shown as they come, all in one picture
                of_each = (
                    np.resize(order[labels[order] == number], self.columns) for number in range(len(self.classes))
                )
                picks = np.concatenate(list(of_each))
            self.labels = torch.from_numpy(labels[picks])
        self.real = store.gather(picks).numpy()
        self._source, self._corrupted = store if held is None else held, corrupted
        self._last: tuple[Model, Tensor] | None = None

    def write_real(self) -> None:
        """Real samples, beside which the generated ones are seen."""
        if self.store.is_points:
            write_points(self.folder / "real.json", self.real)
        else:
            write_grid(self.folder / "real.png", self.real, self.store.low, self.store.high, self.columns, self.classes)

    def samples(self, model: Model, images: int) -> np.ndarray:
        """Samples of the same latents and labels as at every report, in the data's form; written under `images`."""
        if self.latents.of_images:
            made = model.restored(self._normal(self.real))
        else:
            made = model.generate(self._draw("report", len(self.real)), self.labels)
        pixels = self._pixels(made)
        if self.store.is_points:
            write_points(self.folder / f"{images:09d}.json", pixels)
        else:
            path = self.folder / f"{images:09d}.png"
            write_grid(path, pixels, self.store.low, self.store.high, self.columns, self.classes)
            self._pictures(model)
        return pixels

    @cached_property
    def _clean(self) -> Tensor:
        """Images to be restored, as they should be; gathered only by who restores any."""
        count = max(1, min(JUDGED, JUDGED_NUMBERS // math.prod(self.store.shape)))
        chosen = self._source.order(np.random.Generator(np.random.Philox(key=self.seed)))[:count]
        return self._normal(self._source.gather(chosen).numpy())

    @cached_property
    def _given(self) -> Tensor:
        """The same as they are given to the model."""
        return self._clean if self._corrupted is None else self._corrupted(self._clean)

    def _restored(self, model: Model) -> Tensor:
        """What the model makes of them, once a model: picture and figures show the same."""
        if self._last is None or self._last[0] is not model:
            self._last = (model, model.restored(self._given))
        return self._last[1]

    def figures(self, model: Model) -> dict[str, float]:
        """How near restored images, and noisy ones, are to clean ones: means of their PSNR (dB) and SSIM."""
        if not model.encodes or self.store.is_points:
            return {}
        sides = {"": self._restored(model)} | ({"noisy ": self._given} if self._corrupted else {})
        measures = {"PSNR": psnr, "SSIM": ssim}
        return {
            side + name: float(measure(images, self._clean).mean())
            for name, measure in measures.items()
            for side, images in sides.items()
        }

    def by_class(self, game: Game, samples: np.ndarray) -> dict[str, dict[str, float]]:
        """Of each class that is shown: its samples' diversity, and what the game's players say of them."""
        if self.labels is None:
            return {}
        real, made = self._normal(self.real), self._normal(samples)
        said = game.opinions(real, made, self.labels)
        table = {}
        for number, name in enumerate(self.classes):
            mine = (self.labels == number).numpy()
            if not mine.any():
                continue
            spread_of_real = spread(self.real[mine])
            figures = {key: float(values[mine].float().mean()) for key, values in said.items()}
            if spread_of_real > 0:
                figures["diversity"] = spread(samples[mine]) / spread_of_real
            table[name] = {key: value for key, value in figures.items() if math.isfinite(value)}
        return table

    # further pictures, of which only the newest are kept

    def _pictures(self, model: Model) -> None:
        if self.latents.codes:
            self._codes(model)
        if model.encodes:
            self._reconstructions(model)
        if self.latents.length == 2 and not self.latents.codes and not model.classes:
            self._plane(model)

    def _codes(self, model: Model) -> None:
        """What the codes mean; of a model with classes, for the first one."""
        most = CODE_ROWS * grid_shape(self.store.shape)[0] // 8
        sweep = self.latents.sweep(Randomness(self.seed, keep=2), "codes", self.columns, most=most)
        classes = torch.zeros(len(sweep.latents), dtype=torch.int64) if model.classes else None
        self._rows("codes", model.generate(sweep.latents, classes), sweep.labels)

    def _reconstructions(self, model: Model) -> None:
        """Images, and what the model makes of them, row under row."""
        names = ("noisy", "restored", "clean") if self._corrupted else ("real", "reconstructed")
        pairs = max(1, len(self.real) // self.columns // len(names))
        shown = self._given[: pairs * self.columns]
        sides = [shown, self._restored(model)[: len(shown)], self._clean[: len(shown)]][: len(names)]
        rows = [side[start : start + self.columns] for start in range(0, len(shown), self.columns) for side in sides]
        whole = [row for row in rows if len(row) == self.columns]
        if whole:
            self._rows("reconstructions", torch.cat(whole), names * (len(whole) // len(names)))

    def _plane(self, model: Model) -> None:
        """What lies at each point of the plane of latents, the first number from left to right, the second upwards."""
        steps = torch.linspace(-REACH, REACH, 2 * self.columns - 1)
        upwards = steps.flip(0)
        points = torch.stack((steps.repeat(len(steps)), upwards.repeat_interleave(len(steps))), dim=1)
        self._rows("plane", model.generate(points), [f"{round(float(value), 2) + 0.0:g}" for value in upwards])

    def _rows(self, name: str, made: Tensor, labels: Sequence[str]) -> None:
        write_rows(self.folder / f"{name}.png", self._pixels(made), self.store.low, self.store.high, labels)

    def _draw(self, stream: str, count: int) -> Tensor:
        return self.latents.rows(Randomness(self.seed, keep=2), stream, 0, count)

    def _normal(self, pixels: np.ndarray) -> Tensor:
        return normalise(torch.from_numpy(np.ascontiguousarray(pixels)), self.store.low, self.store.high)

    def _pixels(self, images: Tensor) -> np.ndarray:
        return to_pixels(images, self.store.low, self.store.high, self.store.dtype)
