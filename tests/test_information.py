"""Codes that a sample tells of itself: the bound, whose gradient it is, and the latents that hold them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import softplus

from players import (
    CODES,
    IMAGE,
    TURNS,
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
from zerosum.games import Latents, Randomness, Remedies
from zerosum.games.information import Information
from zerosum.making import make_game
from zerosum.model import Model, load


def bound_by_scipy(guesses: np.ndarray, codes: np.ndarray, categorical: Iterable[int], continuous: int) -> float:
    """E[log Q(c | x)] + H(c), sample by sample, in float64."""
    start, bound = 0, 0.0
    for values in categorical:
        here = slice(start, start + values)
        log_q = guesses[:, here] - np.log(np.exp(guesses[:, here]).sum(1, keepdims=True))
        bound += stats.entropy([1 / values] * values) + (log_q * codes[:, here]).sum(1).mean()
        start += values
    for column in range(start, start + continuous):
        law = stats.norm(guesses[:, column], 1)
        bound += stats.uniform(-1, 2).entropy() + law.logpdf(codes[:, column]).mean()
    return float(bound)


@pytest.mark.parametrize(("categorical", "continuous"), [((10,), 0), ((), 2), ((3, 4), 2), ((2, 2, 5), 1)], ids=str)
def test_the_bound_on_information(categorical: tuple[int, ...], continuous: int) -> None:
    latents = Latents(2, "normal", categorical, continuous)
    q = Information(latents.codes, latents, 1.0)
    q.layers = nn.Sequential(nn.Identity())  # the features are the guesses
    codes = latents_of(50, latents)[:, 2:]
    guesses = torch.randn(50, latents.codes, generator=torch.Generator().manual_seed(0))
    expected = bound_by_scipy(guesses.double().numpy(), codes.double().numpy(), categorical, continuous)
    assert float(q(guesses, codes)) == pytest.approx(expected, rel=1e-5)

    sure = codes.clone()
    sure[:, : sum(categorical)] *= 60
    perfect = sum(math.log(values) for values in categorical)
    perfect += continuous * (math.log(2) - math.log(2 * math.pi) / 2)
    assert float(q(sure, codes)) == pytest.approx(perfect, rel=1e-5)
    nothing = torch.zeros_like(codes)  # says nothing of categories: 0 nats; 0 for all of [-1, 1]: E[c²]/2 is lost
    squares = float(codes[:, sum(categorical) :].square().sum() / 50) / 2
    expected = continuous * (math.log(2) - math.log(2 * math.pi) / 2) - squares
    assert float(q(nothing, codes)) == pytest.approx(expected, rel=1e-5, abs=1e-6)


INFORMED: dict[str, dict[str, Any]] = {**TURNS, "three turns": {"discriminator_turns": 3}}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", [name for name in INFORMED if name != "one pass"])
def test_both_players_raise_the_bound(name: str, reduction: str) -> None:
    """The gradients of Q, of the discriminator's body and head, and of the generator, against plain passes."""
    weight, factor = 0.7, 0.5
    game = game_of(
        remedies=Remedies(information=weight),
        latents=CODES,
        reduction=reduction,
        discriminator_factor=factor,
        **INFORMED[name],
    )
    assert not game.one_pass
    own, judge = copy.deepcopy((game.generator, game.discriminator))
    assert game.information is not None
    q, batch = copy.deepcopy(game.information.layers), real_batch(16)
    turn = {"two passes": "both", "three turns": "generator"}.get(name, name)
    found = play(game, turn, batch, draw_of(16))

    z = latents_of(16, CODES, "generator" if name == "three turns" else "latent")
    first, second, third = z[:, 6:9], z[:, 9:13], z[:, 13:]

    def bound(samples: Tensor) -> Tensor:
        guess = q(judge.body(samples))
        one = (first * guess[:, :3].log_softmax(1)).sum(1) + math.log(3)
        two = (second * guess[:, 3:7].log_softmax(1)).sum(1) + math.log(4)
        law = torch.distributions.Normal(guess[:, 7:], 1.0)
        return (one + two + law.log_prob(third).sum(1)).mean() + 2 * math.log(2)

    times = 16 if reduction == "sum" else 1
    fake = own(z)
    gain = bound(fake)
    d_loss = factor * (softplus(-judge(batch.images)).mean() + softplus(judge(fake)).mean()) - weight * gain
    g_loss = softplus(-judge(fake)).mean() - weight * gain
    if turn == "discriminator":
        assert not gradients(game.generator)
    else:
        close(gradients(game.generator), reference(times * g_loss, own))
        assert float(found.parts["information"]) == pytest.approx(float(gain.detach()), rel=1e-4)
    if turn == "generator":
        assert not gradients(game.discriminator)
        assert not gradients(game.information)
    else:
        close(gradients(game.discriminator), reference(times * d_loss, judge))
        close(gradients(game.information.layers), reference(times * d_loss, q))


