"""Augmentation in games: nothing at p = 0, resumed to the bit, other numbers for each look, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import zerosum
from zerosum.augment import AUGMENTATIONS, Adaptive, Ramp, augmentation
from zerosum.errors import UsageError
from zerosum.games import Draw, Randomness
from zerosum.games.augmenting import Augmenting

PLAIN: dict[str, Any] = {
    "training.threads": 1,
    "training.report_every": 640,
    "generator.schedule": "constant",
    "discriminator.schedule": "constant",
}


def state_of(run: Path) -> Path:
    """The tensors of the newest checkpoint."""
    return sorted(run.glob("checkpoints/[0-9]*"))[-1] / "state.safetensors"


def trained(out: Path, images: int, **settings: Any) -> str:
    """The SHA-256 of the state after so many images, of the run in `out`, which may have begun."""
    flat = {key.replace("__", "."): value for key, value in settings.items()}
    zerosum.train("digits", out=out, images=images, settings=PLAIN | flat)
    return hashlib.sha256(state_of(out).read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_a_run_goes_on_to_the_bit(kind: str, tmp_path: Path) -> None:
    """With the controller of p in the checkpoint; and other than without augmentation."""
    settings = {"augment__kind": kind, "augment__p": "adaptive", "augment__images": 2000, "augment__target": -0.5}
    whole = trained(tmp_path / "whole", 1280, **settings)
    trained(tmp_path / "halved", 640, **settings)
    assert trained(tmp_path / "halved", 1280, **settings) == whole
    p = load_file(state_of(tmp_path / "whole"))["game.augmenting.strength.p"]
    assert 0.3 < float(p) < 0.7, "up by 1,280 of 2,000 images, but for the first and the last turns"


def test_nothing_happens_at_p_0(tmp_path: Path) -> None:
    assert trained(tmp_path / "none", 640) == trained(tmp_path / "zero", 640, augment__kind="ada", augment__p=0.0)
    assert trained(tmp_path / "none", 640) != trained(tmp_path / "some", 640, augment__kind="ada", augment__p=0.1)


def test_each_look_has_numbers_of_its_own() -> None:
    """And an image the same ones, whatever the batch; p goes by the share of the run."""
    augmenting = Augmenting(augmentation("diffaugment"), Ramp(0.0, 1.0, 0.5))
    images = torch.rand(8, 1, 12, 12) * 2 - 1
    draw = Draw(Randomness(1), 64, 8, 8, 8, progress=0.5)
    shown = {side: augmenting.shown(images, draw, side) for side in ("real", "fake", "real again")}
    assert not torch.equal(shown["real"], shown["fake"])
    assert not torch.equal(shown["real"], shown["real again"])
    later = Draw(Randomness(1), 68, 4, 4, 17, progress=0.5)
    assert torch.equal(augmenting.shown(images[4:], later, "real"), shown["real"][4:])
    assert torch.equal(augmenting.shown(images, Draw(Randomness(1), 64, 8, 8, 8), "real"), images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augmenting.shown(images, draw, "real"), shown["real"])


def test_the_controller_hears_what_the_discriminator_says() -> None:
    augmenting = Augmenting(augmentation("ada"), Adaptive(images=80, every=2))
    for _ in range(2):
        augmenting.observe(torch.ones(4), -torch.ones(4))
    assert isinstance(augmenting.strength, Adaptive)
    assert float(augmenting.strength.p) == pytest.approx(0.1)
    Augmenting(augmentation("ada"), Ramp(0.0, 1.0, 1.0)).observe(torch.ones(4), torch.ones(4))


@pytest.mark.parametrize(
    ("data", "recipe", "settings", "words"),
    [
        ("ring8", "points", {"augment.kind": "ada"}, "for images, and these data are points"),
        ("digits", "vae", {"augment.kind": "ada"}, "leave it out of the game reconstruction"),
        ("digits", "quick", {"augment.p": 0.3}, "give augment.kind too"),
        ("digits", "quick", {"augment.kind": "ada", "augment.start": 0.1}, "give augment.p"),
        ("digits", "gan-mlp", {"augment.kind": "ada", "training.compile": True}, "augmentation is not compiled"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, data: str, recipe: str, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as error:
        zerosum.train(data, recipe=recipe, out=tmp_path / "run", images=640, settings=settings)
    assert words in str(error.value)
