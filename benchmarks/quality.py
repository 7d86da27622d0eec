"""Recipes against each other in the same minutes: how near samples are to images that nobody trained on, how varied.

    python benchmarks/quality.py --minutes 5,20                    51 trainings of 5 minutes and of 20: a day
    python benchmarks/quality.py default dcgan-28 --data mnist-5k --minutes 5 --seeds 1
    python benchmarks/quality.py --minutes 20 --threads 1          on two cores the same again in another terminal
    python benchmarks/quality.py --table                           the table of what is there already

Data are `mnist-5k`, `fashion-mnist` and `emoji`, Google's 3,786 at 64 × 64 (see `emoji.py`). `default` is what
`zerosum.train` does when no recipe is named; the others are those of DATA, all on images of the data's own size.

Of each data set a part is held out by its content, the same for every recipe and seed, which is checked: a fifth of
`mnist-5k` (982) and of `emoji` (772), a sixth of `fashion-mnist` (9,993 of its 60,000; its test images are not
used). Neither training nor any choice has them: to choose by, take "trained" in a line of `--results`, the same
figures against as many images that were trained on, which no table shows. Figures of the table are of samples against
the held-out images, as many as there are of these or as --count says, by features of EfficientNet-Lite0 (extra
`features`). They compare within a data set and a count: fewer images have a larger Fréchet distance. The row `real`, of
as many images trained on, is what perfect samples would have. Emoji that differ in the colour of skin alone lie on both
sides, so that there held-out images are less new than they seem.

`--data few` asks what is best for few images: nine tenths of the emoji are held out, 379 are trained on, and the
default is beside `quick` without augmentation, `r3gan`, and a generator of FastGAN's class (`fastgan.py`).

Minutes are those of the clock, so that what else the machine does counts: on all cores let one training run at a time.
With --threads N, on a machine of K cores the same command may run K / N times at once: each process takes trainings
that no other has, of N threads. Rows with other threads are other rows. All is on the CPU.

Every training is one line of `--results` (JSON), so that an interrupted benchmark goes on where it stopped; a strip of
its samples lies in `--pictures`, where DATA-N-minutes.png has those of a data set and a length beside each other.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from PIL import Image, ImageDraw
from rich.console import Console

import fastgan
import zerosum
from emoji import google
from modes import generator, spread
from resumable import Job, play_missing, rows
from zerosum.data import Store, holdout, open_data, to_pixels
from zerosum.errors import DivergedError
from zerosum.evaluation import MEASURES, Side, side_of_model, side_of_store
from zerosum.evaluation.bench import Bench
from zerosum.files import write_whole
from zerosum.metrics import extractor
from zerosum.run import Run
from zerosum.settings import recipe_names
from zerosum.training.display import PlainDisplay

FEATURES = "efficientnet-lite0"
METRICS = ("frechet", "kernel", "prdc")
SHOWN = {"frechet": ".2f", "kernel": "z.4f", "precision": ".3f", "recall": ".3f", "coverage": ".3f"}
TITLES = {"frechet": "Fréchet", "kernel": "kernel"}
CLAIMED = {"frechet": min, "kernel": min, "recall": max, "coverage": max}  # what is best; precision alone says nothing
REAL, DEFAULT = "real", "default"
FASTGAN = "fastgan"  # of this folder, not of the package
TUTORIALS = ("dcgan-28", "dcgan-64", "wgan-gp-28")
COLUMNS, TILE, GAP, NAME = 16, 64, 2, 150  # of a strip: samples, their largest side, what is between; width of names


@dataclass(frozen=True)
class Set:
    """A data set: the side of its images, the share that is held out, and who is compared on it by default."""

    side: int
    share: float
    recipes: tuple[str, ...]


SMALL = (DEFAULT, "dcgan-28", "wgan-gp-28", "sngan", "r3gan", "stylegan2")
DATA = {
    "mnist-5k": Set(28, 0.2, SMALL),
    "fashion-mnist": Set(28, 1 / 6, SMALL),
    "emoji": Set(64, 0.2, (DEFAULT, "dcgan-64", "sngan", "r3gan", "stylegan2")),
    "few": Set(64, 0.9, (DEFAULT, "quick", "r3gan", FASTGAN)),
}
USUAL = [name for name in DATA if name != "few"]


@dataclass(frozen=True)
class Place:
    """Where emoji are kept (None: the user's cache), and where strips go."""

    emoji: Path | None
    pictures: Path

    def play(self, job: Job) -> Job:
        """One training, judged; or, as what can be reached, images that were trained on."""
        torch.set_num_threads(job["threads"])
        kept, held = parts(job["data"], self.emoji)
        count = min(len(held), job["count"] or len(held))
        if job["recipe"] == REAL:
            one = side_of_store(kept)
            return {"samples": count, "figures": figures(one, held, None, count)[0]} | self._drawn(one, job)
        with tempfile.TemporaryDirectory() as folder:
            try:
                run = trained(job, source_of(job["data"], self.emoji), Path(folder) / "run")
            except DivergedError as error:
                return {"failed": str(error)}
            if run.signal is not None:  # a training that was cut short is none of so many minutes
                sys.exit(128 + run.signal)
            check_rows(run, kept)
            made = side_of_model(generator(run), seed=1)
            against_held, against_kept = figures(made, held, kept, count)
            about = {"samples": count, "figures": against_held, "trained": against_kept} | facts(run)
            return about | self._drawn(made, job)

    def _drawn(self, side: Side, job: Job) -> Job:
        """Write the strip of a job; the name of its file."""
        name = f"{job['data']}-{job['recipe']}.png"
        if job["recipe"] != REAL:
            name = f"{name[:-4]}-{job['minutes']:g}-minutes-{job['threads']}-threads-seed{job['seed']}.png"
        write_whole(self.pictures / name, as_png(strip(side)))
        return {"strip": name}


def source_of(data: str, emoji: Path | None) -> str:
    """What training calls the data set."""
    return str(google(emoji, DATA[data].side)) if data in ("emoji", "few") else data


@cache
def parts(data: str, emoji: Path | None) -> tuple[Store, Store]:
    """What is trained on, and what is held out: the rows that `data.holdout` chooses, by their content alone."""
    about = DATA[data]
    return holdout(open_data(source_of(data, emoji), size=str(about.side)), about.share)


def trained(job: Job, source: str, out: Path) -> Run:
    """A training in silence, without a recipe where it is the default."""
    about = DATA[job["data"]]
    named: dict[str, Any] = {} if job["recipe"] == DEFAULT else {"recipe": job["recipe"]}
    if job["recipe"] == FASTGAN:
        named = {"recipe": fastgan.RECIPE}
    return zerosum.train(
        source,
        out=out,
        minutes=job["minutes"],
        seed=job["seed"],
        device="cpu",
        settings={
            "training.report_every": 10_000_000,
            "data.size": str(about.side),
            "data.holdout": about.share,
        },
        display=PlainDisplay(Console(quiet=True)),
        **named,
    )


def check_rows(run: Run, kept: Store) -> None:
    """End the program where a run has trained on other rows than those that its samples are not compared with."""
    digest = json.loads((run.path / "data.json").read_text(encoding="utf-8"))["digest"]
    if digest != kept.digest:
        sys.exit(f"{run.path} was trained on other rows of {kept.name} than this benchmark keeps for it.")


def facts(run: Run) -> dict[str, Any]:
    """Of a run: how far it came, on what, and which recipe it was, for the default chooses one."""
    config = tomllib.loads((run.path / "config.toml").read_text(encoding="utf-8"))
    environment = json.loads((run.path / "environment.json").read_text(encoding="utf-8"))
    return {
        "images": run.images,
        "seconds": round(run.seconds, 1),
        "is": config["recipe"]["name"],
        "reasons": config["recipe"].get("reasons", []),
        "in": {key: environment[key] for key in ("zerosum", "torch", "device", "threads", "precision")},
    }


def figures(made: Side, held: Store, kept: Store | None, count: int) -> tuple[dict[str, float], dict[str, float]]:
    """Of so many samples against held-out images, and against as many that were trained on (None: no figures)."""
    bench = Bench(made, side_of_store(held), None, extractor(FEATURES), count, 0, torch.device("cpu"))
    against_held = found(bench)
    if kept is None:
        return against_held, {}
    other = replace(bench, real=side_of_store(kept))
    other.made_features = bench.made_features  # those of the samples are what takes long
    return against_held, found(other)


def found(bench: Bench) -> dict[str, float]:
    """The figures of one comparison, without digits that mean nothing."""
    measured = [MEASURES[name].find(bench).figures for name in METRICS]
    return {name: round(value, 6) for one in measured for name, value in one.items()}


def strip(side: Side) -> Image.Image:
    """Sixteen images beside each other, as large as whole multiples of their pixels let them be."""
    images = to_pixels(side.images(0, COLUMNS), 0, 255, np.dtype(np.uint8))
    high, wide = (length * max(1, TILE // max(images.shape[1:3])) for length in images.shape[1:3])
    sheet = Image.new("RGB", (COLUMNS * (wide + GAP) - GAP, high), "white")
    for place, pixels in enumerate(images):
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        sheet.paste(picture.resize((wide, high), Image.Resampling.NEAREST), (place * (wide + GAP), 0))
    return sheet


def as_png(picture: Image.Image) -> bytes:
    """What a file of it holds."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def draw_sheets(results: Sequence[Job], pictures: Path) -> None:
    """All strips of a data set and a length in one picture, each with the recipe's name and the seed."""
    strips = [row for row in results if (pictures / row.get("strip", "-")).is_file()]
    lengths = {(row["data"], row["minutes"]): None for row in strips if row["recipe"] != REAL}
    for data, minutes in lengths:
        own = [row for row in strips if row["data"] == data and row.get("minutes", minutes) == minutes]
        own.sort(key=lambda row: (rank(row), row.get("seed", 0), row["threads"]))
        drawn = [Image.open(pictures / row["strip"]) for row in own]
        wide, high = (max(picture.size[axis] for picture in drawn) for axis in (0, 1))
        sheet = Image.new("RGB", (NAME + wide, len(drawn) * (high + GAP) - GAP), "white")
        pen = ImageDraw.Draw(sheet)
        for place, (row, picture) in enumerate(zip(own, drawn, strict=True)):
            words = REAL if row["recipe"] == REAL else f"{row['recipe']}, seed {row['seed']}"
            pen.text((NAME - 8, place * (high + GAP) + high / 2), words, fill="black", anchor="rm")
            sheet.paste(picture, (NAME, place * (high + GAP)))
        write_whole(pictures / f"{data}-{minutes:g}-minutes.png", as_png(sheet))


def rank(row: Job) -> tuple[int, str]:
    """Where a recipe stands in tables and pictures: real images first, the default next, then as they are listed."""
    order = (REAL, *DATA[row["data"]].recipes)
    return (order.index(row["recipe"]) if row["recipe"] in order else len(order), row["recipe"])


Group = list[Job]  # lines of one recipe, one a seed


def contests(results: Sequence[Job]) -> Iterator[tuple[dict[str, Any], dict[str, Group]]]:
    """What compares with each other, in order: data, threads, count and minutes, and the lines of each recipe."""
    kinds = ("data", "threads", "count", "minutes")
    ran = [row for row in results if row["recipe"] != REAL]
    for key in sorted({tuple(row[kind] for kind in kinds) for row in ran}):
        about = dict(zip(kinds, key, strict=True))
        own = [row for row in results if about.items() <= ({"minutes": about["minutes"]} | row).items()]
        groups: dict[str, Group] = {}
        for row in sorted(own, key=rank):
            groups.setdefault(row["recipe"], []).append(row)
        yield about, groups


def values(group: Group, figure: str) -> list[float]:
    """A figure of each seed that did not fail."""
    return [row["figures"][figure] for row in group if "figures" in row]


def means(groups: dict[str, Group], figure: str) -> dict[str, float]:
    """The mean of a figure over the seeds of each recipe that has some."""
    found = {recipe: values(group, figure) for recipe, group in groups.items() if recipe != REAL}
    return {recipe: float(np.mean(own)) for recipe, own in found.items() if own}


def best_of(groups: dict[str, Group], figure: str) -> list[str]:
    """The recipes with the best mean of a figure: several where they are equal."""
    by_recipe = means(groups, figure)
    best = CLAIMED[figure](by_recipe.values(), default=None)
    return [recipe for recipe, value in by_recipe.items() if value == best]


def table(results: Sequence[Job]) -> Iterator[str]:
    """The runs as lines of Markdown: means over seeds, ± their standard deviations; the best mean is bold."""
    yield f"Against held-out images, features of {FEATURES}; means and deviations over seeds; bold: the best mean.\n"
    columns = [TITLES.get(name, name) for name in SHOWN]
    yield f"| data | minutes | threads | recipe | seeds | {' | '.join(columns)} | samples | images seen |"
    yield f"| {' | '.join(['---'] * (len(columns) + 7))} |"
    for about, groups in contests(results):
        best = {name: best_of(groups, name) for name in CLAIMED}
        for recipe, group in groups.items():
            cells = [f"`{about['data']}`", f"{about['minutes']:g}", str(about["threads"]), named(recipe, group)]
            there = [row for row in group if "figures" in row]
            failed = f", {len(group) - len(there)} diverged" if len(there) < len(group) else ""
            cells.append("" if recipe == REAL else f"{len(there)}{failed}")
            for name, how in SHOWN.items():
                cell = spread(values(group, name), how) if there else ""
                cells.append(f"**{cell}**" if best.get(name) == [recipe] else cell)
            seen = [row["images"] for row in there if "images" in row]
            cells += [f"{there[0]['samples']:,}" if there else "", f"{np.median(seen):,.0f}" if seen else ""]
            yield f"| {' | '.join(cells)} |"


def named(recipe: str, group: Group) -> str:
    """A recipe in the table; of the default, with what it chose."""
    if recipe == REAL:
        return "real, trained on"
    chosen = sorted({f"`{row['is']}`" for row in group if "is" in row})
    return f"default: {', '.join(chosen)}" if recipe == DEFAULT and chosen else f"`{recipe}`"


def verdicts(results: Sequence[Job]) -> Iterator[str]:
    """Of each contest a line: where the default is the best, who is where it is not, and how far tutorials are off."""
    for about, groups in contests(results):
        distances = means(groups, "frechet")
        if DEFAULT not in distances or len(distances) < 2:
            continue
        won, lost = [], []
        for name in CLAIMED:
            by_recipe, best, title = means(groups, name), best_of(groups, name), TITLES.get(name, name)
            if best == [DEFAULT]:
                won.append(title)
                continue
            ahead = next(recipe for recipe in best if recipe != DEFAULT)
            own, other = (f"{by_recipe[recipe]:{SHOWN[name]}}" for recipe in (DEFAULT, ahead))
            lost.append(f"{title} ({own}, `{ahead}` {other})")
        times = [f"`{name}` {distances[name] / distances[DEFAULT]:.1f}" for name in TUTORIALS if name in distances]
        where = f"`{about['data']}`, {about['minutes']:g} minutes, threads: {about['threads']}"
        words = f"{where}: of {len(distances)} recipes the default is the best in {', '.join(won) or 'nothing'}"
        words += f"; not in {', '.join(lost)}." if lost else "."
        yield words + (f" Its Fréchet distance is 1, that of {', '.join(times)}." if times else "")


def asked(options: argparse.Namespace) -> list[Job]:
    """The trainings that are wanted, one seed of all after the other."""
    common = {"threads": options.threads, "count": options.count}
    jobs: list[Job] = [{"data": data, "recipe": REAL} | common for data in options.data]
    return jobs + [
        {"data": data, "recipe": recipe, "minutes": minutes, "seed": seed} | common
        for seed in range(options.seeds)
        for minutes in options.minutes
        for data in options.data
        for recipe in options.recipes or DATA[data].recipes
    ]


def parse_minutes(text: str) -> list[float]:
    """`5,20` as numbers. Raises ValueError for what is none, or not above 0."""
    found = [float(part) for part in text.split(",")]
    if not all(0 < minutes < float("inf") for minutes in found):
        raise ValueError(text)
    return found


def options_of() -> argparse.Namespace:
    """The command line, checked before anything is trained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="default: those of each data set")
    parser.add_argument("--data", nargs="+", default=USUAL, choices=list(DATA))
    parser.add_argument("--minutes", type=parse_minutes, default=[5.0], help="of each training: 5,20 (default: 5)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: those of all cores")
    parser.add_argument("--count", type=int, default=0, help="of samples and of real images (default: as held out)")
    parser.add_argument("--cache", type=Path, help="where emoji are kept (default: the user's cache)")
    parser.add_argument("--results", type=Path, default=Path("quality.jsonl"))
    parser.add_argument("--pictures", type=Path, default=Path("quality-pictures"))
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    if options.threads < 1 or options.seeds < 1 or options.count < 0:
        parser.error("--threads and --seeds are 1 or more, --count 0 or more")
    known = {DEFAULT, FASTGAN, *recipe_names()}
    wanted = {name for data in options.data for name in options.recipes or DATA[data].recipes}
    if unknown := sorted(wanted - known):
        parser.error(f"no recipe {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return options


def main() -> int:
    """Run what is missing, put the strips together, print the table and what follows from it."""
    options = options_of()
    if not options.table:
        options.pictures.mkdir(parents=True, exist_ok=True)
        place = Place(options.cache, options.pictures)
        play_missing(options.results, asked(options), place.play)
        with FileLock(options.pictures / ".lock"):  # of processes that finish together
            draw_sheets(rows(options.results), options.pictures)
    results = rows(options.results)
    print("\n".join([*table(results), "", *verdicts(results)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
