"""Noise on all that the discriminator is shown, and whose gradient is what under it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from players import (
    IMAGE,
    LATENT,
    NOISE,
    TURNS,
    Spy,
    close,
    draw_of,
    game_of,
    gradients,
    latents_of,
    play,
    real_batch,
    reference,
    turn_of,
)
from zerosum.games import Batch, Draw, Generation, Latents, Remedies, make_penalty
from zerosum.losses import get_loss
from zerosum.networks import build


def shown_to(game: Generation, turn: str, batch: Batch, draw: Draw) -> list[tuple[Tensor, Tensor]]:
    """(seen, clean) of each time the discriminator was shown real and generated samples in a turn."""
    spy = Spy(game.discriminator)
    with torch.no_grad():
        fake = game.sample(latents_of(len(batch.images)))
    play(game, turn, batch, draw)
    pairs = []
    for seen in spy.seen:
        if len(seen) == 2 * len(fake):
            pairs += [(seen[: len(fake)], batch.images), (seen[len(fake) :], fake)]
        else:  # the generator's turn shows each alone; the nearer it is
            pairs.append(
                min(((seen, clean) for clean in (batch.images, fake)), key=lambda p: float((p[0] - p[1]).std()))
            )
    return pairs


@pytest.mark.parametrize(("progress", "deviation"), [(0.0, 0.8), (0.25, 0.2), (0.5, 0.05), (1.0, 0.05)])
@pytest.mark.parametrize("name", TURNS)
def test_everything_shown_carries_the_noise_of_its_time(name: str, progress: float, deviation: float) -> None:
    game = game_of(IMAGE, loss="relativistic", remedies=Remedies(noise=NOISE), **TURNS[name])
    pairs = shown_to(game, turn_of(name), real_batch(64, IMAGE), draw_of(64, progress=progress))
    assert len(pairs) == (4 if name == "two passes" else 2)
    noises = [(seen - clean).double().numpy().ravel() / deviation for seen, clean in pairs]
    assert {id(clean) for _, clean in pairs} == {id(pairs[0][1]), id(pairs[1][1])}, "both sides are shown"
    for noise in noises:
        assert noise.std() == pytest.approx(1, abs=0.05)
        assert noise.mean() == pytest.approx(0, abs=0.05)
        assert stats.kstest(noise, stats.norm().cdf).pvalue > 1e-3
    assert abs(np.corrcoef(noises[0], noises[1])[0, 1]) < 0.06, "each side has noise of its own"


@pytest.mark.parametrize("pack", [1, 2])
@pytest.mark.parametrize("loss", ["non-saturating", "relativistic", "wasserstein"])
@pytest.mark.parametrize("name", TURNS)
def test_gradients_under_noise_are_those_of_plain_passes_over_what_was_seen(name: str, loss: str, pack: int) -> None:
    """The noise is read off what the discriminator saw, so this knows nothing of how it was drawn."""
    game = game_of(loss=loss, remedies=Remedies(noise=NOISE, pack=pack), **TURNS[name])
    assert game.one_pass == (name != "two passes")
    own, judge, functions = *copy.deepcopy((game.generator, game.discriminator)), get_loss(loss)
    spy, batch, count = Spy(game.discriminator), real_batch(8), 8 // pack
    play(game, turn_of(name), batch, draw_of(8))
    fake = own(latents_of(8))

    def logits(seen_real: Tensor | None, seen_fake: Tensor) -> tuple[Tensor, Tensor]:
        """Plain passes over real and fake samples with the noise that was on them."""
        noise = seen_fake.reshape(fake.shape) - fake.detach()
        assert float(noise.std()) > 0.3
        shown = (fake + noise).reshape(count, -1)
        return judge(seen_fake if seen_real is None else seen_real), judge(shown)

    seen = list(spy.seen)
    if name in ("generator", "two passes"):  # the fakes, then real ones if they are compared
        seen_fake, seen_real = seen.pop(0), seen.pop(0) if functions.pairs else None
        real_logits, fake_logits = logits(seen_real, seen_fake)
        expected_g = reference(functions.generator_loss(fake_logits, real_logits), own)
    if name != "generator":
        (together,) = seen
        real_logits, fake_logits = logits(together[:count], together[count:])
        expected_d = reference(functions.discriminator_loss(real_logits, fake_logits), judge)
        if name == "one pass":
            expected_g = reference(functions.generator_loss(fake_logits, real_logits), own)
        close(gradients(game.discriminator), expected_d)
    if name == "discriminator":
        assert not gradients(game.generator)
    else:
        close(gradients(game.generator), expected_g)


def test_one_pass_under_noise_is_exact_for_a_critic_with_batchnorm() -> None:
    torch.manual_seed(1)
    generator = build("mlp-generator", latent=LATENT, shape=IMAGE)
    critic = build("dcgan-28-discriminator", shape=(4, 8, 8), dropout=0.0)
    remedies, own, judge = Remedies(noise=NOISE, pack=2), copy.deepcopy(generator), copy.deepcopy(critic)
    common: dict[str, Any] = {"loss": get_loss("wasserstein"), "latents": Latents(LATENT), "updates": "simultaneous"}
    game = Generation(generator, critic, remedies=remedies, **common)
    assert game.one_pass
    assert game.mixes
    spy = Spy(critic)
    play(game, "both", real_batch(16, IMAGE), draw_of(16))
    seen_fake, seen_real = spy.seen
    fake = own(latents_of(16))
    answer = judge((fake + seen_fake.reshape(fake.shape) - fake.detach()).reshape(8, 4, 8, 8)).mean()
    close(gradients(generator), reference(-answer, own))
    close(gradients(critic), reference(answer - judge(seen_real).mean(), judge))


@pytest.mark.parametrize("penalty", ["r1", "r2", "r1_difference", "r2_difference", "gradient", "dragan", "consistency"])
def test_penalties_of_one_pass_do_not_reach_the_generator(penalty: str) -> None:
    """Under noise and packs the generator's gradient of a shared pass is the same with a heavy penalty on D."""
    found = []
    for chosen in ((), (penalty,)):
        remedies = Remedies(noise=NOISE, pack=2)
        made = tuple(make_penalty(name, nn.Identity(), weight=1000.0, every=1, options={}) for name in chosen)
        game = game_of(IMAGE, remedies=remedies, penalties=made, updates="simultaneous")
        assert game.one_pass
        play(game, "both", real_batch(8, IMAGE), draw_of(8))
        found.append((gradients(game.generator), gradients(game.discriminator)))
    close(found[1][0], found[0][0])
    assert any(not torch.allclose(value, found[0][1][name], rtol=0.1) for name, value in found[1][1].items())


