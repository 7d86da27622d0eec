"""What the training loop knows of a game: players, turns, and losses to minimise.

Randomness is a function, not a state. What is drawn for real image *n* depends on `(seed, n)` alone: it comes in
blocks of `BLOCK` rows, each block from a Philox counter generator (Salmon et al., "Parallel random numbers: as easy
as 1, 2, 3", SC 2011) whose key is a hash of seed, stream and block number. So the batch size, the device, a kill and
a resume, or the number of machines change nothing in what is drawn.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

BLOCK = 1024


class Batch(NamedTuple):
    """Real data of one turn: `images` float32 (N, C, H, W) in [-1, 1] or points (N, D); `labels` int64 (N,)."""

    images: Tensor
    labels: Tensor | None = None


@dataclass(frozen=True)
class Turn:
    """One update: of one player, or (both from the same networks) of several at once.

    `repeat`: how often in a row. `shows`: each time on new real images; else on those of the turn before.
    """

    name: str
    players: tuple[str, ...] = ()
    repeat: int = 1
    shows: bool = True

    def __post_init__(self) -> None:
        if not self.players:
            object.__setattr__(self, "players", (self.name,))


@dataclass
class Loss:
    """What a turn minimises, and the named scalar tensors to record, none of them read here."""

    total: Tensor
    losses: dict[str, Tensor] = field(default_factory=dict)  # each player's own
    parts: dict[str, Tensor] = field(default_factory=dict)  # penalties and other terms
    outputs: dict[str, Tensor] = field(default_factory=dict)  # what the discriminator said, as probabilities

    def scalars(self) -> dict[str, Tensor]:
        """All that is to be recorded, as `kind/name`."""
        kinds = {"losses": self.losses, "parts": self.parts, "outputs": self.outputs}
        return {f"{kind}/{name}": value for kind, values in kinds.items() for name, value in values.items()}


def number_of(*words: object) -> int:
    """A 64-bit number that `words` fix: the key under which something random is drawn."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, words)).encode(), digest_size=8).digest(), "big")


class Randomness:
    """Rows of random numbers by position; the newest blocks are kept, so that a batch costs a slice."""

    def __init__(self, seed: int, device: torch.device | str = "cpu", keep: int = 12) -> None:
        self.seed = seed
        self.device = torch.device(device)
        self._blocks: OrderedDict[tuple[str, int], Tensor] = OrderedDict()
        self._keep = keep

    def rows(
        self, stream: str, first: int, count: int, make: Callable[[np.random.Generator, int], np.ndarray]
    ) -> Tensor:
        """Rows `first` to `first + count` of a stream whose blocks `make(generator, rows)` fills."""
        start, end = divmod(first, BLOCK), divmod(first + count, BLOCK)
        if start[0] == end[0]:
            return self._block(stream, start[0], make)[start[1] : end[1]]
        pieces = [self._block(stream, start[0], make)[start[1] :]]
        pieces += [self._block(stream, number, make) for number in range(start[0] + 1, end[0])]
        if end[1]:
            pieces.append(self._block(stream, end[0], make)[: end[1]])
        return torch.cat(pieces)

    def _block(self, stream: str, number: int, make: Callable[[np.random.Generator, int], np.ndarray]) -> Tensor:
        key = (stream, number)
        if key not in self._blocks:
            generator = np.random.Generator(np.random.Philox(key=number_of(self.seed, stream, number)))
            self._blocks[key] = torch.from_numpy(make(generator, BLOCK)).to(self.device)
            if len(self._blocks) > self._keep:
                self._blocks.popitem(last=False)
        return self._blocks[key]


def latent_rows(randomness: Randomness, stream: str, first: int, count: int, size: int, distribution: str) -> Tensor:
    """Latents `first` to `first + count`: float32 (count, size), N(0, 1) or uniform in [-1, 1]."""

    def normal(generator: np.random.Generator, rows: int) -> np.ndarray:
        return generator.standard_normal((rows, size), dtype=np.float32)

    def uniform(generator: np.random.Generator, rows: int) -> np.ndarray:
        return generator.random((rows, size), dtype=np.float32) * np.float32(2) - np.float32(1)

    return randomness.rows(
        f"{stream}/{size}/{distribution}", first, count, normal if distribution == "normal" else uniform
    )


@dataclass
class Draw:
    """Where a turn stands: at real images `first` to `first + count` of a batch of `batch`, turn number `turn`."""

    randomness: Randomness
    first: int
    count: int
    batch: int
    turn: int

    def latents(self, size: int, distribution: str, stream: str = "latent") -> Tensor:
        """This turn's latents, (count, size)."""
        return latent_rows(self.randomness, stream, self.first, self.count, size, distribution)

    def shares(self, stream: str, columns: int) -> Tensor:
        """(count, columns) numbers, uniform in [0, 1)."""

        def uniform(generator: np.random.Generator, rows: int) -> np.ndarray:
            return generator.random((rows, columns), dtype=np.float32)

        return self.randomness.rows(f"{stream}/{columns}", self.first, self.count, uniform)


class Game(nn.Module):
    """The networks that play, and the loss of each turn. The loop knows only what stands here."""

    turns: tuple[Turn, ...]
    certain: bool = True  # whether the discriminator's outputs are probabilities, 1 where it is sure
    released: str  # the submodule that makes samples: it is averaged (EMA), sampled at reports, and shipped

    def parameters_of(self, player: str) -> Iterable[nn.Parameter]:
        """The parameters that the player's optimizer updates."""
        return self.get_submodule(player).parameters()

    def play(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """The loss of one turn; `total.backward()` gives each of its players the gradient of its own loss."""
        raise NotImplementedError(f"{type(self).__name__} has no turns")

    def stand_alone(self) -> None:
        """From now on a turn may leave nothing in the game for the next: each is compiled by itself."""

    def forward(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """`play`, for `torch.func.functional_call`, which calls a module."""
        return self.play(turn, batch, draw)

    def sample(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """What the released network makes of latents: images in [-1, 1] or points."""
        raise NotImplementedError(f"{type(self).__name__} makes no samples")


def frozen(network: nn.Module, values: Tensor) -> Tensor:
    """What `network` makes of `values`, with gradients to its input but none to itself: fewer products backward."""
    fixed = {name: parameter.detach() for name, parameter in network.named_parameters()}
    result: Tensor = functional_call(network, fixed, (values,))
    return result
