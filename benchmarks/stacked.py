"""Stacked digits: three digits in the channels of one image, 28×28×3, and so 1,000 modes; and who counts them.

The protocol of VEEGAN (https://arxiv.org/abs/1705.07761) and PacGAN (https://arxiv.org/abs/1712.04086): a classifier of
single digits reads each channel of 26,000 samples, and their histogram over the 1,000 modes is compared with the even
one. A mode is reached by one sample, misread or not, so that a classifier that errs adds modes where there are few. One
that knows 99.1% of the digits finds 302 ± 17 modes in true triples of 100, and 710 in those of 500. The divergence is
the steadier figure: there 2.18 in place of 2.30, and 0.65 in place of 0.70.

Digits are the 5,000 embedded ones (`mnist-5k`). A hundred of each class are held out: neither the classifier nor a
generator ever sees them, on them the classifier's accuracy is measured, and triples of them are what perfect samples
would be. Triples to train on are drawn from the others. Both, triples and classifier, are kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.data import normalise, open_data
from zerosum.data.cache import cache_root
from zerosum.errors import RunError
from zerosum.files import load_tensors, save_tensors, write_folder, write_whole
from zerosum.metrics import kullback_leibler

MODES = 1000
SAMPLES = 26_000
TRIPLES = 50_000  # to train on
LEAST = 0.985  # of the held-out digits that the classifier must know
HELD = 100  # digits of each class
PASSES, BATCH = 20, 64
ANGLE, SCALE, SHIFT = 12.0, 0.1, 2.0  # degrees, share and pixels by which digits are changed at most, to learn from
VERSION = 1  # of the classifier: another one has another place in the cache
AT_ONCE = 500
COLUMNS, ZOOM, GAP, TEXT = 16, 2, 2, 12  # of the picture

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Digits:
    """The embedded digits: uint8 (N, 28, 28), their classes int64 (N,), and whether each is held out, bool (N,)."""

    pixels: Bytes
    labels: NDArray[np.int64]
    held: NDArray[np.bool_]

    @property
    def key(self) -> str:
        """Of what is made of them: other digits, or others held out, have another one."""
        digest = hashlib.sha256(self.pixels.tobytes() + self.labels.tobytes() + self.held.tobytes())
        return digest.hexdigest()[:16]


def digits() -> Digits:
    """All 5,000, a hundred of each class held out by a fixed seed."""
    store = open_data("mnist-5k", labels=True)
    if store.labels is None:
        sys.exit(f"{store.name} has lost its labels.")
    labels = np.asarray(store.labels, dtype=np.int64)
    held, draw = np.zeros(len(labels), dtype=bool), np.random.default_rng(0)
    for label in range(10):
        held[draw.permutation(np.flatnonzero(labels == label))[:HELD]] = True
    return Digits(store.take(np.arange(len(store)))[..., 0], labels, held)


def triples(pixels: Bytes, count: int, seed: int) -> Bytes:
    """uint8 (count, 28, 28, 3): independent draws of digits (N, 28, 28), one for each channel."""
    rows = np.random.default_rng(seed).integers(len(pixels), size=(count, 3))
    return np.ascontiguousarray(pixels[rows].transpose(0, 2, 3, 1))


def training_set(real: Digits) -> Path:
    """The file of triples to train on, made if it is not there."""

    def make(path: Path) -> None:
        buffer = io.BytesIO()
        np.save(buffer, triples(real.pixels[~real.held], TRIPLES, seed=0), allow_pickle=False)
        write_whole(path, buffer.getvalue())

    return kept(f"{real.key}-{TRIPLES}.npy", make)


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """A file or folder of the user's cache, made if it is not there, by one process alone."""
    path = cache_root() / "stacked" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            make(path)
    return path


def as_images(pixels: Bytes) -> Tensor:
    """float32 (N, C, H, W) in [-1, 1] of uint8 (N, H, W, C)."""
    return normalise(torch.from_numpy(np.ascontiguousarray(pixels)), 0.0, 255.0)


class Judge:
    """Reads digits.

    Attributes:
        accuracy: the share of the held-out digits that it knows.
        sha256: of its weights.
    """

    def __init__(self, network: nn.Module, sha256: str, real: Digits) -> None:
        self.network, self.sha256 = network.eval(), sha256
        read = self._read(as_images(real.pixels[real.held][..., None]))
        self.accuracy = float((read.numpy() == real.labels[real.held]).mean())

    def modes(self, images: Tensor) -> Tensor:
        """The mode, int64 (N,) from 0 to 999, of images (N, 3, 28, 28) in [-1, 1]: their digits from red to blue."""
        read = self._read(images.reshape(-1, 1, *images.shape[2:])).reshape(-1, 3)
        return read @ torch.tensor([100, 10, 1])

    @torch.no_grad()
    def _read(self, images: Tensor) -> Tensor:
        """The classes, int64 (N,), of single digits (N, 1, 28, 28)."""
        return torch.cat([self.network(some).argmax(1) for some in images.split(AT_ONCE)])


