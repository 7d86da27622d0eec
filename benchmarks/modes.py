"""Which objective finds every mode: ring8, grid25 and stacked digits, by the protocols of VEEGAN and PacGAN.

    python benchmarks/modes.py                         all objectives, both mixtures, ten seeds: hours on one core
    python benchmarks/modes.py points --seeds 3        one of them, three seeds
    python benchmarks/modes.py --sets stacked --seeds 1 --minutes 30       digits in the channels, 1,000 modes
    python benchmarks/modes.py quick --sets stacked --seeds 3 --images 1M  so many images, however long they take
    python benchmarks/modes.py --table                 the tables of what is there already

Every run is one line of `--results` (JSON), so that an interrupted benchmark goes on where it stopped; give each of
several processes objectives of its own. A run on a mixture is judged on 2,500 samples by `zerosum.metrics.count_modes`,
one on stacked digits on 26,000 by a classifier (see `stacked.py`), and a picture of its samples is drawn.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

import stacked
import zerosum
from zerosum.config_fields import parse_count
from zerosum.data import MIXTURES
from zerosum.evaluation import side_of_model
from zerosum.metrics import Modes, count_modes
from zerosum.run import Run
from zerosum.sampler import Sampler
from zerosum.training.display import PlainDisplay

SAMPLES = 2500
STACKED = "stacked"
SETS = (*MIXTURES, STACKED)
REAL = "real"  # in place of an objective: true triples
SHOWN = 32  # samples of a picture
Job = dict[str, Any]

# What the objectives but `points` share: its networks without Fourier features, no noise, Adam as published for GANs.
PLAIN: dict[str, Any] = {
    "game.penalties": {},
    "game.remedies.noise.start": 0.0,
    "game.remedies.noise.end": 0.0,
    "discriminator.options": {"hidden": [128, 128, 128], "slope": 0.2, "init": "pytorch", "dropout": 0.0},
    "generator.betas": [0.5, 0.9],
    "discriminator.betas": [0.5, 0.9],
    "generator.lr": 1e-3,
    "discriminator.lr": 1e-3,
    "generator.options": {
        "hidden": [128, 128, 128],
        "slope": 0.2,
        "init": "pytorch",
        "hidden_bias": True,
        "output": "linear",
    },
}


@dataclass(frozen=True)
class Objective:
    """One row of the table: what it is, how it departs from a recipe, and how many images each mixture takes."""

    title: str
    settings: dict[str, Any] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MIXTURES, 1_280_000))
    recipe: str = "points"


OBJECTIVES = {
    "minimax": Objective("minimax", PLAIN | {"game.loss": "minimax"}),
    "non-saturating": Objective("non-saturating", PLAIN | {"game.loss": "non-saturating"}),
    "least-squares": Objective("least squares", PLAIN | {"game.loss": "least-squares"}),
    "hinge": Objective("hinge, spectral normalisation", PLAIN | {"game.loss": "hinge", "discriminator.spectral": True}),
    "wgan-gp": Objective(
        "Wasserstein, gradient penalty 0.1, 5 critic turns",
        PLAIN
        | {
            "game.loss": "wasserstein",
            "game.penalties": {"gradient": {"weight": 0.1}},
            "game.discriminator_turns": 5,
        },
    ),
    "relativistic": Objective("relativistic", PLAIN | {"game.loss": "relativistic"}),
    "relativistic-r1-r2": Objective(
        "relativistic, R1 + R2 (gamma 0.1)",
        PLAIN | {"game.loss": "relativistic", "game.penalties": {"r1": {"gamma": 0.1}, "r2": {"gamma": 0.1}}},
    ),
    "pac4": Objective("non-saturating, packs of 4", PLAIN | {"game.loss": "non-saturating", "game.remedies.pack": 4}),
    "points": Objective(
        "`points`: relativistic, R1 + R2 by differences, fading noise, Fourier features",
        images={"ring8": 2_560_000, "grid25": 5_120_000},
    ),
}


# For stacked digits: DCGAN as it is taught, with one remedy or another, and networks without BatchNorm under R1 and R2.
ON_DIGITS = {
    "dcgan": Objective("`dcgan-28`", recipe="dcgan-28"),
    "pac2": Objective("`dcgan-28`, packs of 2", {"game.remedies.pack": 2}, recipe="dcgan-28"),
    "rpgan": Objective("`dcgan-28`, relativistic", {"game.loss": "relativistic"}, recipe="dcgan-28"),
    "quick": Objective("`quick`: relativistic, R1 + R2 (gamma 0.5)", recipe="quick"),
}


def trained(about: Objective, source: str | Path, out: Path, seed: int, **end: Any) -> Run:
    """One training on one thread, in silence. `end`: `images` or `minutes`."""
    settings = {"training.threads": 1, "training.report_every": 10_000_000} | about.settings
    quiet = PlainDisplay(Console(quiet=True))
    return zerosum.train(source, recipe=about.recipe, out=out, seed=seed, settings=settings, display=quiet, **end)


def generator(run: Run) -> Sampler:
    """What a run has trained."""
    model = run.model
    if not isinstance(model, Sampler):
        raise TypeError(f"{run.path} makes no samples of its own")
    return model


def play_mixture(job: Job) -> Job:
    """One training on a mixture, judged."""
    objective, name, seed = (job[key] for key in ("objective", "set", "seed"))
    about = OBJECTIVES[objective]
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = trained(about, name, Path(folder) / "run", seed, images=about.images[name])
        seconds = time.perf_counter() - begun
        points = generator(run).sample(SAMPLES, seed=1)
    modes: Modes = count_modes(np.asarray(points), *MIXTURES[name])
    return {"seconds": round(seconds, 1), **asdict(modes)}


class Bench:
    """Plays jobs on stacked digits; what they share is made when it is first needed."""

    def __init__(self, pictures: Path) -> None:
        self.pictures = pictures

    @cached_property
    def digits(self) -> stacked.Digits:
        """What triples are drawn of."""
        return stacked.digits()

    @cached_property
    def judge(self) -> stacked.Judge:
        """Who reads the digits, and knows enough of them."""
        return stacked.trained_judge(self.digits)

    def play(self, job: Job) -> Job:
        """One training, judged; or, as what can be reached, triples of digits that nobody trained on."""
        objective, judge = job["objective"], self.judge  # the judge first: one that knows too little ends it here
        if objective == REAL:
            rows = stacked.triples(self.digits.pixels[self.digits.held], stacked.SAMPLES, seed=1)
            return self._judged(judge, job, lambda first, n: stacked.as_images(rows[first : first + n]))
        end = {key: job[key] for key in ("minutes", "images") if key in job}
        with tempfile.TemporaryDirectory() as folder:
            source = stacked.training_set(self.digits)
            run = trained(ON_DIGITS[objective], source, Path(folder) / "run", job["seed"], **end)
            made = side_of_model(generator(run), seed=1)
        of_run = {"shown": run.images, "seconds": round(run.seconds, 1)}
        return of_run | self._judged(judge, job, made.images)

    def _judged(self, judge: stacked.Judge, job: Job, images: Callable[[int, int], Tensor]) -> Job:
        """What the judge counts among images; the first of them become a picture."""
        some = images(0, SHOWN)
        name = REAL if job["objective"] == REAL else f"{job['objective']} {length(job)} seed {job['seed']}"
        stacked.draw(self.pictures / f"{name.replace(',', '').replace(' ', '-')}.png", some, judge.modes(some))
        return stacked.counted(judge, images)


def read(path: Path) -> list[Job]:
    """The runs there are."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(rows: list[Job]) -> Iterator[str]:
    """The runs on mixtures as lines of Markdown: means over seeds, ± their standard deviations."""
    yield "| objective | set | seeds | modes | all modes in | high quality | reverse KL | images | seconds |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for objective, about in OBJECTIVES.items():
        for name in MIXTURES:
            own = [row for row in rows if row["objective"] == objective and row["set"] == name]
            if not own:
                continue
            reached, quality, kl, seconds = columns(own, "reached", "high_quality", "reverse_kl", "seconds")
            total = own[0]["total"]
            images = about.images[name] / 1e6
            yield (
                f"| {about.title} | `{name}` | {len(own)} | {reached.mean():.1f} ± {reached.std():.1f} of {total} | "
                f"{int((reached == total).sum())} of {len(own)} | {quality.mean():.1%} ± {quality.std():.1%} | "
                f"{kl.mean():.3f} ± {kl.std():.3f} | {images:.2f}M | {np.median(seconds):.0f} |"
            )


