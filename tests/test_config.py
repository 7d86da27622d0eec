"""The configuration: every recipe is valid and comes back from TOML; what is wrong is named, with the remedy."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zerosum.config import TrainingConfig
from zerosum.config_fields import parse_count
from zerosum.errors import UsageError
from zerosum.settings import describe_keys, differences, known_keys, make_config, read_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_are_valid_and_come_back_from_toml(name: str, tmp_path: Path) -> None:
    config = make_config(name)
    (tmp_path / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    again = make_config(tmp_path / "config.toml")
    assert again == config
    assert differences(config, again) == []
    assert config.recipe.name == name
    assert all((config.recipe.title, config.recipe.published, config.recipe.departs))
    assert "http" in config.recipe.source


def test_the_recipes_of_the_issue_are_there() -> None:
    first = {"dcgan-28", "dcgan-64", "dcgan-dense", "gan-gaussian", "gan-mlp", "quick"}
    objectives = {"infogan", "lsgan", "pacgan", "points", "relativistic", "sngan", "wgan", "wgan-gp", "wgan-gp-28"}
    remedies = {"gan-mlp-feature-matching", "gan-mlp-minibatch", "gan-mlp-replay"}
    encoders = {"autoencoder", "denoising-autoencoder", "vae", "encoder-generator", "vae-gan", "bigan"}
    labels = {"cgan", "cgan-projection", "acgan", "sgan"}
    more = {"adversarial-autoencoder", "style-mlp", "style-28"}
    translators = {"pix2pix", "cyclegan", "super-resolution", "inpainting", "colorization"}
    best = {f"r3gan-{name}" for name in ("cifar-10", "ffhq-64", "ffhq-256", "imagenet-32", "imagenet-64")}
    best |= {"r3gan", "stylegan2"}
    assert set(recipe_names()) == first | objectives | remedies | encoders | labels | more | translators | best


def test_games_of_restoring_are_pix2pix() -> None:
    """Three recipes that differ in where their pairs come from, and in nothing else."""
    first, *others = (make_config(name, {"data.degrade": "gray"}) for name in ("pix2pix", "inpainting", "colorization"))
    for other in others:
        assert all(getattr(first, part) == getattr(other, part) for part in ("game", "generator", "discriminator"))
        assert (first.training, first.data.holdout) == (other.training, other.data.holdout)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("wgan", {"discriminator_turns": 5, "clip": 0.01, "optimizer": "rmsprop", "lr": 5e-5, "batch": 64}),
        (
            "wgan-gp",
            {"discriminator_turns": 5, "lr": 1e-4, "betas": (0, 0.9), "norm": "layer", "batch": 64, "weight": 10},
        ),
        ("wgan-gp-28", {"lr": 2e-4, "batch": 128, "epochs": 100, "weight": 10, "one_pass": True}),
        ("lsgan", {"loss": "least-squares", "discriminator_factor": 1.0, "loss_options": {}}),
        ("sngan", {"loss": "hinge", "spectral": True, "lr": 2e-4, "betas": (0.5, 0.999), "discriminator_turns": 1}),
        ("relativistic", {"loss": "relativistic-average", "size": 128, "batch": 32, "lr": 2e-4, "betas": (0.5, 0.999)}),
        ("infogan", {"size": 62, "distribution": "uniform", "categorical": [10], "continuous": 2, "information": 1}),
        (
            "pacgan",
            {"pack": 4, "batch": 400, "updates": "simultaneous", "lr": 1e-4, "betas": (0.8, 0.999), "pieces": 5},
        ),
        ("gan-mlp-minibatch", {"minibatch": "discrimination", "dropout": 0.0}),
        ("gan-mlp-replay", {"share": 0.5}),
        ("r3gan-cifar-10", {"gamma": 0.05, "p": 0.55, "batch": 512, "ema": 5_000_000, "beta2_to": 0.99, "lr": 2e-4}),
        ("r3gan-ffhq-64", {"gamma": 2.0, "p": 0.3, "batch": 256, "ema": 500_000, "width": 768, "decay_to": 0.25}),
        ("r3gan-ffhq-256", {"gamma": 150.0, "p": 0.3, "batch": 256, "ema": 500_000, "betas": (0, 0.9)}),
        ("r3gan-imagenet-32", {"gamma": 0.5, "p": 0.5, "batch": 4096, "group": 32, "decay_until": 0.2}),
        ("r3gan-imagenet-64", {"gamma": 1.0, "p": 0.4, "batch": 4096, "widths": [1536] * 5, "fade": "cosine"}),
    ],
)
def test_recipes_hold_what_is_published(name: str, facts: dict[str, Any]) -> None:
    """By last key: the game's and the discriminator's settings, latents and training."""
    config = make_config(name)
    held: dict[str, Any] = {}
    remedies = config.game.remedies
    sections = (config.game, remedies, remedies.replay, config.discriminator, config.training, config.latent)
    sections += (config.augment,)
    for section in (*sections, *config.game.penalties.values()):
        held |= {key: getattr(section, key) for key in type(section).model_fields}
    held |= config.discriminator.options
    assert {key: held[key] for key in facts} == facts


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("training.bach", 32, "did you mean 'training.batch'"),
        ("trainning.batch", 32, "did you mean 'training'"),
        ("generator.learning_rate", 1, "known: |did you mean"),
        ("data.chanels", 3, "did you mean 'data.channels'"),
        ("batch", 32, r"Unknown setting --batch.*training\.batch"),
        ("training.batch.size", 32, "'batch' is a value, not a section|training.batch"),
        ("training.batch", 0, "training.batch.*greater than or equal to 1"),
        ("training.batch", "many", "training.batch.*integer"),
        ("training.images", "20q", r"training\.images.*20k or 1\.5M"),
        ("training.images", "0.5", "training.images.*no whole number"),
        ("training.images", -5, "training.images.*greater than 0"),
        ("training.epochs", float("inf"), "training.epochs.*finite"),
        ("training.minutes", float("nan"), "training.minutes"),
        ("training.seed", -1, "training.seed"),
        ("training.micro_batch", 48, "micro_batch 48 does not divide batch 64"),
        ("training.report_every", 0, "report_every cannot be 0"),
        ("training.precision", "fp16", "training.precision.*'auto', 'bf16' or 'float32'"),
        ("generator.lr", 0, "generator.lr.*greater than 0"),
        ("generator.lr", float("inf"), "generator.lr.*finite"),
        ("generator.betas", [0.5, 1.0], r"generator.*betas must lie in \[0, 1\)"),
        ("data.fit", "squeeze", "data.fit.*'crop', 'pad' or 'stretch'"),
        ("data.channels", 5, "data.channels.*less than or equal to 4"),
        ("data.max_rejected", 1.5, "data.max_rejected"),
        ("game.updates", "both", "game.updates.*'alternating' or 'simultaneous'"),
        ("game.penalties.r1.gama", 1, "game.penalties.r1.gama"),
        ("game.penalties.r1.gamma", -1, "game.penalties.r1.gamma.*greater than 0"),
        ("latent.size", 0, "latent.size"),
    ],
)
def test_what_is_wrong_is_named(key: str, value: Any, words: str) -> None:
    with pytest.raises(UsageError, match=f"(?s){words}"):
        make_config("quick", {key: value})


@pytest.mark.parametrize("ends", [("images", "minutes"), ("minutes", "epochs"), ("images", "minutes", "epochs")])
def test_there_is_one_end(ends: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=f"{ends[0]} and .*give one of --images, --minutes, --epochs"):
        make_config("quick", {f"training.{end}": 3 for end in ends})


@pytest.mark.parametrize("end", ["images", "minutes", "epochs"])
def test_an_end_takes_the_place_of_the_recipe_s(end: str) -> None:
    training = make_config("quick", {f"training.{end}": 7}).training
    assert {key: getattr(training, key) for key in ("images", "minutes", "epochs")} == {
        key: 7 if key == end else None for key in ("images", "minutes", "epochs")
    }


def test_no_end_at_all(tmp_path: Path) -> None:
    text = make_config("quick").to_toml().replace("minutes = 3.0\n", "")
    (tmp_path / "endless.toml").write_text(text)
    with pytest.raises(UsageError, match="nothing says when the run ends"):
        make_config(tmp_path / "endless.toml")


def test_dashes_and_underscores_are_alike(tmp_path: Path) -> None:
    one, other = (make_config("quick", {f"training.micro{dash}batch": 16}) for dash in "-_")
    assert one == other
    assert one.training.micro_batch == 16
    text = one.to_toml()
    assert "micro_batch" in text
    (tmp_path / "dashes.toml").write_text(text.replace("micro_batch", "micro-batch"))
    assert make_config(tmp_path / "dashes.toml") == one


@given(st.integers(0, 10**15), st.sampled_from([("", 0), ("k", 3), ("K", 3), ("m", 6), ("M", 6)]))
def test_counts(number: int, unit: tuple[str, int]) -> None:
    """Any whole number, written out with any unit, is that number: 1001 as 1.001k too."""
    letter, zeros = unit
    written = f"{Decimal(number).scaleb(-zeros):f}"
    assert parse_count(written + letter) == number
    assert parse_count(f" {number:,} ") == parse_count(f"{number:_}") == parse_count(str(number)) == number


@given(st.text(max_size=12) | st.from_regex(r"[0-9]{1,400}[kM]?", fullmatch=True))
def test_counts_never_break(text: str) -> None:
    """Whatever is written, there is a count of 1 or more, or an error in words."""
    try:
        training = TrainingConfig(images=text)
    except ValidationError:
        return
    assert training.images is not None
    assert training.images > 0


@pytest.mark.parametrize(
    ("given_size", "kept"), [(64, "64x64"), ("64", "64x64"), ("64x96", "64x96"), ("64×96", "64x96")]
)
def test_sizes_are_kept_in_one_form(given_size: Any, kept: str) -> None:
    assert make_config("quick", {"data.size": given_size}).data.size == kept
    assert make_config("quick").data.size == "auto"


def test_another_network_drops_the_options_of_the_old_one() -> None:
    config = make_config("gan-mlp", {"generator.network": "quick-generator"})
    assert config.generator.options == {}
    assert config.discriminator.options == {"hidden": [100], "dropout": 0.5}


def test_differences_are_those_that_matter() -> None:
    saved = make_config("quick", {"training.images": 100, "training.precision": "bf16"})
    again = make_config("quick", {"training.epochs": 5, "training.report_every": 64})
    assert differences(saved, again) == []  # when it ends and reports may change; `auto` asks for nothing
    changed = make_config("quick", {"training.images": 100, "training.batch": 32, "game.penalties.r1.every": 4})
    assert differences(saved, changed) == [
        "game.penalties.r1.every: the run has 8, the command says 4",
        "training.batch: the run has 64, the command says 32",
    ]
    other = make_config("gan-mlp", {"training.images": 100})
    assert any(line.startswith("game.penalties.r1.gamma: the run has 0.5") for line in differences(saved, other))


def test_recipes_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'quick'"):
        read_recipe("quik")
    with pytest.raises(UsageError, match="no recipe file"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[training\n")
    with pytest.raises(UsageError, match="no valid TOML"):
        read_recipe(tmp_path / "bad.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="no valid TOML"):
        read_recipe(tmp_path / "bytes.toml")
    (tmp_path / "short.toml").write_text("[training]\nimages = 5\n")
    with pytest.raises(UsageError, match="'generator' is missing"):
        make_config(tmp_path / "short.toml")
    with pytest.raises(UsageError, match="needs the player 'discriminator'"):
        make_config(tmp_path / "short.toml", {"generator.network": "quick-generator"})
    (tmp_path / "flat.toml").write_text("training = 5\n")
    with pytest.raises(UsageError, match="training"):
        make_config(tmp_path / "flat.toml", {"training.images": 5})


def test_every_key_is_described() -> None:
    rows = {key: text for key, _, text in describe_keys()}
    assert rows.keys() == {key for key in known_keys() if not key.startswith("recipe.")}
    assert all(rows.values())
