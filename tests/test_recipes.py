"""Every recipe trains on real data for a few images, goes on exactly after a loss, samples, and reports."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import zerosum
from pictures import write_pairs
from zerosum.config_game import KINDS, TRANSLATIONS
from zerosum.data import open_data
from zerosum.data.arrays import find_idx
from zerosum.data.builtin import DEBIAN
from zerosum.games import Generation
from zerosum.making import make_game
from zerosum.run import Run
from zerosum.settings import make_config, read_recipe, recipe_names, validate
from zerosum.translator import Translator

DIGITS = ("digits", 256, {"training.batch": 32})
LARGER = ("digits", 64, {"training.batch": 32, "data.size": "16x20"})
MNIST = ("mnist-5k", 64, {"training.batch": 32})
WIDE = ("digits", 320, {})
CRITICS = ("digits", 320, {"training.batch": 32, "data.size": "16x20"})  # five turns a step
CONNECTED = ("acgan", "adversarial-autoencoder", "autoencoder", "bigan", "cgan", "cgan-projection", "sgan")
CONVOLUTIONS = ("dcgan-28", "denoising-autoencoder", "encoder-generator", "infogan", "style-28", "vae-gan")
PLAIN = ("gan-mlp", "gan-mlp-feature-matching", "gan-mlp-minibatch", "gan-mlp-replay", "quick")
TINY = {"training.batch": 32, "data.size": "16x20", "generator.options.width": 16, "discriminator.options.width": 16}
OF_DIGITS = {"generator.options.classes": 10, "discriminator.options.embedding": 16}
OF_DIGITS |= {f"{player}.options.group": 16 for player in ("generator", "discriminator")}
# What makes each recipe small: the data it was not made for, or fewer images. Everything else is as it is.
SMALL: dict[str, tuple[str, int, dict[str, Any]]] = {
    **dict.fromkeys((*CONNECTED, "style-mlp"), DIGITS),
    **dict.fromkeys((*CONVOLUTIONS, "wgan-gp-28"), MNIST),
    **dict.fromkeys(PLAIN, WIDE),
    **dict.fromkeys(("dcgan-64", "lsgan", "relativistic", "sngan"), LARGER),
    **dict.fromkeys(("wgan", "wgan-gp"), CRITICS),
    "dcgan-dense": ("digits", 192, {}),
    **dict.fromkeys(("r3gan-ffhq-64", "r3gan-ffhq-256"), ("digits", 64, TINY)),
    **dict.fromkeys(("r3gan-cifar-10", "r3gan-imagenet-32"), ("digits", 64, TINY | OF_DIGITS)),
    "r3gan-imagenet-64": (
        "digits",
        64,
        {
            "training.batch": 32,
            "data.size": "16x20",
            "generator.options": {"widths": [16, 16, 16], "embedding": 64, "classes": 10},
            "discriminator.options": {"widths": [16, 16, 16], "embedding": 16},
        },
    ),
    **dict.fromkeys(("r3gan", "stylegan2"), LARGER),
    "gan-gaussian": ("gaussian", 400, {}),
    "pacgan": ("grid25", 1600, {}),
    "points": ("ring8", 1024, {}),
    "vae": ("mnist-5k", 64, {"training.batch": 32, "latent.size": 2}),
    "inpainting": ("digits", 48, {"data.size": "24", "generator.options.width": 8}),
    "super-resolution": ("digits", 48, {"data.size": "16", "generator.options": {"blocks": 2, "width": 8}}),
    "pix2pix": ("PAIRS", 48, {"data.target": "FILLED", "generator.options.width": 8}),
    "colorization": ("FILLED", 48, {"generator.options.width": 8}),
    "cyclegan": ("", 48, {"data.a": "PAIRS", "data.b": "FILLED", "data.channels": 3, "generator.options.width": 4}),
}


def found(name: str, folder: Path) -> tuple[str, int, dict[str, Any]]:
    """A recipe's line of SMALL; the names of drawn pictures are folders."""
    source, images, settings = SMALL[name]
    if not {"PAIRS", "FILLED"} & {source, *map(str, settings.values())}:
        return source, images, settings
    folders = dict(zip(("PAIRS", "FILLED"), map(str, write_pairs(folder, 40)), strict=True))
    return folders.get(source, source), images, {key: folders.get(str(item), item) for key, item in settings.items()}


