"""Members of an ensemble stacked, beside the same members one after another: the time of a step of all of them.

    python benchmarks/ensemble.py                     # three recipes, and networks between them, some minutes
    python benchmarks/ensemble.py gan-gaussian --pairs 9

Both sides run in this process on one thread, in turns, after a warm-up. A step is what `zerosum train` takes without
reports and checkpoints, which cost both sides the same. The figure is the median of the ratios of the pairs.
`zerosum.at_once` holds the rule that follows from it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch

from zerosum.assembly import make_plan, make_state, resolve
from zerosum.data import Store, open_data
from zerosum.games import Randomness
from zerosum.games.randomness import number_of
from zerosum.making import make_game
from zerosum.settings import make_config
from zerosum.training.checkpoint import State
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed
from zerosum.training.plan import Plan
from zerosum.training.stacked import Stacked

CPU = torch.device("cpu")
SECONDS = 3.0  # about, of one side of a pair


def players(hidden: list[int], batch: int) -> dict[str, Any]:
    """Settings of a game of other widths."""
    return {"generator.options.hidden": hidden, "discriminator.options.hidden": hidden, "training.batch": batch}


GAMES: dict[str, tuple[str, str, dict[str, Any], tuple[int, ...]]] = {
    "gan-gaussian": ("gan-gaussian", "gaussian", {}, (2, 4, 8, 32)),
    "gan-mlp": ("gan-mlp", "mnist-5k", {}, (4, 8)),
    "points": ("points", "grid25", {}, (4, 8)),
    "gan-mlp-8": ("gan-mlp", "mnist-5k", {"training.batch": 8}, (4, 8)),
    "points-32": ("points", "grid25", players([32, 32, 32], 64), (4, 8)),
    "points-64": ("points", "grid25", players([64, 64, 64], 64), (4, 8)),
    "points-128": ("points", "grid25", players([128, 128, 128], 64), (4, 8)),
}


def member(recipe: str, settings: dict[str, Any], seed: int, store: Store) -> tuple[State, Plan, Feed]:
    """One run that is about to begin."""
    config = make_config(recipe, settings | {"training.compile": False, "training.seed": seed})
    torch.manual_seed(number_of(seed, "weights"))
    game = make_game(config, store.shape)
    resolve(config, store, game, CPU)
    return make_state(config, game), make_plan(config, store, CPU), Feed(store, Randomness(seed), flip=False)


def compare(name: str, count: int, pairs: int) -> float:
    """The median ratio of one after another to stacked, by time; prints it with both times of a step."""
    recipe, source, settings, _ = GAMES[name]
    settings = settings | {"data.source": source}
    store = open_data(source)
    if make_config(recipe, settings).data.standardise:
        store = store.standardised()
    alone = [member(recipe, settings, seed, store) for seed in range(count)]
    engines = [(Engine(state, plan), feed) for state, plan, feed in alone]
    members = [member(recipe, settings, seed, store) for seed in range(count)]
    stack = Stacked([state for state, _, _ in members], [feed for _, _, feed in members], members[0][1])

    def stacked(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            stack.step(stack.feeds[0], 0.0)
        return (time.perf_counter() - start) / steps

    def one_after_another(steps: int) -> float:
        start = time.perf_counter()
        for engine, feed in engines:
            for _ in range(steps):
                engine.step(feed, 0.0)
        return (time.perf_counter() - start) / steps

    for warm_up in (stacked, one_after_another):
        warm_up(10)
    steps = max(10, int(SECONDS / one_after_another(10)))
    times = []
    for number in range(pairs):
        sides = (stacked, one_after_another) if number % 2 == 0 else (one_after_another, stacked)
        took = {side: side(steps) for side in sides}
        times.append((took[one_after_another], took[stacked]))
    ratios = [before / now for before, now in times]
    work = sum(p.numel() for p in members[0][0].game.parameters()) * members[0][1].batch
    before, now = (1000 * statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"{name}, {count} members, {work / 1e6:.2f}M parameters × batch: {before:.2f} ms a step one after another, "
        f"{now:.2f} stacked: {statistics.median(ratios):.2f}× ({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )
    return statistics.median(ratios)


def main() -> None:
    """Every game that is named, or all, with each of its counts of members."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("games", nargs="*", metavar="GAME", help=f"of {', '.join(GAMES)}")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    if unknown := set(options.games) - set(GAMES):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(GAMES)}")
    torch.set_num_threads(1)
    for name in options.games or GAMES:
        for count in GAMES[name][3]:
            compare(name, count, options.pairs)


if __name__ == "__main__":
    main()
