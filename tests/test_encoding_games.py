"""Games with an encoder: each turn against plain formulas, whose gradient it is, what trains, and what is released."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from torch.nn.utils import parametrize

import zerosum
from players import LATENT, Images, begin, close, draw_of, gradients, play, real_batch, reference
from test_matrix import SHAPE, steps, unmoved
from zerosum import penalties
from zerosum.assembly import model_config
from zerosum.config import RunConfig
from zerosum.data import normalise, open_data
from zerosum.errors import UsageError
from zerosum.games import TERMS, Batch, Draw, Latents, Randomness, Restoring, Turn, make_penalty
from zerosum.games.encoding import AdversarialAutoencoder, BiGan, EncodingGame, OfPairs, VaeGan
from zerosum.likelihoods import normal_divergence
from zerosum.losses import LOSSES, get_loss
from zerosum.making import make_game
from zerosum.model import Model, load
from zerosum.networks import JointDiscriminator, MinibatchDeviation, build, build_encoder
from zerosum.settings import make_config
from zerosum.training.feed import Feed

SMOOTH = {"hidden": [9], "activation": "tanh", "dropout": 0.0}
KINDS: dict[str, type[EncodingGame]] = {
    "vae-gan": VaeGan,
    "bigan": BiGan,
    "adversarial-autoencoder": AdversarialAutoencoder,
}
FLIPPED = {"flips": 0.4, "real_label": 0.9}


def game_of(kind: str, loss: str = "non-saturating", **options: Any) -> Any:
    """A game of points (3,) with small smooth networks."""
    torch.manual_seed(1)
    shape, variational = (3,), kind == "vae-gan"
    encoder = build_encoder("mlp-discriminator", shape=shape, code=LATENT * (1 + variational), **SMOOTH)
    generator = build("mlp-generator", latent=LATENT, shape=shape, hidden=[9], activation="tanh")
    judged = (LATENT,) if kind == "adversarial-autoencoder" else shape
    judge: nn.Module = build("mlp-discriminator", shape=judged, **SMOOTH)
    if kind == "bigan":
        judge = OfPairs(JointDiscriminator(cast(Any, judge), LATENT, 7), shape)
    rules = options.pop("rules", Restoring(variational=variational, weight=0.3, beta=0.7, warm_up=0.5))
    adversarial = get_loss(loss, **options.pop("loss_options", {}))
    return KINDS[kind](encoder, generator, judge, loss=adversarial, latents=Latents(LATENT), rules=rules, **options)


class Plain:
    """Copies of a game's players, and what they make of a batch of 16 and a draw."""

    def __init__(self, game: EncodingGame, real: Tensor, turn: int = 0) -> None:
        self.draw = draw_of(len(real), turn=turn, progress=0.25)
        self.encoder, self.generator, self.judge = (
            copy.deepcopy(each) for each in (game.encoder, game.generator, game.discriminator)
        )
        self.x, self.z, self.loss = real, self.draw.latents(Latents(LATENT)), game.loss
        self.codes = self.encoder(real)
        self.drawn = self.generator(self.z)
        if isinstance(game, VaeGan):
            self.mean, self.log_variance = self.codes[:, :LATENT], self.codes[:, LATENT:]
            noise = self.draw.latents(Latents(LATENT), "code")
            self.codes = self.mean + torch.exp(self.log_variance / 2) * noise
        self.restored = self.generator(self.codes)
        self.real_pair = torch.cat((self.x, self.codes), 1)
        self.fake_pair = torch.cat((self.drawn, self.z), 1)

    def likeness(self) -> Tensor:
        wanted, made = (self.judge(samples, features=True)[1] for samples in (self.x, self.restored))
        return (wanted - made).square().sum(1).mean() / 2

    def tell(self, real: Tensor, fake: Tensor) -> Tensor:
        chance = self.draw.shares("flips", 2)
        logits = (self.judge(real), self.judge(fake))
        return self.loss.discriminator_loss(*logits, *((chance,) if self.loss.flips else ()))

    def fool(self, fake: Tensor, real: Tensor) -> Tensor:
        return self.loss.generator_loss(self.judge(fake), self.judge(real))


