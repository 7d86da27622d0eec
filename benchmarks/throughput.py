"""Images a second: a recipe through zerosum's own loop, beside the same mathematics as the tutorials write it.

    python benchmarks/throughput.py                        # all five recipes, about seven minutes
    python benchmarks/throughput.py dcgan-64 --pairs 5     # one
    python benchmarks/throughput.py r3gan stylegan2 --size s    # two at 32×32 and 64×64, by what the device could do

Both sides run in one process, in turns, after a warm-up; each recipe in a process of its own, for what the one before
left to the allocator would speed the tutorial's side up (dcgan-64 after wgan-gp-28: by a fifth). zerosum's side writes
records, samples and checkpoints and keeps its display; the tutorial's side (benchmarks/plain.py) is plain PyTorch:
float32, a DataLoader that decodes with Pillow, default Adam, `.item()` every step. The figure is the median of the
ratios of the pairs.

`r3gan` and `stylegan2` have no tutorial's side. They train on colour images at 32×32 and 64×64, each in a process of
its own, on the GPU where there is one (--device), and are held against ceilings measured just before on the same device
and threads: the best product of two matrices, and a dense 3×3 convolution. For each there is a row: images a second
through the loop with all that a run has on, and of its steps alone; billions of FLOPs an image, and how many of them in
float32 (benchmarks/utilisation.py says what is counted); the utilisation, FLOPs times images a second of the loop over
the ceiling of products in the dtype that is trained in, and, in brackets, of each dtype's FLOPs over the higher of its
own two ceilings; the peak of memory.
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
from utilisation import (
    WORDS,
    convolution_ceiling,
    cycle,
    device_words,
    flops_an_image,
    forget_peak,
    peak_memory,
    product_ceiling,
    steps_alone,
    utilisation,
)
from zerosum.assembly import make_plan, make_state, resolve
from zerosum.config import RunConfig
from zerosum.data import Store, open_data
from zerosum.errors import UsageError
from zerosum.games import Randomness
from zerosum.making import make_game
from zerosum.material import Material
from zerosum.networks import is_convolutional
from zerosum.order import Order
from zerosum.released import choose_device
from zerosum.run import make_reporter
from zerosum.settings import make_config
from zerosum.sizes import SIZES
from zerosum.training.display import PlainDisplay
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed
from zerosum.training.interrupts import Interrupts
from zerosum.training.loop import play_on
from zerosum.training.memory import keep_buffers, return_buffers
from zerosum.training.run_folder import RunFolder

THREADS = torch.get_num_threads()
SECONDS = 12.0  # one side of a pair; zerosum saves at its end, five times as often as it would
DATA = {"gan-gaussian": "gaussian", "dcgan-64": "fashion-mnist"}
# Its published run, 20 epochs, is over before a compiler would be: the steady state is that of a long one.
EXTRA: dict[str, dict[str, bool]] = {"gan-gaussian": {"training.compile": True}}
SIDES = (32, 64)  # of the images that these two are trained on
SIZED = ("r3gan", "stylegan2")
HEADER = """\
| recipe | size | images | batch | images/s | steps alone | GFLOPs each (in float32) | utilisation (by dtype) | memory |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""
TARGETS = {"dcgan-64": 2.3, "dcgan-28": 2.0, "wgan-gp-28": 2.0, "gan-mlp": 1.5, "gan-gaussian": 1.5}


class OwnRun:
    """A configured game through zerosum's loop, a stretch at a time, with everything on that a run has on."""

    def __init__(self, config: RunConfig, store: Store, device: torch.device, folder: Path) -> None:
        self.store, self.device, self.config = store, device, config
        game = make_game(config, self.store.shape)
        resolve(config, self.store, game, device)
        game.to(device)
        if is_convolutional(game):
            game.to(memory_format=torch.channels_last)
        self.feed = Feed(self.store, Randomness(0, device), flip=False)
        self.folder = RunFolder(folder)
        self.plan = make_plan(config, self.store, device)
        self.engine = Engine(make_state(config, game), self.plan)
        display = PlainDisplay(Console(file=io.StringIO()))
        material = Material(self.store, device, self.store.digest)
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
    source = DATA.get(recipe, "mnist-5k")
    config = make_config(recipe, {"data.source": source, **EXTRA.get(recipe, {})})
    store = open_data(source, size=None if config.data.size == "auto" else config.data.size)
    with tempfile.TemporaryDirectory() as folder:
        own = OwnRun(config, store, torch.device("cpu"), Path(folder))
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


