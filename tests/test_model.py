"""The released model: samples by number, pixels as they were stored, and folders that are not to be trusted."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

import zerosum
from conftest import rewrite
from zerosum.data import to_pixels
from zerosum.errors import RunError, UsageError
from zerosum.files import save_tensors
from zerosum.model import Model, load
from zerosum.networks import build
from zerosum.sampler import picture
from zerosum.training.samples import save_samples


def test_sample_i_is_the_same_whatever_the_count(finished_run: Path) -> None:
    model = zerosum.load(finished_run)
    many = model.sample(150, seed=7)
    assert many.shape == (150, 8, 8, 1)
    assert many.dtype == np.uint8
    for count in (1, 2, 63, 64, 65, 149):
        assert np.array_equal(model.sample(count, seed=7), many[:count])
    assert not np.array_equal(model.sample(150, seed=8), many)
    assert len({row.tobytes() for row in many}) == 150
    assert np.array_equal(zerosum.load(finished_run / "model").sample(150, seed=7), many)
    assert model.sample(0).shape == (0, 8, 8, 1)
    assert torch.equal(model.latents(5, seed=7, first=100), model.latents(105, seed=7)[100:])


def test_sampling_changes_nothing(finished_run: Path) -> None:
    model = zerosum.load(finished_run)
    before = {name: value.clone() for name, value in model.generator.state_dict().items()}
    model.sample(70)
    assert all(torch.equal(value, before[name]) for name, value in model.generator.state_dict().items())


def test_pictures_hold_what_arrays_hold(finished_run: Path) -> None:
    """Digits go from 0 to 16: 255 / 16 a step in a picture."""
    model = zerosum.load(finished_run)
    array, pictures = model.sample(5, seed=1), model.sample(5, seed=1, output="pil")
    assert [item.mode for item in pictures] == ["L"] * 5
    for row, item in zip(array, pictures, strict=True):
        np.testing.assert_array_equal(np.asarray(item), np.rint(row[..., 0].astype(float) * 255 / 16))


def test_truncation_scales_latents(finished_run: Path) -> None:
    model = zerosum.load(finished_run)
    torch.testing.assert_close(model.latents(4, truncation=0.5), model.latents(4) / 2)
    assert len({row.tobytes() for row in model.sample(4, truncation=0.0)}) == 1


def test_questions_that_have_no_answer(finished_run: Path) -> None:
    model = zerosum.load(finished_run)
    with pytest.raises(UsageError, match="'array' or 'pil'"):
        model.sample(1, output="jpeg")
    with pytest.raises(UsageError, match="cannot be -1"):
        model.latents(-1)


def test_the_average_is_released_with_its_own_statistics(finished_run: Path) -> None:
    """What is shipped is the checkpoint's average, not the last weights, and BatchNorm's statistics are new."""
    newest = max((finished_run / "checkpoints").iterdir())
    state, model = load_file(newest / "state.safetensors"), load_file(finished_run / "model" / "model.safetensors")
    averaged = [name for name in model if f"ema.{name}" in state]
    assert len(averaged) >= 5
    assert all(torch.equal(model[name], state[f"ema.{name}"]) for name in averaged)
    assert not all(torch.equal(model[name], state[f"game.{name}"]) for name in averaged)
    means = [name for name in model if name.endswith("running_mean")]
    assert means
    assert not any(torch.equal(model[name], state[f"game.{name}"]) for name in means)


# ---------------------------------------------------------------- depths and channels


class Fixed(nn.Module):
    """A generator whose pictures are given."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images = nn.Parameter(images, requires_grad=False)

    def forward(self, z: Tensor) -> Tensor:
        return self.images[: len(z)]


def model_of(values: np.ndarray, low: float, high: float) -> Model:
    """A model that makes the given (N, H, W, C) values of the range `low` to `high`."""
    images = torch.from_numpy((values.astype(np.float32) - low) / (high - low) * 2 - 1).permute(0, 3, 1, 2)
    _, height, width, channels = values.shape
    data = {"shape": [channels, height, width], "dtype": str(values.dtype), "low": low, "high": high}
    return Model({"generator": Fixed(images)}, {"latent": {"size": 2, "distribution": "normal"}, "data": data})


