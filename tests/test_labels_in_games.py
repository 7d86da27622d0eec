"""Labels in a game: every way to tell them, on every family of networks; each loss against plainly written formulas."""

from __future__ import annotations

import copy
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from players import IMAGE, LATENT, TURNS, close, draw_of, gradients, latents_of, play, real_batch, reference, turn_of
from test_matrix import SHAPE, begin, config_of, copied, steps, unmoved
from zerosum.config import RunConfig
from zerosum.errors import UsageError
from zerosum.games import TERMS, Batch, Classification, Generation, Latents, Randomness, make_penalty
from zerosum.losses import get_loss
from zerosum.making import make_game
from zerosum.networks import Blueprint, Discriminator
from zerosum.training.feed import Feed

CLASSES = 3
PLAYERS = ("generator", "discriminator")
KINDS = {
    "cgan": ("concatenate", "concatenate"),
    "cgan-projection": ("normalise", "projection"),
    "acgan": ("concatenate", "auxiliary"),
    "normed and joined": ("normalise", "concatenate"),
    "joined and projected": ("concatenate", "projection"),
}
FAMILIES = ("mlp", "dcgan-28", "dcgan", "quick", "sndcgan", "patch")
MIXED_CODES: dict[str, Any] = {
    "game.remedies.information": 1.0, "latent.categorical": [3, 2], "latent.continuous": 2
}  # fmt: skip


def labelled_config(kind: str, family: str, penalty: str | None = None, **settings: Any) -> RunConfig:
    generator, discriminator = KINDS[kind]
    chosen: dict[str, Any] = {
        "data.labels": True,
        "game.labels.generator": generator,
        "game.labels.discriminator": discriminator,
    }
    if family == "mlp" and generator == "normalise":
        chosen["generator.options"] = {"normalise": True}
    return config_of(family, "non-saturating", penalty, **chosen | settings)


def train_three_steps(config: RunConfig) -> dict[str, float]:
    """Three steps that move every parameter, and resume exactly; their records."""
    before, after, records = steps(config, 3, CLASSES)
    assert all(np.isfinite(value) for value in records.values())
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    assert unmoved(before, after, config, CLASSES) == set()
    return records


@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_three_steps_of_every_way_to_tell_labels(kind: str, family: str, updates: str) -> None:
    records = train_three_steps(labelled_config(kind, family, **{"game.updates": updates}))
    assert ("parts/classification of fake" in records) == (kind == "acgan")


def test_norms_of_labels_need_norms() -> None:
    config = labelled_config("cgan-projection", "mlp", **{"generator.options": {"normalise": False}})
    with pytest.raises(UsageError, match="has no BatchNorm"):
        make_game(config, SHAPE, CLASSES)


@pytest.mark.parametrize("penalty", TERMS)
@pytest.mark.parametrize(("kind", "family"), [("cgan", "mlp"), ("cgan-projection", "quick"), ("acgan", "patch")])
def test_three_steps_of_every_penalty(kind: str, family: str, penalty: str) -> None:
    assert f"parts/{penalty}" in train_three_steps(labelled_config(kind, family, penalty))


ALLOWED: dict[str, dict[str, Any]] = {
    "noise": {"game.remedies.noise.start": 0.5},
    "feature matching": {"game.remedies.feature_matching.weight": 1e4},
    "feature matching beside": {
        "game.remedies.feature_matching.weight": 1e4, "game.remedies.feature_matching.alone": False
    },
    "information": MIXED_CODES,
    "discrimination": {"discriminator.minibatch": "discrimination", "discriminator.minibatch_options": {"kernels": 7}},
    "deviation": {"discriminator.minibatch": "deviation"},
    "spectral": {"discriminator.spectral": True},
    "two turns": {"game.discriminator_turns": 2},
    "micro-batches": {"training.micro_batch": 4},
    "lazy apart": {"game.lazy": "apart", "game.penalties": {"r1": {"every": 2}, "path_length": {"every": 2}}},
    "all at once": MIXED_CODES | {
        "game.remedies.noise.start": 0.5,
        "game.remedies.feature_matching.weight": 1e4,
        "game.remedies.feature_matching.alone": False,
        "discriminator.minibatch": "deviation",
        "discriminator.spectral": True,
        "training.micro_batch": 4,
        "game.discriminator_turns": 2,
    },
}  # fmt: skip


@pytest.mark.parametrize("remedy", ALLOWED)
@pytest.mark.parametrize(("kind", "family"), [("cgan", "mlp"), ("cgan-projection", "quick"), ("acgan", "dcgan-28")])
def test_three_steps_of_every_remedy(kind: str, family: str, remedy: str) -> None:
    config = labelled_config(kind, family, **ALLOWED[remedy] | {"game.updates": "alternating"})
    train_three_steps(config)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [{"game.remedies.pack": 2}, {"game.remedies.replay.size": 9}], ids=str)
