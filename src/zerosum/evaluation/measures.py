"""What can be measured, by name: what each needs, and the figures it gives.

The figures of features carry the features' name, frechet[random], for they compare with those of the same alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from zerosum.data.ticker import Ticker
from zerosum.errors import UsageError, nearest
from zerosum.evaluation.bench import Bench
from zerosum.evaluation.neighbours import nearest_picture
from zerosum.evaluation.sides import Side
from zerosum.evaluation.ways import ways_of
from zerosum.metrics import (
    count_modes,
    duplicate_distance,
    duplicates,
    frechet_distance,
    kernel_distance,
    path_length,
    prdc,
    psnr,
    sliced_wasserstein,
    ssim,
    ssim_diversity,
    vendi,
)
from zerosum.metrics import nearest as nearest_rows
from zerosum.model import Model

NEIGHBOUR = 5  # whose distance is the radius of a ball, in precision, recall, density and coverage
SUBSETS, SUBSET = 100, 1000  # of the kernel distance, and how many images each
PATHS, STEP = 1000, 1e-4  # of the perceptual path length
PAIRS = 1000  # of images, for their structural similarity, among as many images at most
AT_ONCE, VALUES = 64, 2**22  # pairs in memory at once, and float32 numbers of either side, at most
ALIKE = 0.01  # the share of real images that have another within the distance at which samples are duplicates


@dataclass(frozen=True)
class Found:
    """What a measure gives: figures by name, what it was set to, and pictures (PNG) by file name."""

    figures: dict[str, float]
    settings: dict[str, Any]
    pictures: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        find: measures.
        lacking: what a pair of sides (made, real) lacks for it, in words that end "… is of"; "" where it fits.
        meaning: of each of its figures, which way is better.
        featured: whether its figures are of features, and carry their name.
        least: images that either side must have.
    """

    find: Callable[[Bench], Found]
    lacking: Callable[[Side, Side], str]
    meaning: dict[str, str]
    featured: bool = True
    least: int = 2


def frechet(bench: Bench) -> Found:
    """The Fréchet distance."""
    return Found({"frechet": frechet_distance(bench.real_features, bench.made_features)}, {})


def kernel(bench: Bench) -> Found:
    """The kernel distance, a mean over subsets; one is all there is where neither side has more images."""
    real, made = bench.real_features, bench.made_features
    size = min(SUBSET, len(real), len(made))
    subsets = SUBSETS if max(len(real), len(made)) > size else 1
    found = kernel_distance(real, made, subsets=subsets, size=size, seed=bench.seed)
    deviation = {"kernel-deviation": found.deviation} if subsets > 1 else {}
    return Found({"kernel": found.mean} | deviation, {"subsets": subsets, "size": size})


def manifold(bench: Bench) -> Found:
    """Precision, recall, density and coverage."""
    return Found(asdict(prdc(bench.real_features, bench.made_features, k=NEIGHBOUR)), {"k": NEIGHBOUR})


def variety(bench: Bench) -> Found:
    """The Vendi score of the samples, and of as many real images."""
    count = min(len(bench.real_features), len(bench.made_features))
    figures = {"vendi": vendi(bench.made_features[:count]), "vendi-real": vendi(bench.real_features[:count])}
    return Found(figures, {"images": count})


def memory(bench: Bench) -> Found:
    """How near samples are to training images, and to each other."""
    made, real, held, among = (
        bench.made_features,
        bench.real_features,
        bench.held_features,
        bench.searched_features,
    )
    found = nearest_rows(made, among, min(NEIGHBOUR, len(among)))
    place, others = (1, real) if held is None else (0, held)  # of real ones, the nearest is the image itself
    unseen = nearest_rows(others, among, place + 1).distances[:, place]
    count = min(len(real), len(made))
    within = duplicate_distance(real[:count], ALIKE)
    repeated = duplicates(made[:count], within)
    figures = {
        "nearest": float(found.distances[:, 0].median()),
        "nearest-real": float(unseen.median()),
        "duplicates": repeated.share,
    }
    if math.isfinite(repeated.support):
        figures["support"] = repeated.support
    reference = "held-out images" if held is not None else "training images, each to its nearest other"
    settings = {
        "among": len(among),
        "of": bench.searched.count,
        "real": reference,
        "duplicates within": within,
        "share of real images within": ALIKE,
    }
    return Found(figures, settings, {"nearest.png": nearest_picture(bench.made, bench.searched, found)})