def utilise(recipe: str, side: int, size: str, device: torch.device, micro_batch: int | None) -> None:
    """Print a recipe's row at `side`×`side`×3, and what the ceilings are."""
    store = open_data("mnist-5k", size=str(side), channels=3)
    asked = {"training.size": size, "training.device": str(device), "training.micro_batch": micro_batch}
    config, _ = Order(recipe, "mnist-5k", asked).after(Material(store, device, store.digest))
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        own = OwnRun(config, store, device, Path(folder))
        game, plan = own.engine.state.game, own.plan
        torch.set_num_threads(int(config.training.threads))
        trained = plan.autocast or torch.float32
        products = {dtype: product_ceiling(device, dtype) for dtype in (trained, torch.float32)}
        dense = {dtype: convolution_ceiling(device, dtype) for dtype in products}
        keep_buffers()
        forget_peak(device)
        steps = cycle(game, config)
        flops = flops_an_image(own.engine, own.feed, steps)
        rate = steps_alone(own.engine, own.feed, steps, device)
        steps *= max(1, round(SECONDS * rate / (steps * plan.batch)))
        alone = steps_alone(own.engine, own.feed, steps, device)
        loop = timed(own, steps * plan.batch)
        peak = peak_memory(device)
    whole, precise = sum(flops.values()), flops.get(torch.float32, 0.0)
    highest = {dtype: max(products[dtype], dense[dtype]) for dtype in products}
    count = {name: sum(each.numel() for each in game.parameters_of(name)) for name in ("generator", "discriminator")}
    told = (f"{WORDS[dtype]} {products[dtype] / 1e9:,.0f} and {dense[dtype] / 1e9:,.0f}" for dtype in products)
    print(
        f"{recipe} {size}, {side}×{side}: {count['generator']:,} and {count['discriminator']:,} parameters, "
        f"{WORDS[trained]}, micro-batches of {plan.micro_batch}, on {device_words(device)}; ceilings of products and "
        f"convolutions in GFLOP/s: {', '.join(told)}"
    )
    print(
        f"| `{recipe}` | {size} | {side}×{side}×3 | {plan.batch} | {loop:,.1f} | {alone:,.1f} | "
        f"{whole / 1e9:.3g} ({precise / 1e9:.3g}) | "
        f"{utilisation({trained: whole}, loop, products):.1%} ({utilisation(flops, loop, highest):.1%}) | {peak} |",
        flush=True,
    )


def apart(*arguments: object) -> int:
    """This script with these arguments in a process of its own; its exit code."""
    return subprocess.run([sys.executable, __file__, *map(str, arguments)], check=False).returncode


def main() -> int:
    """Exit code 1 where a target is missed, or a process ended badly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = (*TARGETS, *SIZED)
    parser.add_argument("recipes", nargs="*", default=[], metavar="RECIPE", help=f"of {', '.join(known)}")
    parser.add_argument("--pairs", type=int, default=5, help="of the two sides, where there are two")
    sized = parser.add_argument_group(f"for {' and '.join(SIZED)}")
    sized.add_argument("--size", choices=SIZES, default="s")
    sized.add_argument("--side", type=int, choices=SIDES, help="of the images; both in turns, where it is not said")
    sized.add_argument("--device", default="auto")
    sized.add_argument("--micro-batch", type=int, help="at once, where the size's batch is too large for the memory")
    options = parser.parse_args()
    if unknown := set(options.recipes) - set(known):
        parser.error(f"nothing is measured of {', '.join(unknown)}; there are {', '.join(known)}")
    try:
        device = choose_device(options.device)
    except UsageError as error:
        parser.error(str(error))
    recipes = options.recipes or list(TARGETS)
    if len(recipes) == 1 and recipes[0] in TARGETS:
        return int(compare(recipes[0], options.pairs)[2] < TARGETS[recipes[0]])
    if len(recipes) == 1 and options.side is not None:
        utilise(recipes[0], options.side, options.size, device, options.micro_batch)
        return 0
    codes = [apart(recipe, "--pairs", options.pairs) for recipe in recipes if recipe in TARGETS]
    if any(recipe in SIZED for recipe in recipes):
        print(HEADER, flush=True)
    given = ["--size", options.size, "--device", device]
    given += [] if options.micro_batch is None else ["--micro-batch", options.micro_batch]
    for recipe in recipes:
        for side in SIDES if options.side is None else (options.side,):
            codes += [apart(recipe, "--side", side, *given)] if recipe in SIZED else []
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
