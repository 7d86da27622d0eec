"""Evaluation in training: every so many images the model is judged, and the best one kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zerosum.errors import UsageError
from zerosum.evaluation import MEASURES, Side, evaluate
from zerosum.evaluation.measures import check_names, chosen
from zerosum.evaluation.protocol import check_count, check_sides, measure_of
from zerosum.evaluation.ways import ways_of
from zerosum.files import about_name, read_about
from zerosum.metrics.extractors import Extractor
from zerosum.metrics.figures import LESS, MORE, bare, parts
from zerosum.training.display import Display
from zerosum.training.halt import Halt

SEED = 0  # of the samples, the same ones at every evaluation


@dataclass(frozen=True)
class Rules:
    """When, by what and of how many; see `config.EvaluationConfig`."""

    every: int
    metrics: tuple[str, ...] = ()
    count: int = 2_000
    best: str = ""
    patience: int = 0


@dataclass(frozen=True)
class Best:
    """The best model so far: the figure's whole name, its value, after how many images, and of how many samples."""

    figure: str
    value: float
    images: int
    count: int

    def beats(self, other: Best) -> bool:
        """Whether it is better, which equal is not."""
        return self.value > other.value if more_is_better(self.figure) else self.value < other.value


@dataclass(frozen=True)
class Compared:
    """What is compared: what a released model makes with real ones; beside it what is held out, and what a translator
    was trained on, for what searches copies.
    """

    make: Callable[[Any], Side]
    real: Side
    held: Side | None = None
    trained: Side | None = None


class Judging:
    """Judges models by rules.

    Args:
        rules: those.
        compared: what with what.
        features: of images; None: points are their own.
        device: where features are made, as PyTorch names it.
        display: where progress is shown.

    Raises `UsageError` for a metric, or a figure to be the best by, that there is not.
    """

    def __init__(
        self,
        rules: Rules,
        compared: Compared,
        features: Extractor | None,
        device: str,
        display: Display,
    ) -> None:
        self.rules, self.compared = rules, compared
        self.features, self.device, self.display = features, device, display
        self.metrics = metrics_of(rules)
        self.best: Best | None = None

    def due(self, history: Sequence[Mapping[str, Any]], images: int, *, last: bool) -> bool:
        """Whether to judge now, at the `last` report of a run or another; `history`: the records before."""
        judged = max((record["images"] for record in history if record.get("evaluation")), default=0)
        every = self.rules.every
        return images // every > judged // every or (last and judged < images)

    def check(self, model: Any) -> None:
        """Raises `UsageError` where a measure does not fit what this model makes, or the data, or their count."""
        made, real = self.compared.make(model), self.compared.real
        check_sides(made, real, self.features)
        check_count(chosen(self.metrics, made, real), real.of(self.rules.count), made, real)
        wanted, of = parts(self.rules.best)
        if of and of != (self.features.name if self.features else "points"):
            raise UsageError(f"--best {self.rules.best}: give --evaluation.features {of} with it.")
        if wanted.startswith("ppl") and wanted != (found := f"ppl-{ways_of(model, 2, SEED).space}"):
            raise UsageError(f"--best {self.rules.best}: the path length of this generator is {found}.")

    def judge(self, model: Any) -> dict[str, float]:
        """Figures by their whole names, as in evaluation.json; without those that are no numbers."""
        found = evaluate(
            self.compared.make(model),
            self.compared.real,
            self.metrics,
            self.features,
            count=self.compared.real.of(self.rules.count),
            seed=SEED,
            held=self.compared.held,
            trained=self.compared.trained,
            device=self.device,
            progress=self.display.loading,
        )
        return {name: value for name, value in found.figures.items() if math.isfinite(value)}

    def better(self, figures: Mapping[str, float], images: int) -> Best | None:
        """What the best is from now on, where these figures are better than the best so far."""
        for name, value in figures.items() if self.rules.best else ():
            if bare(name) == bare(self.rules.best):
                new = Best(name, value, images, self.rules.count)
                if self.best is None or new.beats(self.best):
                    return new
        return None

    def remember(self, folder: Path) -> None:
        """Take the model in `folder` for the best so far, where it was judged by this figure, of as many samples.

        Raises `RunError` where it is damaged.
        """
        judged = read_about(folder, "model").get("judged") if (folder / about_name("model")).is_file() else None
        kinds = {"figure": str, "value": float, "images": int, "count": int}
        whole = isinstance(judged, dict) and {key: type(value) for key, value in judged.items()} == kinds
        best = Best(**judged) if judged is not None and whole else None
        features = self.features.name if self.features else "points"
        same = best is not None and best.figure in (bare(self.rules.best), f"{bare(self.rules.best)}[{features}]")
        self.best = best if best is not None and same and best.count == self.rules.count else None

    def out_of_patience(self, history: Sequence[Mapping[str, Any]]) -> Halt | None:
        """Whether the figure has not become better for as many evaluations as one waits."""
        best = self.best
        if best is None or not self.rules.patience:
            return None
        since = sum(bool(record.get("evaluation")) and record["images"] > best.images for record in history)
        if since < self.rules.patience:
            return None
        than = f"{best.value:.4g} at image {best.images:,}"
        return Halt("end", f"{best.figure} became no better in {since} evaluations than {than}")


def metrics_of(rules: Rules) -> tuple[str, ...]:
    """The measures that are asked for. Raises `UsageError` for what there is not."""
    if rules.best:
        more_is_better(rules.best)
    names = rules.metrics or (measure_of(bare(rules.best)) if rules.best else "frechet",)
    check_names(names)
    if rules.best and measure_of(bare(rules.best)) not in names:
        raise UsageError(
            f"--best {rules.best} is a figure of {measure_of(bare(rules.best))}, which --metrics leaves out: "
            f"--metrics {','.join((*names, measure_of(bare(rules.best))))}."
        )
    return names


def more_is_better(figure: str) -> bool:
    """Which way a figure is better. Raises `UsageError` where there is none of that name, or neither way is."""
    if bare(figure) not in LESS | MORE:
        good = ", ".join(name for measure in MEASURES.values() for name in measure.meaning if name in LESS | MORE)
        raise UsageError(f"There is no figure {figure!r} to be the best by; take one of {good}.")
    return bare(figure) in MORE