def modes(bench: Bench) -> Found:
    """The modes of a known mixture that points reach."""
    mixture = bench.real.mixture
    if mixture is None:  # `lacking` said so
        raise UsageError(f"{bench.real.name} is no mixture whose modes are known.")
    points = bench.made.images(0, bench.made.of(bench.count))
    found = count_modes(points.numpy(), mixture.centres, mixture.sigma)
    figures = {"modes": float(found.reached), "high-quality": found.high_quality, "reverse-kl": found.reverse_kl}
    return Found(figures, {"of": found.total, "sigma": mixture.sigma, "within": 3.0})


def distance(bench: Bench) -> Found:
    """The sliced Wasserstein distance of points."""
    made, real = (side.images(0, side.of(bench.count)).numpy() for side in (bench.made, bench.real))
    found = sliced_wasserstein(made, real, seed=bench.seed)
    return Found({"sliced-wasserstein": found}, {"directions": 128})


def smoothness(bench: Bench) -> Found:
    """The perceptual path length."""
    model, extractor = bench.made.sampler, bench.extractor
    if not isinstance(model, Model) or extractor is None:  # `lacking` said so
        raise UsageError(f"{bench.made.name} has no latents to go through.")
    extractor.to(bench.device)
    count = min(PATHS, bench.count)
    ways = ways_of(model, count, bench.seed)
    ticker = Ticker(bench.progress, "path length", 2 * count)

    def features(images: Tensor) -> Tensor:
        ticker.advance(len(images))
        return extractor.features(images.to(bench.device))

    length = path_length(
        ways.make,
        ways.starts,
        ways.ends,
        features,
        spherical=ways.spherical,
        epsilon=STEP,
        seed=bench.seed,
    )
    way = "slerp" if ways.spherical else "lerp"
    return Found({f"ppl-{ways.space}": length}, {"paths": count, "step": STEP, "way": way})


def structure(bench: Bench) -> Found:
    """How unlike each other images are, pixel by pixel."""
    sides = {"ssim-diversity": bench.made, "ssim-diversity-real": bench.real}
    images = {name: bench.few(side, PAIRS) for name, side in sides.items()}
    figures = {name: ssim_diversity(some, pairs=PAIRS, seed=bench.seed) for name, some in images.items()}
    return Found(figures, {"pairs": PAIRS, "images": {name: len(some) for name, some in images.items()}})


