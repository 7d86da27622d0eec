"""Randomness is a function, not a state.

What is drawn for real image *n* depends on `(seed, n)` alone: it comes in blocks of `BLOCK` rows, each block from a
Philox counter generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) whose key is a hash of
seed, stream and block number. So the batch size, the device, a kill and a resume, or the number of machines change
nothing in what is drawn.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from zerosum.errors import UsageError

BLOCK = 1024
REACH = 2.0  # how far a sweep takes a continuous code: twice as far as it is drawn


def number_of(*words: object) -> int:
    """A 64-bit number that `words` fix: the key under which something random is drawn."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, words)).encode(), digest_size=8).digest(), "big")


Maker = Callable[[np.random.Generator, int], np.ndarray]  # (generator, rows) to so many rows


class Randomness:
    """Rows of random numbers by position; the newest blocks are kept, so that a batch costs a slice."""

    def __init__(self, seed: int, device: torch.device | str = "cpu", keep: int = 12) -> None:
        self.seed = seed
        self.device = torch.device(device)
        self._blocks: OrderedDict[tuple[str, int], Tensor] = OrderedDict()
        self._keep = keep

    def rows(self, stream: str, first: int, count: int, make: Maker) -> Tensor:
        """Rows `first` to `first + count` of a stream whose blocks `make(generator, rows)` fills."""
        start, end = divmod(first, BLOCK), divmod(first + count, BLOCK)
        if start[0] == end[0]:
            return self._block(stream, start[0], make)[start[1] : end[1]]
        pieces = [self._block(stream, start[0], make)[start[1] :]]
        pieces += [self._block(stream, number, make) for number in range(start[0] + 1, end[0])]
        if end[1]:
            pieces.append(self._block(stream, end[0], make)[: end[1]])
        return torch.cat(pieces)

    def _block(self, stream: str, number: int, make: Maker) -> Tensor:
        key = (stream, number)
        if key not in self._blocks:
            generator = np.random.Generator(np.random.Philox(key=number_of(self.seed, stream, number)))
            self._blocks[key] = torch.from_numpy(make(generator, BLOCK)).to(self.device)
            if len(self._blocks) > self._keep:
                self._blocks.popitem(last=False)
        return self._blocks[key]


