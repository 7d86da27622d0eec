"""Does the health verdict cry wolf? Recipes on mnist-5k for a while, and every verdict that was not "healthy".

    python benchmarks/health.py --minutes 1                   twenty runs, a line of JSON each; exit code 1 on any alarm
    python benchmarks/health.py quick vae --minutes 5         some recipes, for longer
    python benchmarks/health.py gan-mlp --reports 40000       looking less often: a look takes a tenth of a second
    python benchmarks/health.py --table                       the table of what is there already

An alarm in a run whose samples show that it is ill is no false one: `--out` keeps the runs, to be looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from modes import read
from resumable import Job, play_missing, train_quietly
from zerosum.diagnosis import HEALTHY
from zerosum.errors import DivergedError

RECIPES = (
    "quick", "dcgan-28", "gan-mlp", "gan-mlp-feature-matching", "gan-mlp-minibatch", "gan-mlp-replay", "wgan-gp-28",
    "style-28", "style-mlp", "dcgan-dense", "infogan", "cgan", "cgan-projection", "acgan", "sgan", "bigan", "vae",
    "vae-gan", "adversarial-autoencoder", "autoencoder",
)  # fmt: skip


def verdicts(job: Job, out: Path) -> Job:
    """The alarms of one run, by the images shown, and how many reports looked at samples."""
    own = out / f"{job['recipe']}-{job['seed']}"
    settings: Job = {"training.threads": 1, "data.holdout": 0.1, "training.report_every": job["reports"]}
    try:
        train_quietly(own, job["recipe"], job, **settings)
    except DivergedError as error:
        return {"images": 0, "looked": 0, "alarms": [[0, str(error)]]}
    records = [json.loads(line) for line in (own / "records.jsonl").read_text().splitlines()]
    alarms = [[record["images"], record["health"]] for record in records if record["health"] != HEALTHY]
    looked = sum("evidence" in record for record in records)
    return {"images": records[-1]["images"], "looked": looked, "alarms": alarms}


def table(rows: list[Job]) -> Iterator[str]:
    """The runs as lines of Markdown."""
    yield "| recipe | seed | minutes | images | reports | alarms |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in rows:
        words = f"{len(row['alarms'])}" + (f": {row['alarms'][0][1]}" if row["alarms"] else "")
        facts = (row["recipe"], row["seed"], f"{row['minutes']:g}", f"{row['images']:,}", row["looked"], words)
        yield f"| {' | '.join(map(str, facts))} |"


def main() -> int:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=list(RECIPES), metavar="RECIPE")
    parser.add_argument("--minutes", type=float, default=1.0, help="of each run (default: 1)")
    parser.add_argument("--reports", type=int, default=10_000, help="images from report to report (default: 10,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("health"), help="the runs (default: health)")
    parser.add_argument("--results", type=Path, default=Path("health.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    common = {"minutes": options.minutes, "seed": options.seed, "reports": options.reports}
    jobs = [] if options.table else [{"recipe": recipe} | common for recipe in options.recipes]
    play_missing(options.results, jobs, lambda job: verdicts(job, options.out))
    rows = read(options.results)
    print("\n".join(table(rows)))
    return 1 if any(row["alarms"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