def likeness(bench: Bench) -> Found:
    """How far translations are from the pictures wanted of the same rows: means over pairs."""
    count = min(side.of(bench.count) for side in (bench.made, bench.real))
    step = max(1, min(AT_ONCE, VALUES // math.prod(bench.made.shape)))
    ticker, found = Ticker(bench.progress, "pairs", count), dict.fromkeys(("l1", "psnr", "ssim"), 0.0)
    for first in range(0, count, step):
        made, wanted = (side.images(first, min(step, count - first)) for side in (bench.made, bench.real))
        found["l1"] += float((made - wanted).double().abs().flatten(1).mean(1).sum())
        found["psnr"] += float(psnr(made, wanted).sum())
        found["ssim"] += float(ssim(made, wanted).sum())
        ticker.advance(len(made))
    return Found({name: total / count for name, total in found.items()}, {"pairs": count, "values": "-1 to 1"})


def _any(made: Side, real: Side) -> str:
    """Points are their own features; of images, what has 1 or 3 channels has features."""
    channels = sorted({side.shape[0] for side in (made, real) if not side.is_points} - {1, 3})
    return f"images with 1 or 3 channels, and these have {channels[0]}" if channels else ""


def _pictures(made: Side, real: Side) -> str:
    return "images, and these are points" if made.is_points else ""


def _coloured(made: Side, real: Side) -> str:
    return _pictures(made, real) or _any(made, real)


def _generator(made: Side, real: Side) -> str:
    if not isinstance(made.sampler, Model):
        return f"one generator, and {made.name} is none"
    return _coloured(made, real)


def _mixture(made: Side, real: Side) -> str:
    return "points of a mixture whose modes are known, ring8 or grid25" if real.mixture is None else ""


def _points(made: Side, real: Side) -> str:
    return "" if made.is_points else "points, and these are images"


def _paired(made: Side, real: Side) -> str:
    """The real side must be what the made one says its pictures should be, row by row."""
    if not made.wanted or made.wanted != real.digest:
        return "translations beside the pictures wanted of the same rows"
    return "" if made.shape == real.shape else "pairs of one size"


LESS, MORE = "less is nearer", "more is better, 1 at most"
MEASURES: dict[str, Measure] = {
    "frechet": Measure(frechet, _any, {"frechet": LESS}),
    "kernel": Measure(
        kernel, _coloured, {"kernel": "less is nearer, 0 for alike", "kernel-deviation": "over its subsets"}
    ),
    "prdc": Measure(
        manifold,
        _any,
        {"precision": MORE, "recall": MORE, "density": "about 1 for alike", "coverage": MORE},
        least=NEIGHBOUR + 1,
    ),
    "vendi": Measure(
        variety, _coloured, {"vendi": "different images, to be compared with:", "vendi-real": "of as many real ones"}
    ),
    "nearest": Measure(
        memory,
        _coloured,
        {
            "nearest": "median distance to the nearest real one; far under the next: learnt by heart",
            "nearest-real": "the same of other real ones",
            "duplicates": f"share of samples; of real images {ALIKE:g}",
            "support": "different samples there seem to be",
        },
    ),
    "ssim-diversity": Measure(
        structure,
        _pictures,
        {"ssim-diversity": "to be compared with:", "ssim-diversity-real": "of real images"},
        featured=False,
    ),
    "ppl": Measure(smoothness, _generator, {"ppl-w": "less is smoother", "ppl-z": "less is smoother"}),
    "modes": Measure(
        modes,
        _mixture,
        {"modes": "reached, more is better", "high-quality": "more is better", "reverse-kl": "less is more even"},
        featured=False,
    ),
    "pairs": Measure(
        likeness,
        _paired,
        {"l1": LESS, "psnr": "more is nearer, in dB", "ssim": "more is nearer, 1 at most"},
        featured=False,
        least=1,
    ),
    "sliced-wasserstein": Measure(distance, _points, {"sliced-wasserstein": LESS}, featured=False),
}


def fitting(made: Side, real: Side) -> tuple[str, ...]:
    """The measures that fit two sides, as they are asked for by default."""
    return tuple(name for name, measure in MEASURES.items() if not measure.lacking(made, real))


def check_names(names: Sequence[str]) -> None:
    """Raises `UsageError` for a measure that there is not."""
    for name in names:
        if name not in MEASURES:
            raise UsageError(f"There is no measure {name!r}; {nearest(name, list(MEASURES))}")


def chosen(names: Sequence[str], made: Side, real: Side) -> tuple[str, ...]:
    """The same measures, each once. Raises `UsageError` for one that there is not, or that does not fit the sides."""
    check_names(names)
    for name in names:
        if lacking := MEASURES[name].lacking(made, real):
            raise UsageError(f"{name} is of {lacking}; what fits here: {', '.join(fitting(made, real))}.")
    return tuple(dict.fromkeys(names))
