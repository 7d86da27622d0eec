"""What a command leaves open: chosen once, told with reasons, kept when the run goes on."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import zerosum
from zerosum.choosing import Facts, choose, choose_size, recipe_before
from zerosum.errors import UsageError
from zerosum.training.display import PlainDisplay

DIGITS, LARGE, POINTS = (1, 28, 28), (3, 64, 64), (2,)


def facts(shape: tuple[int, ...] = DIGITS, **given: Any) -> Facts:
    """Of 5,000 unlabelled samples on a CPU, but for what is given."""
    usual: dict[str, Any] = {"count": 5_000, "classes": 0, "device": "cpu", "minutes": None, "ends": False}
    return Facts(**usual | {"shape": shape} | given)


@pytest.mark.parametrize(
    ("found", "recipe", "minutes"),
    [
        (facts(), "quick", 3.0),
        (facts(LARGE), "quick", 20.0),
        (facts(LARGE, minutes=5.0, ends=True), "quick", None),
        (facts(LARGE, device="cuda"), "r3gan", 60.0),
        (facts(LARGE, device="cuda", minutes=5.0, ends=True), "quick", None),
        (facts(POINTS), "points", None),
    ],
)
def test_a_recipe_goes_by_data_device_and_time(found: Facts, recipe: str, minutes: float | None) -> None:
    chosen, settings = choose(found)
    assert (chosen, settings.get("training.minutes")) == (recipe, minutes)


def test_classes_are_told() -> None:
    _, settings = choose(facts(classes=10))
    assert settings["game.labels.generator"] == "concatenate"
    assert settings["game.labels.discriminator"] == "projection"


def test_few_images_are_augmented() -> None:
    assert choose(facts(count=400))[1]["augment.kind"] == "diffaugment"
    assert "augment.kind" not in choose(facts(count=5_000))[1]
    assert choose(facts(count=400, device="cuda"))[0] == "r3gan"  # which augments by itself


def test_more_time_is_for_larger_networks() -> None:
    cpu = [choose_size("r3gan-generator", facts(minutes=minutes)) for minutes in (5.0, 120.0)]
    gpu = [choose_size("r3gan-generator", facts(device="cuda", minutes=minutes)) for minutes in (60.0, 2_000.0)]
    assert (cpu, gpu) == (["xs", "s"], ["s", "m"])


@pytest.mark.parametrize(
    ("settings", "recipe"),
    [
        ({}, "quick"),
        ({"data.a": "x", "data.b": "y"}, "cyclegan"),
        ({"data.target": "x"}, "pix2pix"),
        ({"data.side_by_side": "left-to-right"}, "pix2pix"),
        ({"data.degrade": "downsample:4"}, "super-resolution"),
        ({"data.degrade": "mask:box"}, "inpainting"),
        ({"data.degrade": "gray"}, "colorization"),
        ({"data.degrade": "blur:2"}, "pix2pix"),
    ],
)
def test_pictures_of_pictures_are_seen_by_the_settings(settings: dict[str, str], recipe: str) -> None:
    assert recipe_before(settings) == recipe


def train(out: Path, capsys: pytest.CaptureFixture[str], source: str | None = "digits", **given: Any) -> str:
    """Train, and what was said meanwhile."""
    capsys.readouterr()
    zerosum.train(source, out=out, display=PlainDisplay(Console(width=200)), **given)
    return capsys.readouterr().out


def config_of(run: Path) -> dict[str, Any]:
    return tomllib.loads((run / "config.toml").read_text())


def test_choices_are_told_in_five_lines_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Written into config.toml; the same command, with a later end, goes on with them, and decodes nothing anew."""
    run = tmp_path / "run"
    said = train(run, capsys, images=128)
    config = config_of(run)
    reasons = config["recipe"]["reasons"]
    assert [line.split(":")[0] for line in reasons] == ["network", "size", "batch", "augmentation", "schedule"]
    assert "\n".join(reasons) in said
    assert (config["recipe"]["name"], config["generator"]["network"]) == ("quick", "quick-generator")
    again = train(run, capsys, images=256)
    assert "Going on from image 128" in again
    assert "network:" not in again
    assert config_of(run)["recipe"] == config["recipe"]


def test_the_default_folder_says_that_the_recipe_was_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    zerosum.train("digits", images=64, display=PlainDisplay(Console(width=200)))
    assert (tmp_path / "runs/digits-auto/config.toml").exists()


def test_points_and_named_networks_are_not_chosen_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "points", capsys, "ring8", images=256)
    assert config_of(tmp_path / "points")["recipe"]["name"] == "points"
    named = {"generator.network": "dcgan-generator"}
    assert "network:" not in train(tmp_path / "named", capsys, images=64, settings=named)
    assert config_of(tmp_path / "named")["generator"]["network"] == "dcgan-generator"


def test_a_size_goes_before_the_recipe_and_after_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command goes on with what was chosen; another size is another run."""
    run, settings = tmp_path / "run", {"training.batch": 16}
    train(run, capsys, recipe="r3gan", images=32, settings=settings)
    config = config_of(run)
    assert (config["training"]["size"], config["training"]["batch"]) == ("xs", 16)
    assert config["generator"]["options"]["widths"]
    assert "Going on from image 32" in train(run, capsys, recipe="r3gan", images=48, settings=settings)
    with pytest.raises(UsageError, match="the run has 'xs', the command says 's'"):
        train(run, capsys, recipe="r3gan", images=64, settings=settings | {"training.size": "s"})


def test_an_open_command_goes_on_with_whatever_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    train(run, capsys, recipe="gan-mlp", images=64)
    assert "Going on from image 64" in train(run, capsys, None, images=128)
    assert config_of(run)["generator"]["network"] == "mlp-generator"


def test_a_recipe_of_one_size_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="has one size"):
        train(tmp_path / "run", capsys, recipe="dcgan-28", images=64, settings={"training.size": "s"})
    assert not (tmp_path / "run").exists()