@dataclass(frozen=True)
class Latents:
    """What a generator starts from: noise, then codes that a sample should tell of itself (InfoGAN).

    Attributes:
        size: numbers of noise.
        distribution: of each, "normal" N(0, 1) or "uniform" in [-1, 1]; "images": they are no numbers that are drawn,
            but an image's own.
        categorical: the number of values of each categorical code; a code is a one-hot row, its values equally likely.
        continuous: how many continuous codes, uniform in [-1, 1].
    """

    size: int
    distribution: str = "normal"
    categorical: tuple[int, ...] = ()
    continuous: int = 0

    @property
    def length(self) -> int:
        """Numbers in a latent: noise, one-hot rows, continuous codes, in this order."""
        return self.size + self.codes

    @property
    def codes(self) -> int:
        """How many of them, the last ones, are codes."""
        return sum(self.categorical) + self.continuous

    @property
    def of_images(self) -> bool:
        """Whether the generator is fed with images."""
        return self.distribution == "images"

    def rows(self, randomness: Randomness, stream: str, first: int, count: int) -> Tensor:
        """Latents `first` to `first + count` of a stream: float32 (count, length). UsageError where they are images."""
        if self.of_images:
            raise UsageError(
                "This generator is fed with images, so it makes nothing of numbers: give it some with reconstruct()."
            )
        made = normal if self.distribution == "normal" else uniform
        noise = randomness.rows(f"{stream}/{self.size}/{self.distribution}", first, count, made(self.size))
        if not self.codes:
            return noise
        columns = len(self.categorical) + self.continuous
        shares = randomness.rows(f"{stream}/codes/{columns}", first, count, share(columns))
        parts = [noise]
        for column, values in enumerate(self.categorical):
            chosen = (shares[:, column] * values).long()
            parts.append(one_hot(chosen, values).to(noise.dtype))
        parts.append(shares[:, len(self.categorical) :] * 2 - 1)
        return torch.cat(parts, dim=1)

    def truncated(self, rows: Tensor, psi: float) -> Tensor:
        """The same latents with their noise scaled by `psi`; codes stay what they are."""
        return torch.cat((rows[:, : self.size] * psi, rows[:, self.size :]), dim=1) if self.codes else rows * psi

    def with_value(self, rows: Tensor, code: int, value: int) -> Tensor:
        """The same latents with `value` for categorical code number `code`, both counted from 0."""
        start = self.size + sum(self.categorical[:code])
        made = rows.clone()
        made[:, start : start + self.categorical[code]] = 0
        made[:, start + value] = 1
        return made

    def sweep(self, randomness: Randomness, stream: str, columns: int, most: int = 20) -> Sweep:
        """Latents that show what each code means, as figure 2 of InfoGAN does: a row a value of a categorical code,
        then a row for each continuous one, from -REACH to REACH.

        In the rows of categorical codes a column is one latent but for that code; a row of a continuous code is one
        latent but for that code, the first column's. Of more than `most` rows the first ones are left, and at most
        half of them are for continuous codes where there are categorical ones. The latent has codes.
        """
        start = self.rows(randomness, stream, 0, columns)
        continuous = min(self.continuous, most // 2 if self.categorical else most)
        values = ((code, value) for code, count in enumerate(self.categorical) for value in range(count))
        rows, labels = [], []
        for code, value in islice(values, most - continuous):
            rows.append(self.with_value(start, code, value))
            labels.append(f"code {code + 1} = {value}")
        for code in range(continuous):
            row = start[:1].repeat(columns, 1)
            row[:, self.length - self.continuous + code] = torch.linspace(-REACH, REACH, columns)
            rows.append(row)
            labels.append(f"continuous {code + 1}, {-REACH:g} to {REACH:g}")
        return Sweep(torch.cat(rows), tuple(labels), columns)


@dataclass(frozen=True)
class Sweep:
    """Latents in which one code a row is set and all else is held: see `Latents.sweep`.

    Attributes:
        latents: (rows · columns, length), row after row.
        labels: what is set in each row, in plain ASCII: "code 1 = 3", "continuous 1, -2 to 2". Codes are counted from
            1, values from 0.
        columns: latents a row.
    """

    latents: Tensor
    labels: tuple[str, ...]
    columns: int


def normal(columns: int) -> Maker:
    """Rows of N(0, 1) numbers."""
    return lambda generator, rows: generator.standard_normal((rows, columns), dtype=np.float32)


def share(columns: int) -> Maker:
    """Rows of numbers uniform in [0, 1)."""
    return lambda generator, rows: generator.random((rows, columns), dtype=np.float32)


def uniform(columns: int) -> Maker:
    """Rows of numbers uniform in [-1, 1)."""
    return lambda generator, rows: share(columns)(generator, rows) * np.float32(2) - np.float32(1)


@dataclass
class Draw:
    """Where a turn stands: at real images `first` to `first + count` of a batch of `batch`, turn number `turn`.

    `progress`: the share of the run that is done, in [0, 1], for what fades. `rank`: which of `ranks` processes, that
    hold as many images each, this is.
    """

    randomness: Randomness
    first: int
    count: int
    batch: int
    turn: int
    progress: float = 0.0
    rank: int = field(default=0, kw_only=True)
    ranks: int = field(default=1, kw_only=True)

    @property
    def start(self) -> int:
        """The first image of all that the processes play with at once."""
        return self.first - self.rank * self.count

    @property
    def at_once(self) -> int:
        """How many these are."""
        return self.ranks * self.count

    def latents(self, latents: Latents, stream: str = "latent") -> Tensor:
        """This turn's latents, (count, length)."""
        return latents.rows(self.randomness, stream, self.first, self.count)

    def shares(self, stream: str, columns: int, rows: int | None = None) -> Tensor:
        """(rows, columns) numbers, uniform in [0, 1); `rows`: as many as images, or fewer where several make one."""
        rows = self.count if rows is None else rows
        return self.randomness.rows(f"{stream}/{columns}", self.start + self.rank * rows, rows, share(columns))
