"""Penalties as a game adds them: the plain functions of `zerosum.penalties` with randomness, memory and schedule.

A share that mixes real and generated samples belongs to its image and comes by position, as latents do. Noise of an
image's size comes from PyTorch's own generator, which is seeded anew at each turn. What a penalty remembers from turn
to turn (LeCam's anchors, the mean path length) is a buffer of the game, so it is part of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zerosum import penalties
from zerosum.augment import flip_and_shift
from zerosum.errors import UsageError, nearest
from zerosum.games.fading import Fading
from zerosum.games.game import evaluating
from zerosum.games.labels import told
from zerosum.games.randomness import Draw
from zerosum.networks import Given, StyleGenerator
from zerosum.together import deviation, drawn_like, gathered, own


@dataclass
class Seen:
    """What a turn has at hand: samples (N, …) as they were shown, detached, and the discriminator's logits (N,).

    `shared`: the graph of the logits of fakes leads on to the generator, so that a penalty on them would train it.
    `latents`: in place of fakes and logits, where the turn is the generator's. `labels`: of real and fake i alike.
    """

    real: Tensor
    fake: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    shared: bool = False
    labels: Tensor | None = None
    latents: Tensor | None = None


Memory = Mapping[str, Tensor]
# (network, what was seen, draw, memory, options) to a scalar
Call = Callable[..., Tensor]


class Penalty(nn.Module):
    """`every · weight · call(network, seen, draw, memory)`, added at each `every`-th turn of its player.

    Attributes:
        name: as in a configuration.
        weight: of the penalty, as the run goes on.
        every: lazy regularisation.
        player: "discriminator" or "generator".
        reads_logits: whether it takes the logits of this turn as they are, with their graph.
    """

    def __init__(self, name: str, term: Term, weight: Fading, every: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.name, self.weight, self.every = name, weight, every
        self.player, self.reads_logits = term.player, term.reads_logits
        self._call = partial(term.call, **term.options | options)
        for key in term.memory:
            self.register_buffer(key, torch.zeros(()))

    def forward(self, network: nn.Module, seen: Seen, draw: Draw) -> Tensor:
        """The bare value of the penalty; what it remembers moves on."""
        return self._call(network, seen, draw, dict(self.named_buffers()))

    def factor(self, progress: float) -> float:
        """What its value is multiplied by where it is added."""
        return self.every * self.weight.at(progress)


class Penalties(nn.ModuleDict):
    """The penalties of a game by name, and when each is due.

    Args:
        penalties: them.
        lazy_apart: lazy ones take turns of their own, instead of joining every so many-th turn of their player.
        discriminator_turns: of one step; the generator takes one.
    """

    def __init__(self, penalties: Sequence[Penalty], *, lazy_apart: bool = False, discriminator_turns: int = 1) -> None:
        super().__init__({penalty.name: penalty for penalty in penalties})
        self.every = tuple(penalties)
        self.lazy_apart, self.discriminator_turns = lazy_apart, discriminator_turns

    def lazy(self, player: str) -> list[Penalty]:
        """The player's that have turns of their own."""
        return [each for each in self.every if self.lazy_apart and each.player == player and each.every > 1]

    def due(self, player: str, draw: Draw) -> list[Penalty]:
        """The player's that join its turn at this draw."""
        turn = draw.turn if player == "discriminator" else draw.turn // self.discriminator_turns
        apart = self.lazy(player)
        return [each for each in self.every if each.player == player and each not in apart and turn % each.every == 0]