def columns(rows: list[Job], *keys: str) -> Iterator[NDArray[np.float64]]:
    """Of each key the values, float64 (N,)."""
    return (np.array([row[key] for row in rows], dtype=np.float64) for key in keys)


def caption() -> Iterator[str]:
    """What figures of stacked digits compare with."""
    formula, mean, deviation = stacked.floor()
    yield (
        f"{stacked.SAMPLES:,} samples, read by a classifier. A reverse KL (in nats) of {formula:.3f} is the least that "
        f"means anything: (K − 1) / 2N; of true samples it is {mean:.4f} ± {deviation:.4f} (200 simulations). Neither "
        "figure tells whether the digits are good ones, and misread ones add modes: believe the divergence first."
    )
    yield (
        "To beat, with 60,000 digits and other networks: DCGAN 99 modes (VEEGAN, https://arxiv.org/abs/1705.07761), "
        "PacGAN 1,000 / 0.06 (https://arxiv.org/abs/1712.04086), StyleGAN2 940 / 0.42 (as in Denoising Diffusion GANs, "
        "https://arxiv.org/abs/2112.07804), R3GAN 1,000 / 0.029 (https://arxiv.org/abs/2501.05441)."
    )


def table_of_digits(rows: list[Job]) -> Iterator[str]:
    """The runs on stacked digits likewise, a line for each objective and length."""
    yield "| objective | length | seeds | modes | all modes in | reverse KL | images | seconds | classifier knows |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    kinds = {(row["objective"], length(row)): None for row in rows}
    for objective, long in sorted(kinds, key=lambda kind: ([REAL, *ON_DIGITS].index(kind[0]), kind[1])):
        own = [row for row in rows if (row["objective"], length(row)) == (objective, long)]
        reached, kl, knows = columns(own, "reached", "reverse_kl", "accuracy")
        title, seeds, of_run = "triples of held-out digits", "", " | "
        if objective != REAL:
            shown, seconds = columns(own, "shown", "seconds")
            title, seeds = ON_DIGITS[objective].title, str(len(own))
            of_run = f"{np.median(shown):,.0f} | {np.median(seconds):,.0f}"
        total = own[0]["total"]
        yield (
            f"| {title} | {long} | {seeds} | {spread(reached, '.1f')} of {total:,} | "
            f"{int((reached == total).sum())} of {len(own)} | {spread(kl, '.3f')} | {of_run} | "
            f"{' to '.join(f'{share:.1%}' for share in sorted({knows.min(), knows.max()}))} |"
        )


