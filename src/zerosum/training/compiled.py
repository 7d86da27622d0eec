"""A whole step as one compiled function, for small games, where launching operations is half of the time.

Every turn's gradient (`torch.func.grad` of the game's own `play`), the guard, and Adam, as a function of parameters,
moments, images and latents. It needs a C++ compiler on a CPU, and a first step that takes seconds. A penalty whose
gradient is differentiated again cannot be compiled. The results are those of the eager loop but for rounding, and
for dropout, whose random numbers are seeded once a step instead of once a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.func import functional_call, grad

from zerosum.games import Batch, Draw, Game, Latents, Turn
from zerosum.training.checkpoint import State
from zerosum.training.guard import Guard
from zerosum.training.optim import Adam, Player


@dataclass
class Given(Draw):
    """A draw whose latents were drawn before, in the order in which they are asked for."""

    ready: list[Tensor] = field(default_factory=list)
    taken: int = 0

    def latents(self, latents: Latents, stream: str = "latent") -> Tensor:
        """The next of those that are ready."""
        self.taken += 1
        return self.ready[self.taken - 1]


@dataclass
class Asking(Draw):
    """A draw that notes which latents a turn asks for."""

    asked: list[tuple[Latents, str]] = field(default_factory=list)

    def latents(self, latents: Latents, stream: str = "latent") -> Tensor:
        """The real ones."""
        self.asked.append((latents, stream))
        return super().latents(latents, stream)


class Compiled:
    """The turns of a game, each compiled when it is first taken."""

    def __init__(self, state: State, guard: Guard) -> None:
        self.state, self.guard = state, guard
        state.game.stand_alone()
        self._turns: dict[str, CompiledTurn] = {}

    def take_turn(self, turn: Turn, batch: Batch, draw: Draw) -> tuple[list[str], Tensor]:
        """One update of the turn's players; the names and values of the scalars to record."""
        if turn.name not in self._turns:
            players = [player for player in self.state.players if player.name in turn.players]
            self._turns[turn.name] = CompiledTurn(self.state.game, turn, players, self.guard, batch, draw)
        compiled = self._turns[turn.name]
        return compiled.names, compiled(batch, draw)


class CompiledTurn:
    """One turn of a game, compiled: call it with a batch and a draw, and it updates its players in place."""

    def __init__(
        self, game: Game, turn: Turn, players: Sequence[Player], guard: Guard, batch: Batch, draw: Draw
    ) -> None:
        self.game, self.turn, self.players, self.guard = game, turn, list(players), guard
        asking = Asking(draw.randomness, draw.first, draw.count, draw.batch, draw.turn)
        with torch.random.fork_rng(devices=[]):  # the first step after a resume draws what it would have drawn
            loss = game.play(turn.name, batch, asking)
        self.asked = asking.asked
        self.names = [*loss.scalars(), *(f"gradients/{player.name}" for player in self.players)]
        self._own = [{name: leaf.detach() for name, leaf in player.parameters.items()} for player in self.players]
        mine = {name for own in self._own for name in own}
        self._others = {name: leaf.detach() for name, leaf in game.named_parameters() if name not in mine}
        self._rules = [player.rule for player in self.players if isinstance(player.rule, Adam)]
        self._rates = [torch.zeros((), device=batch.images.device) for _ in self.players]
        self._compiled = torch.compile(self._update, fullgraph=True, dynamic=False)

    @torch.no_grad()
    def __call__(self, batch: Batch, draw: Draw) -> Tensor:
        """Take the turn; returns the scalars to record, in the order of `names`."""
        for player, rate in zip(self.players, self._rates, strict=True):
            rate.fill_(player.lr)
        ready = [draw.latents(*asked) for asked in self.asked]
        moments = [player.moments for player in self.players]
        watched = (self.guard.sum, self.guard.calls)
        self.guard.turns.append((self.turn.name, draw))
        return self._compiled(self._own, self._others, moments, self._rates, watched, batch.images, ready, draw.batch)

    def _update(
        self,
        own: list[dict[str, Tensor]],
        others: dict[str, Tensor],
        moments: list[dict[str, list[Tensor]]],
        rates: list[Tensor],
        watched: tuple[Tensor, Tensor],
        images: Tensor,
        ready: list[Tensor],
        batch: int,
    ) -> Tensor:
        def total(parameters: list[dict[str, Tensor]]) -> tuple[Tensor, dict[str, Tensor]]:
            everything = dict(others)
            for some in parameters:
                everything |= some
            draw = Given(None, 0, len(images), batch, 0, ready=ready)  # type: ignore[arg-type]
            loss = functional_call(self.game, everything, (self.turn.name, Batch(images), draw))
            return loss.total, {"total": loss.total.detach(), **loss.scalars()}

        gradients, scalars = grad(total, has_aux=True)(own)
        norms = [torch.stack([g.square().sum() for g in some.values()]).sum().sqrt() for some in gradients]
        value = scalars.pop("total") + torch.stack(norms).sum()
        watched[0].add_(value - value)
        go = watched[0].eq(0)
        watched[1].add_(1 - go.float())
        for rule, some, mine, state, rate in zip(self._rules, gradients, own, moments, rates, strict=True):
            beta1, beta2 = rule.betas
            for position, (name, g) in enumerate(some.items()):
                first, second, step = (state[key][position] for key in ("exp_avg", "exp_avg_sq", "step"))
                step.add_(go.float())
                first.copy_(torch.where(go, first + (g - first) * (1 - beta1), first))
                second.copy_(torch.where(go, second + (g * g - second) * (1 - beta2), second))
                denominator = (second / (1 - beta2**step)).sqrt() + rule.eps
                mine[name].copy_(
                    torch.where(go, mine[name] - rate * (first / (1 - beta1**step)) / denominator, mine[name])
                )
        return torch.stack([*scalars.values(), *norms])
