"""Remedies in the game: packs and matched features against plainly written passes, and what is refused."""

from __future__ import annotations

import copy
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from players import (
    APART,
    CODES,
    IMAGE,
    TURNS,
    Spy,
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
from zerosum.errors import UsageError
from zerosum.games import Generation, Remedies, make_penalty
from zerosum.games.remedies import in_packs
from zerosum.losses import get_loss
from zerosum.making import make_game

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
        ({"game.remedies.information": 1.0}, "the latent has none"),
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
    "asked",
    [
        {},
        {"training.batch": 12, "training.micro_batch": 4},
        {**LAZY, "game.penalties": APART},
        {"latent.categorical": [10]},
        {"latent.continuous": 1},
    ],
    ids=str,
)
def test_what_makes_sense_is_not_refused(asked: dict[str, Any]) -> None:
    make_game(config_of(**asked, **{"game.remedies.pack": 4}), IMAGE)


@pytest.mark.parametrize("remedies", [Remedies(feature_matching=1.0), Remedies(information=1.0)], ids=["match", "tell"])
def test_features_need_a_body_and_a_head(remedies: Remedies) -> None:
    discriminator = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    with pytest.raises(UsageError, match="no body and head"):
        Generation(nn.Linear(15, 3), discriminator, loss=get_loss("hinge"), latents=CODES, remedies=remedies)
