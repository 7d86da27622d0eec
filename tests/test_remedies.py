"""Remedies in the game: what the discriminator is shown, and whose gradient is what, against plainly written passes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import softplus

from zerosum import penalties
from zerosum.assembly import make_game, make_state
from zerosum.augment import flip_and_shift
from zerosum.config import RunConfig
from zerosum.errors import UsageError
from zerosum.games import Batch, Draw, Fading, Generation, Latents, Loss, Randomness, Remedies, make_penalty
from zerosum.games.information import Information
from zerosum.games.remedies import Replay, in_packs
from zerosum.losses import get_loss
from zerosum.model import Model, load
from zerosum.networks import build
from zerosum.settings import make_config
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed
from zerosum.training.plan import Plan

LATENT = 6
IMAGE = (2, 8, 8)
NOISE = Fading(0.8, 0.05, 0.5)
CODES = Latents(LATENT, "normal", (3, 4), 2)
SEED = 5


def networks(shape: tuple[int, ...], pack: int = 1, latents: Latents | None = None) -> tuple[nn.Module, nn.Module]:
    """Smooth and small, so that float32 gradients can be compared closely."""
    torch.manual_seed(1)
    length = LATENT if latents is None else latents.length
    generator = build("mlp-generator", latent=length, shape=shape, hidden=[9], activation="tanh")
    shown = (shape[0] * pack, *shape[1:])
    options = {"hidden": [12, 7], "activation": "tanh", "dropout": 0.0}
    return generator, build("mlp-discriminator", shape=shown, **options)


def game_of(
    shape: tuple[int, ...] = (3,), *, loss: str = "non-saturating", remedies: Remedies | None = None, **options: Any
) -> Generation:
    remedies = remedies or Remedies()
    latents = options.pop("latents", Latents(LATENT))
    generator, discriminator = networks(shape, remedies.pack, latents)
    torch.manual_seed(2)  # Q's weights
    return Generation(
        generator, discriminator, loss=get_loss(loss), latents=latents, shape=shape, remedies=remedies, **options
    )


def real_batch(count: int, shape: tuple[int, ...] = (3,), seed: int = 3) -> Batch:
    return Batch(torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1)


def draw_of(count: int, *, turn: int = 0, progress: float = 0.0) -> Draw:
    return Draw(Randomness(SEED), turn * count, count, count, turn, progress)


def latents_of(count: int, latents: Latents | None = None, stream: str = "latent", first: int = 0) -> Tensor:
    return (latents or Latents(LATENT)).rows(Randomness(SEED), stream, first, count)


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.grad for name, value in network.named_parameters() if value.grad is not None}


def reference(loss: Tensor, network: nn.Module) -> dict[str, Tensor]:
    named = dict(network.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), retain_graph=True, materialize_grads=True)
    return dict(zip(named, found, strict=True))


def close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """The same tensors, up to float32's rounding."""
    assert found.keys() == expected.keys()
    scale = max(float(value.abs().max()) for value in expected.values())
    assert scale > 0, "a comparison with nothing"
    for name, value in found.items():
        torch.testing.assert_close(
            value, expected[name], rtol=1e-4, atol=2e-5 * scale, msg=lambda m, n=name: f"{n}: {m}"
        )


class Spy:
    """What a network was given, pass by pass."""

    def __init__(self, network: nn.Module) -> None:
        self.seen: list[Tensor] = []
        network.register_forward_pre_hook(lambda _, given: self.seen.append(given[0].detach().clone()))


def play(game: Generation, turn: str, batch: Batch, draw: Draw) -> Loss:
    """One turn, from one seed of PyTorch's generator, with its gradients."""
    torch.manual_seed(9)
    loss = game.play(turn, batch, draw)
    loss.total.backward()
    return loss