def expected(kind: str, plain: Plain) -> dict[str, tuple[Tensor, list[str]]]:
    """Of each turn its loss, by the formulas that stand above the games, and whose it is."""
    if kind == "vae-gan":
        told = (plain.tell(plain.x, plain.restored) + plain.tell(plain.x, plain.drawn)) / 2
        fooled = (plain.fool(plain.restored, plain.x) + plain.fool(plain.drawn, plain.x)) / 2
        prior = normal_divergence(plain.mean, plain.log_variance).mean()
        return {
            "discriminator": (told, ["discriminator"]),
            "generator": (0.3 * plain.likeness() + fooled, ["generator"]),
            "encoder": (0.7 * 0.5 * prior + plain.likeness(), ["encoder"]),  # halfway through the warm-up
        }
    if kind == "bigan":
        return {
            "discriminator": (plain.tell(plain.real_pair, plain.fake_pair), ["discriminator"]),
            "generator": (plain.tell(plain.fake_pair, plain.real_pair), ["generator", "encoder"]),
        }
    error = (plain.x - plain.restored).square().mean() / 2
    return {
        "reconstruction": (0.3 * error, ["encoder", "generator"]),
        "discriminator": (plain.tell(plain.z, plain.codes), ["discriminator"]),
        "encoder": (plain.fool(plain.codes, plain.z), ["encoder"]),
    }


@pytest.mark.parametrize("loss", [*sorted(LOSSES), "flipped"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_turn_against_its_formula(kind: str, loss: str) -> None:
    """The loss, and the gradients of its players: those of the plainly written one, by their own parameters."""
    flipped = loss == "flipped"
    game = game_of(kind, "non-saturating" if flipped else loss, loss_options=FLIPPED if flipped else {})
    batch = real_batch(16)
    plain = Plain(game, batch.images)
    wanted = expected(kind, plain)
    assert {turn.name: list(turn.players) for turn in game.turns} == {
        name: sorted(players, reverse=kind == "bigan") for name, (_, players) in wanted.items()
    }
    networks = {"encoder": plain.encoder, "generator": plain.generator, "discriminator": plain.judge}
    for name, (total, players) in wanted.items():
        game.zero_grad(set_to_none=True)
        found = play(game, name, batch, plain.draw)
        torch.testing.assert_close(found.total, total, rtol=1e-4, atol=1e-6)
        for player in players:
            close(gradients(game.get_submodule(player)), reference(total, networks[player]))


def test_bigan_by_hand() -> None:
    """Of pairs: D minimises −log D(real) − log(1 − D(fake)), E and G −log D(fake) − log(1 − D(real))."""
    game = game_of("bigan")
    batch = real_batch(16)
    plain = Plain(game, batch.images)
    draw = plain.draw
    real, fake = (plain.judge(pair).double() for pair in (plain.real_pair, plain.fake_pair))
    for turn, (one, other) in {"discriminator": (real, fake), "generator": (fake, real)}.items():
        by_hand = -(logsigmoid(one) + logsigmoid(-other)).mean()
        torch.testing.assert_close(game.play(turn, batch, draw).total.double(), by_hand, rtol=1e-5, atol=1e-6)
    said = game.play("discriminator", batch, draw).outputs
    torch.testing.assert_close(said["D(x)"], real.sigmoid().mean().float())
    torch.testing.assert_close(said["D(G(z)) before"], fake.sigmoid().mean().float())


PENALTIES = {  # of the discriminator, what it takes for real and for generated, and how these are mixed
    "r1": lambda judge, real, fake, mix: penalties.r1(judge, real),
    "r2": lambda judge, real, fake, mix: penalties.r2(judge, fake),
    "gradient": penalties.gradient_penalty,
}


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("kind", KINDS)
def test_penalties_are_on_what_is_judged(kind: str, name: str) -> None:
    """On real and drawn samples, on pairs, or on codes; each second turn, twice its weight."""
    penalty = make_penalty(name, None, weight=0.4, every=2, options={})  # type: ignore[arg-type]
    game = game_of(kind, penalties=(penalty,))
    batch = real_batch(16)
    for turn in (2, 3):
        plain = Plain(game, batch.images, turn)
        judged = {
            "vae-gan": (plain.x, plain.drawn),
            "bigan": (plain.real_pair, plain.fake_pair),
            "adversarial-autoencoder": (plain.z, plain.codes),
        }
        real, fake = (side.detach() for side in judged[kind])
        mix = plain.draw.shares("mix", 1)[:, 0]
        value = PENALTIES[name](plain.judge, real, fake, mix)
        told, _ = expected(kind, plain)["discriminator"]
        game.zero_grad(set_to_none=True)
        found = play(game, "discriminator", batch, plain.draw)
        assert set(found.parts) == ({name} if turn == 2 else set())
        total = told + (2 * 0.4 * value if turn == 2 else 0.0)
        torch.testing.assert_close(found.total, total, rtol=1e-4, atol=1e-6)
        close(gradients(game.discriminator), reference(total, plain.judge))


# ---------------------------------------------------------------- training

MLP = {"hidden": [9], "dropout": 0.0}
FAMILIES: dict[str, tuple[tuple[str, dict[str, Any]], tuple[str, dict[str, Any]]]] = {
    "mlp": (("mlp-discriminator", MLP), ("mlp-generator", {"hidden": [9], "normalise": True})),
    "quick": (("quick-discriminator", {}), ("quick-generator", {})),
    "dcgan-28": (("dcgan-28-discriminator", {}), ("dcgan-28-generator", {})),
    "dcgan": (("dcgan-discriminator", {"width": 8}), ("dcgan-generator", {"width": 8})),
    "patch": (("patch-discriminator", {"field": 16}), ("quick-generator", {})),
}


def config_of(recipe: str, family: str = "mlp", **settings: Any) -> RunConfig:
    """A recipe with an encoder and small networks; of codes the discriminator is fully connected."""
    (judge, options), (generator, own) = FAMILIES[family]
    of_codes = ("mlp-discriminator", MLP) if recipe == "adversarial-autoencoder" else (judge, options)
    chosen: dict[str, Any] = {"latent.size": 4, "training.images": 1000, "training.batch": 8}
    players = {"encoder": (judge, options), "generator": (generator, own)}
    for player, (name, its) in (players | ({"discriminator": of_codes} if recipe in KINDS else {})).items():
        chosen |= {f"{player}.network": name, f"{player}.options": its}
    return make_config(recipe, chosen | {key.replace("__", "."): value for key, value in settings.items()})


def three_steps(config: RunConfig) -> dict[str, float]:
    """All is finite, all moved that should, and a resume before the last step changes no bit; the records."""
    before, after, records = steps(config, 3)
    assert all(np.isfinite(value) for value in records.values())
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    # what is added to real and fake scores alike may have no gradient
    assert unmoved(before, after, config) <= {"game.discriminator.head.bias", "game.discriminator.network.head.bias"}
    return records


@pytest.mark.parametrize("penalty", ["r1", "gradient"])
@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("kind", KINDS)
def test_three_steps_of_every_loss(kind: str, loss: str, penalty: str) -> None:
    records = three_steps(config_of(kind, game__loss=loss, game__penalties={penalty: {}}))
    assert f"parts/{penalty}" in records
    assert {f"gradients/{player}" for player in ("encoder", "generator", "discriminator")} <= set(records)


@pytest.mark.parametrize("penalty", sorted(set(TERMS) - {"r1", "gradient", "path_length"}))
@pytest.mark.parametrize("kind", KINDS)
def test_three_steps_of_every_penalty(kind: str, penalty: str) -> None:
    config = config_of(kind, game__penalties={penalty: {"options": {"pixels": 2}} if penalty == "consistency" else {}})
    if penalty == "consistency" and kind != "vae-gan":  # pairs and codes have no neighbours to be moved to
        with pytest.raises(UsageError, match="takes no consistency, which moves images"):
            steps(config, 1)
        return
    assert f"parts/{penalty}" in three_steps(config)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"mlp"}))
