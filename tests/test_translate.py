"""Using a translator: arrays and files of any size, channels and depth, names, noise, and what is not to be trusted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import zerosum
from conftest import rewrite
from translators import Local, model_of, side, translator
from zerosum.cli import main
from zerosum.errors import DataError, RunError, UsageError
from zerosum.model import load
from zerosum.translate import target_names, translate_files
from zerosum.translator import Translator, Values

SMALL = {"depth": 2, "width": 2}


def photo(height: int, width: int, channels: int = 3, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Noise over the whole range of a dtype, (H, W, C)."""
    random = np.random.default_rng(seed)
    if dtype == "float32":
        return random.random((height, width, channels), dtype=np.float32)
    return random.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype=dtype, endpoint=True)


def write(path: Path, array: np.ndarray, **options: Any) -> Path:
    """A picture file of (H, W, C)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(path, **options)
    return path


def read(path: Path) -> np.ndarray:
    """A picture file as an array."""
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a colour model."""
    model_of(**SMALL).save(tmp_path / "run" / "model")
    (tmp_path / "run" / "config.toml").write_text("")
    return tmp_path / "run"


# ---------------------------------------------------------------- arrays


@pytest.mark.parametrize("size", [(1, 1), (17, 333), (1, 40), (64, 3)])
@pytest.mark.parametrize("name", ["unet-generator", "resnet-generator", "srgan-generator"])
def test_any_size_is_translated(name: str, size: tuple[int, int]) -> None:
    given_side = side([3, 8, 8]) if name == "srgan-generator" else side([3, 16, 16])
    options = {"unet-generator": SMALL, "resnet-generator": {"width": 2}, "srgan-generator": {"width": 2, "blocks": 1}}
    model = model_of(name, given_side, **options[name])
    scale = 2 if name == "srgan-generator" else 1
    picture = photo(*size)
    result = model.translate(picture)
    assert result.shape == (size[0] * scale, size[1] * scale, 3)
    assert result.dtype == np.uint8
    images = torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float() / 127.5 - 1
    made = model.translated(images)[0].permute(1, 2, 0).numpy()
    assert np.abs((made + 1) * 127.5 - result).max() < 0.51


