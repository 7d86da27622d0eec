"""What a run leaves behind on its way: a record, samples, health and a released model."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zerosum.data import MIXTURES, Store, normalise
from zerosum.diagnosis import diagnose
from zerosum.evidence import Evidence, Standard, gather, looked_at, standard_of
from zerosum.games import Batch, Draw, Latents, Randomness
from zerosum.games.paired import given_of
from zerosum.model import Model
from zerosum.training.checkpoint import State, save, write
from zerosum.training.display import Display
from zerosum.training.ema import settling
from zerosum.training.exhibits import Showing
from zerosum.training.feed import Feed
from zerosum.training.halt import Halt, OnCollapse, after_collapse, healthy_until
from zerosum.training.judging import Judging
from zerosum.training.plan import Plan
from zerosum.training.run_folder import RunFolder
from zerosum.translator import Translator

JUDGED_AT_ONCE = 1000  # held-out images on which a game is examined
HEALTH_COST = 0.02  # of the time, that looking at a game's health may take where reports come by the clock


class Reporter:
    """The loop's watcher: writes the run folder and speaks to the display.

    Args:
        folder: the run's, held.
        store: the data.
        held: from where real images are taken that are kept from training; None: there are none.
        model_config: what `Model` needs besides the facts of the moment.
        exhibits: what every report shows.
        feed: from where real images are taken to estimate BatchNorm's statistics, in batches of the plan's size.
        history: the records so far.
        display: where it is shown.
        plan: how much at a time.
        on_collapse: what follows from one.
        judging: judges the model every so many images; None: nobody does.
    """

    def __init__(
        self,
        folder: RunFolder,
        store: Store,
        held: Feed | None,
        model_config: dict[str, Any],
        exhibits: Showing,
        feed: Feed,
        history: list[dict[str, Any]],
        display: Display,
        plan: Plan,
        on_collapse: OnCollapse = "continue",
        judging: Judging | None = None,
    ) -> None:
        self.folder, self.store, self.model_config = folder, store, model_config
        self.exhibits, self.feed = exhibits, feed
        self.history, self.display, self.plan = history, display, plan
        self._held, self.on_collapse, self.judging = held, on_collapse, judging
        self._released: Model | Translator | None = None
        self._standard: Standard | None = None
        self._looked = 0.0  # seconds, at the game's health

    def begin(self, state: State) -> None:
        """Before the first step: real samples, and what the untrained generator makes."""
        self.exhibits.write_real()
        if not self.history and state.images == 0:
            self._samples(state)
            if self.on_collapse == "rollback":
                self.checkpoint(state)  # where to go back to, if it collapses at once
        self.folder.status("running", "training", state.images, state.seconds)
        self.display.begin(state.images, state.seconds, self.plan)

    def tick(self, state: State, progress: float) -> None:
        """Move the progress bar."""
        self.display.tick(state.images, state.seconds, progress)

    def report(self, state: State, means: dict[str, float], rate: float) -> Halt | None:
        """Write one line of records and the samples that belong to it; what follows for the training."""
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
        record |= self._judged(state, samples)
        if self.plan.report_every is not None or self._looked <= HEALTH_COST * state.seconds:
            record["evidence"] = self._evidence(state).to_record()
        record["health"] = diagnose([*self.history, record]).sentence
        if state.rollbacks:
            record["rollbacks"] = list(state.rollbacks)
        record |= self._evaluated(state)
        self.history.append(record)
        self.folder.append(record)
        self.folder.status("running", record["health"], state.images, state.seconds)
        self.display.report(record)
        return after_collapse(self.history, self.on_collapse, len(state.rollbacks)) or self.out_of_patience

    def go_back(self, history: list[dict[str, Any]]) -> None:
        """The run is where it was with these records, and nothing of later is true."""
        self.history, self._released = history, None

    @property
    def out_of_patience(self) -> Halt | None:
        """Why there is no more to be hoped for, if so."""
        return None if self.judging is None else self.judging.out_of_patience(self.history)

    @property
    def best_so_far(self) -> str:
        """Which model was judged best, in words; empty where nobody judges."""
        best = None if self.judging is None else self.judging.best
        return "" if best is None else f"{best.figure} {best.value:.4g} at image {best.images:,}"

    def _evaluated(self, state: State) -> dict[str, Any]:
        """The evaluation that belongs into a record, if it is time for one; the best model is kept."""
        judging, last = self.judging, self.plan.progress(state.images, state.seconds) >= 1
        if judging is None or not judging.due(self.history, state.images, last=last):
            return {}
        figures = judging.judge(self.model(state))
        best = judging.better(figures, state.images)
        if best is not None:
            write(self.folder.checkpoints / "best", state)
            model = self.model(state)
            facts = {"judged": asdict(best)}
            type(model)(dict(model.networks.items()), model.config | facts).save(self.folder.best)  # from now on it is
            judging.best = best
        return {"evaluation": figures}

    def _judged(self, state: State, samples: np.ndarray) -> dict[str, Any]:
        """Figures of the model and of the game as they are now, whole and by class, where there are any."""
        with self.plan.autocasting():
            figures = self.exhibits.figures(self.model(state))
            if self._held is not None and state.game.examines:
                figures |= state.game.examine(self._held.batch(0, min(len(self._held.store), JUDGED_AT_ONCE)))
            classes = self.exhibits.by_class(state.game, samples)
        return {name: table for name, table in (("figures", figures), ("classes", classes)) if table}

    def _evidence(self, state: State) -> Evidence:
        """What the game's health is judged by: of the same latents and beside the same real samples at every report."""
        begun, model, shape = time.perf_counter(), self.model(state), self.store.shape
        count = looked_at(shape, translated=isinstance(model, Translator))
        real = self.feed.batch(0, min(count, len(self.store)))
        held = None if self._held is None else self._held.batch(0, min(count, len(self._held.store)))
        if self._standard is None:
            self._standard = standard_of(real.images, self._mixture())
        with self.plan.autocasting():
            evidence = gather(state.game, self._made_for(model, real), real, held, self._standard)
        self._looked += time.perf_counter() - begun
        return evidence

    def _made_for(self, model: Model | Translator, real: Batch) -> Tensor:
        """As many samples as real ones, of their labels, or of what stands beside them."""
        if isinstance(model, Translator):
            return model.translated(given_of(real))
        latents = Latents(**model.config["latent"])
        if latents.of_images:
            return model.restored(real.images)
        drawn = latents.rows(Randomness(self.feed.randomness.seed, keep=2), "health", 0, len(real.images))
        return model.generate(drawn, real.labels if model.classes else None)

    def _mixture(self) -> tuple[np.ndarray, float] | None:
        """Centres and deviation of the mixture that the data are, as the game sees them."""
        if self.store.name not in MIXTURES:
            return None
        (centres, sigma), low, high = MIXTURES[self.store.name], self.store.low, self.store.high
        seen = normalise(torch.from_numpy(centres.astype(np.float32)), low, high)
        return seen.numpy(), sigma / ((high - low) / 2)

    def checkpoint(self, state: State) -> None:
        """Save the state, and release the model as it is now."""
        save(self.folder.checkpoints, state, healthy_until(self.history) if self.on_collapse == "rollback" else None)
        self.release(state)

    def release(self, state: State) -> None:
        """Put the model as it is now into the run folder."""
        self.model(state).save(self.folder.path / "model")

    def model(self, state: State) -> Model | Translator:
        """The networks as they would be shipped now: the averages with statistics of their own, if there are any.

        BatchNorm's running statistics lag behind weights that still move, averaged or not: both make mud.
        """
        if self._released is not None and self._released.config["images"] == state.images:
            return self._released  # a report and a checkpoint often come together
        source = state.game.release() if state.ema is None else state.ema.network
        networks = nn.ModuleDict(dict(copy.deepcopy(source).named_children()))
        with self.plan.autocasting():
            with settling(networks):
                for batch, draw in self._rehearsals(state) if _keeps_statistics(networks) else ():
                    state.game.rehearse(networks, batch, draw)
            state.game.prepare_release(networks, self._rehearsals(state))
        kind, makes = (Translator, networks) if "given" in self.model_config else (Model, networks["generator"])
        facts = {"images": state.images, "parameters": sum(p.numel() for p in makes.parameters())}
        self._released = kind(dict(networks.items()), self.model_config | facts)
        return self._released

    def _rehearsals(self, state: State) -> Iterator[tuple[Batch, Draw]]:
        """The same real images and draws at every report, as many as the game asks for and as many at a time as in
        training, each made when it is asked for.
        """
        at_once = max(self.plan.micro_batch, 2)
        for first in range(0, state.game.rehearsed, at_once):
            yield self.feed.batch(first, at_once), Draw(self.feed.randomness, first, at_once, at_once, 0)

    def _samples(self, state: State) -> np.ndarray:
        """Samples of the same latents as at every report, written and returned."""
        with self.plan.autocasting():
            return self.exhibits.samples(self.model(state), state.images)


def _keeps_statistics(networks: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in networks.modules())