def trained_judge(real: Digits) -> Judge:
    """The classifier, kept or trained now. Ends the program where it knows too few of the held-out digits."""

    def make(path: Path) -> None:
        network = learn(real)
        write_folder(path, lambda inside: save_tensors(inside, "judge", network.state_dict(), {}))

    folder = kept(f"{real.key}-judge-{VERSION}", make)
    try:
        tensors, about = load_tensors(folder, "judge")
    except RunError as error:
        sys.exit(f"{error}\nRemove {folder}, and the classifier is trained again.")
    network = classifier()
    network.load_state_dict(tensors)
    judge = Judge(network, about["file"]["sha256"], real)
    print(f"The classifier knows {judge.accuracy:.1%} of {real.held.sum():,} held-out digits.", flush=True)
    if judge.accuracy < LEAST:
        sys.exit(f"It must know {LEAST:.1%} of them; its counts would mean nothing. It lies in {folder}.")
    return judge


def classifier() -> nn.Sequential:
    """Digits (N, 1, 28, 28) to logits (N, 10), with new weights."""

    def block(inside: int, outside: int) -> tuple[nn.Module, ...]:
        return nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()

    return nn.Sequential(
        *(*block(1, 16), nn.MaxPool2d(2)),
        *(*block(16, 32), *block(32, 32), nn.MaxPool2d(2)),
        *(*block(32, 64), *block(64, 64), nn.Flatten(), nn.Dropout(0.4), nn.Linear(64 * 7 * 7, 10)),
    )


def learn(real: Digits) -> nn.Sequential:
    """A classifier that has learnt all digits but the held-out ones, each time changed a little."""
    images = as_images(real.pixels[~real.held][..., None])
    labels = torch.from_numpy(real.labels[~real.held])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = classifier()
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
        steps = PASSES * (len(images) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
        for _ in range(PASSES):
            for rows in torch.randperm(len(images)).split(BATCH)[: len(images) // BATCH]:
                optimizer.zero_grad()
                F.cross_entropy(network(moved(images[rows])), labels[rows], label_smoothing=0.05).backward()
                optimizer.step()
                schedule.step()
    return network


def moved(images: Tensor) -> Tensor:
    """Digits (N, 1, H, W), each turned, scaled and shifted by chance."""
    chance = torch.rand(4, len(images)) * 2 - 1
    angle, scale = torch.deg2rad(chance[0] * ANGLE), 1 + chance[1] * SCALE
    x, y = chance[2:] * (2 * SHIFT / images.shape[-1])
    across, up = torch.cos(angle) * scale, torch.sin(angle) * scale
    matrix = torch.stack([torch.stack([across, -up, x], 1), torch.stack([up, across, y], 1)], 1)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def counted(judge: Judge, images: Callable[[int, int], Tensor]) -> dict[str, Any]:
    """Modes that 26,000 samples reach, and KL in nats of their histogram from the even one.

    images: (first, n) to samples `first` to `first + n`, (n, 3, 28, 28) in [-1, 1].
    """
    parts = [judge.modes(images(first, min(AT_ONCE, SAMPLES - first))) for first in range(0, SAMPLES, AT_ONCE)]
    histogram = torch.cat(parts).bincount(minlength=MODES).numpy()
    return {
        "reached": int((histogram > 0).sum()),
        "total": MODES,
        "reverse_kl": kullback_leibler(histogram / SAMPLES, np.full(MODES, 1 / MODES)),
        "samples": SAMPLES,
        "accuracy": round(judge.accuracy, 4),
        "classifier": judge.sha256[:16],
    }


def floor() -> tuple[float, float, float]:
    """KL of as many draws from the even distribution: (K − 1) / 2N, and mean and deviation of 200 simulations."""
    even = np.full(MODES, 1 / MODES)
    drawn = np.random.default_rng(0).multinomial(SAMPLES, even, size=200)
    found = [kullback_leibler(row / SAMPLES, even) for row in drawn]
    return (MODES - 1) / (2 * SAMPLES), float(np.mean(found)), float(np.std(found))


def draw(path: Path, images: Tensor, modes: Tensor) -> None:
    """Write images (N, 3, 28, 28) in [-1, 1], sixteen a row: in colour, channel by channel, and as they were read."""
    side, rows = images.shape[-1] * ZOOM, -(-len(images) // COLUMNS)
    high = 4 * (side + GAP) + TEXT
    sheet = Image.new("RGB", (COLUMNS * (side + GAP), rows * high), "white")
    pen = ImageDraw.Draw(sheet)
    pixels = (images.clamp(-1, 1) + 1).mul(127.5).round().byte().permute(0, 2, 3, 1).numpy()
    for number, (picture, mode) in enumerate(zip(pixels, modes.tolist(), strict=True)):
        left, top = number % COLUMNS * (side + GAP), number // COLUMNS * high
        for place, tile in enumerate((picture, *np.moveaxis(picture, 2, 0))):
            zoomed = Image.fromarray(tile).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(zoomed, (left, top + place * (side + GAP)))
        pen.text((left + side / 2, top + high - TEXT / 2), f"{mode:03d}", fill="black", anchor="mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