def spread(values: Sequence[float] | NDArray[np.float64], how: str) -> str:
    """`12.30 ± 0.41`: the mean, and over several the standard deviation."""
    return f"{np.mean(values):{how}}" + (f" ± {np.std(values):{how}}" if len(values) > 1 else "")


def length(job: Job) -> str:
    """How long a run on stacked digits is asked to be."""
    if "minutes" in job:
        return f"{job['minutes']:g} minutes"
    return f"{job['images']:,} images" if "images" in job else ""


def asked(options: argparse.Namespace) -> list[Job]:
    """The runs that are wanted, those on stacked digits as long as they are wanted."""
    named, seeds = set(options.objectives), range(options.seeds)
    jobs: list[Job] = [
        {"objective": objective, "set": name, "seed": seed}
        for objective in OBJECTIVES
        for name in MIXTURES
        for seed in seeds
        if name in options.sets and (not named or objective in named)
    ]
    if STACKED not in options.sets:
        return jobs
    end = {"minutes": options.minutes} if options.images is None else {"images": options.images}
    if not named or REAL in named:
        jobs.append({"objective": REAL, "set": STACKED})
    return jobs + [
        {"objective": objective, "set": STACKED, "seed": seed, **end}
        for objective in ON_DIGITS
        for seed in seeds
        if not named or objective in named
    ]


def options_of() -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "objectives",
        nargs="*",
        metavar="OBJECTIVE",
        help=f"of {', '.join(OBJECTIVES)}; of stacked digits: {', '.join([REAL, *ON_DIGITS])}",
    )
    parser.add_argument("--sets", nargs="+", default=list(MIXTURES), choices=SETS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=30.0, help="of a run on stacked digits (default: 30)")
    parser.add_argument("--images", type=parse_count, help="of a run on stacked digits, in place of minutes: 1M")
    parser.add_argument("--results", type=Path, default=Path("modes.jsonl"))
    parser.add_argument(
        "--pictures", type=Path, default=Path("modes-pictures"), help="of stacked digits (default: %(default)s)"
    )
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    known = [*(OBJECTIVES if set(options.sets) & set(MIXTURES) else ())]
    known += [REAL, *ON_DIGITS] if STACKED in options.sets else []
    if unknown := set(options.objectives).difference(known):
        parser.error(f"there is no {', '.join(unknown)} for {', '.join(options.sets)}; there are {', '.join(known)}")
    return options


def main() -> int:
    """Run what is missing, print the tables."""
    options = options_of()
    there, bench = read(options.results), Bench(options.pictures)
    wanted = [job for job in asked(options) if not any(job.items() <= row.items() for row in there)]
    shown = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*shown, TimeRemainingColumn(), disable=options.table) as progress:
        task = progress.add_task("modes", total=len(wanted))
        for job in [] if options.table else wanted:
            progress.update(task, description=" ".join(map(str, job.values())))
            row = job | (bench.play(job) if job["set"] == STACKED else play_mixture(job))
            with options.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            progress.advance(task)
    rows = read(options.results)
    if of_mixtures := [row for row in rows if row["set"] in MIXTURES]:
        print("\n".join(table(of_mixtures)))
    if of_digits := [row for row in rows if row["set"] == STACKED]:
        print("\n".join(["", *caption(), "", *table_of_digits(of_digits)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
