"""Images a second: a recipe through zerosum's own loop, beside the same mathematics as the tutorials write it.

    python benchmarks/throughput.py                        # all five recipes, about seven minutes
    python benchmarks/throughput.py dcgan-64 --pairs 5     # one

Both sides run in one process, in turns, after a warm-up; each recipe in a process of its own, for what the one before
left to the allocator would speed the tutorial's side up (dcgan-64 after wgan-gp-28: by a fifth). zerosum's side writes
records, samples and checkpoints and keeps its display; the tutorial's side (benchmarks/plain.py) is plain PyTorch:
float32, a DataLoader that decodes with Pillow, default Adam, `.item()` every step. The figure is the median of the
ratios of the pairs.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from plain import PlainRun
from zerosum.assembly import make_plan, make_state, resolve
from zerosum.data import open_data
from zerosum.games import Randomness
from zerosum.making import make_game
from zerosum.material import Material
from zerosum.networks import is_convolutional
from zerosum.run import make_reporter
from zerosum.settings import make_config
from zerosum.training.display import PlainDisplay
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed
from zerosum.training.loop import Interrupts, play_on
from zerosum.training.memory import keep_buffers, return_buffers
from zerosum.training.run_folder import RunFolder

THREADS = torch.get_num_threads()
SECONDS = 12.0  # one side of a pair; zerosum saves at its end, five times as often as it would
DATA = {"gan-gaussian": "gaussian", "dcgan-64": "fashion-mnist"}
# Its published run, 20 epochs, is over before a compiler would be: the steady state is that of a long one.
EXTRA: dict[str, dict[str, bool]] = {"gan-gaussian": {"training.compile": True}}
TARGETS = {"dcgan-64": 2.3, "dcgan-28": 2.0, "wgan-gp-28": 2.0, "gan-mlp": 1.5, "gan-gaussian": 1.5}


class OwnRun:
    """A recipe through zerosum's loop, a stretch at a time, with everything on that a run has on."""

    def __init__(self, recipe: str, folder: Path) -> None:
        source = DATA.get(recipe, "mnist-5k")
        config = make_config(recipe, {"data.source": source, **EXTRA.get(recipe, {})})
        self.store = open_data(source, size=None if config.data.size == "auto" else config.data.size)
        game = make_game(config, self.store.shape)
        resolve(config, self.store, game, torch.device("cpu"))
        if is_convolutional(game):
            game.to(memory_format=torch.channels_last)
        self.config = config
        self.feed = Feed(self.store, Randomness(0), flip=False)
        self.folder = RunFolder(folder)
        self.plan = make_plan(config, self.store, torch.device("cpu"))
        self.engine = Engine(make_state(config, game), self.plan)
        display = PlainDisplay(Console(file=io.StringIO()))
        material = Material(self.store, torch.device("cpu"), self.store.digest)
        self.reporter = make_reporter(self.folder, config, material, game, [], display, self.plan)
        self.reporter.begin(self.engine.state)

    def run(self, images: int) -> None:
        """Train on `images` more, reporting by the clock and saving at the end."""
        torch.set_num_threads(int(self.config.training.threads))
        keep_buffers()  # as `zerosum train` does
        plan = replace(self.plan, images=self.engine.state.images + images, seconds=None)
        play_on(self.engine, self.feed, plan, self.reporter, Interrupts())
        torch.set_num_threads(THREADS)
        return_buffers()  # the tutorial's side has glibc as it is


def timed(run: PlainRun | OwnRun, images: int) -> float:
    """Images a second over a stretch."""
    start = time.perf_counter()
    run.run(images)
    return images / (time.perf_counter() - start)


def compare(recipe: str, pairs: int) -> tuple[float, float, float]:
    """(zerosum's images/s, the tutorial's, the median ratio); prints each pair."""
    with tempfile.TemporaryDirectory() as folder:
        own = OwnRun(recipe, Path(folder))
        plain = PlainRun(recipe, np.array(own.store.values))
        batch = own.plan.batch
        start = time.perf_counter()
        own.run(4 * batch)
        print(f"{recipe}: zerosum's first steps took {time.perf_counter() - start:.1f} s")
        plain.run(4 * batch)
        stretch = {run: max(8, int(timed(run, 16 * batch) * SECONDS / batch)) * batch for run in (own, plain)}
        rates = []
        for number in range(pairs):
            order = (own, plain) if number % 2 == 0 else (plain, own)
            rate = {run: timed(run, stretch[run]) for run in order}
            rates.append((rate[own], rate[plain]))
            print(f"  {recipe}: {rates[-1][0]:8.0f} against {rates[-1][1]:8.0f}, {rates[-1][0] / rates[-1][1]:.2f}×")
        precision, threads = own.config.training.precision, own.config.training.threads
        compiled = ", compiled" if own.config.training.compile else ""
        median = statistics.median(mine / theirs for mine, theirs in rates)
        mine, theirs = (statistics.median(column) for column in zip(*rates, strict=True))
        print(
            f"{recipe}: zerosum {mine:.0f} images/s ({precision}, {threads} threads{compiled}), "
            f"tutorial {theirs:.0f} images/s (float32, {THREADS} threads): {median:.2f}×, target {TARGETS[recipe]}×",
            flush=True,
        )
    return mine, theirs, median


def main() -> int:
    """Exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=[], metavar="RECIPE", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    if unknown := set(options.recipes) - set(TARGETS):
        parser.error(f"no plain form of {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    recipes = options.recipes or list(TARGETS)
    if len(recipes) == 1:
        return int(compare(recipes[0], options.pairs)[2] < TARGETS[recipes[0]])
    alone = [sys.executable, __file__, "--pairs", str(options.pairs)]
    return max(subprocess.run([*alone, recipe], check=False).returncode for recipe in recipes)


if __name__ == "__main__":
    sys.exit(main())