@pytest.mark.parametrize(
    ("dtype", "channels", "high", "mode", "top"),
    [
        ("uint8", 1, 255, "L", 255),
        ("uint8", 2, 255, "LA", 255),
        ("uint8", 3, 255, "RGB", 255),
        ("uint8", 4, 255, "RGBA", 255),
        ("uint16", 1, 65535, "I;16", 65535),
        ("uint16", 1, 4095, "I;16", 65535),
        ("uint16", 3, 65535, "RGB", 255),
        ("float32", 1, 1, "L", 255),
        ("float32", 4, 1, "RGBA", 255),
    ],
)
def test_values_come_back_as_they_were_stored(
    dtype: str, channels: int, high: int, mode: str, top: int, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    values = random.uniform(0, high, (4, 6, 5, channels)).round(0 if dtype != "float32" else 3).astype(dtype)
    values[0, 0, 0], values[0, 0, 1] = 0, high
    model = model_of(values, 0.0, float(high))
    array = model.sample(4)
    assert array.dtype == values.dtype
    np.testing.assert_allclose(array.astype(float), values.astype(float), atol=0 if dtype != "float32" else 1e-6)
    expected = np.rint(values.astype(float) * top / high)
    for row, item in zip(expected, model.sample(4, output="pil"), strict=True):
        assert (item.mode, item.size) == (mode, (5, 6))
        assert np.abs(np.asarray(item).astype(float).reshape(6, 5, channels) - row).max() <= (dtype == "float32")
    save_samples(model, tmp_path / "folder", 4, seed=0, truncation=1.0)
    with Image.open(tmp_path / "folder" / "001.png") as item:  # PNG loses nothing
        assert item.mode == mode
        assert np.abs(np.asarray(item).astype(float).reshape(6, 5, channels) - expected[1]).max() <= (
            dtype == "float32"
        )


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif"])
@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 2), ("uint8", 4), ("uint16", 1)])
def test_every_picture_format_shows_every_kind(dtype: str, channels: int, suffix: str, tmp_path: Path) -> None:
    """Two flat tiles, at a quarter and at three quarters: seen as such, whatever a format must leave out."""
    high = np.iinfo(dtype).max
    values = np.full((2, 16, 16, channels), high, dtype=dtype)
    values[0, ..., 0], values[1, ..., 0] = high // 4, high // 4 * 3
    out = tmp_path / f"sheet.{suffix}"
    save_samples(model_of(values, 0.0, float(high)), out, 2, seed=0, truncation=1.0)
    with Image.open(out) as sheet:
        assert sheet.size == (32, 16)
        seen = np.asarray(sheet).astype(float).reshape(16, 32, -1)[..., 0] / (65535 if sheet.mode == "I;16" else 255)
    assert np.abs(seen[:, :14] - 0.25).max() < 0.06
    assert np.abs(seen[:, 18:] - 0.75).max() < 0.06


def test_values_beyond_the_range_are_clipped() -> None:
    images = torch.tensor([[[[-3.0, -1.0, 0.0, 1.0, 9.0]]]])
    assert to_pixels(images, 0.0, 255.0, np.dtype(np.uint8)).ravel().tolist() == [0, 0, 128, 255, 255]
    item = np.array([[[-5.0], [300.0]]], dtype=np.float32)
    assert np.asarray(picture(item, 0, 255)).ravel().tolist() == [0, 255]


# ---------------------------------------------------------------- folders that are not to be trusted


