"""Recipes against each other in the same minutes: how near their samples are to real images, and how varied.

    python benchmarks/quality.py quick dcgan-28 wgan-gp-28 --minutes 5       on mnist-5k and fashion-mnist
    python benchmarks/quality.py quick style-28 --data fashion-mnist --minutes 20 --seeds 3
    python benchmarks/quality.py --table                                     the table of what is there already

Figures are those of `zerosum evaluate` with the features of EfficientNet-Lite0 (extra `features`), of as many samples
as real images, which are those trained on. They compare within a data set and a count: fewer images have a larger
Fréchet distance. The row `real` says what perfect samples would have; there, a half of the images is compared with the
other where there are not twice as many as --count.

Minutes are those of the clock, so that what else the machine does counts: let recipes run one after another, alone.
Every training is one line of `--results` (JSON), so that an interrupted benchmark goes on where it stopped; a strip of
its samples lies in `--pictures`, where NAME.png has the strips of a data set beside each other.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console

import zerosum
from modes import generator, read, spread
from resumable import Job, play_missing
from zerosum.data import open_data, to_pixels
from zerosum.evaluation import Side, side_of_model, side_of_store
from zerosum.evaluation import evaluate as measured
from zerosum.metrics import extractor
from zerosum.training.display import PlainDisplay

FEATURES = "efficientnet-lite0"
METRICS = ("frechet", "kernel", "prdc")
SHOWN = {"frechet": ".2f", "kernel": "z.4f", "precision": ".3f", "recall": ".3f", "coverage": ".3f"}
TITLES = {"frechet": "Fréchet", "kernel": "kernel"}
REAL = "real"
COLUMNS, TILE, GAP, NAME = 16, 56, 2, 150  # of a strip: samples, their side, what is between them; width of names


def play(job: Job, pictures: Path) -> Job:
    """One training, judged; or, as what can be reached, real images compared with others."""
    if job["recipe"] == REAL:
        return real_against_real(job, pictures)
    with tempfile.TemporaryDirectory() as folder:
        run = zerosum.train(
            job["data"],
            recipe=job["recipe"],
            out=Path(folder) / "run",
            minutes=job["minutes"],
            seed=job["seed"],
            settings={"training.report_every": 10_000_000},
            display=PlainDisplay(Console(quiet=True)),
        )
        quiet = PlainDisplay(Console(quiet=True))
        outcome = zerosum.evaluate(run.path, metrics=METRICS, features=FEATURES, count=job["count"], display=quiet)
        made = side_of_model(generator(run), seed=1)
    strip(made).save(pictures / strip_name(job))
    of_run = {"images": run.images, "seconds": round(run.seconds, 1)}
    return of_run | {"samples": job["count"], "figures": rounded(outcome.evaluation.figures)}


def real_against_real(job: Job, pictures: Path) -> Job:
    """The same of real images that have others on the other side, as many as there are for it."""
    store = open_data(job["data"])
    count = min(job["count"], len(store) // 2)
    rows = np.random.default_rng(0).permutation(len(store))
    one, other = (side_of_store(store.part(part)) for part in (rows[:count], rows[count : 2 * count]))
    strip(one).save(pictures / strip_name(job))
    found = measured(one, other, METRICS, extractor(FEATURES), count=count)
    return {"samples": count, "figures": rounded(found.figures)}


def rounded(figures: dict[str, float]) -> dict[str, float]:
    """Without digits that mean nothing."""
    return {name: round(value, 6) for name, value in figures.items()}


def strip(side: Side) -> Image.Image:
    """Sixteen images beside each other, whatever their size."""
    sheet = Image.new("RGB", (COLUMNS * (TILE + GAP) - GAP, TILE), "white")
    for place, pixels in enumerate(to_pixels(side.images(0, COLUMNS), 0, 255, np.dtype(np.uint8))):
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        sheet.paste(picture.resize((TILE, TILE), Image.Resampling.BOX), (place * (TILE + GAP), 0))
    return sheet


def strip_name(job: Job) -> str:
    """The file of a job's strip."""
    end = f"-{job['minutes']:g}-minutes-seed{job['seed']}" if "minutes" in job else ""
    return f"{job['data']}-{job['recipe']}{end}.png"


def sheet_of(data: str, jobs: Sequence[Job], pictures: Path) -> None:
    """All strips of a data set in one picture, each with the recipe's name."""
    strips = [(job["recipe"], pictures / strip_name(job)) for job in jobs if job["data"] == data]
    there = [(name, Image.open(path)) for name, path in strips if path.exists()]
    if not there:
        return
    sheet = Image.new("RGB", (NAME + COLUMNS * (TILE + GAP), len(there) * (TILE + GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    for place, (name, picture) in enumerate(there):
        pen.text((NAME - 8, place * (TILE + GAP) + TILE / 2), name, fill="black", anchor="rm")
        sheet.paste(picture, (NAME, place * (TILE + GAP)))
    sheet.save(pictures / f"{data}.png")


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The runs as lines of Markdown: means over seeds, ± their standard deviations."""
    columns = [f"{TITLES.get(name, name)} [{FEATURES}]" for name in SHOWN]
    yield f"| data | recipe | minutes | seeds | {' | '.join(columns)} | samples | images seen |"
    yield f"| {' | '.join(['---'] * (len(columns) + 6))} |"
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["data"], row.get("minutes", 0.0), row["recipe"], row["count"]), []).append(row)
    for (data, minutes, recipe, _), own in sorted(groups.items()):
        real = recipe == REAL
        about = [f"`{data}`", REAL, "", ""] if real else [f"`{data}`", f"`{recipe}`", f"{minutes:g}", str(len(own))]
        about += [spread([row["figures"][f"{name}[{FEATURES}]"] for row in own], how) for name, how in SHOWN.items()]
        about += [f"{own[0]['samples']:,}", "" if real else f"{np.median([row['images'] for row in own]):,.0f}"]
        yield f"| {' | '.join(about)} |"


def main() -> int:
    """Run what is missing, print the table, put the strips together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE")
    parser.add_argument("--data", nargs="+", default=["mnist-5k", "fashion-mnist"])
    parser.add_argument("--minutes", type=float, default=5.0, help="of each training (default: 5)")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--count", type=int, default=5000, help="of samples and of real images (default: 5000)")
    parser.add_argument("--results", type=Path, default=Path("quality.jsonl"))
    parser.add_argument("--pictures", type=Path, default=Path("quality-pictures"))
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    if not options.recipes and not options.table:
        parser.error("name recipes to compare, such as quick and dcgan-28 ('zerosum recipes' lists them)")
    jobs: list[Job] = []
    for data in options.data:
        jobs.append({"data": data, "recipe": REAL, "count": options.count})
        jobs += [
            {"data": data, "recipe": recipe, "count": options.count, "minutes": options.minutes, "seed": seed}
            for recipe in options.recipes
            for seed in range(options.seeds)
        ]
    if not options.table:
        options.pictures.mkdir(parents=True, exist_ok=True)
        play_missing(options.results, jobs, lambda job: play(job, options.pictures))
        for data in options.data:
            sheet_of(data, jobs, options.pictures)
    print("\n".join(table(read(options.results))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
