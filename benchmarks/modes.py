"""Which objective finds every mode: ring8 and grid25, ten seeds each, the protocol of VEEGAN and PacGAN.

    python benchmarks/modes.py                         all objectives, both sets, ten seeds: hours on one core
    python benchmarks/modes.py points --seeds 3        one of them, three seeds
    python benchmarks/modes.py --table                 the table of what is there already

Every run is one line of `--results` (JSON), so that an interrupted benchmark goes on where it stopped; give each of
several processes objectives of its own. A run is judged on 2,500 samples by `zerosum.metrics.count_modes`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import zerosum
from zerosum.data import MIXTURES
from zerosum.metrics import Modes, count_modes
from zerosum.training.display import PlainDisplay

SAMPLES = 2500

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
    """One row of the table: what it is, and how it departs from the recipe `points`."""

    title: str
    settings: dict[str, Any] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MIXTURES, 1_280_000))


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


def play(objective: str, name: str, seed: int) -> dict[str, Any]:
    """One training, judged."""
    quiet = PlainDisplay(Console(quiet=True))
    about = OBJECTIVES[objective]
    settings = {"training.threads": 1, "training.report_every": 10_000_000} | about.settings
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = zerosum.train(
            name,
            recipe="points",
            images=about.images[name],
            out=Path(folder) / "run",
            seed=seed,
            settings=settings,
            display=quiet,
        )
        seconds = time.perf_counter() - begun
        points = run.model.sample(SAMPLES, seed=1)
    modes: Modes = count_modes(np.asarray(points), *MIXTURES[name])
    return {"objective": objective, "set": name, "seed": seed, "seconds": round(seconds, 1), **asdict(modes)}


def read(path: Path) -> list[dict[str, Any]]:
    """The runs there are."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The runs as lines of Markdown: means over seeds, ± their standard deviations."""
    yield "| objective | set | seeds | modes | all modes in | high quality | reverse KL | images | seconds |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for objective, about in OBJECTIVES.items():
        for name in MIXTURES:
            own = [row for row in rows if row["objective"] == objective and row["set"] == name]
            if not own:
                continue
            reached, quality, kl, seconds = (
                np.array([row[key] for row in own], dtype=float)
                for key in ("reached", "high_quality", "reverse_kl", "seconds")
            )
            total = own[0]["total"]
            images = about.images[name] / 1e6
            yield (
                f"| {about.title} | `{name}` | {len(own)} | {reached.mean():.1f} ± {reached.std():.1f} of {total} | "
                f"{int((reached == total).sum())} of {len(own)} | {quality.mean():.1%} ± {quality.std():.1%} | "
                f"{kl.mean():.3f} ± {kl.std():.3f} | {images:.2f}M | {np.median(seconds):.0f} |"
            )


def main() -> int:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("objectives", nargs="*", metavar="OBJECTIVE", help=f"of {', '.join(OBJECTIVES)}")
    parser.add_argument("--sets", nargs="+", default=list(MIXTURES), choices=list(MIXTURES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--results", type=Path, default=Path("modes.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    if unknown := set(options.objectives) - set(OBJECTIVES):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(OBJECTIVES)}")
    done = {(row["objective"], row["set"], row["seed"]) for row in read(options.results)}
    wanted = [
        (objective, name, seed)
        for objective in options.objectives or OBJECTIVES
        for name in options.sets
        for seed in range(options.seeds)
        if (objective, name, seed) not in done
    ]
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), disable=options.table) as progress:
        task = progress.add_task("modes", total=len(wanted))
        for objective, name, seed in [] if options.table else wanted:
            progress.update(task, description=f"{objective} {name} seed {seed}")
            row = play(objective, name, seed)
            with options.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            progress.advance(task)
    print("\n".join(table(read(options.results))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
