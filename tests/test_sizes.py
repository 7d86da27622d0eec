"""Sizes: settings that a recipe takes, networks with the published numbers of parameters, and the rule of γ."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from zerosum.config import RunConfig
from zerosum.errors import UsageError
from zerosum.making import make_game
from zerosum.networks import ProjectionDiscriminator, build
from zerosum.settings import make_config
from zerosum.sizes import SIZES, gamma, narrowing, sized

RECIPES = ("quick", "r3gan", "stylegan2")
SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 48, 80), (1, 7, 5)]


def configured(recipe: str, size: str, shape: tuple[int, ...], classes: int = 0) -> RunConfig:
    return make_config(recipe, {"training.size": size} | sized(f"{recipe}-generator", size, shape, classes))


def networks(config: RunConfig, shape: tuple[int, ...], classes: int = 0) -> list[nn.Module]:
    """Both, without memory; of classes, the one-hot label is behind the generator's latent."""
    judge = config.player("discriminator")
    with torch.device("meta"):
        latent = int(config.latent.size) + classes
        made = build(config.generator.network, latent=latent, shape=shape, **config.generator.options)
        judged = build(judge.network, shape=shape, **judge.options)
        return [made, ProjectionDiscriminator(judged, classes) if classes else judged]


def parameters(network: nn.Module) -> int:
    return sum(values.numel() for values in network.parameters())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("recipe", RECIPES)
def test_sizes_grow(recipe: str, shape: tuple[int, ...]) -> None:
    counts = []
    for size in SIZES:
        config = configured(recipe, size, shape)
        counts.append([parameters(network) for network in networks(config, shape)])
        assert config.generator.lr == config.player("discriminator").lr
    assert [list(row) for row in zip(*counts, strict=True)] == [sorted(row) for row in zip(*counts, strict=True)]
    assert counts[0] < counts[1] < counts[2] < counts[3]
    assert max(counts[0]) < 1_200_000  # what a CPU trains in minutes


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_smallest_plays(recipe: str, shape: tuple[int, ...]) -> None:
    config = configured(recipe, "xs", shape)
    game = make_game(config, shape)
    made = game.sample(torch.randn(4, int(config.latent.size)))
    assert made.shape == (4, *shape)
    assert made.isfinite().all()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_size_takes_the_place_of_another(recipe: str) -> None:
    """All sizes set the same keys, so nothing of the one before is left; what the command says stays."""
    answers = [sized(f"{recipe}-generator", size, (3, 64, 64)) for size in SIZES]
    assert all(set(answer) == set(answers[0]) for answer in answers)
    said: dict[str, Any] = {"training.batch": 6, "generator.lr": 3e-3}
    config = make_config(recipe, answers[2] | said)
    assert (config.training.batch, config.generator.lr) == (6, 3e-3)


@pytest.mark.parametrize(
    ("recipe", "size", "side", "classes", "published"),
    [
        (
            "r3gan",
            "m",
            32,
            10,
            (20_781_952, 21_280_512 + 768),
        ),  # CIFAR-10; the head beside the projection is the house's
        ("r3gan", "m", 64, 0, (22_429_824, 22_381_440)),  # FFHQ-64
        ("r3gan", "m", 256, 0, (23_057_952, 23_009_568)),  # FFHQ-256
        ("r3gan", "l", 32, 1000, (82_914_304, 86_548_992 + 1536)),  # ImageNet-32
        ("r3gan", "l", 64, 1000, (103_570_432, 107_205_120 + 1536)),  # ImageNet-64
        ("r3gan", "xl", 64, 1000, (103_570_432, 107_205_120 + 1536)),
        ("stylegan2", "l", 256, 0, (24_767_458, 24_001_089)),  # paper256
        ("stylegan2", "l", 1024, 0, (30_370_060, 29_012_513)),  # paper1024
        ("stylegan2", "xl", 1024, 0, (30_370_060, 29_012_513)),  # configuration F
    ],
)
def test_published_sizes(recipe: str, size: str, side: int, classes: int, published: tuple[int, int]) -> None:
    shape = (3, side, side)
    config = configured(recipe, size, shape, classes)
    assert tuple(parameters(network) for network in networks(config, shape, classes)) == published