def test_packs_and_old_fakes_have_no_one_label(kind: str, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="leave out pack and replay"):
        make_game(labelled_config(kind, "quick", **settings), SHAPE, CLASSES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_at_64_pixels(kind: str) -> None:
    config = labelled_config(kind, "dcgan", **{f"{player}.options": {"width": 4} for player in PLAYERS})
    engine = begin(config, (1, 64, 64), CLASSES)
    before = copied(engine.state)
    feed = cast(Feed, OneBatch(Batch(torch.rand(8, 1, 64, 64) * 2 - 1, torch.arange(8) % CLASSES)))
    engine.step(feed, 0.0)
    engine.stop_if_ill(feed)
    after = engine.state.tensors()
    own = [f"game.{name}" for name, _ in engine.state.game.named_parameters()]
    assert [name for name in own if torch.equal(before[name], after[name])] == []


class OneBatch:
    """A feed that gives one batch whenever it is asked."""

    def __init__(self, batch: Batch) -> None:
        self.randomness, self._batch = Randomness(3), batch

    def batch(self, first: int, count: int) -> Batch:
        return self._batch


# each turn against plainly written formulas


def labelled_game(kind: str, shape: tuple[int, ...], loss: str, weight: float = 1.0, **options: Any) -> Generation:
    """Smooth, so that float32 gradients can be compared closely."""
    torch.manual_seed(1)
    of_generator, of_discriminator = KINDS[kind]
    hidden = {"activation": "tanh", "shape": list(shape)}
    generator = Blueprint(
        "mlp-generator",
        {"latent": LATENT, "hidden": [9], "normalise": of_generator == "normalise", **hidden},
        labels=of_generator,
        classes=CLASSES,
    ).build()
    discriminator = Blueprint(
        "mlp-discriminator", {"hidden": [12, 7], "dropout": 0.0, **hidden}, labels=of_discriminator, classes=CLASSES
    ).build()
    classification = Classification(7, CLASSES, weight) if kind == "acgan" else None
    for module in (generator, discriminator):  # what begins alike for all classes would hide whose label is told
        for value in module.parameters():
            nn.init.normal_(value, std=0.3)
    options |= {"latents": Latents(LATENT), "shape": shape, "classification": classification}
    return Generation(generator, discriminator, loss=get_loss(loss), **options)


class Plain:
    """The players, copied, and a turn's losses as one writes them down."""

    def __init__(self, game: Generation, batch: Batch, loss: str, latents: Tensor) -> None:
        self.generator, self.discriminator = copy.deepcopy((game.generator, game.discriminator))
        self.layer = copy.deepcopy(game.classification.layer) if game.classification else None
        assert batch.labels is not None
        self.labels = y = batch.labels
        self.fake = self.generator(latents, y)
        self.real_logits, self.fake_logits = self.judged(batch.images), self.judged(self.fake)
        r, f = self.real_logits, self.fake_logits
        if loss == "non-saturating":
            self.d_loss, self.g_loss = softplus(-r).mean() + softplus(f).mean(), softplus(-f).mean()
        else:
            self.d_loss, self.g_loss = softplus(f - r).mean(), softplus(r - f).mean()
        self.of_real, self.of_fake = (self.classified(each) for each in (batch.images, self.fake))

    def judged(self, samples: Tensor) -> Tensor:
        told = () if self.layer is not None else (self.labels,)
        logits: Tensor = self.discriminator(samples, *told)
        return logits

    def classified(self, samples: Tensor) -> Tensor:
        """-log P(C = c | X), where there is a classifier."""
        if self.layer is None:
            return torch.zeros(())
        assert isinstance(self.discriminator, Discriminator)
        logits = self.layer(self.discriminator.body(samples))
        return -logits.log_softmax(1)[torch.arange(len(samples)), self.labels].mean()


def batch_of(count: int, shape: tuple[int, ...]) -> Batch:
    """As many of each class as come: some more of the first, in no order."""
    return real_batch(count, shape)._replace(labels=torch.tensor([0, 2, 1, 0, 0, 1, 0, 2])[:count])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", ["non-saturating", "relativistic"])
@pytest.mark.parametrize("shape", [(3,), IMAGE], ids=["points", "images"])
@pytest.mark.parametrize("name", TURNS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_turn_against_plain_passes(kind: str, name: str, shape: tuple[int, ...], loss: str, reduction: str) -> None:
    if kind == "acgan" and name == "one pass":
        with pytest.raises(UsageError, match="the auxiliary classifier tell"):
            labelled_game(kind, shape, loss, **TURNS[name])
        return
    weight, times = 0.7, 8 if reduction == "sum" else 1
    game = labelled_game(kind, shape, loss, weight, discriminator_factor=0.5, reduction=reduction, **TURNS[name])
    batch = batch_of(8, shape)
    plain = Plain(game, batch, loss, latents_of(8))
    found = play(game, turn_of(name), batch, draw_of(8))
    d_total = times * (0.5 * plain.d_loss + weight * (plain.of_real + plain.of_fake))
    g_total = times * (plain.g_loss + weight * plain.of_fake)
    if name == "discriminator":
        assert not gradients(game.generator)
    else:
        close(gradients(game.generator), reference(g_total, plain.generator))
    if name == "generator":
        assert not gradients(game.discriminator)
    else:
        close(gradients(game.discriminator), reference(d_total, plain.discriminator))
    if game.classification is None or plain.layer is None:
        return
    if name == "generator":
        assert not gradients(game.classification), "the classifier plays with D"
    else:
        close(gradients(game.classification.layer), reference(d_total, plain.layer))
        parts = {key: float(value) for key, value in found.parts.items()}
        assert parts == pytest.approx(
            {
                "classification of real": float(plain.of_real.detach()),
                "classification of fake": float(plain.of_fake.detach()),
            },
            rel=1e-5,
        )


def test_the_classifier_plays_with_the_discriminator() -> None:
    game = labelled_game("acgan", (3,), "relativistic")
    assert game.classification is not None
    own = {id(value) for value in game.classification.parameters()}
    assert own <= {id(value) for value in game.parameters_of("discriminator")}
    assert not own & {id(value) for value in game.parameters_of("generator")}


def test_several_turns_draw_anew_for_the_same_labels() -> None:
    """The generator's turn has latents of its own, and the labels of the newest real images."""
    game = labelled_game("cgan", (3,), "relativistic", discriminator_turns=2)
    batch = batch_of(8, (3,))
    plain = Plain(game, batch, "relativistic", latents_of(8, stream="generator"))
    play(game, "generator", batch, draw_of(8))
    close(gradients(game.generator), reference(plain.g_loss, plain.generator))


@pytest.mark.parametrize("kind", ["cgan", "cgan-projection", "acgan"])
@pytest.mark.parametrize("penalty", ["r1", "r2", "gradient", "path_length"])
def test_a_penalty_knows_the_labels(kind: str, penalty: str) -> None:
    """The slope at a sample is that of D(·, y) for its own label y; at a mixture too, for both sides have the same."""
    bare = labelled_game(kind, (3,), "non-saturating")
    player = bare.generator if penalty == "path_length" else bare.discriminator
    term = make_penalty(penalty, player, weight=1.0, every=1, options={})
    game = labelled_game(kind, (3,), "non-saturating", penalties=(term,))
    batch, draw = batch_of(8, (3,)), draw_of(8)
    plain = Plain(game, batch, "non-saturating", latents_of(8))
    if penalty == "path_length":
        torch.manual_seed(9)
        noise, z = torch.randn(4, 3), latents_of(8)[:4].requires_grad_()
        (slopes,) = torch.autograd.grad((plain.generator(z, plain.labels[:4]) * noise).sum(), z)
        wanted = 0.01 * float(slopes.norm(dim=1).mean())  # the first value of its moving average
    else:
        between = torch.lerp(plain.fake, batch.images, draw.shares("mix", 1))
        at = {"r1": batch.images, "r2": plain.fake, "gradient": between}[penalty].detach().requires_grad_()
        (slopes,) = torch.autograd.grad(plain.judged(at).sum(), at)
        wanted = 1.0 if penalty == "gradient" else 0.0
    found = play(game, "generator" if penalty == "path_length" else "discriminator", batch, draw)
    expected = (slopes.norm(dim=1) - wanted).square().mean()
    assert float(found.parts[penalty]) == pytest.approx(float(expected), rel=1e-4)


def test_what_is_said_of_each_sample() -> None:
    game = labelled_game("acgan", (3,), "non-saturating")
    batch = batch_of(8, (3,))
    plain = Plain(game, batch, "non-saturating", latents_of(8))
    assert batch.labels is not None
    assert plain.layer is not None
    assert isinstance(plain.discriminator, Discriminator)
    said = game.opinions(batch.images, plain.fake.detach(), batch.labels)
    guesses = plain.layer(plain.discriminator.body(plain.fake)).argmax(1)
    assert said["recognised"].tolist() == [
        float(guess == label) for guess, label in zip(guesses, batch.labels, strict=True)
    ]
    assert 0 < said["recognised"].sum() < 8, "a comparison with nothing"
    torch.testing.assert_close(said["D(x)"], torch.sigmoid(plain.real_logits).detach())
    torch.testing.assert_close(said["D(G(z))"], torch.sigmoid(plain.fake_logits).detach())
    assert game.discriminator.training
