"""What benchmarks of many trainings share: those that are missing are run, each one line of JSON, then a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import zerosum
from modes import read
from zerosum.run import Run
from zerosum.training.display import PlainDisplay

Job = dict[str, Any]


def play_missing(results: Path, jobs: Sequence[Job], play: Callable[[Job], dict[str, Any]]) -> None:
    """Play each job that no line of `results` begins with, and add its line: the job, and what `play` says of it."""
    there = read(results)
    missing = [job for job in jobs if not any(job.items() <= row.items() for row in there)]
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), disable=not missing) as progress:
        task = progress.add_task(results.stem, total=len(missing))
        for job in missing:
            progress.update(task, description=" ".join(map(str, job.values())))
            row = job | play(job)
            with results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            progress.advance(task)


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
