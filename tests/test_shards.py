"""Shards: tars and Parquet files give the pictures that lie in them, decoded once or each time, in an exact order."""

from __future__ import annotations

import http.server
import io
import json
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import zerosum
from browsing import answering
from zerosum.data import Store, holdout, open_data
from zerosum.data.parquet import Tables, open_hub, open_tables
from zerosum.data.shards import order_of, shard_files
from zerosum.data.store import Lazy
from zerosum.errors import DataError, RunError, UsageError

EACH, FILES = 16, 3
HUGGING_FACE = {
    "info": {"features": {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": [*"0123456789"]}}}
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], list[int]]:
    """48 real digits as PNG files, and which they are."""
    store = open_data("digits", labels=True)
    assert store.labels is not None
    files = []
    for image in store.take(np.arange(EACH * FILES)):
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0]).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files, store.labels[: EACH * FILES].tolist()


def write_tars(folder: Path, pictures: Sequence[bytes], labels: Sequence[int]) -> Path:
    """As WebDataset writes them: a class beside each picture."""
    folder.mkdir()
    for number in range(FILES):
        with tarfile.open(folder / f"train-{number:04d}.tar", "w") as archive:
            for row in range(number * EACH, (number + 1) * EACH):
                for name, data in ((f"{row:05d}.png", pictures[row]), (f"{row:05d}.cls", b"%d" % labels[row])):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    return folder


def write_parquet(folder: Path, pictures: Sequence[bytes], labels: Sequence[int], group: int = 4) -> Path:
    """As Hugging Face's `datasets` writes them: a column of bytes and paths, and the names of the classes."""
    folder.mkdir()
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", kind), ("label", pa.int64())], metadata={"huggingface": json.dumps(HUGGING_FACE)})
    for number in range(FILES):
        rows = range(number * EACH, (number + 1) * EACH)
        columns = {
            "image": [{"bytes": pictures[row], "path": None} for row in rows],
            "label": [labels[row] for row in rows],
        }
        file = folder / f"train-{number:05d}-of-{FILES:05d}.parquet"
        pq.write_table(pa.table(columns, schema=schema), file, row_group_size=group)
    return folder


WRITERS = {"tar": write_tars, "parquet": write_parquet}


@pytest.fixture(scope="module", params=WRITERS)
def shards(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, digits: Any) -> Path:
    """A folder of them. Not to be written to."""
    return WRITERS[request.param](tmp_path_factory.mktemp(request.param) / "shards", *digits)


def streamed(source: Path | str, **options: Any) -> Store:
    return open_data(source, size="8", channels=1, stream=True, **options)


def test_they_hold_what_was_written(shards: Path) -> None:
    real = open_data("digits", labels=True)
    assert real.labels is not None
    rows = np.arange(EACH * FILES)
    for store in (open_data(shards, labels=True), streamed(shards, labels=True)):
        assert store.labels is not None
        np.testing.assert_array_equal(store.take(rows), real.take(rows))
        names = [store.classes[label] for label in store.labels]
        assert names == [str(label) for label in real.labels[rows]]
        assert store.shape == (1, 8, 8)
    assert streamed(shards).labels is None


def test_the_order_is_exact_and_reads_each_block_about_once(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = streamed(shards)
    orders = [store.order(np.random.default_rng(seed)) for seed in (0, 0, 1)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(len(store)))
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()
    assert isinstance(store.values, Lazy)
    tables = store.values.shards
    if not isinstance(tables, Tables):
        return
    monkeypatch.setattr(Tables, "mixed", 2)
    read: list[int] = []
    opened = tables._opened
    monkeypatch.setattr(tables, "_opened", lambda file: read.append(file) or opened(file))
    order = store.order(np.random.default_rng(5))
    for start in range(0, len(order), 4):
        store.take(order[start : start + 4])
    blocks = len(tables._groups)
    assert blocks <= len(read) <= blocks + 4
    assert len(tables._held) <= 4


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 9))
def test_few_blocks_are_held_at_a_time(sizes: list[int], mixed: int, seed: int) -> None:
    """A block's pictures lie within `mixed` blocks of each other in any order, of the whole or of a part."""
    blocks = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.flatnonzero(np.random.default_rng(seed).random(len(blocks)) < 0.8)
    order = order_of(blocks, mixed, rows, np.random.default_rng(seed))
    np.testing.assert_array_equal(np.sort(order), np.arange(len(rows)))
    own = blocks[rows[order]]
    for block in set(own.tolist()):
        places = np.flatnonzero(own == block)
        assert len({*own[places[0] : places[-1] + 1].tolist()}) <= 2 * mixed + 1