@pytest.mark.parametrize(
    ("recipe", "size", "side", "published"),
    [
        ("r3gan", "m", 32, {"training.batch": 512, "generator.lr": 2e-4}),
        ("r3gan", "m", 64, {"training.batch": 256, "generator.lr": 2e-4}),
        ("r3gan", "xl", 64, {"training.batch": 4096, "training.ema": 50_000_000}),
        # The authors' `auto` for one device: 0.0002 · side² / batch; ten thousand images of average for 32 of batch.
        ("stylegan2", "m", 256, {"training.batch": 16, "game.penalties.r1.gamma": 0.8192, "training.ema": 5_000}),
        ("stylegan2", "m", 1024, {"training.batch": 4, "game.penalties.r1.gamma": 52.4288, "generator.lr": 0.002}),
        ("stylegan2", "l", 256, {"training.batch": 64, "game.penalties.r1.gamma": 1.0, "training.ema": 20_000}),
        ("stylegan2", "l", 512, {"discriminator.options.group": 8, "game.penalties.r1.gamma": 0.5}),
        ("stylegan2", "l", 1024, {"discriminator.options.group": 4, "game.penalties.r1.gamma": 2.0}),
        ("stylegan2", "xl", 1024, {"training.batch": 32, "game.penalties.r1.gamma": 10.0, "generator.lr": 0.002}),
    ],
)
def test_published_settings(recipe: str, size: str, side: int, published: dict[str, Any]) -> None:
    answer = sized(f"{recipe}-generator", size, (3, side, side))
    assert {key: answer[key] for key in published} == pytest.approx(published)


@pytest.mark.parametrize(
    ("recipe", "side", "published"),
    [
        ("r3gan-cifar-10", 32, 0.05),
        ("r3gan-imagenet-32", 32, 0.5),
        ("r3gan-ffhq-64", 64, 2.0),
        ("r3gan-imagenet-64", 64, 1.0),
        ("r3gan-ffhq-256", 256, 150.0),
    ],
)
def test_gamma_is_near_the_published(recipe: str, side: int, published: float) -> None:
    """Within 3.2 of each; the two at 32 pixels are ten apart, so nothing by the side alone is within √10 = 3.16."""
    assert make_config(recipe).game.penalties["r1"].gamma == published
    assert published / 3.2 < gamma(side, side) < published * 3.2
    assert gamma(side // 2, side * 2) == gamma(side, side)


def test_maps_hold_about_as_many_numbers() -> None:
    widths = narrowing(96, 96, 10_000, 16, 256)  # maps of 6, 12, 24, 48 and 96 pixels
    assert widths == [256, 72, 24, 16, 16]


def test_what_has_no_such_size_is_refused() -> None:
    with pytest.raises(UsageError, match=r"dcgan28-generator has one size.* quick, r3gan and stylegan2 have five"):
        sized("dcgan28-generator", "s", (1, 28, 28))
    with pytest.raises(UsageError, match="there is no size 'xxl'"):
        sized("r3gan-generator", "xxl", (1, 28, 28))
    with pytest.raises(UsageError, match="the data are points"):
        sized("r3gan-generator", "s", (2,))
    with pytest.raises(UsageError, match="at least 4×4"):
        sized("stylegan2-generator", "s", (1, 3, 9))


def test_labels_change_what_labels_need() -> None:
    answer = sized("r3gan-generator", "s", (1, 28, 28), 10)
    assert answer["generator.options.classes"] == 10
    assert answer["discriminator.options.embedding"] == answer["discriminator.options.widths"][0]
    assert sized("stylegan2-generator", "s", (1, 28, 28), 10)["generator.options.mixing"] == 0
