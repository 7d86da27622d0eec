"""Any loss with any penalty, on any network: what a recipe may combine must train, and nonsense is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from zerosum.assembly import make_game, make_state
from zerosum.config import RunConfig, make_config
from zerosum.errors import UsageError
from zerosum.games import TERMS, Batch, Draw, Generation, Randomness
from zerosum.games.randomness import Latents
from zerosum.losses import LOSSES, get_loss
from zerosum.networks import build
from zerosum.training.engine import Engine
from zerosum.training.optim import Player, RmsProp
from zerosum.training.plan import Plan
from zerosum.training.schedule import Schedule

FAMILIES = ("mlp", "quick", "dcgan-28", "dcgan", "dcgan-dense")
SHAPE = (1, 8, 8)


def config_of(family: str, loss: str, penalty: str | None, **settings: Any) -> RunConfig:
    chosen = {
        "generator.network": f"{family}-generator",
        "discriminator.network": f"{family}-discriminator",
        "latent.size": 4,
        "game.loss": loss,
        "game.penalties": {} if penalty is None else {penalty: {}},
        "training.images": 1000,
        "training.batch": 8,
    }
    if family in ("mlp", "dcgan-28"):  # under dropout, differences of two answers mean nothing
        chosen["discriminator.options"] = {"dropout": 0.0}
    if loss == "wasserstein" and penalty is None:
        chosen["discriminator.clip"] = 0.05
    return make_config("quick", chosen | settings)


class FewImages:
    """A feed of random images, by position."""

    def __init__(self) -> None:
        self.randomness = Randomness(3)

    def batch(self, first: int, count: int) -> Batch:
        rows = Latents(64, "uniform").rows(self.randomness, "real", first, count)
        return Batch(rows.view(count, *SHAPE))


def steps(config: RunConfig, count: int) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, float]]:
    torch.manual_seed(0)
    game = make_game(config, SHAPE)
    state = make_state(config, game)
    before = {name: value.clone() for name, value in game.named_parameters()}
    engine = Engine(state, Plan(config.training.batch, config.training.batch, 1000, None))
    feed: Any = FewImages()
    for _ in range(count):
        engine.step(feed, 0.0)
    engine.stop_if_ill(feed)
    return before, state.tensors(), engine.records.read()


@pytest.mark.parametrize("penalty", [None, *TERMS], ids=str)
@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
def test_three_steps_of_every_combination(family: str, loss: str, penalty: str | None, updates: str) -> None:
    before, after, records = steps(config_of(family, loss, penalty, **{"game.updates": updates}), 3)
    assert all(np.isfinite(value) for value in records.values())
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    # real and fake scores are compared: what is added to both, the last bias, may have no gradient; all else must move
    last_bias = [name for name in before if name.startswith("discriminator") and name.endswith("bias")][-1:]
    still = {name for name, value in before.items() if torch.equal(value, after[f"game.{name}"])}
    assert still <= set(last_bias)
    assert penalty is None or f"parts/{penalty}" in records


@pytest.mark.parametrize("loss", ["minimax", "non-saturating", "least-squares"])
def test_flipped_and_smoothed_labels_train(loss: str) -> None:
    options = {"b": 0.9} if loss == "least-squares" else {"real_label": 0.9}
    config = config_of("quick", loss, None, **{"game.loss_options": {"flips": 0.2} | options})
    _, _, records = steps(config, 3)
    _, _, plain = steps(config_of("quick", loss, None), 3)
    assert np.isfinite(records["losses/discriminator"])
    assert records["losses/discriminator"] != plain["losses/discriminator"]


def test_spectral_normalisation_holds_every_layer() -> None:
    _, after, _ = steps(config_of("quick", "hinge", None, **{"discriminator.spectral": True}), 3)
    assert sum(name.endswith("parametrizations.weight.original") for name in after if name.startswith("game.disc")) == 3


def test_clipped_weights_stay_within() -> None:
    _, after, _ = steps(config_of("quick", "wasserstein", None), 3)
    critic = [value for name, value in after.items() if name.startswith("game.discriminator")]
    assert max(float(value.abs().max()) for value in critic) == pytest.approx(0.05)
    generator = [value for name, value in after.items() if name.startswith("game.generator")]
    assert max(float(value.abs().max()) for value in generator) > 0.06


def test_rmsprop_is_pytorchs_own_and_can_be_called_off() -> None:
    torch.manual_seed(0)
    mine = torch.nn.Parameter(torch.randn(5, 3))
    theirs = torch.nn.Parameter(mine.detach().clone())
    player = Player("p", [("w", mine)], RmsProp(1e-2, 0.99, 1e-8, Schedule()))
    reference = torch.optim.RMSprop([theirs], lr=1e-2, alpha=0.99, eps=1e-8)
    for _ in range(5):
        gradient = torch.randn(5, 3)
        player.step([gradient], torch.tensor(0.0))
        theirs.grad = gradient.clone()
        reference.step()
    torch.testing.assert_close(mine, theirs)
    kept = [mine.detach().clone(), player.moments["square_avg"][0].clone()]
    player.step([torch.full((5, 3), torch.nan)], torch.tensor(1.0))
    assert torch.equal(mine, kept[0])
    assert torch.equal(player.moments["square_avg"][0], kept[1])


def test_one_pass_is_exact_for_a_critic_with_batchnorm() -> None:
    """The Wasserstein slopes are constants, so the generator's gradient is the critic's, negated."""
    torch.manual_seed(0)
    generator = build("dcgan-28-generator", latent=4, shape=SHAPE)
    critic = build("dcgan-28-discriminator", shape=SHAPE, dropout=0.0)
    game = Generation(generator, critic, loss=get_loss("wasserstein"), updates="simultaneous", latents=Latents(4))
    assert game.one_pass
    images = torch.rand(8, *SHAPE) * 2 - 1
    draw = Draw(Randomness(5), 0, 8, 8, 1)
    game.play("both", Batch(images), draw).total.backward()
    found = {name: value.grad.clone() for name, value in generator.named_parameters() if value.grad is not None}
    fake = generator(Latents(4, "normal").rows(Randomness(5), "latent", 0, 8))
    expected = torch.autograd.grad(-critic(fake).mean(), list(generator.parameters()))
    for (name, value), gradient in zip(found.items(), expected, strict=True):
        torch.testing.assert_close(value, gradient, rtol=1e-3, atol=1e-5 * float(gradient.abs().max()), msg=name)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"game.loss": "wasserstein", "game.penalties": {}}, "without a constraint"),
        ({"discriminator.clip": 0.01}, "take one of the two"),
        ({"generator.spectral": True}, "are for a discriminator"),
        ({"game.updates": "simultaneous", "game.discriminator_turns": 5}, "need --game.updates alternating"),
        ({"game.loss_options": {"flips": 0.1}}, "no option 'flips'"),
        ({"game.penalties": {"r3": {}}}, "there is no penalty 'r3'"),
        ({"game.penalties": {"gradient": {"options": {"sigma": 1.0}}}}, "has no option 'sigma'"),
        ({"game.penalties": {"r1": {"gamma": 1.0, "weight": 1.0}}}, "not both"),
        ({"game.one_pass": True, "game.updates": "simultaneous", "generator.network": "dcgan-28-generator",
          "discriminator.network": "dcgan-28-discriminator"}, "mixes samples"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_words(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make_game(make_config("quick", settings), SHAPE)
