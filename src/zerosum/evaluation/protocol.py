"""From two sides to figures, each with how it was come by: without that a figure compares with no other."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from zerosum.data.ticker import Progress
from zerosum.errors import UsageError
from zerosum.evaluation.bench import SEARCHED, Bench
from zerosum.evaluation.measures import MEASURES, Found, chosen, fitting
from zerosum.evaluation.members import of_members, over_members
from zerosum.evaluation.sides import Side
from zerosum.metrics.extractors import Extractor
from zerosum.metrics.figures import bare, parts
from zerosum.version import VERSION

FORMAT = 1  # of evaluation.json
ENOUGH = 10_000  # samples; with fewer, figures are too far off, and vary too much, to be compared with published ones
PUBLISHED = {
    "frechet": "FID",
    "kernel": "KID",
}  # what figures of the features `inception`, and of no others, are called


@dataclass(frozen=True)
class Evaluation:
    """What was found.

    Attributes:
        figures: by name; those of features as frechet[random].
        protocol: how they were come by, JSON-able: sides, features, counts, seed, versions, time, and of each measure
            what it was set to.
        pictures: PNGs by file name.
        notes: sentences for the user.
    """

    figures: dict[str, float]
    protocol: dict[str, Any]
    pictures: dict[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    members: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def indicative(self) -> bool:
        """Whether there were too few samples for more than a hint."""
        return bool(self.protocol["indicative"])

    def content(self) -> dict[str, Any]:
        """What evaluation.json holds: `figures`, each with what it is, and the `protocol` that they share; of an
        ensemble, these are of all as one, and `members` has each figure over the members (None: it has none).
        """
        figures = {name: {"value": value} | self._about(name) for name, value in self.figures.items()}
        whole = {"format": FORMAT, "figures": figures, "protocol": self.protocol}
        if not self.members:
            return whole
        return whole | {"members": {name: asdict(spread) for name, spread in over_members(self.members).items()}}

    def words(self) -> str:
        """A table of the figures, a line each, and what to think of it; of an ensemble, that of its members too."""
        rows = [(self._title(name), f"{value:.6g}", meaning(name)) for name, value in self.figures.items()]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"{name:<{widths[0]}}  {value:>{widths[1]}}  {text}".rstrip() for name, value, text in rows]
        made, real = self.protocol["made"], self.protocol["real"]
        lines.insert(0, f"{_named_count(made)} against {_named_count(real)}")
        lines += of_members(self.members) if self.members else []
        if self.indicative:
            lines.append(f"indicative: fewer than {ENOUGH:,} samples; compare with figures of equal counts alone")
        return "\n".join(lines)

    def beside(self, members: Sequence[Evaluation]) -> Evaluation:
        """The same of an ensemble, with the figures of each of its members, which were measured alike."""
        sides = [member.protocol["made"] for member in members]
        figures = {side["name"]: member.figures for side, member in zip(sides, members, strict=True)}
        seconds = self.protocol["seconds"] + sum(member.protocol["seconds"] for member in members)
        protocol = self.protocol | {"members": sides, "seconds": round(seconds, 3)}
        return replace(self, members=figures, protocol=protocol)

    def _title(self, name: str) -> str:
        """The name, with the published one before it where it is that."""
        base, features = parts(name)
        return f"{PUBLISHED[base]}, {name}" if features == "inception" and base in PUBLISHED else name

    def _about(self, name: str) -> dict[str, Any]:
        base, features = parts(name)
        measure = measure_of(base)
        of = {"features": features} if features else {}
        about = {"measure": measure, **of, "meaning": meaning(name), "settings": self.protocol["measures"][measure]}
        counts = {side: self.protocol[side]["count"] for side in ("made", "real")}
        return about | {"counts": counts, "indicative": self.indicative}


def evaluate(
    made: Side,
    real: Side,
    measures: Sequence[str] | None,
    features: Extractor | None,
    *,
    count: int | None = None,
    seed: int = 0,
    held: Side | None = None,
    trained: Side | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """Measure one side against another.

    Args:
        made: what is judged, a generator's samples or data.
        real: what it is compared with.
        measures: names of MEASURES; None: those that fit, and for which there are images enough.
        features: what makes features of images; needed unless both sides are points, which are their own.
        count: how many of either side, of which a side of data may have fewer; None: 10,000, or as many as both have.
        seed: of all that measures draw. That of a generator's samples is its side's.
        held: real images that nobody trained on, for what compares with such; None: there are none.
        trained: what was trained on, where copies are looked for; None: the real side.
        device: where features are made and compared.
        progress: called with (what, done, total) a few times a second while features are made.

    Raises `UsageError` for measures that do not fit, sides that do not fit each other, and too few samples; `RunError`
    where samples are not finite, or the cache cannot be written.
    """
    began, clock = datetime.now(UTC), time.monotonic()
    check_sides(made, real, features)
    extractor = None if made.is_points else features
    many = count if count is not None else min(made.of(ENOUGH), real.of(ENOUGH))
    names = fitting(made, real) if measures is None else chosen(measures, made, real)
    if measures is None:  # what is not asked for is no error
        names = tuple(name for name in names if _fewest(many, made, real) >= MEASURES[name].least) or names
    check_count(names, many, made, real)
    bench = Bench(made, real, held, extractor, many, seed, torch.device(device), progress, trained)
    found = {name: MEASURES[name].find(bench) for name in names}
    about = _about_features(made, extractor)
    protocol = {
        "made": _about(made, many),
        "real": _about(real, many),
        "held": None if held is None else _about(held, many),
        "trained": None if trained is None else _about(trained, SEARCHED * many),
        "features": about,
        "indicative": _fewest(many, made, real) < ENOUGH,
        "seed": seed,
        "measures": {name: one.settings for name, one in found.items()},
        "device": str(device),
        "versions": _versions(),
        "time": began.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - clock, 3),
    }
    pictures = {file: data for one in found.values() for file, data in one.pictures.items()}
    return Evaluation(_named(found, str(about["name"])), protocol, pictures, tuple(bench.notes))


def measure_of(figure: str) -> str:
    """The name of the measure that gives a figure, its features left out."""
    return next(name for name, measure in MEASURES.items() if figure in measure.meaning)


def meaning(figure: str) -> str:
    """Which way is better, in words, of a figure such as frechet[random]."""
    base = bare(figure)
    return MEASURES[measure_of(base)].meaning[base]


def _named_count(side: dict[str, Any]) -> str:
    """`mnist-5k (600 of 4,018)`, `facades (translations, held out: 40)`."""
    of = f" of {side['of']:,}" if side["of"] not in (None, side["count"]) else ""
    what = ", ".join(words for words in ("translations" * (side["kind"] == "translations"), side["part"]) if words)
    return f"{side['name']} ({what}{': ' if what else ''}{side['count']:,}{of})"


def _named(found: dict[str, Found], features: str) -> dict[str, float]:
    """The figures under their whole names."""
    return {
        f"{figure}[{features}]" if MEASURES[name].featured else figure: value
        for name, one in found.items()
        for figure, value in one.figures.items()
    }


def check_sides(made: Side, real: Side, features: Extractor | None) -> None:
    """Raises `UsageError` where two sides cannot be compared."""
    sizes = [f"{side.name} has {_shape(side)}" for side in (made, real)]
    if made.is_points != real.is_points or (made.is_points and made.shape != real.shape):
        raise UsageError(f"{sizes[0]} and {sizes[1]}: these cannot be compared.")
    if made.is_points:
        return
    if features is None:
        raise UsageError("Images are compared by features: name an extractor, such as random.")
    if made.shape[1:] != real.shape[1:] and features.resize == "none":
        raise UsageError(
            f"{sizes[0]} and {sizes[1]}, and the features {features.name} are of images as large as they come: bring "
            "both to one size, or take features that resize: efficientnet-lite0, inception, pixels."
        )


def _fewest(count: int, made: Side, real: Side) -> int:
    """How many images either side has at least, where so many are asked for."""
    return min(side.of(count) for side in (made, real))


def check_count(names: Sequence[str], count: int, made: Side, real: Side) -> None:
    """Raises `UsageError` where a measure needs more images than there are."""
    for side in (made, real):
        for name in names:
            if side.of(count) < MEASURES[name].least:
                raise UsageError(
                    f"{name} needs {MEASURES[name].least} images of either side at least, and {side.of(count)} of "
                    f"{side.name} are compared: take more with --count, or other measures with --metrics."
                )


def _shape(side: Side) -> str:
    if side.is_points:
        return f"points of {side.shape[0]} numbers"
    channels, height, width = side.shape
    return f"images of {height}×{width}×{channels}"


def _about(side: Side, count: int) -> dict[str, Any]:
    return {
        "name": side.name,
        "kind": side.kind,
        "part": side.part,
        "count": side.of(count),
        "of": side.count,
        "shape": list(side.shape),
        "seed": side.seed,
        "sha256": side.digest,
    }


def _about_features(made: Side, extractor: Extractor | None) -> dict[str, Any]:
    if extractor is None:
        return {"name": "points", "sha256": "", "resize": "none", "width": made.shape[0]}
    keys = ("name", "sha256", "resize", "width")
    return {key: getattr(extractor, key) for key in keys}


def _versions() -> dict[str, str]:
    return {
        "zerosum": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