def test_pieces_are_as_the_whole_batch() -> None:
    model = model_of(**SMALL)
    images = torch.rand(150, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(model.translated(images), model.networks["generator"](images))
    assert model.translated(images[:0]).shape == (0, 3, 16, 16)


RANGES = [  # given side, wanted side, the array's dtype, its highest value -> how the result is meant
    (("uint8", 255), ("uint8", 255), "uint8", 255, ("uint8", 255)),
    (("uint8", 255), ("uint8", 255), "uint16", 65535, ("uint16", 65535)),
    (("uint16", 65535), ("uint16", 65535), "uint8", 255, ("uint8", 255)),
    (("uint16", 4095), ("uint16", 4095), "uint16", 4095, ("uint16", 4095)),
    (("uint16", 4095), ("uint16", 4095), "uint16", 5000, ("uint16", 65535)),
    (("uint16", 4095), ("uint16", 65535), "uint16", 4095, ("uint16", 65535)),
    (("uint16", 4095), ("uint8", 255), "uint16", 4095, ("uint8", 255)),
    (("uint16", 4095), ("uint8", 255), "uint8", 255, ("uint8", 255)),
    (("uint8", 255), ("uint16", 1023), "uint8", 255, ("uint16", 1023)),
    (("uint8", 255), ("float32", 1), "uint8", 255, ("float32", 1)),
    (("float32", 1), ("float32", 1), "uint8", 255, ("uint8", 255)),
    (("float32", 3), ("float32", 2), "float32", 2.5, ("float32", 2)),
    (("uint8", 255), ("uint8", 255), "float32", 1, ("float32", 1)),
]


@pytest.mark.parametrize(("before", "after", "dtype", "highest", "expected"), RANGES)
def test_depths(before: Any, after: Any, dtype: str, highest: float, expected: Any) -> None:
    """A picture of the training's own range is read as in training, another by its full range; the result likewise."""
    model = model_of(given=side([1, 16, 16], *before), wanted=side([1, 16, 16], *after), **SMALL)
    picture = np.linspace(0, highest, 12 * 9).reshape(12, 9, 1).astype(dtype)
    read_as, made = model.values(picture)
    assert made == Values(expected[0], 0, expected[1])
    result = model.translate(picture)
    assert result.dtype == expected[0]
    top = before[1] if dtype == before[0] and highest <= before[1] else {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    assert read_as.high == top
    images = torch.from_numpy(picture.astype(np.float32))[None].permute(0, 3, 1, 2) / top * 2 - 1
    light = (model.translated(images)[0].permute(1, 2, 0).numpy() + 1) / 2 * expected[1]
    assert np.abs(light - result).max() <= (0.51 if expected[0] != "float32" else 1e-5)


def test_directions() -> None:
    model = model_of(given=side([1, 16, 16]), wanted=side([3, 16, 16]), game="unpaired", **SMALL)
    assert model.directions == ("a-to-b", "b-to-a")
    assert model.translate(photo(9, 9, 1)).shape == (9, 9, 3)
    assert np.array_equal(model.translate(photo(9, 9, 1)), model.translate(photo(9, 9, 1), "a_to_b"))
    assert model.translate(photo(9, 9, 3), "b-to-a").shape == (9, 9, 1)
    assert model_of(**SMALL).directions == ()
    with pytest.raises(UsageError, match="'c-to-d': a-to-b or b-to-a"):
        model.translate(photo(9, 9, 1), "c-to-d")
    with pytest.raises(UsageError, match="one way only"):
        model_of(**SMALL).translate(photo(9, 9), "a-to-b")


def test_noise_is_dropouts_and_seeded() -> None:
    model = model_of(depth=3, width=4)
    picture = photo(24, 24)
    still = model.translate(picture)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    drawn = [model.translate(picture, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], still)
    assert np.array_equal(model.translate(picture), still), "no layer is left in training"
    with pytest.raises(UsageError, match="no dropout"):
        model_of(dropout=0.0, **SMALL).translate(picture, seed=1)
    with pytest.raises(UsageError, match="seed must be"):
        model.translate(picture, seed=-1)


@pytest.mark.parametrize(
    "array",
    [
        photo(4, 4, 1),
        photo(4, 4)[..., 0],
        photo(4, 4)[None],
        photo(4, 4).astype(np.float64),
        photo(0, 4),
        photo(4, 4, dtype="float32") + 0.5,
        photo(4, 4, dtype="float32") * np.float32("nan"),
    ],
    ids=["grey", "flat", "batch", "double", "empty", "too bright", "nan"],
)
def test_arrays_that_are_no_picture(array: np.ndarray) -> None:
    with pytest.raises(UsageError):
        model_of(**SMALL).translate(array)


def test_views_and_read_only_arrays() -> None:
    model, picture = model_of(**SMALL), photo(9, 8)
    expected = model.translate(picture)
    backwards = picture[::-1].copy()[::-1]
    backwards.setflags(write=False)
    assert np.array_equal(model.translate(backwards), expected)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".jpg", ".jpeg", ".webp", ".bmp", ".tif"])
def test_formats_are_kept(suffix: str, tmp_path: Path) -> None:
    model, path = model_of(**SMALL), write(tmp_path / f"in/photo{suffix}", np.full((17, 33, 3), 90, dtype=np.uint8))
    assert translate_files(model, tmp_path / "in", tmp_path / "out").done == 1
    with Image.open(tmp_path / f"out/photo{suffix}") as result, Image.open(path) as before:
        assert result.format == before.format
        expected = model.translate(np.asarray(before))
        if before.format == "JPEG":
            expected = read(write(tmp_path / "expected.jpg", expected, quality=95))
        assert np.array_equal(np.asarray(result), expected)


