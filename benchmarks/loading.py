"""A million pictures: how soon training can begin, what memory the loader takes, how fast it is.

    python benchmarks/loading.py                     1,000,000 of 32 × 32 in colour, 3 GB, and as many bytes of cache
    python benchmarks/loading.py --count 100000

Three ways: decoded once (a store in the cache), WebDataset's tars decoded each time, Parquet decoded each time (the
latter two of --encoded PNG files, of which there are fewer, for they take their time to write). Each is opened twice in
a process of its own, the second time from the cache; that one's seconds to the first batch, the growth of its resident
memory and its images a second are shown, the slowest of ten parts of the time too. Beside them: what the network takes,
the recipe `quick` on one thread. Pixels are noise, so that PNG files are as large as they can be.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track

import zerosum
from zerosum.data import Store, open_data
from zerosum.games import Randomness
from zerosum.training.display import PlainDisplay
from zerosum.training.feed import Feed

SIDE, BATCH, PARTS = 32, 64, 10
SHARD = 10_000  # pictures of a tar, or of a Parquet file
GROUP = 1_000  # of a row group


def noise(count: int) -> Iterator[np.ndarray]:
    """Pictures (n, 32, 32, 3), a shard at a time."""
    for first in range(0, count, SHARD):
        yield np.random.default_rng(first).integers(0, 256, (min(SHARD, count - first), SIDE, SIDE, 3), dtype=np.uint8)


def write_array(path: Path, count: int) -> None:
    """All pictures as one .npy."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, SIDE, SIDE, 3))
    for number, part in enumerate(track(noise(count), "writing", total=-(-count // SHARD))):
        array[number * SHARD : number * SHARD + len(part)] = part
    array.flush()


def write_shards(folder: Path, count: int) -> None:
    """The same as tars and as Parquet files, in folders of those names."""
    for name in ("tars", "parquet"):
        (folder / name).mkdir()
    for number, part in enumerate(track(noise(count), "writing shards", total=-(-count // SHARD))):
        files = [as_png(image) for image in part]
        pq.write_table(pa.table({"image": files}), folder / "parquet" / f"{number:05d}.parquet", row_group_size=GROUP)
        with tarfile.open(folder / "tars" / f"{number:05d}.tar", "w") as archive:
            for row, data in enumerate(files):
                member = tarfile.TarInfo(f"{number:05d}-{row:05d}.png")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def as_png(image: np.ndarray) -> bytes:
    """What a file of it holds; packed as little as may be, for noise cannot be."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def opened(source: str, stream: bool) -> Store:
    """As training opens it."""
    return open_data(source, size=str(SIDE), stream=stream)


def measure(source: str, stream: bool, seconds: float) -> dict[str, float]:
    """Of this process: seconds to the first batch, growth of memory in MB, images a second: all, and slowest."""
    torch.set_num_threads(1)
    torch.zeros(1).normal_()
    process, begun = psutil.Process(), time.perf_counter()
    at_first = process.memory_info().rss
    feed = Feed(opened(source, stream), Randomness(0), flip=False)
    feed.batch(0, BATCH)
    start, grown, done, rates = time.perf_counter() - begun, 0, BATCH, []
    for _ in range(PARTS):
        first, until = done, time.perf_counter() + seconds / PARTS
        since = time.perf_counter()
        while (now := time.perf_counter()) < until:
            feed.batch(done, BATCH)
            done += BATCH
        rates.append((done - first) / (now - since))
        grown = max(grown, process.memory_info().rss - at_first)
    return {"start": start, "grown": grown / 2**20, "rate": float(np.mean(rates)), "slowest": min(rates)}


def in_its_own_process(source: Path, stream: bool, seconds: float) -> dict[str, float]:
    """The same, measured where nothing else has been."""
    command = [sys.executable, __file__, "--measure", str(source), "--seconds", str(seconds), *["--stream"] * stream]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def network_rate(source: Path, folder: Path) -> float:
    """Images a second that `quick` trains on, on one thread."""
    run = zerosum.train(
        str(source),
        recipe="quick",
        minutes=0.5,
        out=folder / "run",
        device="cpu",
        settings={"training.threads": 1, "training.report_every": 10_000_000},
        display=PlainDisplay(Console(quiet=True)),
    )
    return run.images / run.seconds


def main() -> int:
    """Write, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--encoded", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--measure", metavar="DATA", help=argparse.SUPPRESS)
    parser.add_argument("--stream", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.stream, options.seconds)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_array(folder / "pictures.npy", options.count)
        write_shards(folder, options.encoded)
        taken = network_rate(folder / "pictures.npy", folder)
        print(f"The network takes {taken:,.0f} images a second.\n")
        print("| data | pictures | start, s | memory, MB | images/s | slowest tenth | of the network's |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        ways = {"store": ("pictures.npy", False), "tars": ("tars", True), "Parquet": ("parquet", True)}
        for words, (source, stream) in ways.items():
            in_its_own_process(folder / source, stream, 0.1)  # what the cache is to hold
            found = in_its_own_process(folder / source, stream, options.seconds)
            count = options.encoded if stream else options.count
            print(
                f"| {words} | {count:,} | {found['start']:.1f} | {found['grown']:,.0f} | {found['rate']:,.0f} | "
                f"{found['slowest']:,.0f} | {found['slowest'] / taken:.1f} |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
