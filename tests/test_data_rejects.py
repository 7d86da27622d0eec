"""What must never be read, stop a run or be silent: damaged files, bombs, links, hostile archives."""

import io
import os
import re
import stat
import struct
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zerosum.data import describe, open_data, opening, sources
from zerosum.data.decode import MAX_PIXELS, Unreadable, decode, probe, quiet_pillow
from zerosum.data.fitting import Plan
from zerosum.data.sources import Rejected
from zerosum.errors import DataError

PLAN = Plan(8, 8, 3, "crop", "uint8")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def encoded(form, side=16, **options):
    pixels = np.random.default_rng(side).integers(0, 255, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


GOOD = encoded("PNG")


def bomb(width, height):
    """A valid PNG header of any size; behind it nothing."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def folder_of(root, **files):
    root.mkdir(exist_ok=True)
    for name, body in files.items():
        (root / name.replace("_", ".")).write_bytes(body)
    return root


def reasons(store):
    return {rejected.name: rejected.reason for rejected in store.rejected}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", r"empty file \(0 bytes\)"),
        (b"%PDF-1.7 is no image", "in spite of its name"),
        (b"P6 2 2 255 " + bytes(12), "in spite of its name"),  # PPM: Pillow could, but must not
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "in spite of its name"),
        (GOOD[: len(GOOD) // 2], "truncated"),
        (GOOD[:20], "truncated"),
        (encoded("JPEG")[:-60], "truncated"),
        (encoded("JPEG")[:30], "truncated"),
        (encoded("GIF")[:100], "truncated|damaged"),
        (encoded("BMP")[:-9], "truncated"),
        (encoded("WEBP")[:60], "truncated|damaged|decoded"),
        (encoded("TIFF")[:60], "truncated|damaged|decoded"),
        (encoded("TIFF", compression="tiff_lzw")[:-300], "truncated|damaged|decoded"),
        (GOOD[:60] + bytes(40) + GOOD[100:], "decoded|truncated"),
        (bomb(MAX_PIXELS + 1, 1), "bomb"),
        (bomb(10_000, 10_000), "bomb: 10000 x 10000 is over 89,478,485 pixels"),
        (bomb(60_000, 60_000), "bomb"),
    ],
)
def test_bad_file_is_listed_with_its_reason(tmp_path, body, reason):
    folder = folder_of(tmp_path / "s", a_png=GOOD, b_png=body, c_png=GOOD)
    found = open_data(folder, max_rejected=0.5, rejects_to=tmp_path / "run/rejected.txt")
    assert len(found) == 2
    assert [r.name for r in found.rejected] == ["b.png"]
    assert (tmp_path / "run/rejected.txt").read_text() == f"b.png\t{found.rejected[0].reason}\n"
    assert re.search(reason, found.rejected[0].reason), found.rejected[0].reason
    assert "0x" not in found.rejected[0].reason
    assert "b.png" in describe(found)


def test_no_decoder_but_the_six_runs_under_any_name(tmp_path):
    """The name does not matter either way: good PNG bytes are read whatever they call themselves."""
    folder = folder_of(tmp_path / "s", a_jpg=GOOD, b_gif=GOOD, c_webp=encoded("TIFF"))
    found = open_data(folder)
    assert (found.values[0] == found.values[2]).all()
    assert found.summary["formats"] == {"PNG": 2, "TIFF": 1}


def test_too_many_rejects_stop_with_exit_3_and_all_is_listed(tmp_path, monkeypatch):
    folder = folder_of(
        tmp_path / "s", **{f"{n:03}_png": GOOD for n in range(90)}, **{f"x{n}_png": b"" for n in range(7)}
    )
    rejects = tmp_path / "rejected.txt"
    with pytest.raises(DataError) as caught:
        open_data(folder, rejects_to=rejects)
    assert caught.value.exit_code == 3
    for words in ("7 of 97", "7.2%", str(rejects), "x0.png: empty", "and 2 more", "--data.max-rejected 0.08"):
        assert words in str(caught.value)
    assert len(rejects.read_text().splitlines()) == 7
    monkeypatch.setattr(opening, "build_images", None)  # what was decoded before is not decoded again
    rejects.unlink()
    assert len(open_data(folder, rejects_to=rejects, max_rejected=0.08)) == 90
    assert len(rejects.read_text().splitlines()) == 7


def test_rejects_are_listed_in_the_order_of_the_source(tmp_path):
    """Whether the header gave it away (b, d) or only the pixels (a, c)."""
    bad = GOOD[: len(GOOD) // 2]
    folder = folder_of(tmp_path / "s", a_png=bad, b_png=b"", c_png=bad, d_png=b"", e_png=GOOD)
    assert [r.name for r in open_data(folder, max_rejected=1).rejected] == ["a.png", "b.png", "c.png", "d.png"]


def test_nothing_usable_is_an_error_that_shows_why(tmp_path):
    with pytest.raises(DataError, match=r"(?s)no image that can be used.*a\.png: empty"):
        open_data(folder_of(tmp_path / "s", a_png=b""), max_rejected=1.0)


def test_exactly_one_percent_is_allowed(tmp_path):
    folder = folder_of(tmp_path / "s", **{f"{n:03}_png": GOOD for n in range(99)}, x_png=b"")
    assert len(open_data(folder)) == 99


def test_names_with_line_breaks_stay_on_their_line(tmp_path):
    folder = folder_of(tmp_path / "s", a_png=GOOD)
    (folder / "x\ny.png").write_bytes(b"")
    open_data(folder, max_rejected=1, rejects_to=tmp_path / "r.txt")
    assert (tmp_path / "r.txt").read_text() == "x\\ny.png\tempty file (0 bytes)\n"


def test_links(tmp_path):
    outside = folder_of(tmp_path / "outside", o_png=GOOD)
    folder = folder_of(tmp_path / "s", a_png=GOOD)
    (folder / "in").mkdir()
    (folder / "in/b.png").write_bytes(GOOD)
    (folder / "up").symlink_to(folder)
    (folder / "in/peer").symlink_to(folder / "in")
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "out.png").symlink_to(outside / "o.png")
    (folder / "outdir").symlink_to(outside)
    (folder / "gone.png").symlink_to(folder / "nothing")
    (folder / "good.png").symlink_to(folder / "a.png")
    (folder / "again").symlink_to(folder / "in")
    os.mkfifo(folder / "pipe.png")
    found = open_data(folder, max_rejected=1)
    assert reasons(found) == {
        "up": "symlink loop",
        "in/peer": "symlink loop",
        "again/peer": "symlink loop",
        "self.png": "symlink loop",
        "out.png": "link leaves the folder",
        "outdir": "link leaves the folder",
        "gone.png": "broken link: No such file or directory",
        "pipe.png": "not a regular file",
    }
    assert len(found) == 4  # a, in/b, again/b, good


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file_and_folder(tmp_path):
    folder = folder_of(tmp_path / "s", a_png=GOOD, b_png=GOOD)
    (folder / "b.png").chmod(0)
    (folder / "closed").mkdir(mode=0)
    assert set(reasons(open_data(folder, max_rejected=1))) == {"b.png", "closed"}


def test_file_that_cannot_be_read(tmp_path, monkeypatch):
    """As above, also for root: the file goes away between listing and reading."""
    folder = folder_of(tmp_path / "s", a_png=GOOD, b_png=GOOD)
    real = sources.list_folder

    def listed(*args):
        listing = real(*args)
        (folder / "b.png").unlink()
        return listing

    monkeypatch.setattr(sources, "list_folder", listed)
    assert reasons(open_data(folder, max_rejected=1)) == {"b.png": "cannot be read: No such file or directory"}


def zip_of(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members:
            archive.writestr(name, body)
    return path


def test_hostile_zip(tmp_path):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    unsafe = [(name, GOOD) for name in ("../up.png", "/abs.png", "in\\..\\x.png", "C:/w.png")]
    others = [("crypt.png", GOOD), ("bad.png", GOOD * 9), (".h.png", b""), ("__MACOSX/a.png", b"")]
    path = zip_of(tmp_path / "h.zip", [("a.png", GOOD), *unsafe, (link, "/etc/passwd"), *others])
    whole = bytearray(path.read_bytes())
    local, central = whole.index(b"crypt.png") - 30, whole.rindex(b"crypt.png") - 46
    whole[local + 6] |= 1
    whole[central + 8] |= 1
    data = whole.index(b"bad.png") + 20
    whole[data : data + 8] = b"\xff" * 8
    path.write_bytes(whole)
    found = open_data(path, max_rejected=1)
    assert len(found) == 1
    listed = reasons(found)
    assert listed.pop("bad.png").startswith("cannot be unpacked")
    assert listed == {
        "../up.png": "name with '..' in an archive",
        "in\\..\\x.png": "name with '..' in an archive",
        "/abs.png": "absolute name in an archive",
        "C:/w.png": "absolute name in an archive",
        "link.png": "link inside an archive",
        "crypt.png": "encrypted",
    }


def test_hostile_tar(tmp_path):
    with tarfile.open(tmp_path / "h.tar.gz", "w:gz") as archive:
        for name in ("a.png", "../up.png", "/abs.png", "./b.png"):
            member = tarfile.TarInfo(name)
            member.size = len(GOOD)
            archive.addfile(member, io.BytesIO(GOOD))
        for name, kind in (("l.png", tarfile.SYMTYPE), ("h.png", tarfile.LNKTYPE), ("f.png", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    found = open_data(tmp_path / "h.tar.gz", max_rejected=1)
    assert len(found) == 2
    assert reasons(found) == {
        "../up.png": "name with '..' in an archive",
        "/abs.png": "absolute name in an archive",
        "l.png": "link inside an archive",
        "h.png": "link inside an archive",
        "f.png": "not a regular file",
    }


def test_member_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 5000)
    members = [("a.png", GOOD), ("bomb.png", bytes(10**6))]
    path = zip_of(tmp_path / "b.zip", members)
    assert "over 5,000" in reasons(open_data(path, max_rejected=1))["bomb.png"]
    whole = bytearray(path.read_bytes())  # a lie: both headers declare 3,000 bytes
    at = whole.rindex(b"bomb.png") - 46
    whole[at + 24 : at + 28] = struct.pack("<I", 3000)
    whole[(at := whole.index(b"bomb.png") - 30) + 22 : at + 26] = struct.pack("<I", 3000)
    path.write_bytes(whole)
    assert "cannot be unpacked" in reasons(open_data(path, max_rejected=1))["bomb.png"]
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        for name, body in members:
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    assert "over 5,000" in reasons(open_data(tmp_path / "b.tar", max_rejected=1))["bomb.png"]


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz"])
def test_archive_cut_short_is_an_error(tmp_path, ending):
    path = tmp_path / f"c{ending}"
    if ending == ".zip":
        zip_of(path, [(f"{n}.png", encoded("PNG", 30 + n)) for n in range(9)])
    else:
        with tarfile.open(path, "w:gz" if ending == ".tar.gz" else "w") as archive:
            for n in range(9):
                body = encoded("PNG", 30 + n)
                member = tarfile.TarInfo(f"{n}.png")
                member.size = len(body)
                archive.addfile(member, io.BytesIO(body))
    for part in (0.3, 0.5, 0.71):
        cut = tmp_path / f"cut{part}{ending}"
        cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
        with pytest.raises(DataError, match=r"truncated or damaged|neither"):
            open_data(cut, max_rejected=1)
    (tmp_path / f"no{ending}").write_bytes(b"text")
    with pytest.raises(DataError):
        open_data(tmp_path / f"no{ending}")


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 900),
)
def test_any_damage_is_an_image_or_a_verdict(form, changes, cut):
    """Nothing but `Unreadable` leaves the decoder, and no warning (they are errors here)."""
    body = bytearray(encoded(form))
    for at, value in changes:
        body[at % len(body)] = value
    verdicts = []
    with quiet_pillow():
        for use in (probe, lambda data: decode(data, PLAN)):
            try:
                use(bytes(body[: len(body) - cut]))
            except Unreadable as verdict:
                verdicts.append(str(verdict))
    assert all(verdict and "\n" not in verdict for verdict in verdicts)


def test_damaged_exif_says_nothing_against_the_pixels(tmp_path):
    folder = folder_of(tmp_path / "s", a_jpg=encoded("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\xff\xff\0"))
    assert len(open_data(folder)) == 1


def test_files_outside_any_class_are_rejected(tmp_path):
    folder = folder_of(tmp_path / "s", loose_png=GOOD)
    folder_of(folder / "cats", a_png=GOOD)
    found = open_data(folder, labels=True, max_rejected=1)
    assert found.rejected == (Rejected("loose.png", "labels are asked for, but it lies in no class folder"),)
    assert found.classes == ("cats",)


def test_memory_stays_flat(tmp_path):
    """Decoding 6,000 images into a 147 MB store: the process itself may grow by 60 MB, however many there are."""
    zip_of(tmp_path / "m.zip", [(f"{n}.png", encoded("PNG", 16 + n % 8)) for n in range(6000)])
    code = f"""
    from pathlib import Path
    from zerosum.data import open_data
    anonymous = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
    open_data("digits")
    before = anonymous()
    store = open_data(Path({str(tmp_path / "m.zip")!r}), size="90")
    print(len(store), store.values.nbytes // 2**20, anonymous() - before)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    count, megabytes, grown = map(int, done.stdout.split())
    assert (count, megabytes) == (6000, 139)
    assert grown < 60


def test_no_more_than_a_window_of_files_is_held(tmp_path, monkeypatch):
    from zerosum.data import images

    held, most = 0, 0
    lock = threading.Lock()

    class Slow(sources.FolderSource):
        def items(self):
            nonlocal held, most
            for item in super().items():
                with lock:
                    held += 1
                    most = max(most, held)
                yield item

    folder = folder_of(tmp_path / "s", **{f"{n:03}_png": GOOD for n in range(60)})
    monkeypatch.setattr(images, "BATCH", 2)
    monkeypatch.setattr(images, "WINDOW_BYTES", 6 * len(GOOD))
    for _ in images._in_order(Slow(folder, None), lambda item: time.sleep(0.001), frozenset()):
        with lock:
            held -= 1
    assert most <= 6 + 2 + 1  # waiting, being yielded, being gathered


def test_killed_while_decoding_leaves_no_store_and_the_next_start_is_whole(tmp_path, cache):
    folder = folder_of(tmp_path / "s", **{f"{n:03}_png": encoded("PNG", 20 + n) for n in range(40)})
    code = """
    import os, sys
    from zerosum.data import images, open_data
    real, seen = images.decode, []
    def dying(data, plan):
        seen.append(1)
        if len(seen) > 30:
            os.kill(os.getpid(), 9)
        return real(data, plan)
    images.decode = dying
    open_data(sys.argv[1])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(folder)], check=False)
    assert done.returncode == -9
    assert [p.suffix for p in (cache / "stores").iterdir() if p.is_dir()] == [".part"]
    assert len(open_data(folder)) == 40
    assert [p.suffix for p in (cache / "stores").iterdir() if p.is_dir()] == [""]


def test_two_processes_decode_once(tmp_path, cache):
    folder = folder_of(tmp_path / "s", **{f"{n:03}_png": encoded("PNG", 20 + n) for n in range(30)})
    code = """
    import sys
    from zerosum.data import images, open_data
    real, seen = images.decode, []
    images.decode = lambda data, plan: seen.append(1) or real(data, plan)
    print(open_data(sys.argv[1]).digest, len(seen))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate()[0].split() for process in both]
    assert answers[0][0] == answers[1][0]
    assert sorted(int(count) for _, count in answers) == [0, 30]


def test_sources_come_without_torch():
    code = "import sys, zerosum.data, zerosum.data.opening; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