def test_channels_and_depths_of_files(tmp_path: Path) -> None:
    """Grey, colour, alpha, turned by EXIF, 16 bits: each as the model takes it, and back as deep as it came."""
    grey, colour, deep = photo(12, 9, 1), photo(12, 9), photo(12, 9, 1, "uint16")
    folder = tmp_path / "in"
    write(folder / "grey.png", grey)
    write(folder / "colour.png", colour)
    write(folder / "deep.png", deep)
    write(folder / "deep.tif", deep)
    write(folder / "deep.jpg.png", deep)
    write(folder / "clear.png", np.concatenate([colour, np.zeros((12, 9, 1), np.uint8)], -1))
    exif = Image.Exif()
    exif[0x0112] = 6
    write(folder / "turned.png", colour, exif=exif)
    in_colour, in_grey = model_of(**SMALL), model_of(given=side([1, 16, 16]), wanted=side([1, 16, 16]), **SMALL)
    for model, out in ((in_colour, tmp_path / "colour"), (in_grey, tmp_path / "grey")):
        assert not translate_files(model, folder, out).failed
    results = {path.name: read(path) for path in (tmp_path / "colour").iterdir()}
    assert np.array_equal(results["grey.png"], in_colour.translate(grey.repeat(3, -1)))
    assert np.array_equal(results["turned.png"], in_colour.translate(np.rot90(colour, -1)))
    assert np.array_equal(results["clear.png"], in_colour.translate(np.full((12, 9, 3), 255, np.uint8)))
    expected = in_colour.translate(deep.repeat(3, -1)).astype(float) * 255 / 65535
    assert results["deep.png"].dtype == np.uint8, "16-bit colour cannot be written"
    assert np.array_equal(results["deep.png"], np.rint(expected))
    results = {path.name: read(path) for path in (tmp_path / "grey").iterdir()}
    luma = np.asarray(Image.fromarray(colour).convert("L"))[..., None]
    assert np.array_equal(results["colour.png"], in_grey.translate(luma)[..., 0])
    for name in ("deep.png", "deep.tif"):
        assert results[name].dtype == np.uint16
        assert np.array_equal(results[name], in_grey.translate(deep)[..., 0])


def test_a_deep_picture_into_a_shallow_format(tmp_path: Path) -> None:
    """A 16-bit PNG under a name that says BMP: 8 bits, of the same light."""
    deep = photo(12, 9, 1, "uint16")
    write(tmp_path / "in/deep.bmp", deep, format="PNG")
    model = model_of(given=side([1, 16, 16]), wanted=side([1, 16, 16]), **SMALL)
    assert translate_files(model, tmp_path / "in/deep.bmp", tmp_path / "out").done == 1
    result = read(tmp_path / "out/deep.bmp")
    assert result.dtype == np.uint8
    assert np.abs(result - model.translate(deep)[..., 0].astype(float) / 257).max() <= 0.51


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif"])
@pytest.mark.parametrize("channels", [2, 4])
def test_results_with_alpha(channels: int, suffix: str, tmp_path: Path) -> None:
    model = model_of(wanted=side([channels, 16, 16]), **SMALL)
    write(tmp_path / f"in/a{suffix}", photo(12, 9))
    assert not translate_files(model, tmp_path / "in", tmp_path / "out").failed
    with Image.open(tmp_path / f"out/a{suffix}") as result:
        assert ("A" in result.mode) == (suffix not in (".jpg", ".bmp"))