def begin(config: RunConfig, shape: tuple[int, ...] = IMAGE) -> Engine:
    torch.manual_seed(0)
    state = make_state(config, make_game(config, shape))
    batch = config.training.batch
    return Engine(state, Plan(batch, config.training.micro_batch or batch, 1000, None))


class Images:
    """A feed of random images, by position."""

    def __init__(self, shape: tuple[int, ...] = IMAGE) -> None:
        self.randomness, self.shape = Randomness(3), shape

    def batch(self, first: int, count: int) -> Batch:
        rows = Latents(math.prod(self.shape), "uniform").rows(self.randomness, "real", first, count)
        return Batch(rows.view(count, *self.shape))


def config_of(**settings: Any) -> RunConfig:
    chosen = {
        "generator.network": "mlp-generator",
        "discriminator.network": "mlp-discriminator",
        "discriminator.options": {"dropout": 0.0},
        "latent.size": 4,
        "game.penalties": {},
        "training.images": 1000,
        "training.batch": 8,
    }
    return make_config("quick", chosen | {key.replace("__", "."): value for key, value in settings.items()})


# numbers that fade


@pytest.mark.parametrize(
    ("fading", "values"),
    [
        (Fading(0.8, 0.05, 0.5), {0.0: 0.8, 0.125: 0.4, 0.25: 0.2, 0.5: 0.05, 0.75: 0.05, 1.0: 0.05, 1.5: 0.05}),
        (Fading(2.0, 32.0), {0.0: 2.0, 0.5: 8.0, 1.0: 32.0}),
        (Fading(0.6, 0.0, 0.5), {0.0: 0.6, 0.125: 0.45, 0.25: 0.3, 0.5: 0.0, 1.0: 0.0}),
        (Fading(0.3, 0.3, 0.1), {0.0: 0.3, 0.05: 0.3, 1.0: 0.3}),
        (Fading(0.0, 0.0), {0.0: 0.0, 0.5: 0.0, 1.0: 0.0}),
    ],
    ids=["falls", "rises", "to zero", "stays", "is zero"],
)
def test_fading_by_hand(fading: Fading, values: dict[float, float]) -> None:
    assert {progress: fading.at(progress) for progress in values} == pytest.approx(values, rel=1e-12)
    assert fading.constant == (len(set(values.values())) == 1)


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-6, 1e3), st.floats(1e-6, 1) | st.just(0.0), st.floats(0.01, 1), st.lists(st.floats(0, 1)))
def test_fading_falls_from_start_to_end(start: float, share: float, until: float, at: list[float]) -> None:
    fading = Fading(start, start * share, until)
    values = [fading.at(progress) for progress in [0.0, *sorted(at), 1.0]]
    slack = 1e-12 * start
    assert all(later <= earlier + slack for earlier, later in pairwise(values))
    assert all(start * share - slack <= value <= start + slack for value in values)
    assert (values[0], values[-1]) == (start, pytest.approx(start * share, rel=1e-12))


