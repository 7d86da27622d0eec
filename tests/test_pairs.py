"""Sets that belong together: partners by name, halves of one picture, domains; names and what they hold out."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zerosum.data import hold_out_by_name, normalise, open_data, open_domains, open_halves, open_pairs
from zerosum.data.pairs import stem
from zerosum.errors import DataError, RunError, UsageError
from zerosum.material import digest_of
from zerosum.training.sources import Sources


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of each test's own."""
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def save(folder: Path, name: str, pixels: np.ndarray, **options) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def flat(number: int, *shape: int, dtype: type = np.uint8) -> np.ndarray:
    """A picture that is all `number`."""
    return np.full(shape or (8, 8), number, dtype=dtype)


def numbers(store) -> list[int]:
    """The first value of each row: which picture it is."""
    return [int(row.flat[0]) for row in store.take(np.arange(len(store)))]


def fill(folder: Path, files: dict[str, int], *shape: int, dtype: type = np.uint8) -> Path:
    for name, number in files.items():
        save(folder, name, flat(number, *shape, dtype=dtype))
    return folder


def zipped(folder: Path, top: str = "") -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, top + file.relative_to(folder).as_posix())
    return path


# ── names of rows ────────────────────────────────────────────────────────────────────────────────


def test_names_are_kept_with_the_rows_and_their_parts(tmp_path, cache):
    folder = fill(tmp_path / "d", {"b/2.png": 2, "a/1.png": 1, "ä 3.png": 3, "b/4.png": 4})
    (folder / "b/3.png").write_bytes(b"no picture")
    store = open_data(folder, max_rejected=0.5)
    assert store.names == ("a/1.png", "b/2.png", "b/4.png", "ä 3.png")
    part = store.part(np.array([3, 1])).part(np.array([1]))
    assert part.names == ("b/2.png",)
    again = open_data(folder, max_rejected=0.5)
    assert (again.key, again.names) == (store.key, store.names)
    alike = hashlib.sha256(np.ascontiguousarray(store.values).tobytes()).hexdigest()
    assert store.digest == alike  # of the values alone: names play no role
    listed = json.loads((cache / "stores" / store.key / "names.json").read_bytes())
    assert listed == [*store.names]


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
def test_a_name_that_is_no_text_survives(tmp_path):
    folder = fill(tmp_path / "d", {"1.png": 1, "2.png": 2})
    os.rename(folder / "1.png", os.fsencode(folder) + b"/\xff\xfe.png")  # noqa: PTH104 - bytes
    store = open_data(folder)
    assert [os.fsencode(name) for name in store.names] == [b"2.png", b"\xff\xfe.png"]
    name = open_pairs(folder, folder).given.names[1]
    assert os.fsencode(name) == b"\xff\xfe.png"
    shares = [share for share in np.linspace(0.01, 0.99, 50) if _splits(store, share)]
    assert shares  # their hashes differ


def _splits(store, share) -> bool:
    try:
        return len(hold_out_by_name(store, share)[0]) == 1
    except DataError:
        return False


def test_arrays_have_no_names(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 8, 8), np.uint8))
    store = open_data(tmp_path / "a.npy")
    assert store.names is None
    assert store.part(np.array([1])).names is None


@pytest.mark.parametrize("harm", ["short", "gone"])
def test_damaged_names_are_made_again(tmp_path, cache, harm):
    folder = fill(tmp_path / "d", {"1.png": 1, "2.png": 2})
    file = cache / "stores" / open_data(folder).key / "names.json"
    if harm == "short":
        os.truncate(file, 5)
    else:
        file.unlink()
    again = open_data(folder)
    assert again.names == ("1.png", "2.png")
    assert "was damaged" in again.summary["notes"][0]


@pytest.mark.parametrize("text", ["[}", '["a"]'])
def test_names_harmed_after_opening_are_said_to_be(tmp_path, cache, text):
    store = open_data(fill(tmp_path / "d", {"1.png": 1, "2.png": 2}))
    (cache / "stores" / store.key / "names.json").write_text(text)
    with pytest.raises(RunError, match=r"names\.json: damaged.*delete the folder"):
        _ = store.names


# ── partners by name ─────────────────────────────────────────────────────────────────────────────