def test_q_plays_with_the_discriminator() -> None:
    game = game_of(remedies=Remedies(information=1.0), latents=CODES)
    assert game.information is not None
    players = {name: {id(each) for each in game.parameters_of(name)} for name in ("discriminator", "generator")}
    q = {id(each) for each in game.information.parameters()}
    assert q <= players["discriminator"]
    assert not q & players["generator"]
    assert players["discriminator"] | players["generator"] == {id(each) for each in game.parameters()}


def test_codes_follow_their_law() -> None:
    rows = Latents(3, "normal", (4, 10), 2).rows(Randomness(0), "latent", 500, 4000).double().numpy()
    assert rows.shape == (4000, 19)
    noise, codes = rows[:, :3], (rows[:, 3:7], rows[:, 7:17])
    assert stats.kstest(noise.ravel(), stats.norm().cdf).pvalue > 0.01
    for code in codes:
        assert set(np.unique(code)) == {0, 1}
        assert (code.sum(1) == 1).all()
        assert stats.chisquare(code.sum(0)).pvalue > 0.01
    table = codes[0].T @ codes[1]
    assert stats.chi2_contingency(table).pvalue > 0.01, "one code says nothing of the other"
    free = rows[:, 17:]
    assert stats.kstest(free.ravel(), stats.uniform(-1, 2).cdf).pvalue > 0.01
    assert np.abs(np.corrcoef(np.hstack([noise, free]), rowvar=False) - np.eye(5)).max() < 0.06
    for code in codes:  # nor of the continuous ones
        groups = [free[code[:, value] == 1] for value in range(code.shape[1])]
        assert all(stats.kruskal(*(group[:, column] for group in groups)).pvalue > 1e-4 for column in (0, 1))


def test_codes_come_by_position_and_are_not_truncated() -> None:
    latents = Latents(3, "uniform", (4,), 2)
    rows = latents_of(2000, latents)
    pieces = [latents_of(700, latents), latents_of(1300, latents, first=700)]
    assert torch.equal(torch.cat(pieces), rows)
    near = latents.truncated(rows, 0.5)
    assert torch.equal(near[:, :3], rows[:, :3] * 0.5)
    assert torch.equal(near[:, 3:], rows[:, 3:])
    assert torch.equal(Latents(3).truncated(rows[:, :3], 0.25), rows[:, :3] / 4)


def test_a_released_model_draws_codes(tmp_path: Path) -> None:
    """Made of a configuration, saved and loaded: latents with one-hot codes, samples those of its generator."""
    settings = {"game.remedies.information": 1.0, "latent.categorical": [3, 2], "latent.continuous": 1}
    config = config_of(**settings)
    game = make_game(config, IMAGE)
    data = {"name": "none", "count": 1, "shape": list(IMAGE), "dtype": "float32", "low": -1.0, "high": 1.0}
    arguments = {"latent": 10, "shape": list(IMAGE)}
    networks = {"generator": {"network": "mlp-generator", "arguments": arguments}}
    about = {"networks": networks, "latent": config.latent.model_dump(), "data": data}
    Model({"generator": game.generator}, about).save(tmp_path / "model")
    model = load(tmp_path / "model")
    latents = model.latents(70, seed=1, truncation=0.1)
    assert latents.shape == (70, 10)
    assert float(latents[:, :4].abs().max()) < 0.6
    assert set(latents[:, 4:9].flatten().tolist()) == {0.0, 1.0}
    assert (latents[:, 4:7].sum(1) == 1).all()
    assert (latents[:, 7:9].sum(1) == 1).all()
    assert float(latents[:, 9].abs().max()) > 0.8
    expected = game.generator(latents).detach().permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(model.sample(70, seed=1, truncation=0.1), expected, atol=1e-6)
