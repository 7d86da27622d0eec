"""Lazy penalties with turns of their own, and Adam rescaled for them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from players import (
    APART,
    IMAGE,
    NOISE,
    Images,
    Spy,
    begin,
    close,
    config_of,
    draw_of,
    game_of,
    gradients,
    latents_of,
    play,
    real_batch,
    reference,
)
from zerosum.games import Batch, Draw, Loss, Remedies, make_penalty
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed


def played(engine: Engine, steps: int, shape: tuple[int, ...] = IMAGE) -> list[list[tuple[str, set[str]]]]:
    """(turn, names of its parts) of each step."""
    game, log = engine.state.game, []
    inner: Callable[..., Loss] = game.play

    def spied(turn: str, batch: Batch, draw: Draw) -> Loss:
        loss = inner(turn, batch, draw)
        log[-1].append((turn, set(loss.parts)))
        return loss

    game.play = spied  # type: ignore[method-assign]
    for number in range(steps):
        log.append([])
        engine.step(cast(Feed, Images(shape)), number / steps)
    return log


@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
def test_lazy_penalties_have_turns_of_their_own(updates: str) -> None:
    engine = begin(config_of(game__lazy="apart", game__penalties=APART, game__updates=updates))
    regular = [("both", {"r2"})] if updates == "simultaneous" else [("discriminator", {"r2"}), ("generator", set())]
    d_lazy, g_lazy = ("discriminator penalties", {"r1", "gradient"}), ("generator penalties", {"path_length"})
    expected = [regular + [d_lazy] * (number % 3 == 0) + [g_lazy] * (number % 2 == 0) for number in range(7)]
    assert played(engine, 7) == expected
    assert engine.state.images == 7 * 8, "these turns show no new images"
    assert {turn.name: (turn.players, turn.every) for turn in engine.state.game.turns if "pen" in turn.name} == {
        "discriminator penalties": (("discriminator",), 3),
        "generator penalties": (("generator",), 2),
    }


def test_adam_is_rescaled_for_the_extra_step() -> None:
    """c = k/(k + 1): 3/4 for the discriminator, 2/3 for the generator; joined, and without penalties, none."""
    settings = {"discriminator.lr": 4e-3, "generator.lr": 3e-3}
    settings |= {"discriminator.betas": [0.5, 0.9], "generator.betas": [0.0, 0.99]}

    def rules(**more: Any) -> dict[str, tuple[float, ...]]:
        players = begin(config_of(**settings, **more)).state.players
        return {player.name: (player.rule.lr, *player.rule.betas) for player in players}  # type: ignore[union-attr]

    assert rules(game__lazy="apart", game__penalties=APART) == {
        "discriminator": pytest.approx((3e-3, 0.5**0.75, 0.9**0.75)),
        "generator": pytest.approx((2e-3, 0.0, 0.99 ** (2 / 3))),
    }
    asked = {"discriminator": pytest.approx((4e-3, 0.5, 0.9)), "generator": pytest.approx((3e-3, 0.0, 0.99))}
    assert rules(game__lazy="joined", game__penalties=APART) == asked
    assert rules(game__lazy="apart", game__penalties={"r1": {}, "path_length": {}}) == asked
    assert rules(game__lazy="apart", game__penalties={"r1": {"every": 3}})["generator"] == asked["generator"]


@pytest.mark.parametrize("turns", [1, 2, 4])
def test_a_lazy_penalty_weighs_as_much_apart_as_joined(turns: int) -> None:
    """`every` counts the player's turns: 4 of the discriminator's for one penalty, however many a step holds.

    Adam's rescaling by k/(k + 1), and the factor k on the penalty, are right for that only.
    """
    settings = {
        "game.discriminator_turns": turns,
        "game.updates": "alternating",
        "game.penalties": {"r1": {"every": 4}},
    }
    counts = {}
    for lazy in ("joined", "apart"):
        log = [item for step in played(begin(config_of(**settings, game__lazy=lazy)), 8) for item in step]
        own_turns = sum(turn == "discriminator" for turn, _ in log)
        counts[lazy] = (own_turns, sum("r1" in parts for _, parts in log))
    assert counts["joined"] == (8 * turns, 2 * turns)
    assert counts["apart"] == counts["joined"]


def test_the_lone_penalty_turn_is_the_penalties_gradient() -> None:
    """With noise and packs: every · weight · R1 and R2 of what the discriminator sees, and no gradient to G."""
    made = tuple(make_penalty(name, nn.Identity(), weight=2.0, every=3, options={}) for name in ("r1", "r2"))
    game = game_of(remedies=Remedies(noise=NOISE, pack=2), penalties=made, lazy_apart=True)
    spy, judge = Spy(game.discriminator), copy.deepcopy(game.discriminator)
    found = play(game, "discriminator penalties", real_batch(8), draw_of(8))
    together = spy.seen[0]
    assert together.shape == (8, 6)
    fake = game.sample(latents_of(8)).detach()
    assert 0.5 < float((together[4:].reshape(8, 3) - fake).std()) < 1.1

    def squared(samples: Tensor) -> Tensor:
        point = samples.clone().requires_grad_()
        (slope,) = torch.autograd.grad(judge(point).sum(), point, create_graph=True)
        return slope.square().sum(1).mean()

    expected = 6 * (squared(together[:4]) + squared(together[4:]))
    assert float(found.total.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    close(gradients(game.discriminator), reference(expected, judge))
    assert not gradients(game.generator)


def test_a_generators_penalty_comes_under_many_critic_turns() -> None:
    settings = {"game.discriminator_turns": 5, "game.updates": "alternating"}
    log = played(begin(config_of(**settings, game__penalties={"path_length": {"every": 5}})), 11)
    assert [step.count(("discriminator", set())) for step in log] == [5] * 11
    assert [number for number, step in enumerate(log) if ("generator", {"path_length"}) in step] == [0, 5, 10]