def test_a_share_is_held_out_without_reading(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = streamed(shards)
    monkeypatch.setattr(Lazy, "take", None)
    kept, held = holdout(store, 0.25)
    assert len(kept) + len(held) == len(store)
    assert 4 <= len(held) <= 20
    again = holdout(streamed(shards), 0.25)[1]
    np.testing.assert_array_equal(held.picks, again.picks)


def test_a_picture_that_cannot_be_read(tmp_path: Path, digits: Any) -> None:
    pictures, labels = digits
    damaged = [b"\x89PNG no more" if row in (5, 6) else data for row, data in enumerate(pictures)]
    folder = write_tars(tmp_path / "tars", damaged, labels)
    notes: list[str] = []
    listed = tmp_path / "rejected.txt"
    store = streamed(folder, max_rejected=0.05, rejects_to=listed, note=notes.append)
    whole = open_data("digits")
    for _ in range(2):
        np.testing.assert_array_equal(store.take(np.array([5, 4])), whole.take(np.array([7, 4])))
    assert len(notes) == 1
    assert "train-0000.tar/5" in notes[0]
    assert len(listed.read_text().splitlines()) == 2
    with pytest.raises(DataError, match="max-rejected"):
        streamed(folder, max_rejected=0.03).take(np.array([5]))
    with pytest.raises(IndexError):
        store.take(np.array([len(store)]))


def test_what_is_awaited_is_what_is_taken(shards: Path) -> None:
    store = streamed(shards)
    rows = np.array([3, 1, 4, 1, 5])
    store.expect(rows)
    taken = store.take(rows)
    store.expect(np.array([9, 2]))
    store.expect(np.array([6]))
    np.testing.assert_array_equal(taken, open_data("digits").take(rows))
    np.testing.assert_array_equal(store.take(rows), taken)


def test_patterns(tmp_path: Path, digits: Any) -> None:
    folder = write_tars(tmp_path / "tars", *digits)
    files = [str(folder / f"train-{number:04d}.tar") for number in range(FILES)]
    assert shard_files(folder) == files
    assert shard_files(folder / "train-{0000..0002}.tar") == files
    assert shard_files(folder / "train-{0001..0002}.tar") == files[1:]
    assert shard_files(folder / "train-*.tar") == files
    assert len(open_data(str(folder / "train-{0001..0002}.tar"))) == 2 * EACH
    assert len(streamed(folder / "train-0001.tar")) == EACH
    with pytest.raises(DataError, match=r"train-0003.*not there"):
        shard_files(folder / "train-{0000..0003}.tar")
    with pytest.raises(DataError, match="no file matches"):
        shard_files(folder / "test-*.tar")
    for wrong in ("train-{3..1}.tar", "{1..9999}-{1..9999}.tar"):
        with pytest.raises(UsageError, match="upwards"):
            shard_files(folder / wrong)
    (folder / "cats").mkdir()
    (folder / "cats" / "1.png").write_bytes(digits[0][0])
    assert shard_files(folder) == [], "a folder of pictures, beside which a tar lies"
    assert len(open_data(folder)) == 1


def test_what_is_refused(tmp_path: Path, digits: Any) -> None:
    tars = write_tars(tmp_path / "tars", *digits)
    with pytest.raises(UsageError, match=r"needs data\.size"):
        open_data(tars, stream=True)
    with pytest.raises(UsageError, match="for shards"):
        open_data("digits", size="8", stream=True)
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "a.tar").write_bytes((tars / "train-0000.tar").read_bytes()[:3000])
    with pytest.raises(DataError, match="no plain tar, or a damaged one"):
        open_data(cut)
    (tmp_path / "odd.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(DataError, match="no Parquet file, or a damaged one"):
        open_data(tmp_path / "odd.parquet")
    pq.write_table(pa.table({"words": ["a"], "label": [1]}), tmp_path / "words.parquet")
    with pytest.raises(DataError, match="no column of pictures; there are words, label"):
        open_data(tmp_path / "words.parquet")
    pq.write_table(pa.table({"image": [digits[0][0], None]}), tmp_path / "bare.parquet")
    with pytest.raises(DataError, match="no column 'label'"):
        open_data(tmp_path / "bare.parquet", labels=True)
    with pytest.raises(DataError, match=r"bare\.parquet/1: the table holds no bytes"):
        open_data(tmp_path / "bare.parquet")
    assert len(open_data(tmp_path / "bare.parquet", max_rejected=0.5)) == 1


def test_files_of_one_name_keep_their_labels(tmp_path: Path, digits: Any) -> None:
    pictures, labels = digits
    tables = [
        pq.ParquetFile(file).read() for file in sorted(write_parquet(tmp_path / "all", pictures, labels).iterdir())
    ]
    for folder, table in zip("ab", tables, strict=False):
        (tmp_path / folder).mkdir()
        pq.write_table(table, tmp_path / folder / "train.parquet")
    files = [str(tmp_path / folder / "train.parquet") for folder in "ab"]
    classes = open_tables(tmp_path, files, True, None).known_classes()
    assert [classes.number_of(item.name) for item in open_tables(tmp_path, files, True, None).items()] == labels[:32]


def test_what_cannot_be_reached_now_is_not_replaced(shards: Path, tmp_path: Path) -> None:
    shutil.copytree(shards, tmp_path / "there")
    store = streamed(tmp_path / "there")
    for file in (tmp_path / "there").iterdir():
        file.unlink()
    with pytest.raises(RunError, match="cannot be read now"):
        store.take(np.array([20]))


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def test_a_streamed_run_is_that_of_decoded_pictures_and_goes_on_exactly(tmp_path: Path, digits: Any) -> None:
    tars = write_tars(tmp_path / "tars", *digits)
    settings: dict[str, Any] = {"data.size": "8", "data.channels": 1, "training.batch": 8}
    settings |= {f"{player}.schedule": "constant" for player in ("generator", "discriminator")}  # else by its length

    def run(name: str, images: int, **more: Any) -> Path:
        done = zerosum.train(
            tars, recipe="quick", images=images, seed=3, out=tmp_path / name, settings=settings | more, device="cpu"
        )
        return done.path

    decoded, flowing = run("decoded", 96), run("flowing", 96, **{"data.stream": True})
    assert weights(decoded) == weights(flowing)
    run("cut", 40, **{"data.stream": True})
    assert weights(run("cut", 96, **{"data.stream": True})) == weights(flowing)


# ---------------------------------------------------------------- Hugging Face, at an endpoint of this machine


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of Hugging Face's HTTP as reading a dataset takes: what is in it, and parts of its files."""

    folder: Path
    parts: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/api/datasets/ada/digits":
            return self._answer({"id": "ada/digits", "sha": "0" * 40, "siblings": []})
        if path.startswith("/api/datasets/ada/digits/tree/"):
            return self._answer([self._about(file) for file in sorted(self.folder.iterdir())])
        if path.startswith("/datasets/ada/digits/resolve/"):
            return self._part((self.folder / path.rpartition("/")[2]).read_bytes())
        return self._answer({"error": "Repository not found"}, 404)

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        named = [file for file in sorted(self.folder.iterdir()) if file.name in asked]
        self._answer([self._about(file) for file in named])

    def _about(self, file: Path) -> dict[str, Any]:
        return {"type": "file", "path": f"data/{file.name}", "size": file.stat().st_size, "oid": f"{file.name}-1"}

    def _part(self, data: bytes) -> None:
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        self.parts.append(self.headers["Range"])
        self._answer(data[int(first) : int(last) + 1], 206)

    def _answer(self, content: Any, code: int = 200) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def endpoint(tmp_path: Path, digits: Any) -> Iterator[str]:
    """The address of a hub with the dataset ada/digits, of three training files and one of another split."""
    folder = write_parquet(tmp_path / "data", *digits)
    shutil.copyfile(folder / "train-00000-of-00003.parquet", folder / "test-00000-of-00001.parquet")
    handler = type("Here", (Hub,), {"folder": folder})
    with answering(handler) as address:
        yield address


def test_a_dataset_of_the_hub_is_read_in_parts(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerosum.data.opening.open_hub", partial(open_hub, endpoint=endpoint))
    store = streamed("hf://ada/digits", labels=True)
    assert len(store) == EACH * FILES
    assert store.summary["notes"] == ["of 4 Parquet files the 3 of the split 'train'"]
    rows = np.array([0, 20, 47])
    np.testing.assert_array_equal(store.take(rows), open_data("digits").take(rows))
    assert Hub.parts
    with pytest.raises(RunError, match="hf://ada/letters: cannot be read"):
        open_data("hf://ada/letters")
    with pytest.raises(UsageError, match="USER/NAME"):
        open_data("hf://digits")


def test_a_hub_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerosum.data.opening.open_hub", partial(open_hub, endpoint="http://127.0.0.1:9"))
    with pytest.raises(RunError, match="hf://ada/digits: cannot be read"):
        open_data("hf://ada/digits")