def test_every_recipe_is_tried() -> None:
    assert sorted(SMALL) == recipe_names()


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_recipe_leaves_a_whole_run_folder(name: str, tmp_path: Path) -> None:
    source, images, settings = found(name, tmp_path)
    settings = settings | {"training.threads": 1, "training.report_every": images // 2}
    settings["training.checkpoint_every"] = images // 2

    def train() -> Run:
        return zerosum.train(source or None, recipe=name, out=tmp_path / "run", images=images, settings=settings)

    run = train()
    assert run.images >= images
    for file in ("environment.json", "data.json", "report.html", "model/config.json", "model/README.md"):
        assert (run.path / file).stat().st_size > 100, file
    kept = validate(read_recipe(run.path / "config.toml"))
    assert "auto" not in (kept.training.precision, kept.training.device, kept.training.threads, kept.training.compile)
    suffix = "json" if source and len(open_data(source).shape) == 1 else "png"
    assert len(list((run.path / "samples").glob(f"[0-9]*.{suffix}"))) == 3
    assert (run.path / "samples" / f"real.{suffix}").exists()
    assert {"losses.png", "progress.webp"} <= {file.name for file in (run.path / "figures").iterdir()}
    judge_records(name, run)
    if isinstance(run.model, Translator):
        judge_translator(run.model)
    else:
        made, real = run.model.sample(3), np.asarray(open_data(source).values)
        assert made.dtype == real.dtype
        assert made.shape[1:] == ((16, 20, 1) if settings.get("data.size") else real.shape[1:])

    files = ("model/model.safetensors", "model/config.json")
    before = [(run.path / file).read_bytes() for file in files]
    newest = max((run.path / "checkpoints").iterdir())
    state = (newest / "state.safetensors").read_bytes()
    shutil.rmtree(newest)  # as if the second half had never been
    shutil.rmtree(run.path / "model")
    assert train().images == run.images
    assert (newest / "state.safetensors").read_bytes() == state
    assert [(run.path / file).read_bytes() for file in files] == before


def judge_translator(model: Translator) -> None:
    """What was given becomes what was wanted: in size, channels and depth."""
    given, wanted = model.config["given"], model.config["data"]
    channels, height, width = given["shape"]
    array = np.random.default_rng(0).integers(0, 256, (height, width, channels)).astype(given["dtype"])
    made = model.translate(array)
    assert made.dtype == wanted["dtype"]
    assert made.shape == (*wanted["shape"][1:], wanted["shape"][0])
    for direction in model.directions:
        assert model.translate(array, direction).shape == made.shape


def judge_records(name: str, run: Run) -> None:
    config = make_config(name)
    records = [json.loads(text) for text in (run.path / "records.jsonl").read_text().splitlines()]
    last = records[-1]
    assert len(records) == 2
    assert last["images"] == run.images
    assert set(KINDS[config.game.kind]) <= set(last["gradients"])
    assert all(np.isfinite(value) for kind in ("losses", "parts", "gradients") for value in last[kind].values())
    assert all(0 <= value <= 1 for value in last["outputs"].values())
    if "discriminator" in KINDS[config.game.kind]:
        assert {"D(x)", "D(G(z)) before"} <= set(last["outputs"])
        assert (run.path / "figures" / "outputs.png").exists()
    if config.game.kind == "paired":
        units = ("PSNR", "SSIM", "L1", *(["hole L1"] if name == "inpainting" else []))
        assert set(last["figures"]) == {f"{side}{unit}" for side in ("", "source ") for unit in units}
    if config.game.kind == "unpaired":
        assert set(last["figures"]) == {
            f"{side} there and back {name}" for side in "ab" for name in ("PSNR", "SSIM", "L1")
        }
    if config.game.kind in TRANSLATIONS:
        assert (run.path / "figures" / "translations.png").exists()
    if config.encoder is not None:
        noisy = {"noisy PSNR", "noisy SSIM"} if config.game.reconstruction.corruption != "none" else set()
        assert set(last["figures"]) == {"PSNR", "SSIM"} | noisy
        assert (run.path / "figures" / "reconstructions.png").exists()
    if config.game.labels.any:
        assert list(last["classes"]) == [str(digit) for digit in range(10)]
        assert ("recognised" in last["classes"]["0"]) == (config.game.labels.discriminator == "auxiliary")
        assert (run.path / "figures" / "classes.png").exists()
    if name == "sgan":
        assert set(last["figures"]) == {"test accuracy", "baseline accuracy"}
    assert (run.path / "figures" / "plane.png").exists() == (name == "vae")


def test_recipes_say_what_the_publications_say() -> None:
    """Hand-copied from the issue: the facts a recipe stands for."""
    mlp, dcgan = make_config("gan-mlp"), make_config("dcgan-64")
    assert (mlp.latent.size, mlp.latent.distribution, mlp.game.updates) == (20, "uniform", "simultaneous")
    assert (mlp.training.batch, mlp.training.epochs, mlp.generator.lr) == (64, 100, 1e-3)
    assert (dcgan.latent.size, dcgan.generator.betas, dcgan.training.batch) == (100, (0.5, 0.999), 128)
    assert make_config("dcgan-dense").game.discriminator_factor == 0.5
    gaussian = make_config("gan-gaussian")
    assert (gaussian.discriminator.lr, gaussian.generator.lr, gaussian.game.reduction) == (0.05, 0.005, "sum")
    quick = make_config("quick")
    assert {key: (p.gamma, p.every) for key, p in quick.game.penalties.items()} == {"r1": (0.5, 8), "r2": (0.5, 8)}
    assert (quick.training.ema, quick.training.ema_ramp, quick.generator.decay_to) == (10_000, 0.1, 0.05)


@pytest.mark.skipif(find_idx(DEBIAN / "fashion-mnist") is None, reason="fashion-mnist is not installed")
@pytest.mark.parametrize("name", ["acgan", "bigan", "denoising-autoencoder", "sgan", "style-28", "vae", "vae-gan"])
def test_recipes_train_on_clothes(name: str, tmp_path: Path) -> None:
    settings = {"training.threads": 1, "training.batch": 32, "training.report_every": 64}
    run = zerosum.train("fashion-mnist", recipe=name, out=tmp_path / "run", images=64, settings=settings)
    assert run.model.sample(2).shape == (2, 28, 28, 1)
    if make_config(name).game.labels.any:
        assert run.model.classes[9] == "Ankle boot"
        assert np.array_equal(run.model.sample(2, label="Ankle boot"), run.model.sample(2, label=9))


@pytest.mark.parametrize(
    ("name", "shape", "classes", "generator", "discriminator"),
    [
        ("cifar-10", (3, 32, 32), 10, 20_781_952, 21_280_512 + 768),
        ("imagenet-32", (3, 32, 32), 1000, 82_914_304, 86_548_992 + 1536),
        ("imagenet-64", (3, 64, 64), 1000, 103_570_432, 107_205_120 + 1536),
    ],
)
def test_r3gan_is_of_the_published_size(
    name: str, shape: tuple[int, int, int], classes: int, generator: int, discriminator: int
) -> None:
    """As counted in the authors' code; with labels there is one more head, as the recipe says."""
    with torch.device("meta") if classes else nullcontext():
        game = make_game(make_config(f"r3gan-{name}"), shape, classes)
    assert isinstance(game, Generation)
    counts = [sum(value.numel() for value in part.parameters()) for part in (game.generator, game.discriminator)]
    assert counts == [generator, discriminator]
