"""Several games of one kind with different seeds as one: their parameters in stacked tensors, their turns mapped.

A step of a small game is spent on launching operations, not on numbers. `torch.func.vmap` plays a turn of K members in
one pass: parameters (K, …), images (K, N, …), latents (K, N, length), then one backward pass of the sum of their
losses, of which each member's parameters get their own member's share, and one fused update. The members' own
parameters, moments and averages are views of the stacked ones, so that reports, checkpoints and samples of each work as
they are. A member's numbers are those it has alone but for rounding, and for what is drawn from PyTorch's own generator
(dropout, noise), which gives each member other numbers than it would have alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from zerosum.games import Batch, Draw, Game, Latents, Turn
from zerosum.training.checkpoint import State
from zerosum.training.ema import Average
from zerosum.training.engine import Engine, seed_torch
from zerosum.training.feed import Feed
from zerosum.training.guard import Guard
from zerosum.training.optim import Player
from zerosum.training.plan import Plan

AHEAD = 2**22  # numbers of images, or of latents, that are gathered at once
Asked = tuple[Latents, str]


class IllError(Exception):
    """Members, by their places in the stack, whose loss or gradient is not finite; no error for the user."""

    def __init__(self, members: list[int]) -> None:
        super().__init__(f"members {members}")
        self.members = members


@dataclass
class Asking(Draw):
    """A draw that notes which latents a turn asks for."""

    asked: dict[str, Asked] = field(default_factory=dict)

    def latents(self, latents: Latents, stream: str = "latent") -> Tensor:
        """The real ones."""
        self.asked[f"{stream} of {latents}"] = (latents, stream)
        return super().latents(latents, stream)


@dataclass
class Given(Draw):
    """A draw whose latents were drawn before."""

    ready: dict[str, Tensor] = field(default_factory=dict)

    def latents(self, latents: Latents, stream: str = "latent") -> Tensor:
        """One of those that are ready."""
        return self.ready[f"{stream} of {latents}"]


class Ahead:
    """Rows by position for every member, (K, count, …), gathered for many steps at once.

    `gather`: each member's rows `first` to `first + count`, as a function of these two.
    """

    def __init__(self, gather: Sequence[Callable[[int, int], Tensor]]) -> None:
        self._gather = gather
        self._first = 0
        self._rows = torch.empty(len(gather), 0)

    def rows(self, first: int, count: int) -> Tensor:
        """Rows `first` to `first + count` of all members."""
        start = first - self._first
        if not 0 <= start <= start + count <= self._rows.shape[1]:
            width = prod(self._gather[0](first, 1).shape)
            many = max(1, AHEAD // (width * count * len(self._gather))) * count
            self._rows = torch.stack([gather(first, many) for gather in self._gather])
            self._first, start = first, 0
        return self._rows[:, start : start + count]


class Stacked(Engine):
    """Takes the turns of several members at once.

    Args:
        states: the members', all at one count of images; their parameters, moments and averages become views.
        feeds: the members', in the same order.
        plan: of each; without micro-batches, compiled turns and autocast.

    `state.images` are those that each member has been shown, `state.seconds` the time of all together. In `records`
    every name has the member's place and a slash before it.
    """

    def __init__(self, states: Sequence[State], feeds: Sequence[Feed], plan: Plan) -> None:
        first = states[0]
        self.members, self.feeds = list(states), list(feeds)
        players = [stacked_player([state.players[place] for state in states]) for place in range(len(first.players))]
        seconds = sum(state.seconds for state in states)
        super().__init__(State(first.game, players, None, first.images, seconds), plan)
        self._parameters: dict[str, Tensor] = {
            name: leaf for player in players for name, leaf in player.parameters.items()
        }
        self._rest = _stacked_rest([state.game for state in states], self._parameters)
        self._average = self._stacked_average()
        self._guard = Guard(plan.device, len(states))
        self._template = _template(first.game)
        self._images = Ahead([partial(_images_of, feed) for feed in feeds])
        self._latents: dict[str, Ahead] = {}
        self._asked: dict[str, dict[str, Asked]] = {}
        self._plays = 0

    def _stacked_average(self) -> Average | None:
        """The members' averages as one, of the stacked parameters."""
        emas = [state.ema for state in self.members if state.ema is not None]
        if not emas:
            return None
        averages = stack_in_place([list(ema.network.parameters()) for ema in emas])
        sources = [self._parameters[name].detach() for name, _ in emas[0].network.named_parameters()]
        return Average(averages, sources, emas[0].half_life, emas[0].ramp, emas[0].until)

    def step(self, feed: Feed, progress: float) -> None:
        """Every turn of the game once for every member, then the averages; `feed` is the first member's."""
        before = self.state.images
        super().step(feed, progress)
        if self._average is not None:
            self._average.update(self.state.images, self.state.images - before, progress)

    def _batches(self, feed: Feed, progress: float) -> list[tuple[Batch, Draw]]:
        first, batch = self.state.images, self.plan.batch
        draw = Draw(feed.randomness, first, batch, batch, first // batch, progress)
        return [(Batch(self._images.rows(first, batch)), draw)]

    def _take(self, turn: Turn, batches: list[tuple[Batch, Draw]]) -> None:
        """One update of the turn's players in every member."""
        batch, draw = batches[0]
        players = self._players[turn.name]
        for player in players:
            player.forget_gradients()
        seed_torch(draw.randomness, turn.name, draw.first)
        names, totals, values = self._play(turn.name, batch.images, draw)
        totals.sum().backward()
        gradients = [player.gradients() for player in players]
        norms = torch.stack([_norms(own) for own in gradients])
        names = [*names, *(f"gradients/{player.name}" for player in players)]
        places = range(len(self.members))
        everything = torch.cat((values.detach().T, norms))
        self.records.add_stacked(
            turn.name, [f"{place}/{name}" for name in names for place in places], everything.flatten()
        )
        called_off = self._guard.called_off(totals.detach() + norms.sum(0), turn.name, draw)
        for player, own in zip(players, gradients, strict=True):
            player.step(own, called_off)

    def _play(self, turn: str, images: Tensor, draw: Draw) -> tuple[list[str], Tensor, Tensor]:
        """Play a turn of all members: the names of its scalars, the members' losses (K,), and the scalars (K, S)."""
        ready = {
            key: self._latents_of(key, *asked).rows(draw.first, draw.count)
            for key, asked in self._asks(turn, images, draw).items()
        }
        names: list[str] = []
        self._plays -= 1  # in place of the first image: no turn finds what another has left behind

        def one(
            parameters: dict[str, Tensor], rest: dict[str, Tensor], images: Tensor, ready: dict[str, Tensor]
        ) -> tuple[Tensor, Tensor]:
            given = Given(draw.randomness, self._plays, draw.count, draw.batch, draw.turn, draw.progress, ready)
            loss = functional_call(self._template, parameters | rest, (turn, Batch(images), given))
            scalars = loss.scalars()
            names.extend(scalars)
            return loss.total, torch.stack(list(scalars.values()))

        totals, values = vmap(one, randomness="different")(self._parameters, self._rest, images, ready)
        return names, totals, values

    def _asks(self, turn: str, images: Tensor, draw: Draw) -> dict[str, Asked]:
        """Which latents a turn asks for; the first time, the first member's game is played to see it."""
        if turn not in self._asked:
            asking = Asking(draw.randomness, draw.first, draw.count, draw.batch, draw.turn, draw.progress)
            with torch.random.fork_rng(devices=[]):  # the first step after a resume draws what it would have drawn
                self._template.play(turn, Batch(images[0]), asking)
            self._asked[turn] = asking.asked
        return self._asked[turn]

    def _latents_of(self, key: str, latents: Latents, stream: str) -> Ahead:
        if key not in self._latents:
            self._latents[key] = Ahead([partial(latents.rows, feed.randomness, stream) for feed in self.feeds])
        return self._latents[key]

    def stop_if_ill(self, feed: Feed) -> None:
        """Raise `IllError` if a turn since the last call met NaN or infinity in any member. A host sync."""
        if self._guard.trouble() is not None:
            raise IllError([place for place, seen in enumerate(self._guard.sum.tolist()) if seen != 0])


def _images_of(feed: Feed, first: int, count: int) -> Tensor:
    return feed.batch(first, count).images


def _norms(gradients: list[Tensor]) -> Tensor:
    """Each member's Euclidean norm over stacked gradients: (K,)."""
    squares = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    return torch.linalg.vector_norm(torch.stack(squares), dim=0)  # type: ignore[no-any-return]


def _template(game: Game) -> Game:
    """A copy through which every member plays, with PyTorch's own dropout: bits in memory's order cannot be mapped."""
    template = copy.deepcopy(game)
    template.stand_alone()
    for name, layer in list(template.named_modules()):
        if isinstance(layer, nn.Dropout) and type(layer) is not nn.Dropout:
            parent, _, own = name.rpartition(".")
            setattr(template.get_submodule(parent), own, nn.Dropout(layer.p))
    return template


@torch.no_grad()
def stack_in_place(members: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The members' tensors, in their order, stacked (K, …); those that are given become views of the result."""
    stacked = [torch.stack([leaf.detach() for leaf in leaves]) for leaves in zip(*members, strict=True)]
    for place, own in enumerate(members):
        for leaf, whole in zip(own, stacked, strict=True):
            leaf.data = whole[place]
    return stacked


@torch.no_grad()
def stacked_player(members: Sequence[Player]) -> Player:
    """One player of the members' stacked parameters and moments, of which theirs become views.

    Counts of steps (one for each parameter) are the same in all members, which share one.
    """
    first = members[0]
    stacked = stack_in_place([list(player.parameters.values()) for player in members])
    named = [(name, nn.Parameter(leaf)) for name, leaf in zip(first.parameters, stacked, strict=True)]
    player = Player(first.name, named, first.rule, first.clip)
    for kind, own in player.moments.items():
        for position, whole in enumerate(own):
            shared = whole.dim() == 0
            for place, member in enumerate(members):
                part = whole if shared else whole[place]
                part.copy_(member.moments[kind][position])
                member.moments[kind][position] = part
    return player


def _stacked_rest(games: Sequence[Game], without: dict[str, Tensor]) -> dict[str, Tensor]:
    """What else a member has of its own: buffers that belong to its state, stacked."""
    states = [game.state_dict() for game in games]
    return {name: torch.stack([state[name] for state in states]) for name in states[0] if name not in without}
