"""Penalties with memory, of two views and of the generator, in the turns of a game against plain passes."""

from __future__ import annotations

import copy
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from players import (
    IMAGE,
    LATENT,
    TURNS,
    Images,
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
    turn_of,
)
from zerosum import penalties
from zerosum.augment import flip_and_shift
from zerosum.errors import UsageError
from zerosum.games import Generation, make_penalty
from zerosum.games.terms import Seen
from zerosum.networks import build
from zerosum.training.feed import Feed


def with_penalty(name: str, shape: tuple[int, ...] = (3,), weight: float = 2.0, **options: Any) -> Generation:
    every, own = options.pop("every", 1), options.pop("options", {})
    penalty = make_penalty(name, nn.Identity(), weight=weight, every=every, options=own)
    return game_of(shape, penalties=(penalty,), **options)


@pytest.mark.parametrize("name", ["discriminator", "two passes"])
@pytest.mark.parametrize("decay", [0.9, 0.99])
def test_lecam_over_three_turns(decay: float, name: str) -> None:
    """Anchors by hand: averages of the batches' means with weights decayᵏ, which sum to one from the first turn on."""
    game = with_penalty("lecam", options={"decay": decay}, **TURNS[name])
    assert not game.one_pass
    judge, means = copy.deepcopy(game.discriminator), []
    for turn in range(3):
        batch = real_batch(8, seed=turn)
        fake = game.sample(latents_of(8, first=8 * turn)).detach()
        real_logits, fake_logits = judge(batch.images), judge(fake)
        means.append([float(logits.detach().mean()) for logits in (real_logits, fake_logits)])
        shares = np.array([decay ** (turn - number) for number in range(turn + 1)])
        real_anchor, fake_anchor = (float(shares @ np.array(side) / shares.sum()) for side in zip(*means, strict=True))
        value = (real_logits - fake_anchor).square().mean() + (fake_logits - real_anchor).square().mean()
        game.zero_grad(set_to_none=True)
        found = play(game, turn_of(name), batch, draw_of(8, turn=turn))
        assert float(found.parts["lecam"]) == pytest.approx(float(value.detach()), rel=1e-4)
        expected = softplus(-real_logits).mean() + softplus(fake_logits).mean() + 2 * value
        close(gradients(game.discriminator), reference(expected, judge))
    kept = {name: value.clone() for name, value in game.state_dict().items()}
    assert sum(name.startswith("penalties.lecam.") for name in kept) == 3
    again = with_penalty("lecam", options={"decay": decay}, **TURNS[name])
    again.load_state_dict(kept)
    last = [play(each, turn_of(name), real_batch(8), draw_of(8, turn=3)).parts["lecam"] for each in (game, again)]
    assert torch.equal(*last)


@pytest.mark.parametrize("options", [{}, {"pixels": 2, "flip": False}], ids=["as published", "set"])
@pytest.mark.parametrize("name", ["discriminator", "one pass", "two passes"])
def test_consistency_of_both_sides(name: str, options: dict[str, Any]) -> None:
    game = with_penalty("consistency", IMAGE, options=options, **TURNS[name])
    judge, batch = copy.deepcopy(game.discriminator), real_batch(8, IMAGE)
    fake = game.sample(latents_of(8)).detach()
    found = play(game, turn_of(name), batch, draw_of(8))
    value = torch.zeros(())
    for side, samples in (("real", batch.images), ("fake", fake)):
        chance = draw_of(8).shares(f"consistency {side}", 3)
        value = value + penalties.consistency(judge, samples, flip_and_shift(samples, chance, **options))
    assert float(value.detach()) > 1e-6
    assert float(found.parts["consistency"]) == pytest.approx(float(value.detach()), rel=1e-4)
    expected = softplus(-judge(batch.images)).mean() + softplus(judge(fake)).mean() + 2 * value
    close(gradients(game.discriminator), reference(expected, judge))


