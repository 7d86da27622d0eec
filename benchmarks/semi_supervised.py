"""What images without labels are worth: the recipe sgan on mnist-5k with 100 labels, beside its baseline.

    python benchmarks/semi_supervised.py                      seeds 0 to 2, as long as the recipe says
    python benchmarks/semi_supervised.py --seeds 5 --labels 50
    python benchmarks/semi_supervised.py --table              the table of what is there already

The baseline is the same classifier, trained beside it on the labelled images alone, in as many updates. Both are judged
on the images that the recipe holds out, a fifth of them. Every training is one line of `--results` (JSON), so that an
interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from modes import read
from resumable import Job, percent, play_missing, train_quietly


def play(job: Job) -> dict[str, Any]:
    """One training, and what both classifiers know at its end."""
    with tempfile.TemporaryDirectory() as folder:
        run = train_quietly(Path(folder) / "run", "sgan", job, **{"data.labelled": job["labels"]})
        records = (run.path / "records.jsonl").read_text().splitlines()
    return {"images": run.images, "seconds": round(run.seconds, 1), **json.loads(records[-1])["figures"]}


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The runs as lines of Markdown, and the mean of those of one kind ± their standard deviation."""
    yield "| labels | minutes | seed | images | test accuracy | baseline | difference in points |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    kinds = sorted({(row["labels"], row.get("minutes", 0.0)) for row in rows})
    for labels, minutes in kinds:
        own = [row for row in rows if (row["labels"], row.get("minutes", 0.0)) == (labels, minutes)]
        about = f"| {labels} | {f'{minutes:g}' if minutes else 'recipe'} |"
        for row in own:
            yield f"{about} {row['seed']} | {row['images']:,} | {cells([row])} |"
        yield f"{about} mean of {len(own)} | | {cells(own)} |"


def cells(rows: list[dict[str, Any]]) -> str:
    """Both accuracies, and their difference, over runs."""
    ours, theirs = (np.array([row[name] for row in rows]) for name in ("test accuracy", "baseline accuracy"))
    points = 100 * (ours - theirs)
    spread = f" ± {points.std():.1f}" if len(rows) > 1 else ""
    return f"{percent(ours)} | {percent(theirs)} | {points.mean():+.1f}{spread}"


def main() -> int:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, help="of each training (default: as the recipe says)")
    parser.add_argument("--results", type=Path, default=Path("semi_supervised.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    end = {} if options.minutes is None else {"minutes": options.minutes}
    jobs = [{"labels": options.labels, **end, "seed": seed} for seed in range(options.seeds)]
    play_missing(options.results, [] if options.table else jobs, play)
    print("\n".join(table(read(options.results))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