@pytest.mark.parametrize("kind", KINDS)
def test_three_steps_of_every_network(kind: str, family: str) -> None:
    """With BatchNorm, dropout, and maps of logits too; of a batch in two parts."""
    three_steps(config_of(kind, family, training__micro_batch=4))


@pytest.mark.parametrize(
    ("kind", "turn"), [(kind, turn.name) for kind, game in KINDS.items() for turn in game_of(kind).turns]
)
def test_a_turn_moves_its_own_players_alone(kind: str, turn: str) -> None:
    """Through the engine: no other player's parameters change, nor are they given a gradient that stays."""
    engine = begin(config_of(kind), SHAPE)
    game = engine.state.game
    (mine,) = (each for each in game.turns if each.name == turn)
    game.turns = (Turn(turn, mine.players),)
    before = {name: value.detach().clone() for name, value in game.named_parameters()}
    engine.step(cast(Feed, Images(SHAPE)), 0.3)
    moved = {name.split(".")[0] for name, value in game.named_parameters() if not torch.equal(value, before[name])}
    assert moved == set(mine.players)
    given = {name.split(".")[0] for name, value in game.named_parameters() if value.grad is not None}
    assert given == set(mine.players)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_discriminators_section_puts_on_it_is_on_what_judges(kind: str) -> None:
    """Spectral normalisation of every layer, a minibatch layer before the last: of a discriminator of pairs too."""
    spectral = make_game(config_of(kind, discriminator__spectral=True), SHAPE).get_submodule("discriminator")
    layers = [layer for layer in spectral.modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == (4 if kind == "bigan" else 2)
    assert all(parametrize.is_parametrized(layer, "weight") for layer in layers)
    config = config_of(kind, discriminator__minibatch="deviation", discriminator__spectral=True)
    judge = make_game(config, SHAPE).get_submodule("discriminator")
    assert [isinstance(layer, MinibatchDeviation) for layer in judge.modules()].count(True) == 1
    three_steps(config)


# ---------------------------------------------------------------- what is released

RECIPES = ["autoencoder", "denoising-autoencoder", "vae", *KINDS]


def released(recipe: str, family: str = "mlp") -> Model:
    """A model of digits as a run would release it, but untrained."""
    config, store = config_of(recipe, family), open_data("digits")
    torch.manual_seed(0)
    game = make_game(config, store.shape)
    networks = game.release()
    images = normalise(store.gather(np.arange(64)), store.low, store.high)
    game.prepare_release(networks, [(Batch(images), Draw(Randomness(0), 0, 64, 64, 0))])
    return Model(dict(networks.items()), model_config(config, store, game))


@pytest.mark.parametrize("family", ["mlp", "quick", "dcgan-28"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_model_encodes_and_reconstructs_alike_when_loaded(recipe: str, family: str, tmp_path: Path) -> None:
    model = released(recipe, family)
    model.save(tmp_path / "model")
    again = cast(Model, load(tmp_path / "model"))
    store = open_data("digits")
    rows = store.values[:70]  # more than are judged at once; a file's rows, which may not be written
    images = normalise(store.gather(np.arange(70)), store.low, store.high)
    with torch.no_grad():
        by_hand = model.networks["encoder"](images)[:, :4]  # of means and log-variances, the means
        made = model.generator(by_hand)
    codes, restored = again.encode(rows), again.reconstruct(rows)
    assert (codes.shape, codes.dtype) == ((70, 4), np.float32)
    assert (restored.shape, restored.dtype) == (rows.shape, rows.dtype)
    np.testing.assert_allclose(codes, by_hand, atol=1e-5)
    np.testing.assert_allclose(again.restored(images), made, atol=1e-5)
    assert np.abs(restored - ((made.permute(0, 2, 3, 1).numpy() + 1) * 8)).max() <= 0.5 + 1e-4  # 0 to 16, rounded
    np.testing.assert_allclose(again.encode(rows[::-1]), codes[::-1], atol=1e-5)
    np.testing.assert_array_equal(again.sample(5, seed=1), model.sample(5, seed=1))
    assert again.encodes
    assert again.reconstructs
    assert ("codes" in again.networks) == (recipe in ("autoencoder", "denoising-autoencoder"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            np.zeros((2, 8, 8, 1), np.float64),
            r"takes uint8 of shape \(N, 8, 8, 1\), .* float64 of shape \(2, 8, 8, 1\)",
        ),
        (np.zeros((2, 8, 8), np.uint8), r"given uint8 of shape \(2, 8, 8\)"),
        (np.zeros((2, 1, 8, 8), np.uint8), r"given uint8 of shape \(2, 1, 8, 8\)"),
        (np.zeros((8, 8, 1), np.uint8), r"given uint8 of shape \(8, 8, 1\)"),
        (np.zeros((0, 8, 8, 1), np.uint8), r"given uint8 of shape \(0, 8, 8, 1\)"),
        (np.uint8(3), r"given uint8 of shape \(\)"),
        ([[[[3]]]], r"given int64 of shape \(1, 1, 1, 1\)"),
    ],
)
def test_data_of_another_kind_are_refused(given: Any, says: str) -> None:
    model = released("vae")
    for question in (model.encode, model.reconstruct):
        with pytest.raises(UsageError, match=says):
            question(given)


def test_a_model_without_an_encoder_says_so(finished_run: Path) -> None:
    model = cast(Model, zerosum.load(finished_run))
    assert not model.encodes
    assert not model.reconstructs
    for question in (model.encode, model.reconstruct):
        with pytest.raises(UsageError, match="has no encoder: take a recipe with one"):
            question(model.sample(2))


def test_points_are_encoded_and_restored(tmp_path: Path) -> None:
    """A VAE of points in the plane: codes of theirs, and what comes back lies near them, in their units."""
    settings = {"game.reconstruction.loss": "squared", "game.reconstruction.beta": 0.01, "latent.size": 2}
    settings |= {"generator.options.output": "linear", "training.batch": 256, "training.report_every": 10**6}
    settings |= {f"{player}.options.hidden": [32] for player in ("encoder", "generator")}
    run = zerosum.train("ring8", recipe="vae", out=tmp_path, images=50_000, settings=settings | {"data.holdout": 0.0})
    model, points = cast(Model, run.model), np.array(open_data("ring8").values[:2000])
    codes, restored = model.encode(points), model.reconstruct(points)
    assert codes.shape == points.shape
    assert (restored.shape, restored.dtype) == (points.shape, np.dtype(np.float32))
    assert np.square(restored - points).mean() < 0.05 * points.var()
    with torch.no_grad():
        means = model.networks["encoder"](torch.from_numpy(points))[:, :2]
    np.testing.assert_allclose(codes, means, atol=1e-5)
    with pytest.raises(UsageError, match=r"takes float32 of shape \(N, 2\)"):
        model.encode(points.astype(np.float64))


# ---------------------------------------------------------------- nonsense

NOISE = {"game.reconstruction.corruption": "masking"}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("bigan", {"game.reconstruction.variational": True}, "variational: the game 'bigan' has it false"),
    ("adversarial-autoencoder", {"game.reconstruction.variational": True}, "has it false"),
    ("vae-gan", {"game.reconstruction.variational": False}, "variational: the game 'vae-gan' has it true"),
    ("bigan", NOISE, "noise is for game.kind reconstruction; leave it out"),
    ("autoencoder", {"latent.categorical": [3]}, "the game 'reconstruction' has no codes of that kind"),
    ("bigan", {"latent.continuous": 1}, "the game 'bigan' has no codes of that kind"),
    ("vae", {"latent.distribution": "uniform"}, r"draws from N\(0, 1\); leave it out"),
    ("vae-gan", {"latent.distribution": "uniform"}, r"draws from N\(0, 1\); leave it out"),
    ("bigan", {"game.remedies.noise.start": 0.1}, "the game 'bigan' takes no remedies; leave that out"),
    ("bigan", {"game.lazy": "apart"}, "takes no lazy apart"),
    ("vae-gan", {"game.updates": "simultaneous"}, "takes no updates simultaneous"),
    ("vae-gan", {"game.discriminator_turns": 2}, "takes no discriminator_turns"),
    ("vae-gan", {"game.reduction": "sum"}, "takes no reduction sum"),
    ("vae-gan", {"game.discriminator_factor": 0.5}, "takes no discriminator_factor"),
    ("vae", {"game.penalties": {"r1": {}}}, "the game 'reconstruction' takes no penalties"),
    ("bigan", {"game.penalties": {"path_length": {}}}, "takes no path_length, which is a generator's"),
    ("bigan", {"game.reduction": "sum", "game.lazy": "apart"}, "takes no lazy apart, no reduction sum; leave that out"),
    ("vae", {"game.labels.generator": "concatenate"}, "the game 'reconstruction' takes no labels"),
    ("vae", {"encoder.spectral": True}, "encoder.spectral, .clip and .minibatch are for a discriminator"),
    ("vae", {"encoder.network": "mlp-generator"}, "an encoder is a discriminator's body, and mlp-generator"),
    ("vae", NOISE | {"game.reconstruction.strength": 1.5}, r"strength is 1\.5: give the share"),
    ("adversarial-autoencoder", {"game.loss": "wasserstein"}, "without a constraint grows"),
    (
        "vae",
        {"discriminator.network": "mlp-discriminator"},
        "reconstruction has no 'discriminator': leave its",
    ),
    ("quick", {"encoder.network": "mlp-discriminator"}, "generation has no 'encoder': leave its settings out"),
    ("quick", {"game.kind": "bigan"}, "bigan needs the player 'encoder': give --encoder.network"),
    ("vae", {"game.kind": "vae-gan"}, "vae-gan needs the player 'discriminator': give --discriminator.network"),
    ("bigan", {"game.penalties": {"consistency": {}}}, "takes no consistency, which moves images"),
    ("quick", {"game.reconstruction.beta": 0.5}, "game.reconstruction without an encoder does nothing"),
    ("vae", {"game.reconstruction.strength": 0.3}, "strength without a corruption does nothing"),
    ("quick", {"game.labels.weight": 2.0}, "labels.weight without an auxiliary classifier does nothing"),
    ("quick", {"game.baseline": False}, "outside of a semi-supervised game does nothing"),
    ("vae", {"game.reconstruction.loss": "hinge"}, "game.reconstruction.loss"),
    ("vae", {"game.reconstruction.warm_up": 1.5}, "game.reconstruction.warm_up"),
]


@pytest.mark.parametrize(("recipe", "settings", "says"), REFUSED, ids=[says for _, _, says in REFUSED])
def test_nonsense_is_refused_in_words(recipe: str, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make_game(make_config(recipe, settings), SHAPE)