def test_partners_have_one_name_but_for_the_suffix(tmp_path):
    source = fill(tmp_path / "s", {"a/1.png": 11, "a/2.v2.bmp": 12, "b/1.tif": 21, "only.png": 99, "Z.png": 26})
    target = fill(tmp_path / "t", {"a/1.tif": 11, "a/2.v2.png": 12, "b/1.png": 21, "c/only.png": 98, "Z.gif": 26})
    pairs = open_pairs(source, target)
    assert numbers(pairs.wanted) == numbers(pairs.given) == [26, 11, 12, 21]
    assert pairs.wanted.names == ("Z.gif", "a/1.tif", "a/2.v2.png", "b/1.png")
    assert pairs.given.names == ("Z.png", "a/1.png", "a/2.v2.bmp", "b/1.tif")
    assert pairs.alone == ("source: only.png", "target: c/only.png")
    assert len(pairs) == 4


def test_the_order_is_the_targets_and_a_whole_set_is_not_cut(tmp_path):
    source = fill(tmp_path / "s", {"a.png": 1, "a-b.png": 2, "c.png": 3})  # sorted: a-b.png, a.png
    target = fill(tmp_path / "t", {"a.bmp": 1, "a-b.png": 2})
    os.rename(target / "a.bmp", target / "a")  # noqa: PTH104 - sorts before a-b.png
    pairs = open_pairs(source, target, include="*")
    assert (numbers(pairs.given), numbers(pairs.wanted)) == ([1, 2], [1, 2])
    assert pairs.wanted.picks is None


