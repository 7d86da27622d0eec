"""Any loss with any penalty, on any network: what a recipe may combine must train, and nonsense is refused."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from light import LIGHT
from zerosum.assembly import make_state
from zerosum.config import RunConfig
from zerosum.errors import UsageError
from zerosum.games import TERMS, Batch, Draw, Generation, Randomness
from zerosum.games.randomness import Latents
from zerosum.losses import LOSSES, get_loss
from zerosum.making import make_game
from zerosum.networks import build, names
from zerosum.settings import make_config
from zerosum.training.checkpoint import State
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed
from zerosum.training.optim import Player, RmsProp
from zerosum.training.plan import Plan
from zerosum.training.schedule import Schedule

# Of each family the generator and the discriminator; who has no partner of its own name plays with a small one.
FAMILIES = {
    name.removesuffix("-generator"): (name, partner)
    for name in names("generator")
    if (partner := name.replace("generator", "discriminator")) in names("discriminator")
} | {
    "encoder-generator": ("encoder-generator", "quick-discriminator"),
    "patch": ("quick-generator", "patch-discriminator"),
    "style-28": ("style-28-generator", "quick-discriminator"),
    "style-mlp": ("style-mlp-generator", "mlp-discriminator"),
}
OPTIONS: dict[str, dict[str, Any]] = (
    {
        "mlp-discriminator": {"dropout": 0.0},  # under dropout, differences of two answers mean nothing
        "dcgan-28-discriminator": {"dropout": 0.0},
        "patch-discriminator": {"field": 16},
        "style-28-generator": {"mapping": [16], "width": 8},
        "style-mlp-generator": {"mapping": [16], "hidden": [16, 16]},
    }
    | LIGHT
    | {f"{name}-{role}": {"width": 8} for name in ("dcgan", "sndcgan") for role in ("generator", "discriminator")}
)
# Simultaneous turns once with a discriminator that mixes samples and once with one that does not.
ORDERS = [(family, "alternating") for family in FAMILIES] + [("quick", "simultaneous"), ("dcgan", "simultaneous")]
SHAPE = (1, 8, 8)


def config_of(family: str, loss: str, penalty: str | None, **settings: Any) -> RunConfig:
    chosen = {
        "generator.network": FAMILIES[family][0],
        "generator.options": OPTIONS.get(FAMILIES[family][0], {}),
        "discriminator.network": FAMILIES[family][1],
        "discriminator.options": OPTIONS.get(FAMILIES[family][1], {}),
        "latent.size": 64 if family == "encoder-generator" else 4,
        "game.loss": loss,
        "game.penalties": {} if penalty is None else {penalty: {}},
        "training.images": 1000,
        "training.batch": 8,
    }
    if loss == "wasserstein" and penalty is None:
        chosen["discriminator.clip"] = 0.05
    return make_config("quick", chosen | settings)


class FewImages:
    """A feed of random images, by position; of so many classes in turn."""

    def __init__(self, classes: int = 0) -> None:
        self.randomness, self.classes = Randomness(3), classes

    def batch(self, first: int, count: int) -> Batch:
        rows = Latents(64, "uniform").rows(self.randomness, "real", first, count)
        labels = torch.arange(first, first + count) % self.classes if self.classes else None
        return Batch(rows.view(count, *SHAPE), labels)


def begin(config: RunConfig, shape: tuple[int, ...] = SHAPE, classes: int = 0) -> Engine:
    torch.manual_seed(0)
    state = make_state(config, make_game(config, shape, classes))
    batch = config.training.batch
    return Engine(state, Plan(batch, config.training.micro_batch or batch, 1000, None))


def copied(state: State) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.tensors().items()}


def steps(
    config: RunConfig, count: int, classes: int = 0
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, float]]:
    """What there was before `count` steps and after them, and the records; a resume before the last changes no bit."""
    engine, feed = begin(config, classes=classes), cast(Feed, FewImages(classes))
    before = copied(engine.state)
    for number in range(count):
        if number == count - 1:
            kept, images = copied(engine.state), engine.state.images
        engine.step(feed, number / count)
    engine.stop_if_ill(feed)
    again = begin(config, classes=classes)
    again.state.load(kept, images, 0.0)
    again.step(cast(Feed, FewImages(classes)), (count - 1) / count)
    after = engine.state.tensors()
    for name, value in again.state.tensors().items():
        assert torch.equal(value, after[name]), f"{name} is not the same after a resume"
    return before, after, engine.records.read()


def unmoved(before: dict[str, Tensor], after: dict[str, Tensor], config: RunConfig, classes: int = 0) -> set[str]:
    """The parameters that three steps left as they were."""
    own = {f"game.{name}" for name, _ in make_game(config, SHAPE, classes).named_parameters()}
    return {name for name in own if torch.equal(before[name], after[name])}


@pytest.mark.parametrize("penalty", [None, *TERMS], ids=str)
@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize(("family", "updates"), ORDERS)
def test_three_steps_of_every_combination(family: str, loss: str, penalty: str | None, updates: str) -> None:
    config = config_of(family, loss, penalty, **{"game.updates": updates})
    before, after, records = steps(config, 3)
    assert all(np.isfinite(value) for value in records.values())
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    # real and fake scores are compared: what is added to both, the last bias, may have no gradient; all else must move
    assert unmoved(before, after, config) <= {"game.discriminator.head.bias"}
    assert penalty is None or f"parts/{penalty}" in records


REMEDIES: dict[str, dict[str, Any]] = {
    "pack": {"game.remedies.pack": 4},
    "noise": {"game.remedies.noise.start": 0.5, "game.remedies.noise.end": 0.01, "game.remedies.noise.until": 0.5},
    "replay": {"game.remedies.replay.size": 6},
    "feature matching": {"game.remedies.feature_matching.weight": 1e4},
    "feature matching beside": {
        "game.remedies.feature_matching.weight": 1e4,
        "game.remedies.feature_matching.alone": False,
    },
    "information": {"game.remedies.information": 1.0, "latent.categorical": [3, 2], "latent.continuous": 2},
    "discrimination": {"discriminator.minibatch": "discrimination", "discriminator.minibatch_options": {"kernels": 7}},
    "deviation": {"discriminator.minibatch": "deviation"},
    "lazy apart": {
        "game.lazy": "apart",
        "game.penalties": {"r1": {"every": 2}, "lecam": {}, "path_length": {"every": 2, "fade_to": 0.1}},
    },
    "all at once": {
        "game.remedies.pack": 2,
        "game.remedies.noise.start": 0.1,
        "game.remedies.replay.size": 100,
        "game.remedies.feature_matching.weight": 1e4,
        "game.remedies.feature_matching.alone": False,
        "discriminator.minibatch": "deviation",
        "discriminator.spectral": True,
        "game.discriminator_turns": 2,
    },
}


def refused(family: str, remedy: str) -> str:
    """What is said to a combination that means nothing."""
    if family == "patch" and "minibatch" in str(REMEDIES[remedy]):
        return "map"
    if family == "stylegan2" and "minibatch" in str(REMEDIES[remedy]):
        return "head"
    if family == "r3gan" and "spectral" in str(REMEDIES[remedy]):
        return "weights are zero"
    if family.startswith("style") and remedy == "information":
        return "style mixing"
    if family == "encoder-generator" and remedy == "information":
        return "latent"
    return ""


@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize(("family", "updates"), ORDERS)
def test_three_steps_of_every_remedy(family: str, remedy: str, updates: str) -> None:
    settings = REMEDIES[remedy]
    if updates == "simultaneous" and "game.discriminator_turns" in settings:
        settings = settings | {"game.discriminator_turns": 1}
    config = config_of(family, "relativistic", None, **settings, **{"game.updates": updates})
    if why := refused(family, remedy):
        with pytest.raises(UsageError, match=why):
            make_game(config, SHAPE)
        return
    before, after, records = steps(config, 3)
    assert all(np.isfinite(value) for value in records.values())
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    assert unmoved(before, after, config) <= {"game.discriminator.head.bias", "game.discriminator.head.1.bias"}


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
        ({"discriminator.minibatch": "deviation", "training.batch": 67}, "cannot be divided so"),
        ({"game.remedies.replay.size": 10**12}, "in every checkpoint"),
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
