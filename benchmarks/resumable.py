"""What benchmarks of many trainings share: those that are missing are run, each one line of JSON, then a table.

The same command may run in several processes at once: each takes a job that no other has, and appends its line whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import zerosum
from zerosum.run import Run
from zerosum.training.display import PlainDisplay

Job = dict[str, Any]


def play_missing(results: Path, jobs: Sequence[Job], play: Callable[[Job], dict[str, Any]]) -> None:
    """Play each job that no line of `results` begins with, and add its line: the job, and what `play` says of it.

    A job that another process plays at the time is left to it.
    """
    missing = [job for job in jobs if not played(results, job)]
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), disable=not missing) as progress:
        task = progress.add_task(results.stem, total=len(missing))
        for job in missing:
            progress.update(task, description=" ".join(map(str, job.values())))
            with claimed(results, job) as ours:
                if ours and not played(results, job):
                    append(results, job | play(job))
            progress.advance(task)


def played(results: Path, job: Job) -> bool:
    """Whether a line of `results` begins with the job."""
    return any(job.items() <= row.items() for row in rows(results))


def rows(results: Path) -> list[Job]:
    """The lines there are; one that is being written is not there yet."""
    whole = results.read_text(encoding="utf-8").rpartition("\n")[0] if results.exists() else ""
    return [json.loads(line) for line in whole.splitlines()]


def append(results: Path, row: Job) -> None:
    """Add a line in one write, which another process's cannot come between."""
    file = os.open(results, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, (json.dumps(row) + "\n").encode())
    finally:
        os.close(file)


@contextmanager
def claimed(results: Path, job: Job) -> Iterator[bool]:
    """Whether the job is this process's for the time; a process that dies lets go of what it had claimed."""
    name = hashlib.sha256(f"{results.resolve()} {json.dumps(job, sort_keys=True)}".encode()).hexdigest()[:32]
    folder = Path(tempfile.gettempdir()) / "zerosum-benchmarks"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def train_quietly(out: Path, recipe: str, job: Job, **settings: Any) -> Run:
    """A recipe on the embedded digits for the job's seed, and its minutes if it has any."""
    quiet = PlainDisplay(Console(quiet=True))
    settings = {"training.report_every": 10_000_000} | settings
    return zerosum.train(
        "mnist-5k",
        recipe=recipe,
        out=out,
        seed=job["seed"],
        minutes=job.get("minutes"),
        settings=settings,
        display=quiet,
    )


def percent(values: Iterable[float]) -> str:
    """`93.1% ± 0.4%`: the mean, and over several the standard deviation."""
    array = np.array(list(values))
    return f"{array.mean():.1%}" + (f" ± {array.std():.1%}" if len(array) > 1 else "")