@pytest.mark.parametrize("moved", [False, True], ids=["as made", "moved"])
@pytest.mark.parametrize("turn", ["discriminator", "generator", "both", "discriminator penalties"])
def test_fourier_features_are_told_the_noise(turn: str, moved: bool) -> None:
    """Also where the game was brought to another device since (here: to another dtype), as every run on a GPU does."""
    generator = build("mlp-generator", latent=LATENT, shape=(2,))
    discriminator = build("mlp-discriminator", shape=(2,), fourier=[1.0, 4.0], dropout=0.0)
    penalty = make_penalty("r1", discriminator, weight=1.0, every=2, options={})
    common: dict[str, Any] = {"loss": get_loss("relativistic"), "latents": Latents(LATENT), "penalties": (penalty,)}
    common |= {"updates": "simultaneous" if turn == "both" else "alternating", "lazy_apart": True}
    game = Generation(generator, discriminator, remedies=Remedies(noise=NOISE), **common)
    batch, draw = real_batch(8, (2,)), draw_of(8, progress=0.25)
    if moved:
        game.double()
        batch, make = Batch(batch.images.double()), game.sample
        game.sample = lambda latent, label=None: make(latent.double())  # type: ignore[method-assign]
    game.play(turn, batch, draw)
    level = dict(game.discriminator.named_buffers())["body.0.noise_level"]
    assert float(level) == pytest.approx(0.2)
    plain = Generation(generator, discriminator, remedies=Remedies(), **common)
    plain.play(turn, batch, draw) if not moved else None
    assert moved or float(level) == 0