def with_penalties(
    total: Tensor, penalties: Sequence[Penalty], network: nn.Module, seen: Seen, draw: Draw, scale: float = 1.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """`total` and what the player's penalties add, `scale` times their weights; and their bare values by name."""
    parts = {}
    for penalty in penalties:
        value = penalty(told(network, seen.labels), seen, draw)
        total = total + value * (penalty.factor(draw.progress) * scale)
        parts[penalty.name] = value.detach()
    return total, parts


@dataclass(frozen=True)
class Term:
    """How a penalty is called, the options it takes with their defaults, and its weight where none is given."""

    call: Call
    weight: float
    options: dict[str, Any] = field(default_factory=dict)
    player: str = "discriminator"
    memory: tuple[str, ...] = ()  # scalars it remembers
    reads_logits: bool = False
    compares_answers: bool = False  # dropout would be part of the difference
    compares_closely: bool = False  # and so would be anything that moves at each answer: it is divided by sigma²
    per_sample: bool = False  # holds the norm of each sample's gradient to a number
    twice: bool = False  # differentiates a gradient


def _r1(discriminator: nn.Module, seen: Seen, draw: Draw, memory: Memory) -> Tensor:
    return penalties.r1(discriminator, seen.real)


def _r2(discriminator: nn.Module, seen: Seen, draw: Draw, memory: Memory) -> Tensor:
    return penalties.r2(discriminator, seen.fake)


def _r1_difference(discriminator: nn.Module, seen: Seen, draw: Draw, memory: Memory, *, sigma: float) -> Tensor:
    return _difference(discriminator, seen, seen.real, seen.real_logits, sigma)


def _r2_difference(discriminator: nn.Module, seen: Seen, draw: Draw, memory: Memory, *, sigma: float) -> Tensor:
    return _difference(discriminator, seen, seen.fake, seen.fake_logits, sigma)


def _difference(discriminator: nn.Module, seen: Seen, samples: Tensor, logits: Tensor, sigma: float) -> Tensor:
    noise = drawn_like(torch.randn_like, samples)
    if seen.shared or torch.is_autocast_enabled(samples.device.type):
        return penalties.r1_difference(discriminator, samples, noise, sigma=sigma)
    return penalties.difference_penalty(logits, discriminator(samples + sigma * noise), sigma)


def _gradient(
    discriminator: nn.Module, seen: Seen, draw: Draw, memory: Memory, *, one_sided: bool, inference: bool, exact: bool
) -> Tensor:
    mix = draw.shares("mix", 1, len(seen.real))[:, 0]
    with evaluating(discriminator) if inference else nullcontext():
        return penalties.gradient_penalty(discriminator, seen.real, seen.fake, mix, one_sided=one_sided, exact=exact)


def _dragan(discriminator: nn.Module, seen: Seen, draw: Draw, memory: Memory, *, spread: float) -> Tensor:
    share = draw.shares("dragan", 1, len(seen.real)).view(-1, *[1] * (seen.real.dim() - 1))
    noise = share * spread * deviation(seen.real) * drawn_like(torch.rand_like, seen.real)
    return penalties.dragan(discriminator, seen.real, noise)


def _consistency(
    discriminator: nn.Module, seen: Seen, draw: Draw, memory: Memory, *, pixels: int, flip: bool
) -> Tensor:
    both = torch.zeros((), device=seen.real.device)
    for name, samples in (("real", seen.real), ("fake", seen.fake)):
        chance = draw.shares(f"consistency {name}", 3, len(samples))
        moved = flip_and_shift(samples, chance, pixels=pixels, flip=flip)
        both = both + penalties.consistency(discriminator, samples, moved)
    return both


def _lecam(discriminator: nn.Module, seen: Seen, draw: Draw, memory: Memory, *, decay: float) -> Tensor:
    memory["turns"].add_(1)
    anchors = []
    for side, logits in (("real", seen.real_logits), ("fake", seen.fake_logits)):
        memory[side].copy_(penalties.moving_average(memory[side].clone(), logits, decay=decay))
        anchors.append(memory[side] / (1 - decay ** memory["turns"]))  # begun at 0, and 0 is no anchor
    return penalties.lecam(seen.real_logits, seen.fake_logits, *anchors)


def _path_length(generator: nn.Module, seen: Seen, draw: Draw, memory: Memory, *, decay: float) -> Tensor:
    latents = seen.real.new_empty(0) if seen.latents is None else seen.latents
    whole = gathered(latents)
    half = max(1, len(whole) // 2)  # of a batch, as published
    if isinstance(generator, Given):
        generator = Given(generator.network, own(gathered(generator.given)[:half]))
    make, start, like = _paths(generator, own(whole[:half]))
    value, mean = penalties.path_length(
        make, start, drawn_like(torch.randn_like, like), memory["mean"].clone(), decay=decay
    )
    memory["mean"].copy_(mean)
    return value


def _paths(generator: nn.Module, latents: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """What makes samples of which starts, along which paths are measured; and a tensor of the samples' shape.

    Of a generator with styles: its synthesis, of the styles (N, layers, style) that its mapping makes of what the
    latents, and labels, become on their way there; as in StyleGAN2, but for its mixing. Of others: itself, of latents.
    """
    styled = next((part for part in generator.modules() if isinstance(part, StyleGenerator)), None)
    given: list[Tensor] = []
    hook = styled.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0])) if styled else None
    try:
        with torch.no_grad():
            like = torch.empty_like(generator(latents))
    finally:
        if hook is not None:
            hook.remove()
    if styled is None:
        return generator, latents, like
    with torch.autocast(latents.device.type, enabled=False):
        styles = styled.styles(given[0].to(styled.constant.dtype))
    return styled.synthesise, styles[:, None].expand(-1, len(styled.layers), -1), like