def test_each_side_has_its_own_depth_and_channels(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("1", "2"):
        save(tmp_path / "s", f"{name}.tif", rng.integers(0, 60_000, (24, 40), dtype=np.uint16))
        save(tmp_path / "t", f"{name}.png", rng.integers(0, 255, (12, 20, 3), dtype=np.uint8))
    pairs = open_pairs(tmp_path / "s", tmp_path / "t")
    assert (pairs.given.shape, pairs.wanted.shape) == ((1, 12, 20), (3, 12, 20))  # the target's size
    assert (str(pairs.given.dtype), str(pairs.wanted.dtype)) == ("uint16", "uint8")
    assert (pairs.given.high, pairs.wanted.high) == (65535, 255)
    images = normalise(pairs.given.gather(np.arange(2)), pairs.given.low, pairs.given.high)
    assert images.dtype == torch.float32
    asked = open_pairs(tmp_path / "s", tmp_path / "t", channels=1, size="8x6")
    assert (asked.given.shape, asked.wanted.shape) == ((1, 8, 6), (1, 8, 6))
    assert open_pairs(tmp_path / "t", tmp_path / "s", channels=1).given.shape == (3, 24, 40)


def test_the_digest_follows_from_both(tmp_path):
    files = {"1.png": 1, "2.png": 2}
    first, other = fill(tmp_path / "a", files), fill(tmp_path / "b", {"1.png": 1, "2.png": 3})

    def digest(sources, targets):
        pairs = open_pairs(sources, targets)
        return digest_of(pairs.wanted, Sources(pairs.given))

    digests = [digest(s, t) for s in (first, other) for t in (first, other)]
    assert len({*digests}) == 4
    assert digests[0] == digest(fill(tmp_path / "copy", files), first)
    assert digests[0] != digest(fill(tmp_path / "turned", {"1.png": 2, "2.png": 1}), first)


def test_files_without_a_partner_change_nothing(tmp_path):
    """Pairs are what they would be of folders that hold nothing else: a run goes on when a lone file comes."""
    rng = np.random.default_rng(0)
    for name in ("a", "b/1", "c"):
        save(tmp_path / "s", f"{name}.png", rng.integers(0, 1000, (8, 8), dtype=np.uint16))
        save(tmp_path / "t", f"{name}.png", rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
    before = open_pairs(tmp_path / "s", tmp_path / "t")
    assert before.given.picks is None
    save(tmp_path / "s", "aa.png", rng.integers(0, 60_000, (8, 8), dtype=np.uint16))  # deeper than the others
    save(tmp_path / "t", "Z.png", rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
    after = open_pairs(tmp_path / "s", tmp_path / "t")
    assert after.alone == ("source: aa.png", "target: Z.png")
    for one, other in ((before.given, after.given), (before.wanted, after.wanted)):
        assert (one.digest, one.low, one.high, one.names) == (other.digest, other.low, other.high, other.names)
    assert after.given.high == 1023  # 60,000 would make it 65,535
    save(tmp_path / "s", "c.png", rng.integers(0, 1000, (8, 8), dtype=np.uint16))
    assert open_pairs(tmp_path / "s", tmp_path / "t").given.digest != before.given.digest


def test_the_digest_of_some_knows_their_labels(tmp_path):
    source = fill(tmp_path / "s", {"a/1.png": 1, "b/2.png": 2})
    target = fill(tmp_path / "t", {"a/1.png": 1, "b/2.png": 2, "b/3.png": 3})
    plain, labelled = (open_pairs(source, target, labels=labels).wanted for labels in (False, True))
    assert plain.digest == open_data(source).digest
    assert labelled.digest == open_data(source, labels=True).digest != plain.digest


@pytest.mark.parametrize(
    ("ours", "theirs", "fit", "is_refused"),
    [
        ((32, 64), (32, 32), "crop", True),
        ((32, 64), (32, 32), "pad", True),
        ((32, 64), (32, 32), "stretch", False),
        ((32, 32), (64, 32), "crop", True),
        ((32, 64), (16, 32), "crop", False),
        ((33, 65), (32, 64), "crop", False),  # 1.5% apart
        ((32, 66), (32, 64), "crop", True),  # 3%
    ],
)
def test_sides_of_unlike_shapes_are_not_cut_apart(tmp_path, ours, theirs, fit, is_refused):
    source, target = (
        fill(tmp_path / side, {"1.png": 1, "2.png": 2}, *shape) for side, shape in (("s", ours), ("t", theirs))
    )
    np.save(tmp_path / "s.npy", np.zeros((2, 3, *ours), np.uint8))  # the channels first
    np.save(tmp_path / "t.npy", np.zeros((2, *theirs), np.uint8))
    for sides in ((source, target), (tmp_path / "s.npy", tmp_path / "t.npy")):
        if is_refused:
            with pytest.raises(DataError, match=rf"\(height x width\).*data\.fit {fit}.*--data\.fit stretch"):
                open_pairs(*sides, fit=fit)
        else:
            assert len(open_pairs(*sides, fit=fit)) == 2


def test_shapes_that_vary_on_both_sides_are_taken(tmp_path):
    source = fill(fill(tmp_path / "s", {"1.png": 1}, 8, 16), {"2.png": 2}, 16, 8)
    target = fill(fill(tmp_path / "t", {"1.png": 1}, 16, 32), {"2.png": 2}, 16, 16)
    assert len(open_pairs(source, target)) == 2
    assert len(open_pairs(target, source)) == 2


def test_a_rejected_picture_leaves_its_partner_alone_and_both_sides_are_listed(tmp_path):
    files = {f"{n}.png": n for n in range(9)}
    source, target = fill(tmp_path / "s", files), fill(tmp_path / "t", files)
    (source / "3.png").write_bytes(b"")
    (target / "5.png").write_bytes(b"junk")
    (target / "6.png").write_bytes(b"")
    (source / "6.png").write_bytes(b"")
    listed = tmp_path / "run/rejected.txt"
    pairs = open_pairs(source, target, max_rejected=0.3, rejects_to=listed)
    assert numbers(pairs.given) == numbers(pairs.wanted) == [0, 1, 2, 4, 7, 8]
    assert pairs.alone == (
        "source: 5.png (its partner 5.png was rejected: not a PNG, JPEG, WebP, BMP, GIF or TIFF image in spite of its "
        "name)",
        "target: 3.png (its partner 3.png was rejected: empty file (0 bytes))",
    )
    names = [line.split("\t")[0] for line in listed.read_text().splitlines()]
    assert names == ["target: 5.png", "target: 6.png", "source: 3.png", "source: 6.png"]
    (source / "1.png").write_bytes(b"")
    listed.unlink()
    with pytest.raises(DataError, match=rf"^{source}: 3 of 9 were rejected.*all are listed in {listed}"):
        open_pairs(source, target, max_rejected=0.3, rejects_to=listed)
    assert len(listed.read_text().splitlines()) == 5
    with pytest.raises(UsageError, match=r"data\.max-rejected"):
        open_pairs(source, target, max_rejected=2)


def test_two_files_for_one_partner(tmp_path):
    source = fill(tmp_path / "s", {"a/1.png": 1, "a/1.bmp": 2, "b/1.png": 3})
    target = fill(tmp_path / "t", {"a/1.png": 1, "b/1.png": 3})
    with pytest.raises(DataError, match=r"source: files that have one name.*\n  a/1\.bmp and a/1\.png\nRename"):
        open_pairs(source, target)
    assert len(open_pairs(source, target, include="*.png")) == 2
    with pytest.raises(DataError, match="target: files"):
        open_pairs(target, source)


def test_no_pair_at_all(tmp_path):
    source = fill(tmp_path / "s", {f"x{n}.png": n for n in range(9)})
    target = fill(tmp_path / "t", {"y1.png": 1})
    with pytest.raises(DataError, match=r"no file.*\n  source: x0\.png, x1\.png.* …\n  target: y1\.png\nPartners"):
        open_pairs(source, target)


@pytest.mark.parametrize("top", ["", "source/"])
def test_an_archives_own_folder_is_no_part_of_its_names(tmp_path, top):
    files = {"cats/1.png": 1, "cats/2.png": 2}
    source = zipped(fill(tmp_path / "s", files), top)
    for target in (fill(tmp_path / "t", files), zipped(fill(tmp_path / "u", files), "target/")):
        pairs = open_pairs(source, target)
        assert numbers(pairs.given) == numbers(pairs.wanted) == [1, 2]
        assert pairs.given.names == (f"{top}cats/1.png", f"{top}cats/2.png")


def test_arrays_are_matched_by_row(tmp_path):
    rows = np.arange(4, dtype=np.uint8)[:, None, None, None] + np.zeros((4, 8, 8, 3), np.uint8)
    np.save(tmp_path / "t.npy", rows)
    np.save(tmp_path / "s.npy", rows[..., 0].astype(np.uint16) * 257)
    np.save(tmp_path / "short.npy", rows[:3])
    np.save(tmp_path / "points.npy", np.zeros((4, 5)))
    pairs = open_pairs(tmp_path / "s.npy", tmp_path / "t.npy")
    assert (pairs.given.shape, pairs.wanted.shape, pairs.alone) == ((1, 8, 8), (3, 8, 8), ())
    assert numbers(pairs.given) == [257 * n for n in numbers(pairs.wanted)] == [0, 257, 514, 771]
    with pytest.raises(DataError, match=r"has 3 rows and .* has 4: arrays have no names"):
        open_pairs(tmp_path / "short.npy", tmp_path / "t.npy")
    with pytest.raises(DataError, match=r"points\.npy: its rows are points"):
        open_pairs(tmp_path / "t.npy", tmp_path / "points.npy")
    with pytest.raises(UsageError, match=r"points\.npy: points .* or give images"):
        open_pairs(tmp_path / "points.npy", tmp_path / "t.npy")
    with pytest.raises(DataError, match=r"t\.npy is an array, whose rows have no names, and .*f holds files"):
        open_pairs(fill(tmp_path / "f", {"1.png": 1}), tmp_path / "t.npy")


def test_labels_are_the_targets(tmp_path):
    source = fill(tmp_path / "s", {"a/1.png": 1, "b/1.png": 2})
    pairs = open_pairs(source, fill(tmp_path / "t", {"a/1.png": 1, "b/1.png": 2}), labels=True)
    assert pairs.wanted.labels.tolist() == [0, 1]
    assert pairs.given.labels is None


# ── halves ───────────────────────────────────────────────────────────────────────────────────────


def side_by_side(left: int, right: int, height: int, width: int) -> np.ndarray:
    """`left`, its first row 200, and `right`; an odd width has a middle column of 77."""
    picture = np.concatenate(
        [flat(left, height, width // 2), flat(77, height, width % 2), flat(right, height, width // 2)], axis=1
    )
    picture[0, : width // 2] = 200
    return picture


@pytest.mark.parametrize(("order", "given"), [("left-to-right", 10), ("right-to-left", 20)])
@pytest.mark.parametrize("width", [16, 17])
def test_halves(tmp_path, width, order, given):
    for number in range(3):
        save(tmp_path / "d", f"{number}.png", side_by_side(10 + number, 20 + number, 6, width))
    save(tmp_path / "d", "0.bmp", side_by_side(13, 23, 6, width))  # pairs are of one file: no matter that 0.png is too
    pairs = open_halves(tmp_path / "d", order)
    assert pairs.given.shape == pairs.wanted.shape == (1, 6, 8)  # auto size: half a picture's
    assert [int(row[-1, 0, 0]) for row in pairs.given.values] == [given + n for n in (3, 0, 1, 2)]
    assert [int(row[-1, 0, 0]) for row in pairs.wanted.values] == [30 - given + n for n in (3, 0, 1, 2)]
    assert 77 not in pairs.given.values
    assert 77 not in pairs.wanted.values
    assert (pairs.given.names, pairs.alone) == (("0.bmp", "0.png", "1.png", "2.png"), ())
    left = pairs.given if order == "left-to-right" else pairs.wanted
    assert (np.asarray(left.values)[:, 0] == 200).all()


def test_halves_are_those_of_the_upright_picture(tmp_path):
    upright = side_by_side(10, 250, 32, 32)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    save(tmp_path / "d", "1.jpg", np.rot90(upright), exif=exif, quality=95)
    pairs = open_halves(tmp_path / "d")
    assert pairs.given.shape == (1, 32, 16)
    assert abs(pairs.given.values[0, 8:, :, 0].astype(int) - 10).max() < 3
    assert abs(pairs.wanted.values[0, 8:, :, 0].astype(int) - 250).max() < 3


def test_a_large_jpegs_halves_do_not_mix(tmp_path):
    save(tmp_path / "d", "1.jpg", side_by_side(0, 255, 600, 1148), quality=100)  # 574: no multiple of 8
    pairs = open_halves(tmp_path / "d", size="30x29", fit="stretch")
    assert pairs.given.values[0, 5:].max() < 5
    assert pairs.wanted.values[0].min() > 250


def test_halves_of_16_bits_and_of_colour(tmp_path):
    save(tmp_path / "d", "1.png", side_by_side(1, 2, 8, 16).astype(np.uint16) * 256)
    pairs = open_halves(tmp_path / "d")
    assert (str(pairs.wanted.dtype), int(pairs.wanted.values[0, 1, 0, 0])) == ("uint16", 512)
    colours = np.stack([side_by_side(1, 2, 8, 16)] * 3, axis=-1)
    save(tmp_path / "c", "1.png", colours)
    pairs = open_halves(tmp_path / "c", channels=1)
    assert (pairs.given.shape[0], pairs.wanted.shape[0]) == (3, 1)


def test_what_has_no_halves(tmp_path):
    for number in range(3):
        save(tmp_path / "d", f"{number}.png", flat(5, 8, 1 if number == 1 else 8))
    listed = tmp_path / "rejected.txt"
    pairs = open_halves(tmp_path / "d", max_rejected=0.5, rejects_to=listed)
    assert (len(pairs), pairs.alone) == (2, ())
    assert listed.read_text() == "1.png\ta single pixel wide: it has no two halves\n"  # once
    np.save(tmp_path / "a.npy", np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(UsageError, match=r"cut them in two.*--data\.source and --data\.target"):
        open_halves(tmp_path / "a.npy")
    with pytest.raises(UsageError, match=r"data\.side-by-side: 'left-to-righ'.*did you mean 'left-to-right'"):
        open_halves(tmp_path / "d", "left-to-righ")
    with pytest.raises(UsageError, match="did you mean 'left'"):
        open_data(tmp_path / "d", half="lef")


def test_a_half_that_cannot_be_used_leaves_the_other_alone(tmp_path):
    pixels = side_by_side(0, 1, 8, 16).astype(np.float32)
    save(tmp_path / "d", "1.tif", pixels)
    pixels[3, 12] = np.nan  # in the right half
    save(tmp_path / "d", "2.tif", pixels)
    pairs = open_halves(tmp_path / "d", max_rejected=0.5)
    assert pairs.given.names == pairs.wanted.names == ("1.tif",)
    assert pairs.alone == ("left: 2.tif (its partner 2.tif was rejected: holds NaN or infinity)",)


# ── domains ──────────────────────────────────────────────────────────────────────────────────────


def test_domains_have_one_size_and_the_larger_number_of_channels(tmp_path):
    grey, colour = fill(tmp_path / "g", {"1.png": 1, "2.png": 2}), fill(tmp_path / "c", {"x.png": 9}, 30, 30, 3)
    a, b = open_domains(grey, colour)
    assert (a.shape, b.shape, len(a), len(b)) == ((3, 8, 8), (3, 8, 8), 2, 1)  # a decides the size
    assert (np.asarray(a.values) == np.array([1, 2])[:, None, None, None]).all()
    a, b = open_domains(colour, grey)
    assert (a.shape, b.shape) == ((3, 30, 30), (3, 30, 30))
    assert [store.shape for store in open_domains(colour, grey, channels=1, size="4")] == [(1, 4, 4)] * 2
    (colour / "bad.png").write_bytes(b"")
    listed = tmp_path / "rejected.txt"
    with pytest.raises(DataError, match="1 of 2 were rejected"):
        open_domains(grey, colour, rejects_to=listed)
    assert listed.read_text() == "b: bad.png\tempty file (0 bytes)\n"


# ── held out by name ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a/1.png", "a/1"), ("a.b/1", "a.b/1"), ("1.v2.tif", "1.v2"), ("plain", "plain"), ("a/.x", "a/.x")],
)
def test_stems(name, expected):
    assert stem(name) == expected


def test_held_by_name_by_hand(tmp_path):
    names = [f"{folder}/{n:03}.png" for folder in "ab" for n in range(150)]
    store = open_data(fill(tmp_path / "d", dict.fromkeys(names, 7), 2, 2))
    kept, held = hold_out_by_name(store, 0.1)
    hashes = [hashlib.blake2b(name[:-4].encode(), digest_size=8, person=b"holdout name").digest() for name in names]
    assert held.tolist() == [n for n, h in enumerate(hashes) if int.from_bytes(h, "little") / 2**64 < 0.1]
    assert (kept.dtype, held.dtype) == (np.int64, np.int64)
    assert sorted([*kept, *held]) == list(range(300))
    assert abs(len(held) - 30) < 4 * np.sqrt(300 * 0.1 * 0.9)
    assert {*held} < {*hold_out_by_name(store, 0.4)[1]}
    part = store.part(np.arange(100, 300))
    assert (hold_out_by_name(part, 0.1)[1] + 100).tolist() == [row for row in held if row >= 100]


def test_held_files_stay_held_when_others_come_or_formats_change(tmp_path):
    names = {f"{n}.png": n for n in range(60)}
    first = open_data(fill(tmp_path / "a", names))
    second = open_data(
        fill(tmp_path / "b", {f"{n}.bmp": 0 for n in range(30)} | {f"{n}.png": n for n in range(30, 90)})
    )

    def held(store):
        return {stem(store.names[row]) for row in hold_out_by_name(store, 0.3)[1]}

    assert held(first) == {name for name in held(second) if int(name) < 60}


def test_an_archive_holds_out_what_its_folder_does(tmp_path):
    """Wrapped in a folder or not, the whole of it or the part that has partners."""
    files = {f"{folder}/{n}.png": n for folder in "ab" for n in range(40)}
    folder = fill(tmp_path / "d", files)
    some = fill(tmp_path / "some", {name: n for name, n in files.items() if name.startswith("a")})
    plain, wrapped = zipped(fill(tmp_path / "plain", files)), zipped(folder, "d-1.2/")
    assert _held(open_data(plain)) == _held(open_data(folder))
    expected = {name for name in _held(open_data(folder)) if name.startswith("a")}
    assert expected
    for source, target in ((some, folder), (some, plain), (some, wrapped), (zipped(some, "x/"), wrapped)):
        assert {name.removeprefix("d-1.2/") for name in _held(open_pairs(source, target).wanted)} == expected


def _held(store) -> set[str]:
    return {store.names[row] for row in hold_out_by_name(store, 0.3)[1]}


@given(share=st.floats(0.05, 0.95), count=st.integers(40, 200))
def test_rows_without_names_are_held_by_number(share, count):
    grid = open_data("grid25")
    kept, held = hold_out_by_name(grid.part(np.arange(count)), share)
    more = hold_out_by_name(grid.part(np.arange(count + 50)), share)[1]
    assert held.tolist() == [row for row in more if row < count]
    offset = hold_out_by_name(grid.part(np.arange(5, count)), share)[1] + 5
    assert offset.tolist() == [row for row in held if row >= 5]
    assert len(kept) + len(held) == count


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_is_none(tmp_path, share):
    with pytest.raises(UsageError, match=r"data\.holdout"):
        hold_out_by_name(open_data(fill(tmp_path / "d", {"1.png": 1})), share)


@pytest.mark.parametrize(("share", "words"), [(1e-9, "none to hold out"), (1 - 1e-9, "none to train on")])
def test_a_side_would_be_empty(tmp_path, share, words):
    with pytest.raises(DataError, match=f"{words}.*by its name"):
        hold_out_by_name(open_data(fill(tmp_path / "d", {"1.png": 1, "2.png": 2})), share)
