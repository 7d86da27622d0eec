"""What every report of a game that translates shows: what is made of the same pictures each time."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zerosum.data import Store, normalise, to_pixels
from zerosum.games import Game
from zerosum.metrics import psnr, ssim
from zerosum.training.samples import grid_shape, write_grid, write_rows
from zerosum.training.sources import Sources
from zerosum.translator import Translator

JUDGED, JUDGED_NUMBERS = 512, 2**24  # pictures that figures are of, and numbers in all of them
PAIRED = ("source", "result", "target")
THERE_AND_BACK = (("a", "a to b", "and back to a"), ("b", "b to a", "and back to b"))


class Translations:
    """What is made of some pictures, kept from training where there are such; and how far it is from what was wanted.

    Args:
        folder: where pictures are written.
        store: wanted pictures; of an unpaired game, those of domain b.
        sources: what translators start from; of an unpaired game, domain a.
        seed: which ones are shown, and what is random about a degradation.
    """

    def __init__(self, folder: Path, store: Store, sources: Sources, seed: int) -> None:
        self.folder, self.store, self.sources, self.seed = folder, store, sources, seed
        rows, columns = grid_shape(store.shape)
        fewest = min(len(each) for each in (store, sources.store) if each is not None)
        self.columns = min(columns, fewest)
        self.rows = min(rows, fewest // self.columns)
        # What is shown comes first of what is judged.
        self._picks = self._chosen(store)
        self.real = store.gather(self._picks[: self.rows * self.columns]).numpy()
        self._last: tuple[Translator, Tensor] | None = None

    def _chosen(self, store: Store) -> np.ndarray:
        return np.random.Generator(np.random.Philox(key=self.seed)).permutation(len(store))[: judged_of(self.store)]

    @cached_property
    def _wanted(self) -> Tensor:
        return normalise(self.store.gather(self._picks), self.store.low, self.store.high)

    @cached_property
    def _given(self) -> Tensor:
        if self.sources.degradation is not None:
            return self.sources.made_of(self._wanted, self.seed, "shown", range(len(self._picks)))
        other = self.sources.store
        return self.sources.rows(self._picks if self.sources.paired or other is None else self._chosen(other))

    def _translated(self, model: Translator) -> Tensor:
        """What the model makes of the given pictures, once a model."""
        if self._last is None or self._last[0] is not model:
            self._last = (model, translated(model, self._given))
        return self._last[1]

    def write_real(self) -> None:
        """Wanted pictures, beside which the made ones are seen."""
        write_grid(self.folder / "real.png", self.real, self.store.low, self.store.high, self.columns, ())

    def samples(self, model: Translator, images: int) -> np.ndarray:
        """What is made of the same pictures as at every report, in the wanted ones' form; written under `images`."""
        made = self._translated(model)
        shown = self._pixels(made[: self.rows * self.columns])
        path = self.folder / f"{images:09d}.png"
        write_grid(path, shown, self.store.low, self.store.high, self.columns, ())
        self._write_translations(model)
        return shown

    def figures(self, model: Translator) -> dict[str, float]:
        """How near made pictures are to wanted ones, beside how near the sources are; or those that come back."""
        if not self.sources.paired:
            there = self._translated(model)
            back = {"a ": (translated(model, there, "b-to-a"), self._given), "b ": self._back_to_b(model)}
            return {f"{side}there and back {name}": value for side, two in back.items() for name, value in _near(*two)}
        sides = {"": self._translated(model)}
        if (source := like(self._given, self._wanted)) is not None:
            sides["source "] = source
        figures = {side + name: value for side, made in sides.items() for name, value in _near(made, self._wanted)}
        if self.sources.degradation is not None and self.sources.degradation.keeps:
            holes = (self._given[:, -1:] > 0).expand_as(self._wanted)
            off = {side: (made - self._wanted)[holes].abs().mean() for side, made in sides.items()}
            figures |= {f"{side}hole L1": float(value) for side, value in off.items()}
        return figures

    def _back_to_b(self, model: Translator) -> tuple[Tensor, Tensor]:
        return translated(model, translated(model, self._wanted, "b-to-a"), "a-to-b"), self._wanted

    def by_class(self, game: Game, samples: np.ndarray) -> dict[str, dict[str, float]]:
        """None: pictures have no classes here."""
        return {}

    def _write_translations(self, model: Translator) -> None:
        """Rows of pictures: where they start from, what is made of them, what was wanted; or there and back."""
        if self.sources.paired:
            bands = [(PAIRED, (self._given, self._translated(model), self._wanted))]
        else:
            there, here = self._translated(model)[: self.columns], self._wanted[: self.columns]
            across = translated(model, here, "b-to-a")
            bands = [
                (THERE_AND_BACK[0], (self._given, there, translated(model, there, "b-to-a"))),
                (THERE_AND_BACK[1], (here, across, translated(model, across, "a-to-b"))),
            ]
        rows: list[Tensor] = []
        labels: list[str] = []
        for start in range(0, max(1, self.rows // 3) * self.columns if self.sources.paired else 1, self.columns):
            for names, sides in bands:
                rows += [as_shown(side[start : start + self.columns], self.store.shape) for side in sides]
                labels += names
        pictures = to_pixels(torch.cat(rows), 0, 255, np.dtype(np.uint8))
        write_rows(self.folder / "translations.png", pictures, 0, 255, labels)

    def _pixels(self, images: Tensor) -> np.ndarray:
        return to_pixels(images, self.store.low, self.store.high, self.store.dtype)


def judged_of(store: Store) -> int:
    """Of how many pictures of a store figures are: enough for a report, and no more than memory should hold."""
    rows, columns = grid_shape(store.shape)
    return min(len(store), max(rows * columns, min(JUDGED, JUDGED_NUMBERS // math.prod(store.shape))))


def translated(model: Translator, pictures: Tensor, direction: str | None = None) -> Tensor:
    """What the model makes of pictures in float32, as it will when it is used, whatever the training's precision."""
    with torch.autocast(model.device.type, enabled=False):
        return model.translated(pictures, direction)


def as_shown(pictures: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Pictures (N, c, h, w) as colours (N, 3, H, W), H and W those of `shape`: small ones enlarged by whole pixels.

    Of pictures with a channel for what was taken away, or for transparency, the colours alone.
    """
    colours = pictures[:, : 3 if pictures.shape[1] >= 3 else 1].expand(-1, 3, -1, -1)
    return torch.nn.functional.interpolate(colours, shape[1:], mode="nearest")


def like(given: Tensor, wanted: Tensor) -> Tensor | None:
    """Given pictures (N, c, h, w) as far as they can stand for wanted ones (N, C, H, W): of their first channels, one
    for all colours, and enlarged (bicubic). None where they have too few.
    """
    channels = wanted.shape[1]
    if given.shape[1] < channels and given.shape[1] != 1:
        return None
    same = given[:, :channels].expand(-1, channels, -1, -1)
    if same.shape == wanted.shape:
        return same
    enlarged = torch.nn.functional.interpolate(same, wanted.shape[2:], mode="bicubic", align_corners=False)
    return enlarged.clamp(-1, 1)


def _near(made: Tensor, wanted: Tensor) -> list[tuple[str, float]]:
    """Means over pictures of PSNR (dB), SSIM, and the absolute difference where pictures are in [-1, 1]."""
    return [
        ("PSNR", float(psnr(made, wanted).mean())),
        ("SSIM", float(ssim(made, wanted).mean())),
        ("L1", float((made - wanted).abs().mean())),
    ]
