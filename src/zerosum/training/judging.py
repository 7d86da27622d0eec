"""Evaluation in training: every so many images the model is judged, and the best one kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zerosum.errors import UsageError
from zerosum.evaluation import MEASURES, Side, evaluate
from zerosum.evaluation.measures import check_names, chosen
from zerosum.evaluation.protocol import meaning, measure_of
from zerosum.metrics.extractors import Extractor
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

    def due(self, history: Sequence[Mapping[str, Any]], images: int, *, last: bool) -> bool:
        """Whether to judge now, at the `last` report of a run or another; `history`: the records before."""
        judged = max((record["images"] for record in history if record.get("evaluation")), default=0)
        every = self.rules.every
        return images // every > judged // every or (last and judged < images)

    def check(self, model: Any) -> None:
        """Raises `UsageError` where a measure does not fit what this model makes, or the data."""
        chosen(self.metrics, self.compared.make(model), self.compared.real)

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

    def best(self, history: Sequence[Mapping[str, Any]]) -> tuple[int, float] | None:
        """Of the records, the count of images with the best figure, the first such, and the figure; None: none yet."""
        found = [(record["images"], value) for record in history if (value := self.value(record)) is not None]
        if not found:
            return None
        return min(found, key=lambda pair: (-pair[1] if more_is_better(self.rules.best) else pair[1], pair[0]))

    def value(self, record: Mapping[str, Any]) -> float | None:
        """What the figure that decides is in a record; None where that has none."""
        for name, value in record.get("evaluation", {}).items():
            if self.rules.best in (name, name.partition("[")[0]):
                return float(value)
        return None

    def out_of_patience(self, history: Sequence[Mapping[str, Any]]) -> Halt | None:
        """Whether the figure has not become better for as many evaluations as one waits."""
        best = self.best(history) if self.rules.best and self.rules.patience else None
        if best is None:
            return None
        since = sum(bool(record.get("evaluation")) and record["images"] > best[0] for record in history)
        if since < self.rules.patience:
            return None
        return Halt(
            "end",
            f"{self.rules.best} became no better in {since} evaluations than at image {best[0]:,}, {best[1]:.4g}",
        )


def metrics_of(rules: Rules) -> tuple[str, ...]:
    """The measures that are asked for. Raises `UsageError` for what there is not."""
    if rules.best:
        more_is_better(rules.best)
    names = rules.metrics or (measure_of(base(rules.best)) if rules.best else "frechet",)
    check_names(names)
    if rules.best and measure_of(base(rules.best)) not in names:
        raise UsageError(
            f"--best {rules.best} is a figure of {measure_of(base(rules.best))}, which --metrics leaves out: "
            f"--metrics {','.join((*names, measure_of(base(rules.best))))}."
        )
    return names


def base(figure: str) -> str:
    """The figure's name without its features: frechet of frechet[random]."""
    return figure.partition("[")[0]


def more_is_better(figure: str) -> bool:
    """Which way a figure is better. Raises `UsageError` where there is none of that name, or neither way is."""
    known = {name: words for measure in MEASURES.values() for name, words in measure.meaning.items()}
    ways = {name: words.partition(" ")[0] for name, words in known.items()}
    good = [name for name, way in ways.items() if way in ("less", "more", "reached,")]
    if base(figure) not in good:
        raise UsageError(f"There is no figure {figure!r} to be the best by; take one of {', '.join(good)}.")
    return "more is" in meaning(figure)
