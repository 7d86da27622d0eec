"""The FID's network: its structure against what is published, and how its file of weights comes and is refused.

The real file cannot be had in a test: the network reads one of the same names and shapes, its numbers drawn here.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from zerosum.errors import RunError, UsageError
from zerosum.metrics.extractors import extractor
from zerosum.metrics.extractors.inception import PUBLISHED, SIDE, Inception, network
from zerosum.metrics.extractors.weights import Published, fetched


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A file as the published one is: without counts of batches, with the classes' layer, in the format of its time."""
    path = tmp_path_factory.mktemp("published") / "drawn.pth"
    state = {name: draw(name, shape) for name, shape in shapes().items()}
    state |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Published(path.name, path.as_uri(), digest, path.stat().st_size)


@pytest.fixture(scope="module")
def inception(drawn: Published, tmp_path_factory: pytest.TempPathFactory) -> Inception:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROSUM_CACHE", str(tmp_path_factory.mktemp("cache")))
        return Inception(drawn)


def shapes() -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        state = network().state_dict()
    return {name: tuple(value.shape) for name, value in state.items() if not name.endswith("num_batches_tracked")}


def draw(name: str, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if len(shape) == 4:
        return torch.randn(shape, generator=generator) * (2 / np.prod(shape[1:])) ** 0.5
    if name.endswith(("bn.weight", "running_var")):
        return torch.rand(shape, generator=generator) + 0.5
    return torch.randn(shape, generator=generator) * 0.1


def test_it_is_as_large_as_published() -> None:
    """Keras gives 21,802,784 numbers below the classes, moving averages among them, without scales; torchvision
    21,785,568 (27,161,264 less 2,049,000 of the classes and 3,326,696 of the auxiliary head), with scales alone.
    """
    counts = {name: int(np.prod(shape)) for name, shape in shapes().items()}
    assert sum(count for name, count in counts.items() if not name.endswith("bn.weight")) == 21_802_784
    assert sum(count for name, count in counts.items() if "running" not in name) == 21_785_568
    assert len(counts) == 94 * 5


def test_its_parameters_have_the_names_of_the_file() -> None:
    """Some of each kind of block, from the published list."""
    expected = {
        "Conv2d_4a_3x3.conv.weight": (192, 80, 3, 3),
        "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_5d.branch_pool.bn.running_mean": (64,),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6c.branch7x7_2.conv.weight": (160, 160, 1, 7),
        "Mixed_6e.branch7x7dbl_2.conv.weight": (192, 192, 7, 1),
        "Mixed_6b.branch7x7dbl_5.bn.weight": (192,),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7b.branch3x3_2a.conv.weight": (384, 384, 1, 3),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "Mixed_7c.branch_pool.conv.weight": (192, 2048, 1, 1),
    }
    assert expected.items() <= shapes().items()


def test_features_are_those_of_another_hand(inception: Inception) -> None:
    """torch-fidelity's network gave these means of the last block's branches with these weights and this image.

    An average where it has a maximum, or that counts the padding, is off by a third of a percent or more.
    """
    row, column = torch.meshgrid(torch.arange(299.0), torch.arange(299.0), indexing="ij")
    pixels = torch.stack([(3 * column + 7 * row) % 256, (column * row) % 251, (5 * column - 2 * row) % 256])
    features = inception.features(pixels[None] / 127.5 - 1)
    means = torch.stack([part.mean() for part in features[0].split([320, 768, 768, 192])])
    assert features.shape == (1, inception.width)
    torch.testing.assert_close(means, torch.tensor([3.545165, 3.764056, 3.391137, 5.127213]), rtol=1e-4, atol=0)
    torch.testing.assert_close(features.std(), torch.tensor(5.356090), rtol=1e-4, atol=0)


@pytest.mark.parametrize("shape", [(28, 28), (640, 401)], ids=str)
def test_it_resizes_as_clean_fid(shape: tuple[int, int], inception: Inception) -> None:
    """Each channel by Pillow's bicubic filter in float, within [0, 255]; then as the graph scales."""
    seen: list[Tensor] = []
    hook = inception.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    pixels = np.random.default_rng(0).choice([0, 255, 90], size=(*shape, 3)).astype(np.float32)
    inception.features(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1)
    hook.remove()
    channels = [Image.fromarray(pixels[:, :, c]).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for c in range(3)]
    expected = (torch.from_numpy(np.stack(channels)).clamp(0, 255) - 128) / 128
    torch.testing.assert_close(seen[0][0], expected, rtol=0, atol=2e-4)


def test_it_says_what_a_protocol_has_to(inception: Inception, drawn: Published) -> None:
    assert (inception.name, inception.sha256) == ("inception", drawn.sha256)
    assert inception.resize == "bicubic, antialiased, to 299×299"
    assert not any(parameter.requires_grad for parameter in inception.parameters())
    with pytest.raises(UsageError, match="inception makes features of whole images only"):
        inception.maps(torch.zeros(1, 3, 8, 8))


def test_it_is_fetched_once_and_whole(drawn: Published, cache: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = fetched(drawn, lambda *args: told.append(args))
    assert path == cache / drawn.file
    assert hashlib.sha256(path.read_bytes()).hexdigest() == drawn.sha256
    assert told[-1] == (f"downloading {drawn.file}", drawn.size, drawn.size)
    assert fetched(replace(drawn, address="file:///nowhere")) == path
    assert [file.name for file in cache.iterdir()] == [drawn.file]


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"size": 1_000_000}], ids=str)
def test_what_is_not_the_file_is_not_kept(change: dict[str, object], drawn: Published, cache: Path) -> None:
    """Nor is more of it read than there should be."""
    told: list[int] = []
    with pytest.raises(UsageError, match="not the file that is known"):
        fetched(replace(drawn, **change), lambda _, done, __: told.append(done))
    assert told[-1] <= change.get("size", drawn.size) + 1
    assert list(cache.iterdir()) == []


def test_without_a_network_it_says_where_to_put_the_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(UsageError) as caught:
        extractor("inception")
    words = str(caught.value)
    assert "could not be fetched (Network is unreachable)" in words
    for part in (PUBLISHED.address, PUBLISHED.sha256, "95,628,359 bytes", str(cache / PUBLISHED.file)):
        assert part in words
    assert PUBLISHED.sha256.startswith("6726825d")  # as the file's name has it


def test_another_file_in_its_place_is_not_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir(parents=True)
    (cache / PUBLISHED.file).write_bytes(b"another")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(UsageError, match=r"not the weights that are known.*delete it"):
        extractor("inception")


def test_a_cache_that_cannot_be_written(drawn: Published, cache: Path) -> None:
    cache.parent.write_text("in the way")
    with pytest.raises(RunError, match=r"cannot be written.*ZEROSUM_CACHE"):
        fetched(drawn)