def linear_game(penalty: str, **options: Any) -> tuple[Generation, float]:
    """D(x) = w·x, under which each penalty on squared slopes is ‖w‖²; and that number."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 1, bias=False)
    made = make_penalty(penalty, layer, options={}, **options)
    game = Generation(
        nn.Linear(LATENT, 3),
        nn.Sequential(layer, nn.Flatten(0)),
        loss=get_loss("wasserstein"),
        latents=Latents(LATENT),
        penalties=(made,),
    )
    return game, float(layer.weight.detach().square().sum())


@pytest.mark.parametrize(("progress", "factor"), [(0.0, 6.0), (0.25, 3.0), (0.5, 1.5), (1.0, 1.5)])
def test_a_fading_penalty_has_the_weight_of_its_time(progress: float, factor: float) -> None:
    """Weight 3, every 2nd turn twofold, to a quarter at half time."""
    game, squared = linear_game("r1", weight=Fading(3.0, 0.75, 0.5), every=2)
    totals = [game.play("discriminator", real_batch(8), draw_of(8, turn=turn, progress=progress)) for turn in (0, 1)]
    wasserstein = float(totals[0].losses["discriminator"])
    assert float(totals[0].total.detach()) - wasserstein == pytest.approx(factor * squared, rel=1e-5)
    assert "r1" not in totals[1].parts


def test_a_configured_penalty_fades() -> None:
    config = config_of(game__penalties={"r1": {"gamma": 4.0, "fade_to": 0.25, "fade_until": 0.5, "every": 2}})
    (penalty,) = make_game(config, IMAGE)._penalties
    assert [penalty.factor(progress) for progress in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([4.0, 2.0, 1.0, 1.0])


# packs


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("pack", [1, 2, 3])
def test_a_pack_is_samples_that_follow_each_other(pack: int, layout: torch.memory_format) -> None:
    images = torch.arange(6 * 2 * 4 * 3, dtype=torch.float32).view(6, 2, 4, 3).contiguous(memory_format=layout)
    packed = in_packs(images, pack)
    expected = np.stack([np.concatenate(list(images.numpy()[n : n + pack])) for n in range(0, 6, pack)])
    assert packed.shape == (6 // pack, 2 * pack, 4, 3)
    np.testing.assert_array_equal(packed.numpy(), expected)


def test_a_pack_of_points() -> None:
    packed = in_packs(torch.arange(12.0).view(6, 2), 3)
    assert packed.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


@pytest.mark.parametrize("loss", ["non-saturating", "relativistic"])
@pytest.mark.parametrize("shape", [(3,), IMAGE], ids=["points", "images"])
@pytest.mark.parametrize("pack", [2, 4])
def test_packs_are_judged_as_one(pack: int, shape: tuple[int, ...], loss: str) -> None:
    """N samples make N/m packs a side, one logit each; both gradients against plain passes."""
    game = game_of(shape, loss=loss, remedies=Remedies(pack=pack))
    own, judge = copy.deepcopy((game.generator, game.discriminator))
    spy, batch, draw = Spy(game.discriminator), real_batch(8, shape), draw_of(8)
    z = latents_of(8)
    fake, functions = own(z), get_loss(loss)
    packs = (8 // pack, shape[0] * pack, *shape[1:])
    real_logits, fake_logits = judge(batch.images.reshape(packs)), judge(fake.reshape(packs))
    assert real_logits.shape == (8 // pack,)

    play(game, "discriminator", batch, draw)
    assert [tuple(seen.shape) for seen in spy.seen] == [(16 // pack, *packs[1:])]
    close(gradients(game.discriminator), reference(functions.discriminator_loss(real_logits, fake_logits), judge))
    spy.seen.clear()
    play(game, "generator", batch, draw)
    assert {tuple(seen.shape) for seen in spy.seen} == {packs}
    close(gradients(game.generator), reference(functions.generator_loss(fake_logits, real_logits), own))
    assert torch.equal(game.sample(z), own(z)), "what is released makes single samples"


@pytest.mark.parametrize("family", ["mlp", "quick", "dcgan-28"])
def test_a_configured_pack_widens_the_discriminator_alone(family: str) -> None:
    settings = {"generator.network": f"{family}-generator", "discriminator.network": f"{family}-discriminator"}
    settings |= {"discriminator.options": {}, "game.remedies.pack": 2}
    game = make_game(config_of(**settings), IMAGE)
    assert game.discriminator(torch.zeros(5, 4, 8, 8)).shape == (5,)
    assert game.sample(torch.randn(5, 4)).shape == (5, *IMAGE)


# noise


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


TURNS: dict[str, dict[str, Any]] = {
    "discriminator": {},
    "generator": {},
    "one pass": {"updates": "simultaneous", "one_pass": True},
    "two passes": {"updates": "simultaneous", "one_pass": False},
}


def turn_of(name: str) -> str:
    return "both" if "pass" in name else name


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


# old fakes


def numbered(turn: int, count: int) -> Tensor:
    """Fakes that say when they were made: (count, 1)."""
    return torch.arange(turn * count, (turn + 1) * count, dtype=torch.float32)[:, None]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 99), st.integers(1, 12), st.integers(1, 9))
def test_replay_shows_what_it_promises(size: int, percent: int, count: int, turns: int) -> None:
    replay = Replay(size, percent / 100, (1,))
    wanted = min(max(1, round(percent / 100 * count)), count - 1, size)
    for turn in range(turns):
        torch.manual_seed(turn)
        kept = set(replay.samples.flatten().tolist()) if turn else set()
        fake = numbered(turn, count)
        given_one = fake.clone()
        mixed = replay.mix(fake, draw_of(count, turn=turn)).flatten().tolist()
        assert torch.equal(fake, given_one)
        old = [value for value in mixed if value < turn * count]
        assert len(mixed) == count == len(set(mixed)), "nothing is shown twice"
        assert len(old) == min(wanted, turn * wanted, size), "so many are old"
        assert set(old) <= kept, "what is old was in the buffer"
        assert set(mixed) - set(old) <= set(fake.flatten().tolist())
        held = replay.samples.flatten().tolist()
        assert len(held) == size
        filled = held[: min(size, (turn + 1) * wanted)]
        assert len(set(filled)) == len(filled), "no fake has two places"
        assert sum(value >= turn * count for value in filled) == (wanted if turn else min(wanted, size))
        assert all(value == 0 for value in held[len(filled) :])
        assert size < 2 * wanted or set(old) <= set(held), "what was just shown is not what goes"


@pytest.mark.parametrize("percent", [7, 14, 28, 55])
def test_replay_keeps_whole_percents_of_a_hundred(percent: int) -> None:
    """0.07 · 100 is 7.000000000000001 in floating point."""
    replay = Replay(200, percent / 100, (1,))
    replay.mix(numbered(1, 100), draw_of(100))
    assert int((replay.samples != 0).sum()) == percent


def test_every_old_fake_has_its_turn() -> None:
    """A full buffer of 8, two shown and two replaced each turn: a fake stays four turns on average, and some long."""
    replay, ages = Replay(8, 0.5, (1,)), []
    torch.manual_seed(0)
    for turn in range(800):
        mixed = replay.mix(numbered(turn, 4), draw_of(4, turn=turn)).flatten()
        ages += [turn - int(value) // 4 for value in mixed if value < turn * 4]
    assert len(ages) == 2 * 799
    # whatever is shown was not among the two just replaced; the age of what a random replacement leaves is geometric
    assert np.mean(ages) == pytest.approx(4, rel=0.15)
    assert max(ages) > 12


@pytest.mark.parametrize("name", ["discriminator", "two passes"])
def test_the_discriminator_sees_old_fakes_and_the_generator_its_own(name: str) -> None:
    game = game_of(remedies=Remedies(replay=5, replay_share=0.25), **TURNS[name])
    assert not game.one_pass
    shown, fresh = [], []
    spy = Spy(game.discriminator)
    for turn in range(4):
        spy.seen.clear()
        play(game, turn_of(name), real_batch(8), draw_of(8, turn=turn))
        shown.append(spy.seen[-1][8:])
        with torch.no_grad():
            fresh.append(game.sample(latents_of(8, first=turn * 8)))
        if name == "two passes":
            torch.testing.assert_close(spy.seen[0], fresh[turn], msg="the generator's side judges its own fakes")
    torch.testing.assert_close(shown[0], fresh[0], msg="at first there is nothing to show again")
    for turn in range(1, 4):
        new = (shown[turn][:, None] - fresh[turn]).abs().amax(2).amin(1) < 1e-6
        former = (shown[turn][:, None] - torch.cat(fresh[:turn])).abs().amax(2).amin(1) < 1e-6
        assert int(former.sum()) == 2
        assert bool((new ^ former).all())


def test_replay_is_in_the_checkpoint_and_goes_on_from_it() -> None:
    def turn(game: Generation, number: int) -> Tensor:
        spy = Spy(game.discriminator)
        play(game, "discriminator", real_batch(8), draw_of(8, turn=number))
        return spy.seen[-1]

    game = game_of(remedies=Remedies(replay=7))
    for number in range(3):
        turn(game, number)
    kept = {name: value.clone() for name, value in game.state_dict().items()}
    again = game_of(remedies=Remedies(replay=7))
    again.load_state_dict(kept)
    fourth = turn(game, 3)
    assert torch.equal(turn(again, 3), fourth)
    other = game_of(remedies=Remedies(replay=7))
    assert not torch.equal(turn(other, 3), fourth), "an empty buffer would have shown something else"


def test_replay_counts_micro_batches() -> None:
    """Four micro-batches of 2 with a buffer of 5: the engine's draws fill it as whole batches of 2 would."""
    engine = begin(
        config_of(**{"game.remedies.replay.size": 5, "training.micro_batch": 2, "game.updates": "alternating"})
    )
    spy = Spy(engine.state.game.get_submodule("discriminator"))
    engine.step(cast(Feed, Images()), 0.0)
    replay = cast(Generation, engine.state.game).replay
    assert replay is not None
    assert (replay.samples[:4].flatten(1).std(1) > 0).all()
    assert not replay.samples[4].any()
    first_fakes = [seen[2:] for seen in spy.seen[:4]]
    assert sum(torch.equal(one[0], kept) for one in first_fakes[1:] for kept in replay.samples[:4]) == 3


