"""A released image-to-image model: makes a picture of a picture, of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from zerosum.data import normalise, to_pixels
from zerosum.errors import UsageError
from zerosum.networks import Blueprint
from zerosum.networks.registry import entry
from zerosum.networks.translator import ImageToImage
from zerosum.released import DTYPES, Released, build_networks, check_range, memory_errors, rebuild
from zerosum.tiles import Array, Grid, Make, bands, held_statistics, make_grid, patches

GAMES = ("paired", "unpaired")
AT_ONCE = 64
ROWS = 64  # of a finished strip that become pixels at once: floats are copied on the way
HOLE = "mask"  # how a `degrade` begins that takes parts of the picture away

Counted = Callable[[int, int], None]
"""Called with how many tiles are done, and how many there are."""


@dataclass(frozen=True)
class Way:
    """One direction: the name of its network, and the facts about the data it is given and about those it makes."""

    network: str
    given: dict[str, Any]
    wanted: dict[str, Any]


@dataclass(frozen=True)
class Values:
    """How numbers of an array stand for light: those of `dtype` from `low`, black, to `high`, white."""

    dtype: str
    low: float
    high: float


FULL = {"uint8": Values("uint8", 0, 255), "uint16": Values("uint16", 0, 65535), "float32": Values("float32", 0, 1)}


def ways(config: dict[str, Any]) -> dict[str, Way]:
    """Each direction of a run with its way; a paired game has one, "", which nobody has to name."""
    if config["game"] == "paired":
        return {"": Way("generator", config["given"], config["data"])}
    return {
        "a-to-b": Way("a_to_b", config["given"], config["data"]),
        "b-to-a": Way("b_to_a", config["data"], config["given"]),
    }


class Translator(Released):
    """The networks of an image-to-image training and what is needed to use them.

    >>> import zerosum
    >>> model = zerosum.load("runs/facades")  # doctest: +SKIP
    >>> model.translate(np.asarray(Image.open("plan.png"))).shape  # doctest: +SKIP
    (3000, 4000, 3)

    `config` holds `game` ("paired" or "unpaired"), `networks` (of each, the fields of its `networks.Blueprint`),
    `given` and `data` (those wanted), each {name, count, shape, dtype, low, high}, `degrade` (how given pictures were
    made of those wanted, or "") and facts about the training.
    """

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions it can be asked for; none where there is only one."""
        return tuple(name for name in ways(self.config) if name)

    @property
    def fills_holes(self) -> bool:
        """Whether it paints what is transparent in the picture given (the last of its channels), and keeps the rest."""
        return str(self.config["degrade"]).startswith(HOLE)

    def way(self, direction: str | None = None) -> Way:
        """The way of a direction; None: the only one, or "a-to-b". Raises `UsageError` for one that there is not."""
        known = ways(self.config)
        if direction is None:
            return next(iter(known.values()))
        if not self.directions:
            raise UsageError("This run translates one way only: leave the direction out.")
        if direction.replace("_", "-") not in self.directions:
            raise UsageError(f"There is no direction {direction!r}: {' or '.join(self.directions)}.")
        return known[direction.replace("_", "-")]

    @torch.no_grad()
    def translated(self, images: Tensor, direction: str | None = None, seed: int | None = None) -> Tensor:
        """What becomes of images (N, c, h, w) in [-1, 1], as its network takes them: (N, C, H, W), on the CPU.

        They are made whole, some at a time; `direction` and `seed` are those of `translate`, and so are the errors.
        """
        way = self.way(direction)
        network = self.networks[way.network]
        self.check_seed(seed, direction)
        if images.ndim != 4 or images.shape[1] != way.given["shape"][0]:
            raise UsageError(
                f"This model takes images (N, {way.given['shape'][0]}, h, w), and was given {tuple(images.shape)}."
            )
        height, width = images.shape[2:]
        if not len(images):
            return torch.empty(0, way.wanted["shape"][0], height * scale_of(network), width * scale_of(network))
        grid = _grid(network)
        at_once = min(AT_ONCE, max(1, grid.side**2 // grid.area(height, width)))
        with memory_errors(), self._noise(network, seed):
            return torch.cat([network(some.to(self.device)).float().cpu() for some in images.split(at_once)])

    @torch.no_grad()
    def translate(
        self, array: Array, direction: str | None = None, seed: int | None = None, progress: Counted | None = None
    ) -> Array:
        """What becomes of one picture.

        Args:
            array: (H, W, c), of any height and width from 1, and as many channels as the pictures given in training;
                one more where the model fills holes: alpha, under half of its range in holes. uint8, uint16 or float32:
                values in the range of those given in training if they are of that dtype and fit in it, else from 0 to
                255, 65535 or 1.
            direction: one of `directions`; None: the only one, or "a-to-b".
            seed: of the noise that dropout is in some networks (Isola et al. 2017, https://arxiv.org/abs/1611.07004,
                section 2.1), drawn as in training; None: without it, the same result always.
            progress: called after each tile.

        Returns (scale·H, scale·W, C). Where pictures given and wanted have one dtype, in that of `array`, else in that
        of the wanted. A large picture is made in tiles that blend; then its memory beside `array` and the result does
        not grow with its area, and instance normalisation has its statistics from parts all over the picture.

        Raises `UsageError` for an array of another shape or dtype, a direction that there is not, or a seed where the
        network has no dropout; `MemoryError` where not even a tile fits.
        """
        way = self.way(direction)
        network = self.networks[way.network]
        self._check_array(array, way)
        self.check_seed(seed, direction)
        read, made = self.values(array, direction)
        height, width = array.shape[:2]
        grid, scale = _grid(network), scale_of(network)
        whole = grid.area(height, width) <= grid.side**2
        total = 1 if whole else grid.count(height, width)
        done = 0

        def make(rows: slice, columns: slice) -> Array:
            nonlocal done
            result: Array = network(self._tensor(array[rows, columns], read)).float().cpu()[0].permute(1, 2, 0).numpy()
            done += 1
            if progress is not None:
                progress(done, total)
            return result

        result = np.empty((height * scale, width * scale, way.wanted["shape"][0]), dtype=made.dtype)
        with memory_errors(), self._noise(network, seed):
            if whole:
                result[:] = _pixels(make(slice(0, height), slice(0, width)), made)
                return result
            parts = [self._tensor(array[rows, columns], read) for rows, columns in patches(height, width, grid)]
            with held_statistics(network, torch.cat(parts)):
                _fill(result, make, grid, scale, made)
        return result

    def sample(self, *_: object, **__: object) -> NoReturn:
        """Raises `UsageError`: its pictures are made of pictures."""
        raise UsageError(
            "This run translates pictures, and makes none of random numbers: zerosum.load(run).translate(array), or "
            "zerosum translate RUN IMAGE|FOLDER --out FOLDER."
        )

    def values(self, array: Array, direction: str | None = None) -> tuple[Values, Values]:
        """How the numbers of `array` are read, and those of what `translate` makes of it are meant."""
        way = self.way(direction)
        given, wanted = (Values(side["dtype"], side["low"], side["high"]) for side in (way.given, way.wanted))
        dtype = str(array.dtype)
        fits = dtype == "float32" or (given.low <= array.min() and array.max() <= given.high)
        as_trained = dtype == given.dtype and fits
        read = given if as_trained else FULL[dtype]
        return read, wanted if as_trained or given.dtype != wanted.dtype else FULL[dtype]

    def _check_array(self, array: Array, way: Way) -> None:
        channels = way.given["shape"][0]
        if array.ndim != 3 or array.shape[2] != channels or str(array.dtype) not in DTYPES or not array.size:
            meant = " (the last is alpha: holes are transparent)" if self.fills_holes else ""
            raise UsageError(
                f"This model takes {', '.join(DTYPES)} of shape (H, W, {channels}){meant}, and was given {array.dtype} "
                f"of shape {array.shape}."
            )
        if array.dtype != np.float32:
            return
        low, high = float(array.min()), float(array.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise UsageError("The picture holds NaN or infinity.")
        if way.given["dtype"] != "float32" and not 0 <= low <= high <= 1:
            raise UsageError(f"The picture's values go from {low:g} to {high:g}: floats must lie between 0 and 1.")

    def _tensor(self, part: Array, read: Values) -> Tensor:
        """(h, w, c) as the network takes it: (1, c, h, w); alpha as a mask, 1 in holes, where nothing is known."""
        images = normalise(torch.from_numpy(np.array(part)[None]).to(self.device), read.low, read.high)
        if not self.fills_holes:
            return images
        holes = (images[:, -1:] < 0).to(images.dtype)
        return torch.cat([images[:, :-1] * (1 - holes), holes * 2 - 1], dim=1)

    def check_seed(self, seed: int | None, direction: str | None = None) -> None:
        """Raises `UsageError` for a seed that is out of range, or where the network has no dropout to draw it for."""
        if seed is None:
            return
        if not _dropping(self.networks[self.way(direction).network]):
            raise UsageError("This model has no dropout to draw noise from: leave the seed out.")
        if not 0 <= seed < 2**63:
            raise UsageError(f"The seed must be between 0 and 2⁶³ - 1, not {seed}.")

    @contextmanager
    def _noise(self, network: nn.Module, seed: int | None) -> Iterator[None]:
        """Inside, dropout draws from `seed`, unless that is None; afterwards PyTorch's generators are as before."""
        if seed is None:
            yield
            return
        layers = _dropping(network)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            try:
                for layer in layers:
                    layer.train()
                yield
            finally:
                for layer in layers:
                    layer.eval()


def _dropping(network: nn.Module) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, _DropoutNd) and layer.p]


def scale_of(network: nn.Module) -> int:
    """How many times as large as the picture given the one made is."""
    return int(network.scale)  # type: ignore[arg-type]


def _grid(network: nn.Module) -> Grid:
    least = max((layer.least for layer in network.modules() if isinstance(layer, ImageToImage)), default=1)
    return make_grid(int(network.stride), int(network.reach), least)  # type: ignore[arg-type]


def _fill(result: Array, make: Make, grid: Grid, scale: int, made: Values) -> None:
    """Put a picture together of tiles, in strips across its shorter side: a panorama's would be as large as itself."""
    height, width = (side // scale for side in result.shape[:2])
    if width > height:
        result, height, width = result.swapaxes(0, 1), width, height
        strips = bands(lambda rows, columns: make(columns, rows).swapaxes(0, 1), height, width, grid, scale)
    else:
        strips = bands(make, height, width, grid, scale)
    for first, band in strips:
        for row in range(0, len(band), ROWS):
            part = _pixels(band[row : row + ROWS], made)
            result[first + row : first + row + len(part)] = part


def _pixels(images: Array, made: Values) -> Array:
    """(h, w, C) in [-1, 1] as values of the result."""
    tensor = torch.from_numpy(images).permute(2, 0, 1)[None]
    pixels: Array = to_pixels(tensor, made.low, made.high, np.dtype(made.dtype))[0]
    return pixels


def is_translator(config: dict[str, Any]) -> bool:
    """Whether a released model's config is that of a `Translator`."""
    return config.get("game") in GAMES


def load_translator(
    folder: Path, tensors: Mapping[str, Tensor], config: dict[str, Any], device: str = "cpu"
) -> Translator:
    """The translator of what `released.read_released` found in `folder`. Raises `RunError` where they do not fit."""
    model = Translator(rebuild(folder, dict(tensors), config, build_networks, _check), config)
    model.networks.to(device)
    return model


def _check(config: dict[str, Any]) -> None:
    """Raises ValueError where networks and data do not fit together."""
    found = ways(config)
    if set(config["networks"]) != {way.network for way in found.values()}:
        raise ValueError("its networks are not those of its game")
    for side in (config["given"], config["data"]):
        check_range(side)
        if len(side["shape"]) != 3 or any(type(number) is not int or number < 1 for number in side["shape"]):
            raise ValueError("data have no shape of pictures")
    for way in found.values():
        plan = Blueprint(**config["networks"][way.network])
        if entry(plan.network).role != "translator" or plan.code or plan.labels != "none":
            raise ValueError(f"{plan.network} is no translator")
        if list(plan.arguments["source"]) != way.given["shape"] or list(plan.arguments["shape"]) != way.wanted["shape"]:
            raise ValueError("the data are not those of the networks")
        if plan.keeps is not config["degrade"].startswith(HOLE):
            raise ValueError("keeping what is known goes with holes, and with nothing else")
