"""One step of a game: each turn's gradient, its guard, its update, its records."""

from __future__ import annotations

import torch

from zerosum.errors import DivergedError
from zerosum.games import Batch, Draw, Randomness, Turn
from zerosum.games.randomness import number_of
from zerosum.training.checkpoint import State
from zerosum.training.compiled import Compiled
from zerosum.training.feed import Feed
from zerosum.training.guard import GRADIENT, Guard, explain
from zerosum.training.optim import norm_of
from zerosum.training.plan import Plan
from zerosum.training.records import Records
from zerosum.training.world import ALONE, World


class Engine:
    """Takes the turns of `state.game` by the numbers of a plan; `records` holds what they said.

    Of each (micro-)batch every process of a `world` takes its share, and all take the same steps.
    """

    def __init__(self, state: State, plan: Plan, world: World = ALONE) -> None:
        self.state, self.plan, self.world = state, plan, world
        self.records = Records(world)
        self._guard = Guard(plan.device)
        self._compiled = Compiled(state, self._guard) if plan.compiled else None
        self._images_a_step = plan.batch * sum(turn.repeat for turn in state.game.turns if turn.shows)
        self._players = {
            turn.name: [player for player in state.players if player.name in turn.players] for turn in state.game.turns
        }

    def step(self, feed: Feed, progress: float) -> None:
        """Every turn of the game once, in order, then the average. `progress`: the share of the run that is done."""
        state = self.state
        for player in state.players:
            player.progress = progress
        before = state.images
        number = before // self._images_a_step
        batches: list[tuple[Batch, Draw]] = []
        for turn in state.game.turns:
            for _ in range(turn.repeat if number % turn.every == 0 else 0):
                if turn.shows or not batches:
                    batches = self._batches(feed, progress)
                    state.images += self.plan.batch
                if self._compiled is None:
                    self._take(turn, batches)
                else:
                    seed_torch(feed.randomness, turn.name, batches[0][1].first)
                    self.records.add_stacked(turn.name, *self._compiled.take_turn(turn, *batches[0]))
        if state.ema is not None:
            state.ema.update(state.images, state.images - before, progress)

    def _batches(self, feed: Feed, progress: float) -> list[tuple[Batch, Draw]]:
        first, whole, part, world = self.state.images, self.plan.batch, self.plan.micro_batch, self.world
        share = part // world.size
        starts = range(first + world.rank * share, first + whole, part)
        place = {"rank": world.rank, "ranks": world.size}
        return [
            (feed.batch(start, share), Draw(feed.randomness, start, share, whole, first // whole, progress, **place))
            for start in starts
        ]

    def _take(self, turn: Turn, batches: list[tuple[Batch, Draw]]) -> None:
        """One update of the turn's players, its gradient gathered over the micro-batches."""
        players = self._players[turn.name]
        for player in players:
            player.forget_gradients()
        watched = torch.zeros((), device=self.plan.device)
        for batch, draw in batches:
            seed_torch(draw.randomness, turn.name, draw.start)
            with self.world.sharing():
                with self.plan.autocasting():
                    loss = self.state.game.play(turn.name, batch, draw)
                total = loss.total if len(batches) == 1 else loss.total / len(batches)
                total.backward()
            watched += total.detach()
            self.records.add(turn.name, loss.scalars())
        gradients = [player.gradients() for player in players]
        self.world.average([*(gradient for own in gradients for gradient in own), watched])
        norms = {f"gradients/{player.name}": norm_of(own) for player, own in zip(players, gradients, strict=True)}
        self.records.add(turn.name, norms)
        called_off = self._guard.called_off(sum(norms.values(), watched), turn.name, batches[0][1])
        for player, own in zip(players, gradients, strict=True):
            player.step(own, called_off)

    def stop_if_ill(self, feed: Feed) -> None:
        """Raise `DivergedError` if a turn since the last call met NaN or infinity. A host sync."""
        trouble = self._guard.trouble()
        if trouble is None:
            return
        turn, start = trouble
        self.state.images = start.start
        why = "a gradient's norm is beyond float32's range"
        for batch, draw in self._batches(feed, start.progress):
            seed_torch(feed.randomness, turn, draw.start)
            with self.world.sharing(), self.plan.autocasting():
                found = explain(self.state.game, turn, self._players[turn], batch, draw)
            found = self.world.first(found, after=int(found is not None and found.startswith(GRADIENT)))
            if found is not None:
                why = found
                break
        raise DivergedError(
            f"The game diverged at image {start.start:,}, in the {turn} turn: {why}. Nothing was updated with it, and "
            f"the last checkpoint is from before. {self._remedy()}"
        )

    def _remedy(self) -> str:
        """What a user may change in this game."""
        names = [player.name for player in self.state.players]
        rates = " and ".join(f"--{name}.lr" for name in names if name in ("encoder", "generator", "discriminator"))
        penalty = "add --game.penalties.r1.gamma 1, " if "discriminator" in names else ""
        return f"Lower {rates}, {penalty}or take --training.precision float32."


def seed_torch(randomness: Randomness, turn: str, first: int) -> None:
    """Seed PyTorch's own generator, from which dropout and noise layers draw, anew for a turn at image `first`."""
    seed = number_of(randomness.seed, turn, first)
    if randomness.device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