TERMS: dict[str, Term] = {
    "r1": Term(_r1, 0.5, twice=True),
    "r2": Term(_r2, 0.5, twice=True),
    "r1_difference": Term(_r1_difference, 0.5, {"sigma": 0.01}, compares_answers=True, compares_closely=True),
    "r2_difference": Term(_r2_difference, 0.5, {"sigma": 0.01}, compares_answers=True, compares_closely=True),
    "gradient": Term(
        _gradient, 10.0, {"one_sided": False, "inference": False, "exact": True}, per_sample=True, twice=True
    ),
    "dragan": Term(_dragan, 10.0, {"spread": 0.5}, per_sample=True, twice=True),
    "consistency": Term(_consistency, 10.0, {"pixels": 4, "flip": True}, compares_answers=True),
    "lecam": Term(_lecam, 0.3, {"decay": 0.99}, memory=("real", "fake", "turns"), reads_logits=True),
    "path_length": Term(_path_length, 2.0, {"decay": 0.99}, player="generator", memory=("mean",), twice=True),
}


ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "sigma": (lambda value: value > 0, "above 0"),
    "spread": (lambda value: value > 0, "above 0"),
    "pixels": (lambda value: value >= 0, "0 or more"),
    "decay": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
}


def term_of(name: str) -> Term:
    """The term called `name`; `UsageError` with the nearest name for an unknown one."""
    if name not in TERMS:
        raise UsageError(f"game.penalties: there is no penalty {name!r}; {nearest(name, list(TERMS))}")
    return TERMS[name]


def make_penalty(
    name: str, network: nn.Module, *, weight: float | Fading | None, every: int, options: dict[str, Any]
) -> Penalty:
    """The penalty called `name` on its player's `network` with its options bound; `weight` None: the published one.

    Raises `UsageError` for an unknown name or option, and where the network's dropout would be penalised.
    """
    term = term_of(name)
    for option, value in options.items():
        if option not in term.options:
            known = nearest(option, list(term.options)) if term.options else "it has none."
            raise UsageError(f"game.penalties.{name} has no option {option!r}; {known}")
        kind = type(term.options[option])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise UsageError(
                f"game.penalties.{name}.options.{option} is {value!r}; it must be like {term.options[option]!r}."
            )
        allowed, words = ALLOWED.get(option, (lambda _: True, ""))
        if not allowed(value):
            raise UsageError(f"game.penalties.{name}.options.{option} is {value!r}; it must be {words}.")
    if term.compares_answers and (why := penalties.randomness_warning(network)):
        raise UsageError(f"game.penalties.{name}: {why}")
    if term.compares_closely and (why := penalties.spectral_warning(network)):
        raise UsageError(f"game.penalties.{name}: {why}")
    weight = term.weight if weight is None else weight
    fading = weight if isinstance(weight, Fading) else Fading(weight, weight)
    return Penalty(name, term, fading, every, options)
