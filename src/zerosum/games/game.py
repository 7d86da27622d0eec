"""What the training loop knows of a game: players, turns, and losses to minimise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.func import functional_call

from zerosum.games.randomness import Draw


class Batch(NamedTuple):
    """Real data of one turn: `images` float32 (N, C, H, W) in [-1, 1] or points (N, D); `labels` int64 (N,).

    `labelled`: as many images, of the few whose labels a semi-supervised game may know. `given`: as many pictures that
    translators start from, of `images` one by one (paired games) or of no one in particular (unpaired).
    """

    images: Tensor
    labels: Tensor | None = None
    labelled: Batch | None = None
    given: Tensor | None = None


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
    rehearsed: int = 256  # real images on which a release is prepared
    examines: bool = False  # whether `examine` has anything to say
    released: tuple[str, ...]  # the submodules that are averaged (EMA), looked at in reports, and shipped

    def parameters_of(self, player: str) -> Iterable[nn.Parameter]:
        """The parameters that the player's optimizer updates."""
        return self.get_submodule(player).parameters()

    def play(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """The loss of one turn; `total.backward()` gives each of its players the gradient of its own loss."""
        raise NotImplementedError(f"{type(self).__name__} has no turns")

    def stand_alone(self) -> None:
        """From now on a turn may leave nothing in the game for the next: each is compiled by itself."""

    def release(self) -> nn.ModuleDict:
        """The networks that are shipped, by name, as they are: not copies."""
        return nn.ModuleDict({name: self.get_submodule(name) for name in self.released})

    def rehearse(self, networks: nn.ModuleDict, batch: Batch, draw: Draw) -> None:
        """Run released `networks` as they are used in training, so that statistics they keep can be estimated anew."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its networks are used")

    def prepare_release(self, networks: nn.ModuleDict, batches: Iterable[tuple[Batch, Draw]]) -> None:
        """What else released `networks` need before they can be shipped; mostly nothing."""

    def corrupted(self, seed: int) -> Callable[[Tensor], Tensor] | None:
        """What makes of images those that the game's model is to restore, always alike; None: they are as they are."""
        return None

    def examine(self, batch: Batch) -> dict[str, float]:
        """Figures of the game as it is, on real images that it may never have trained on; none by itself."""
        return {}

    def opinions(self, real: Tensor, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What is said of each of N real and N generated samples of these labels: named numbers (N,)."""
        return {}

    def forward(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """`play`, for `torch.func.functional_call`, which calls a module."""
        return self.play(turn, batch, draw)

    def sample(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """What the generator makes of latents, and of labels where it takes them: images in [-1, 1] or points."""
        raise NotImplementedError(f"{type(self).__name__} makes no samples")


def frozen(network: nn.Module, values: Tensor, **options: Any) -> Any:
    """What `network` makes of `values`, with gradients to its input but none to itself: fewer products backward."""
    fixed = {name: parameter.detach() for name, parameter in network.named_parameters()}
    return functional_call(network, fixed, (values,), options)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network without dropout and with BatchNorm's running statistics, so that no sample depends on another."""
    modes = [(layer, layer.training) for layer in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for layer, mode in modes:
            layer.training = mode
