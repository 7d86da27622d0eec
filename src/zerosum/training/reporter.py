"""What a run leaves behind on its way: a record, samples, health and a released model."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
from torch import Tensor

from zerosum.data import Store, to_pixels
from zerosum.diagnosis import diagnose
from zerosum.games import Latents, Randomness
from zerosum.model import Model
from zerosum.training.checkpoint import State, save
from zerosum.training.display import Display
from zerosum.training.ema import settle
from zerosum.training.plan import Plan
from zerosum.training.run_folder import RunFolder
from zerosum.training.samples import grid_shape, spread, write_codes, write_grid, write_points

SETTLING = 256  # latents from which BatchNorm's statistics are estimated again
POINTS = 1000  # points a report shows
CODE_ROWS = 20  # at most, in a picture of what codes mean; fewer where images are large


class Reporter:
    """The loop's watcher: writes the run folder and speaks to the display.

    Args:
        folder: the run's, held.
        store: the data.
        model_config: what `Model` needs besides the facts of the moment.
        history: the records so far.
        display: where it is shown.
        plan: how much at a time; BatchNorm's statistics are estimated from batches of that size.
        seed: of the latents that every report shows.
    """

    def __init__(
        self,
        folder: RunFolder,
        store: Store,
        model_config: dict[str, Any],
        history: list[dict[str, Any]],
        display: Display,
        plan: Plan,
        seed: int,
    ) -> None:
        self.folder, self.store, self.model_config = folder, store, model_config
        self.history, self.display, self.plan, self.seed = history, display, plan, seed
        count = POINTS if store.is_points else math.prod(grid_shape(store.shape))
        picks = np.random.Generator(np.random.Philox(key=seed)).permutation(len(store))
        self.real = store.gather(np.resize(picks, count)).numpy()
        self.count = count
        self._real_spread = spread(self.real)
        self._latent = Latents(**model_config["latent"])
        self._released: Model | None = None

    def begin(self, state: State) -> None:
        """Before the first step: real samples, and what the untrained generator makes."""
        if self.store.is_points:
            write_points(self.folder.samples / "real.json", self.real)
        else:
            write_grid(self.folder.samples / "real.png", self.real, self.store.low, self.store.high)
        if not self.history and state.images == 0:
            self._samples(state)
        self.folder.status("running", "training", state.images, state.seconds)
        self.display.begin(state.images, state.seconds, self.plan)

    def tick(self, state: State, progress: float) -> None:
        """Move the progress bar."""
        self.display.tick(state.images, state.seconds, progress)

    def report(self, state: State, means: dict[str, float], rate: float) -> None:
        """Write one line of records and the samples that belong to it."""
        samples = self._samples(state)
        record: dict[str, Any] = {
            "images": state.images,
            "epoch": round(state.images / len(self.store), 4),
            "seconds": round(state.seconds, 3),
            "images_per_second": round(rate, 1),
            **{kind: {} for kind in ("losses", "parts", "outputs", "gradients")},
            "learning_rates": {player.name: player.lr for player in state.players},
        }
        for name, value in means.items():
            kind, _, rest = name.partition("/")
            record[kind][rest] = value if math.isfinite(value) else None
        if self.store.is_points:
            covariance = np.atleast_2d(np.cov(samples, rowvar=False))
            record["points"] = {"mean": samples.mean(axis=0).tolist(), "covariance": covariance.tolist()}
        diversity = spread(samples) / self._real_spread if self._real_spread > 0 else None
        record["health"] = diagnose([*self.history, record], diversity, certain=state.game.certain)
        self.history.append(record)
        self.folder.append(record)
        self.folder.status("running", record["health"], state.images, state.seconds)
        self.display.report(record)

    def checkpoint(self, state: State) -> None:
        """Save the state, and release the generator as it is now."""
        save(self.folder.checkpoints, state)
        self.model(state).save(self.folder.path / "model")

    def model(self, state: State) -> Model:
        """The generator as it would be shipped now: the average with statistics of its own, if there is one.

        BatchNorm's running statistics lag behind weights that still move, averaged or not: both make mud.
        """
        source = state.game.get_submodule(state.game.released) if state.ema is None else state.ema.network
        if self._released is not None and self._released.config["images"] == state.images:
            return self._released  # a report and a checkpoint often come together
        generator = copy.deepcopy(source)
        with self.plan.autocasting():
            settle(generator, self._latents("settle", SETTLING).split(max(self.plan.batch, 2)))
        facts = {"images": state.images, "parameters": sum(p.numel() for p in generator.parameters())}
        self._released = Model(generator, self.model_config | facts)
        return self._released

    def _latents(self, stream: str, count: int) -> Tensor:
        return self._latent.rows(Randomness(self.seed, keep=2), stream, 0, count).to(self.plan.device)

    def _samples(self, state: State) -> np.ndarray:
        """Samples of the same latents as at every report, written and returned."""
        with self.plan.autocasting():
            made = self.model(state).generate(self._latents("report", self.count))
        name = f"{state.images:09d}"
        if self.store.is_points:
            points = to_pixels(made, self.store.low, self.store.high, np.dtype(np.float32))
            write_points(self.folder.samples / f"{name}.json", points)
            return points
        pixels = to_pixels(made, self.store.low, self.store.high, self.store.values.dtype)
        write_grid(self.folder.samples / f"{name}.png", pixels, self.store.low, self.store.high)
        if self._latent.codes:
            self._codes(state)
        return pixels

    def _codes(self, state: State) -> None:
        """What the codes mean now; only the newest picture is kept."""
        rows, columns = grid_shape(self.store.shape)
        sweep = self._latent.sweep(Randomness(self.seed, keep=2), "codes", columns, most=CODE_ROWS * rows // 8)
        with self.plan.autocasting():
            made = self.model(state).generate(sweep.latents.to(self.plan.device))
        pixels = to_pixels(made, self.store.low, self.store.high, self.store.values.dtype)
        write_codes(self.folder.samples / "codes.png", pixels, self.store.low, self.store.high, sweep)
