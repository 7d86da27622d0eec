"""What the training loop knows of a game: players, turns, and losses to minimise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.func import functional_call

from zerosum.games.randomness import Draw


class Batch(NamedTuple):
    """Real data of one turn: `images` float32 (N, C, H, W) in [-1, 1] or points (N, D); `labels` int64 (N,)."""

    images: Tensor
    labels: Tensor | None = None


@dataclass(frozen=True)
class Turn:
    """One update: of one player, or (both from the same networks) of several at once.

    `repeat`: how often in a row. `shows`: each time on new real images; else on those of the turn before. `every`:
    taken in every so many-th step only.
    """

    name: str
    players: tuple[str, ...] = ()
    repeat: int = 1
    shows: bool = True
    every: int = 1

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


def frozen(network: nn.Module, values: Tensor, **options: Any) -> Any:
    """What `network` makes of `values`, with gradients to its input but none to itself: fewer products backward."""
    fixed = {name: parameter.detach() for name, parameter in network.named_parameters()}
    return functional_call(network, fixed, (values,), options)