# matching features


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", ["non-saturating", "relativistic"])
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside"])
@pytest.mark.parametrize("name", ["discriminator", "generator", "two passes"])
def test_feature_matching_against_plain_passes(name: str, alone: bool, loss: str, reduction: str) -> None:
    remedies = Remedies(feature_matching=3.0, matching_alone=alone)
    game = game_of(loss=loss, remedies=remedies, reduction=reduction, **TURNS[name])
    assert not game.one_pass
    own, judge, functions = *copy.deepcopy((game.generator, game.discriminator)), get_loss(loss)
    batch = real_batch(8)
    found = play(game, turn_of(name), batch, draw_of(8))
    fake, times = own(latents_of(8)), 8 if reduction == "sum" else 1

    def features(samples: Tensor) -> Tensor:
        return cast(Tensor, judge.body(samples))

    distance = (features(batch.images).mean(0) - features(fake).mean(0)).norm() ** 2
    total = 3 * distance + (0 if alone else functions.generator_loss(judge(fake), judge(batch.images)))
    d_loss = functions.discriminator_loss(judge(batch.images), judge(fake))
    if name == "discriminator":
        assert not gradients(game.generator)
    else:
        close(gradients(game.generator), reference(times * total, own))
        assert float(found.parts["feature_matching"]) == pytest.approx(float(distance.detach()), rel=1e-4)
    if name == "generator":
        assert not gradients(game.discriminator)
    else:
        close(gradients(game.discriminator), reference(times * d_loss, judge))