@pytest.fixture
def folder(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of a sound model folder."""
    return Path(shutil.copytree(finished_run / "model", tmp_path / "model"))


def test_a_rewritten_folder_is_sound_if_it_is(folder: Path) -> None:
    rewrite(folder, lambda about: about.update(note="nothing else"))
    assert load(folder).config["note"] == "nothing else"


def test_damage_is_named(folder: Path) -> None:
    weights = folder / "model.safetensors"
    sound, config = weights.read_bytes(), (folder / "config.json").read_text()
    for bad in (sound[:-1], sound[:-1] + bytes([sound[-1] ^ 1]), b"", sound + b"\0"):
        weights.write_bytes(bad)
        with pytest.raises(RunError, match=r"model\.safetensors is damaged"):
            load(folder)
    weights.write_bytes(sound)
    for text in (config.replace("quick-generator", "quick-generatos"), config[:-20], "[]", "5", '{"check": 1}', ""):
        (folder / "config.json").write_text(text)
        with pytest.raises(RunError, match=r"config\.json"):
            load(folder)
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match=r"config\.json"):
        load(folder)
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(RunError, match=r"config\.json"):
        load(folder)
    (folder / "config.json").write_text(config)
    assert load(folder).shape == (1, 8, 8)
    weights.unlink()
    with pytest.raises(RunError, match=r"config\.json|model\.safetensors"):
        load(folder)


def generator(about: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = about["networks"]["generator"]
    return fields


HOSTILE: dict[str, Callable[[dict[str, Any]], None]] = {
    "unknown network": lambda about: generator(about).update(network="os.system"),
    "a discriminator": lambda about: generator(about).update(network="quick-discriminator"),
    "another network": lambda about: generator(about).update(network="mlp-generator"),
    "another size": lambda about: generator(about)["arguments"].update(shape=[1, 16, 16]),
    "a huge picture": lambda about: generator(about)["arguments"].update(shape=[1, 100_000, 100_000]),
    "a huge latent": lambda about: generator(about)["arguments"].update(latent=10**9),
    "no size at all": lambda about: generator(about)["arguments"].update(latent=10**40),
    "a size below zero": lambda about: generator(about)["arguments"].update(latent=-1),
    "words for sizes": lambda about: generator(about)["arguments"].update(shape="large"),
    "unknown option": lambda about: generator(about)["arguments"].update(width=3),
    "no arguments": lambda about: generator(about).update(arguments=[1, 2]),
    "no generator": lambda about: about.update(networks={}),
    "networks that are no table": lambda about: about.update(networks=[]),
    "a huge code": lambda about: generator(about).update(code=10**9),
    "a huge distribution of codes": lambda about: about.update(codes=10**6),
    "labels of no class": lambda about: generator(about).update(labels="concatenate"),
    "huge classes": lambda about: generator(about).update(labels="normalise", classes=10**9),
    "classes of no label": lambda about: about.update(classes=["a", "b"]),
    "unknown labels": lambda about: generator(about).update(labels="loud", classes=2),
    "huge latents": lambda about: about["latent"].update(size=10**9),
    "other data": lambda about: about["data"].update(shape=[3, 8, 8]),
    "objects for pixels": lambda about: about["data"].update(dtype="object"),
    "no range": lambda about: about["data"].update(low=3, high=3),
    "words for a range": lambda about: about["data"].update(low="a"),
    "no data": lambda about: about.pop("data"),
    "no latent": lambda about: about.pop("latent"),
    "another format": lambda about: about.update(format=1),
    "no format": lambda about: about.pop("format"),
    "another file": lambda about: about["file"].update(bytes=1),
    "no file": lambda about: about.pop("file"),
    "a file that is no table": lambda about: about.update(file="model.safetensors"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_config_is_refused_without_taking_memory(name: str, folder: Path) -> None:
    rewrite(folder, HOSTILE[name])
    with pytest.raises(RunError):
        load(folder)


def test_weights_of_another_kind_are_refused(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    about = {key: value for key, value in config.items() if key not in ("file", "check")}
    sound = load_file(folder / "model.safetensors")
    name = next(iter(sound))
    for number, tensors in enumerate(
        (
            {key: value.double() for key, value in sound.items()},
            {key: value for key, value in sound.items() if key != name},
            sound | {"more": torch.zeros(3)},
            sound | {name: sound[name].flatten()},
        )
    ):
        (tmp_path / str(number)).mkdir()
        save_tensors(tmp_path / str(number), "model", tensors, about)
        with pytest.raises(RunError, match="is not of the kind and size"):
            load(tmp_path / str(number))
    (tmp_path / "text").mkdir()
    save_tensors(tmp_path / "text", "model", sound, about)
    noise = b"\xff" * 100
    (tmp_path / "text" / "model.safetensors").write_bytes(noise)
    size = {"name": "model.safetensors", "bytes": 100, "sha256": hashlib.sha256(noise).hexdigest()}
    rewrite(tmp_path / "text", lambda about: about.update(file=size))
    with pytest.raises(RunError, match="no safetensors file"):
        load(tmp_path / "text")


def test_a_run_without_a_model_yet(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run folder"):
        load(tmp_path)
    (tmp_path / "config.toml").write_text("")
    with pytest.raises(RunError, match="has no model yet"):
        load(tmp_path)


def test_a_model_is_saved_and_loaded_alike(tmp_path: Path) -> None:
    """With a non-square size, points' networks and every channel order the same weights come back."""
    torch.manual_seed(0)
    arguments = {"latent": 5, "shape": [3, 20, 12]}
    model = Model(
        {"generator": build("dcgan-generator", **arguments).to(memory_format=torch.channels_last)},
        {
            "networks": {"generator": {"network": "dcgan-generator", "arguments": arguments}},
            "latent": {"size": 5, "distribution": "uniform"},
            "data": {"shape": [3, 20, 12], "dtype": "uint8", "low": 0, "high": 255},
        },
    )
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert np.array_equal(again.sample(3), model.sample(3))
    assert again.sample(3).shape == (3, 20, 12, 3)
    first = (tmp_path / "model" / "model.safetensors").read_bytes()
    model.save(tmp_path / "model")  # in the place of the other, and in the same bytes
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