def test_one_bad_file_among_many(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for number in range(9):
        write(folder / f"deeper/{number}.png", photo(6, 5, seed=number))
    (folder / "bad.png").write_bytes((folder / "deeper/0.png").read_bytes()[:60])
    (folder / "empty.jpg").write_bytes(b"")
    for name in ("notes.txt", "more.TXT", "phone.heic"):
        (folder / name).write_text("no picture, and no failure")
    write(folder / "wide.webp", photo(1, 16_500), format="PNG")  # more pixels a side than a WebP holds
    words = ["translate", str(run), str(folder), "--out", str(out)]
    assert main(words) == 3
    said = capsys.readouterr()
    assert "9 pictures translated" in said.out
    assert "zerosum: bad.png: " in said.err
    assert "zerosum: empty.jpg: empty file" in said.err
    assert "zerosum: wide.webp: the result cannot be written as WEBP" in said.err
    assert "3 of 12 could not be translated" in said.err
    assert "Passed over, as their names are not those of images: 2 .txt, 1 .heic." in said.out
    assert sorted(path.name for path in (out / "deeper").iterdir()) == [f"{number}.png" for number in range(9)]
    assert [path.name for path in out.iterdir()] == ["deeper"], "nothing of what failed"
    assert np.array_equal(read(out / "deeper/3.png"), load(run).translate(photo(6, 5, seed=3)))  # type: ignore[union-attr]
    for name in ("bad.png", "empty.jpg", "wide.webp"):
        (folder / name).unlink()
    assert main([*words, "--overwrite"]) == 0, "what is passed over is no failure"
    assert "2 .txt, 1 .heic" in capsys.readouterr().out
    (folder / "notes.txt").unlink()
    (folder / "more.TXT").unlink()
    (folder / "phone.heic").unlink()
    assert main([*words, "--overwrite"]) == 0
    assert "Passed over" not in capsys.readouterr().out


def test_what_exists_is_written_over_only_when_asked(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of targets has the names of its sources, and would be the first to be lost."""
    folder, out = tmp_path / "in", tmp_path / "targets"
    for name in ("a.png", "deep/b.png", "c.gif", "d.png"):
        write(folder / name, photo(5, 5))
    kept = [write(out / name, photo(5, 5, seed=9)) for name in ("deep/b.png", "c.png")]
    (out / "d.png").symlink_to("nowhere.png")
    before = [path.read_bytes() for path in kept]
    words = ["translate", str(run), str(folder), "--out", str(out)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "c.png and 2 more of the results exist there already" in said
    assert "--overwrite" in said
    assert [path.read_bytes() for path in kept] == before
    assert not (out / "a.png").exists(), "nothing is begun"
    with pytest.raises(UsageError, match=r"a\.png exists there already\. Give"):
        translate_files(model_of(**SMALL), folder / "a.png", write(tmp_path / "one/a.png", photo(1, 1)).parent)
    assert main([*words, "--overwrite"]) == 0
    assert all(np.array_equal(read(out / name), read(out / "a.png")) for name in ("deep/b.png", "d.png"))


def test_names() -> None:
    names = ["a.gif", "a.png", "b.gif", "b.jfif", "b.gif.png", "c.GIF", "d/a.gif", "e.JPG", "f", "g.tar.gif"]
    assert target_names(names) == {
        "a.gif": "a.gif.png",
        "a.png": "a.png",
        "b.gif": "b.gif.png.png",
        "b.jfif": "b.jfif.png",
        "b.gif.png": "b.gif.png",
        "c.GIF": "c.png",
        "d/a.gif": "d/a.png",
        "e.JPG": "e.JPG",
        "f": "f.png",
        "g.tar.gif": "g.tar.png",
    }


@settings(deadline=None, max_examples=50)
@given(st.sets(st.from_regex(r"\A[ab](\.(png|gif|jfif)){0,3}\Z"), max_size=30))
def test_no_two_results_have_one_name(names: set[str]) -> None:
    targets = target_names(sorted(names))
    assert set(targets) == names
    assert len(set(targets.values())) == len(names)
    assert all(target == name for name, target in targets.items() if name.endswith(".png"))


def test_nothing_is_written_over(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    picture = write(folder / "in/a.png", photo(5, 5))
    before = picture.read_bytes()
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "file").write_text("")
    for source, out in (
        (folder, folder),
        (folder, folder / "out"),
        (folder, tmp_path / "link" / "out"),
        (folder / "in", folder / "in"),
        (folder / "in/a.png", folder / "in"),
        (folder / "in/a.png", tmp_path / "file"),
    ):
        assert main(["translate", str(run), str(source), "--out", str(out)]) == 2
        assert "give a" in capsys.readouterr().err
    assert picture.read_bytes() == before
    assert main(["translate", str(run), str(folder / "in/a.png"), "--out", str(folder)]) == 0, "beside is no harm"
    assert not np.array_equal(read(folder / "a.png"), read(picture))


def test_commands_that_cannot_be(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, out = str(write(tmp_path / "in/a.png", photo(5, 5))), str(tmp_path / "out")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing/notes.txt").write_text("")
    (tmp_path / "file").write_text("")
    for words, code, text in (
        ([str(run), str(tmp_path / "missing"), "--out", out], 3, "no such picture or folder"),
        ([str(run), str(tmp_path / "nothing"), "--out", out], 3, "no PNG, JPEG.*1 .txt"),
        ([str(run), picture, "--out", out, "--direction", "a-to-b"], 2, "one way only"),
        ([str(run), picture, "--out", out, "--seed", "4"], 2, "no dropout"),
        ([str(tmp_path), picture, "--out", out], 5, "is no run folder"),
        ([str(run), str(tmp_path / "in"), "--out", str(tmp_path / "in/below")], 2, "or inside it: give another"),
        ([str(run), str(tmp_path / "in"), "--out", str(tmp_path / "file")], 2, "--out .*file is a file; give a folder"),
        ([str(run), picture, "--out", str(tmp_path / "file/below")], 2, "below: .*file is a file; give a folder"),
        ([str(run), picture, "--out", out, "--device", "gpu"], 2, "device 'gpu' cannot be used.*--device cpu"),
        ([str(run), picture, "--out", out, "--device", "meta"], 2, "device 'meta' cannot be used.*--device cpu"),
    ):
        assert main(["translate", *words]) == code, words
        assert re.search(text, capsys.readouterr().err), words
    assert main(["sample", str(run)]) == 2
    assert "this run translates pictures: zerosum translate" in capsys.readouterr().err
    with pytest.raises(UsageError, match="zerosum translate"):
        load(run).sample(16, seed=7)
    for device in ("cpu", "auto"):
        assert main(["translate", str(run), picture, "--out", f"{out}-{device}", "--device", device]) == 0


def test_a_generator_translates_nothing(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", str(finished_run), str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "zerosum sample" in capsys.readouterr().err


def test_a_disk_that_is_full_stops(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in/a.png", photo(5, 5))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["translate", str(run), str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 5
    assert not list((tmp_path / "out").iterdir())
    assert "give the same command again. What is written by now needs --overwrite then." in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="it takes other names")
def test_a_name_that_cannot_be_written_is_one_file(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out, long = tmp_path / "in", tmp_path / "out", 250 * "n" + ".png"
    for name in ("a.png", long, "taken.png", "z.png", "x.gif"):
        write(folder / "short.png", photo(5, 5), format="GIF" if name == "x.gif" else "PNG").rename(folder / name)
    write(folder / "x.png/y.png", photo(5, 5))  # beside x.gif, whose result takes the name of this folder
    (out / "taken.png").mkdir(parents=True)
    assert main(["translate", str(run), str(folder), "--out", str(out), "--overwrite"]) == 3
    said = capsys.readouterr().err
    assert f"zerosum: {long}: the result cannot be written as {long}: File name too long" in said
    assert "zerosum: taken.png: the result cannot be written as taken.png: Is a directory" in said
    assert "zerosum: x.png/y.png: the result cannot be written as x.png/y.png: " in said
    assert "3 of 6 could not" in said
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "taken.png", "x.png", "z.png"]


LACKING = {  # as PyTorch says it on a CPU and on a GPU, as numpy does, and a mistake, which is nobody's memory
    "cpu": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 12582912 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 12.00 GiB."),
    "apple": RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
    "numpy": MemoryError(),
    "mistake": RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
}


@pytest.mark.parametrize("kind", LACKING)
def test_one_file_that_takes_too_much_memory(kind: str, tmp_path: Path) -> None:
    class Lacking(Local):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            if given.shape[3] == 66:
                raise LACKING[kind]
            return super().forward(given)

    model = translator(Lacking())
    for name, width in (("a", 5), ("big", 66), ("z", 5)):
        write(tmp_path / f"in/{name}.png", photo(5, width))
    if kind == "mistake":
        with pytest.raises(RuntimeError, match="size of tensor"):
            translate_files(model, tmp_path / "in", tmp_path / "out")
        return
    outcome = translate_files(model, tmp_path / "in", tmp_path / "out")
    assert [(item.name, item.reason) for item in outcome.failed] == [("big.png", "needs more memory than there is")]
    assert outcome.done == 2
    with pytest.raises(MemoryError):
        model.translated(torch.zeros(1, 3, 5, 66))


def test_holes_are_filled_and_the_rest_is_kept(tmp_path: Path) -> None:
    model = model_of(given=side([4, 16, 16]), degrade="mask:box", **SMALL)
    colour = photo(20, 30)
    alpha = np.full((20, 30, 1), 255, np.uint8)
    alpha[5:9, 6:20] = 0
    alpha[0, 0], alpha[0, 1] = 127, 128
    write(tmp_path / "in/holes.png", np.concatenate([colour, alpha], -1))
    write(tmp_path / "in/sound.png", colour)
    outcome = translate_files(model, tmp_path / "in", tmp_path / "out")
    assert [(item.name, "transparent" in item.reason) for item in outcome.failed] == [("sound.png", True)]
    result, holes = read(tmp_path / "out/holes.png"), alpha[..., 0] < 128
    assert np.array_equal(result[~holes], colour[~holes])
    assert holes[0, 0]
    assert not holes[0, 1]
    other = colour.copy()
    other[holes] = 77  # what a hole hides has no influence
    assert np.array_equal(model.translate(np.concatenate([other, alpha], -1)), result)
    images = torch.from_numpy(np.where(holes[..., None], 127.5, colour) / 127.5 - 1).permute(2, 0, 1)[None].float()
    mask = torch.from_numpy(holes).float()[None, None] * 2 - 1
    made = model.translated(torch.cat([images, mask], 1))[0].permute(1, 2, 0).numpy()
    assert np.abs((made + 1) * 127.5 - result).max() < 0.51


def test_progress_is_told_with_the_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerosum.translate.PATIENCE", 0.0)
    said: list[tuple[str, int, int]] = []
    monkeypatch.setattr("zerosum.tiles.SIDE", 256)
    write(tmp_path / "in/a.png", photo(230, 500))
    model = translator(Local())
    translate_files(model, tmp_path / "in", tmp_path / "out", progress=lambda *words: said.append(words))
    assert said[-1] == ("translating tiles, 0:00:00 left", 3, 3)
    write(tmp_path / "in/b.png", photo(5, 5))
    translate_files(model, tmp_path / "in", tmp_path / "two", progress=lambda *words: said.append(words))
    assert said[-1] == ("translating pictures, 0:00:00 left", 2, 2)


def test_a_picture_without_a_channel_count_that_files_have() -> None:
    with pytest.raises(UsageError, match="in Python"):
        translate_files(model_of(given=side([6, 16, 16]), **SMALL), Path("in"), Path("out"))
    with pytest.raises(DataError):
        translate_files(model_of(**SMALL), Path("missing"), Path("out"))


MEMORY = """
import resource
import numpy as np, torch
torch.set_num_threads(1)
from translators import Local, model_of, side, translator

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

facts, local = side([3, 256, 256]), translator(Local())
unet = model_of(given=facts, wanted=facts, width=2)
for model in (local, unet):
    model.translate(np.zeros((800, 800, 3), np.uint8))
before = peak()
for model, height, width in ((unet, 1, 60_000), (local, 12_000, 2_000), (local, 600, 40_000)):
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, ::3] = 200
    model.translate(picture)
    del picture
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
def test_memory_does_not_grow_with_the_area() -> None:
    """A row of 60,000 is 256 rows for a U-Net of stride 256: 15 million pixels, which are to be no more than a tile.

    24 million high and narrow, or wide and low, are 288 MB as floats. Allowed: the picture's and the result's 72 MB
    each, the 18 MB of a strip of tiles a few times, tiles, and what the allocator does not give back.
    """
    said = subprocess.run(
        [sys.executable, "-c", MEMORY],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    thin, high, wide = map(float, said.split())
    assert thin < 40
    assert max(high, wide) < 144 + 140, said


# ---------------------------------------------------------------- folders that are not to be trusted


@pytest.mark.parametrize(("game", "degrade"), [("paired", ""), ("paired", "mask:box"), ("unpaired", "")])
def test_a_translator_is_saved_and_loaded_alike(game: str, degrade: str, tmp_path: Path) -> None:
    channels = 4 if degrade else 3
    model = model_of(given=side([channels, 16, 16]), game=game, degrade=degrade, **SMALL)
    model.save(tmp_path / "run" / "model")
    again = zerosum.load(tmp_path / "run")
    assert isinstance(again, Translator)
    assert not again.networks.training
    picture = photo(9, 9, channels)
    assert np.array_equal(again.translate(picture), model.translate(picture))
    assert {key: again.config[key] for key in model.config} == model.config


def plan(about: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = about["networks"]["generator"]
    return fields


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "another game": lambda about: about.update(game="unpaired"),
    "a game that is a list": lambda about: about.update(game=["paired"]),
    "no game": lambda about: about.pop("game"),
    "unknown network": lambda about: plan(about).update(network="os.system"),
    "a discriminator": lambda about: plan(about).update(network="patch-discriminator"),
    "another network": lambda about: plan(about).update(network="resnet-generator", arguments=arguments(about)),
    "a billion blocks": lambda about: plan(about).update(
        network="resnet-generator", arguments=arguments(about) | {"blocks": 10**9}
    ),
    "a huge width": lambda about: plan(about)["arguments"].update(width=10**9),
    "no size at all": lambda about: plan(about)["arguments"].update(width=10**40),
    "other sizes": lambda about: plan(about)["arguments"].update(source=[3, 32, 32], shape=[3, 32, 32]),
    "words for sizes": lambda about: plan(about)["arguments"].update(shape="large"),
    "no arguments": lambda about: plan(about).update(arguments=[1]),
    "a code": lambda about: plan(about).update(code=3),
    "labels": lambda about: plan(about).update(labels="concatenate", classes=3),
    "labels beside": lambda about: plan(about).update(labels="auxiliary", classes=3),
    "keeping nothing": lambda about: plan(about).update(keeps=True),
    "no holes to keep": lambda about: about.update(degrade="mask:box"),
    "no degradation": lambda about: about.pop("degrade"),
    "a degradation that is a number": lambda about: about.update(degrade=4),
    "no networks": lambda about: about.update(networks={}),
    "networks that are no table": lambda about: about.update(networks=[]),
    "a network that is no table": lambda about: about["networks"].update(generator="unet-generator"),
    "no given": lambda about: about.pop("given"),
    "given that is no table": lambda about: about.update(given=[3]),
    "given of another shape": lambda about: about["given"].update(shape=[1, 16, 16]),
    "given without a shape": lambda about: about["given"].update(shape=None),
    "objects for pixels": lambda about: about["given"].update(dtype="object"),
    "a list for pixels": lambda about: about["given"].update(dtype=["uint8"]),
    "no range": lambda about: about["given"].update(low=3, high=3),
    "a range too large": lambda about: about["given"].update(high=10**400),
    "words for a range": lambda about: about["data"].update(low="a"),
    "truth for a shape": lambda about: about["data"].update(shape=[True, 16, 16]),
    "another format": lambda about: about.update(format=1),
}


def arguments(about: dict[str, Any]) -> dict[str, Any]:
    """Those that every translator has."""
    return {key: plan(about)["arguments"][key] for key in ("source", "shape")}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_config_is_refused(name: str, run: Path) -> None:
    rewrite(run / "model", HOSTILE[name])
    with pytest.raises(RunError):
        load(run)


def test_damage_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = run / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert main(["translate", str(run), "in", "--out", "out"]) == 5
    assert "model.safetensors is damaged" in capsys.readouterr().err