# codes


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
    about = {"network": "mlp-generator", "arguments": arguments, "latent": config.latent.model_dump(), "data": data}
    Model(game.generator, about).save(tmp_path / "model")
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


# penalties with memory, and of two views


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


# lazy penalties with turns of their own


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


APART = {"r1": {"every": 3}, "gradient": {"every": 3}, "r2": {}, "path_length": {"every": 2}}


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


# what is refused, in words


@pytest.mark.parametrize("asked", [None, True])
@pytest.mark.parametrize(
    ("named", "options"),
    [
        ("lecam", {"penalties": ("lecam",)}),
        ("replay", {"remedies": Remedies(replay=4)}),
        ("feature_matching", {"remedies": Remedies(feature_matching=1.0)}),
        ("information", {"remedies": Remedies(information=1.0), "latents": CODES}),
    ],
)
def test_one_pass_is_off_where_the_players_passes_differ(
    named: str, options: dict[str, Any], asked: bool | None
) -> None:
    made = tuple(
        make_penalty(name, nn.Identity(), weight=1.0, every=1, options={}) for name in options.get("penalties", ())
    )
    options = options | {"penalties": made, "updates": "simultaneous"}
    assert game_of(updates="simultaneous").one_pass, "else it is on"
    if asked:
        with pytest.raises(UsageError, match=rf"one_pass: {named} "):
            game_of(**options, one_pass=True)
    else:
        assert not game_of(**options).one_pass