@pytest.mark.parametrize("name", ["generator", "one pass", "two passes"])
def test_path_length_of_a_linear_generator_in_the_game(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For G(z) = Wz the length of Jᵀy is ‖Wᵀy‖, on half a batch; a, the mean, begins at 0 and moves by 1/100."""
    generator = nn.Linear(LATENT, 3)
    game = with_penalty("path_length", weight=5.0, every=2, **TURNS[name])
    game.generator = generator
    noise = torch.randn(4, 3, generator=torch.Generator().manual_seed(8))
    monkeypatch.setattr(torch, "randn_like", lambda like: noise.clone() if like.shape == noise.shape else None)
    mean = 0.0
    for turn in range(5):
        game.zero_grad(set_to_none=True)
        draw = draw_of(8, turn=turn)
        found = play(game, turn_of(name), real_batch(8), draw)
        lengths = (noise @ generator.weight).norm(dim=1)
        adversarial = reference(
            softplus(-game.discriminator(generator(latents_of(8, first=8 * turn)))).mean(), generator
        )
        if turn % 2:
            assert "path_length" not in found.parts
            close(gradients(generator), adversarial)
            continue
        mean += 0.01 * (float(lengths.detach().mean()) - mean)
        assert float(game.state_dict()["penalties.path_length.mean"]) == pytest.approx(mean, rel=1e-5)
        value = (lengths - mean).square().mean()
        assert float(found.parts["path_length"]) == pytest.approx(float(value.detach()), rel=1e-5)
        added = reference(10 * value, generator)
        close(gradients(generator), {key: adversarial[key] + added[key] for key in added})
    if name == "generator":
        assert not gradients(game.discriminator)


def test_path_length_gives_the_discriminator_nothing() -> None:
    found = []
    for made in (game_of(updates="simultaneous"), with_penalty("path_length", weight=100.0, updates="simultaneous")):
        play(made, "both", real_batch(8), draw_of(8))
        found.append(gradients(made.discriminator))
    close(found[1], found[0])


def test_differences_are_right_under_spectral_normalisation() -> None:
    """Or they are refused: the power iteration between the two answers is divided by sigma² as well."""
    settings = {"generator.network": "quick-generator", "discriminator.network": "quick-discriminator"}
    settings |= {"discriminator.options": {}, "discriminator.spectral": True, "training.batch": 32}
    try:
        engine = begin(config_of(**settings, game__penalties={"r1_difference": {"weight": 1e-6}}))
    except UsageError:
        return
    for _ in range(20):
        engine.step(cast(Feed, Images()), 0.0)
    game, batch = engine.state.game, real_batch(128, IMAGE)
    exact = penalties.r1(copy.deepcopy(cast(Generation, game).discriminator), batch.images)
    found = play(cast(Generation, game), "both", batch, draw_of(128))
    assert float(found.parts["r1_difference"]) == pytest.approx(float(exact.detach()), rel=0.5)


def between(critic: nn.Module, **options: Any) -> Tensor:
    """WGAN-GP's penalty on an 8-sample batch, as a game adds it."""
    penalty = make_penalty("gradient", critic, weight=10.0, every=1, options=options)
    real, fake = real_batch(8, (1, 8, 8)).images, real_batch(8, (1, 8, 8), seed=4).images
    torch.manual_seed(0)  # dropout's
    return penalty(critic, Seen(real, fake, real[:, 0, 0, 0], fake[:, 0, 0, 0]), draw_of(8))


def test_a_gradient_penalty_in_inference_mode() -> None:
    torch.manual_seed(0)
    critic = build("dcgan-28-discriminator", shape=(1, 8, 8))
    critic(real_batch(8, (1, 8, 8), seed=9).images)  # running statistics that are not the first ones
    calm, statistics = copy.deepcopy(critic).eval(), copy.deepcopy(dict(critic.named_buffers()))
    real, fake = real_batch(8, (1, 8, 8)).images, real_batch(8, (1, 8, 8), seed=4).images
    expected = penalties.gradient_penalty(calm, real, fake, draw_of(8).shares("mix", 1)[:, 0])
    torch.testing.assert_close(between(critic, inference=True), expected)
    assert all(layer.training for layer in critic.modules())
    assert all(torch.equal(value, statistics[name]) for name, value in critic.named_buffers())
    assert float((between(critic) - expected).detach().abs()) > 0.01 * float(expected.detach())


def test_a_gradient_penalty_in_bfloat16_is_near_and_not_the_same() -> None:
    torch.manual_seed(0)
    critic = build("quick-discriminator", shape=(1, 8, 8))
    found = {}
    for exact in (True, False):
        critic.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            value = between(critic, exact=exact)
        value.backward()
        flat = [p.grad.flatten() for p in critic.parameters() if p.grad is not None]
        found[exact] = float(value.detach()), torch.cat(flat)
    assert float(between(critic).detach()) == found[True][0]  # float32 under autocast, as without
    assert found[False][0] != found[True][0]
    assert found[False][0] == pytest.approx(found[True][0], rel=0.02)
    assert float(torch.nn.functional.cosine_similarity(found[True][1], found[False][1], dim=0)) > 0.99