INFORMATION = {"game.remedies.information": 1.0, "latent.categorical": [3]}
LAZY = {"game.lazy": "apart"}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"training.batch": 10, "game.remedies.pack": 4}, "--training.batch 12 or"),
        ({"training.batch": 12, "training.micro_batch": 6, "game.remedies.pack": 4}, "A batch of 6 is no"),
        ({"game.remedies.noise.start": 0.1, "game.remedies.noise.end": 0.2}, "noise.end is above .start"),
        ({"game.remedies.noise.end": 0.2}, "noise.end is above .start"),
        ({"latent.categorical": [10]}, "belong together"),
        ({"latent.continuous": 1}, "belong together"),
        ({"game.remedies.information": 1.0}, "belong together"),
        ({**INFORMATION, "game.remedies.pack": 2}, "leave out pack"),
        ({**INFORMATION, "game.remedies.replay.size": 9}, "leave out pack, replay"),
        ({**LAZY, "game.penalties": {"r1": {"every": 2}, "r2": {"every": 4}}}, "one `every`, not 2 and 4"),
        ({**LAZY, "game.penalties": {"r1": {"every": 2}}, "discriminator.optimizer": "rmsprop"}, "rescales Adam"),
        ({**LAZY, "game.penalties": {"path_length": {"every": 2}}, "generator.optimizer": "rmsprop"}, "rescales Adam"),
        ({"discriminator.minibatch_options": {"kernels": 3}}, "without a layer"),
        ({"generator.minibatch": "deviation"}, "are for a discriminator"),
        ({"generator.minibatch_options": {"group": 2}}, "are for a discriminator"),
        ({"discriminator.minibatch": "deviation", "discriminator.minibatch_options": {"size": 3}}, "no option 'size'"),
        ({"discriminator.minibatch": "discrimination", "discriminator.minibatch_options": {"size": 0}}, "size"),
        ({**INFORMATION, "training.batch": 1}, "2 samples or more"),
        ({**INFORMATION, "training.micro_batch": 1}, "2 samples or more"),
        ({"game.updates": "alternating", "game.one_pass": True}, "one_pass"),
        ({"game.penalties": {"consistency": {"options": {"pixels": -1}}}}, "pixels"),
        ({"game.penalties": {"lecam": {"options": {"decay": 1.0}}}}, "decay"),
    ],
    ids=str,
)  # fmt: skip
def test_nonsense_is_refused_in_words(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make_game(config_of(**asked), IMAGE)


@pytest.mark.parametrize(
    "asked", [{}, {"training.batch": 12, "training.micro_batch": 4}, {**LAZY, "game.penalties": APART}], ids=str
)
def test_what_makes_sense_is_not_refused(asked: dict[str, Any]) -> None:
    make_game(config_of(**asked, **{"game.remedies.pack": 4}), IMAGE)


@pytest.mark.parametrize("remedies", [Remedies(feature_matching=1.0), Remedies(information=1.0)], ids=["match", "tell"])
def test_features_need_a_body_and_a_head(remedies: Remedies) -> None:
    discriminator = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    with pytest.raises(UsageError, match="no body and head"):
        Generation(nn.Linear(15, 3), discriminator, loss=get_loss("hinge"), latents=CODES, remedies=remedies)
