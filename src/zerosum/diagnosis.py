"""How a game is doing, in a sentence a person understands, with the evidence and a remedy.

`diagnose` judges the records alone, each of which may hold what `zerosum.evidence` saw. The numbers below were set by
short runs of some thirty recipes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from zerosum.evidence import Evidence

HEALTHY, WON, MEMORISES = "healthy", "the discriminator has won", "the discriminator memorises"
COLLAPSE, OSCILLATING, DIVERGING = "collapse", "oscillating", "diverging"

ALIKE = 0.9  # share of samples with a near-duplicate from which all of them count as one
CONSTANT = 1e-3  # spread below that of networks that hear their latents: untrained ones began at 0.006 and more
KINDS = 0.1  # share of the different kinds of real samples, from which samples differ by more than noise
GROWN = 100.0  # times its own median, from which a norm or a loss is diverging
HUGE = 1e5  # a gradient's norm, from the first; games that went well stayed below 3e3
LASTING, FEW = 3, 5  # reports in which a discriminator is sure, and in which few modes are reached
LAST, SWING = 8, 0.3  # reports over which something oscillates, and how far, of what lies between 0 and 1
MEMORY = 0.3  # r_v, of which 4,500 digits show 0.04 at most, and 45 of them 1 after 700 epochs
VANISHED = 0.1  # times its own median, below which the generator's gradient has vanished
SIDES = ("D(x)", "D(G(z)) before")

Records = Sequence[Mapping[str, Any]]
Seen = Sequence[Evidence]


@dataclass(frozen=True)
class Verdict:
    """One of the six states above, and a sentence that begins with it: what is wrong, the evidence, a remedy."""

    state: str
    sentence: str


def diagnose(records: Records) -> Verdict:
    """The verdict on the newest of `records`, lines of records.jsonl, which may hold evidence or not.

    Of several illnesses the one that leaves least to save: in the order of `LOOKS`. A report without evidence changes
    nothing of what the last evidence says. The same of the same records, always.
    """
    if records:
        seen = [found for record in records if (found := Evidence.of_record(record)) is not None]
        for state, look in LOOKS.items():
            if (sentence := look(records, seen)) is not None:
                return Verdict(state, f"{state}: {sentence}")
    return Verdict(HEALTHY, HEALTHY)


def _diverging(records: Records, seen: Seen) -> str | None:
    """Something is no number, or has grown by orders over the run's own median, and not for one report alone."""
    remedy = f"lower {_rates(records)}, or take --training.precision float32"
    if seen and not seen[-1].finite:
        return f"the model makes samples that are no numbers; {remedy}"
    norms = [
        max((value for value in record.get("gradients", {}).values() if value is not None), default=0.0)
        for record in records[-2:]
    ]
    if len(norms) == 2 and min(norms) > HUGE:
        return f"the norm of a gradient is {norms[-1]:.2g}; {remedy}"
    for kind, what in (("gradients", "the norm of the {}'s gradient"), ("losses", "the {}'s loss")):
        for name in _players(records):
            values = [abs(value) for value in _values(records, kind, name)]
            typical = median(values) if len(values) > LASTING else math.inf
            if min(values[-2:], default=0.0) > max(GROWN * typical, 1.0):
                times = values[-1] / typical
                return f"{what.format(name)} is {values[-1]:.2g}, {times:.2g} times its median in this run; {remedy}"
    return None


def _collapse(records: Records, seen: Seen) -> str | None:
    """The samples are alike, or few modes are left; but not the way that those of an untrained generator are.

    Before it has learnt anything a generator may make much the same of all latents, in every healthy run, and how long
    that takes has nothing to do with the count of images shown. So samples that are alike are a collapse if they have
    differed before, by more than the noise that they begin with, and were no farther from real ones then; if they are
    one to the last digit, which no network that hears its latents makes of them; or if they stay alike for reports and
    do not spread.
    """
    seen = [each for each in seen if each.finite]
    if not seen:
        return None
    now, last, remedy = seen[-1], seen[-LAST:], _against_collapse(records)
    near = [each for each in seen[:-1] if each.apart < 1.05 * now.apart]
    if _alike(now):
        lost = any(
            each.twins < ALIKE / 2 and each.spread > 2 * now.spread and each.kinds > KINDS * each.real_kinds
            for each in near
        )
        stuck = all(_alike(each) and each.spread < 0.1 for each in last) and now.spread < 1.5 * last[0].spread
        if now.spread < CONSTANT or lost or (stuck and len(last) == LAST):
            return (
                f"{now.twins:.0%} of {now.samples} samples have a near-duplicate among them (of real ones "
                f"{now.real_twins:.0%}), and they differ by {now.spread:.2g} of what real ones do; {remedy}"
            )
    if len(seen) >= FEW and all(each.even <= each.modes / 4 for each in seen[-FEW:]):
        return (
            f"{now.samples} samples amount to {now.even:.1f} of {now.modes} modes ({now.reached} have a sample within "
            f"three standard deviations); {remedy}"
        )
    most = max((each.kinds for each in near), default=0.0)
    if not now.modes and now.kinds < KINDS * now.real_kinds and most > 3 * KINDS * now.real_kinds:
        return (
            f"{now.samples} samples amount to {now.kinds:.1f} different ones, as many real ones to "
            f"{now.real_kinds:.1f}, and the samples to {most:.1f} before; {remedy}"
        )
    return None


def _alike(each: Evidence) -> bool:
    """Whether samples count as one; where so many real ones have a copy, near-duplicates say nothing."""
    return (each.twins >= ALIKE and each.real_twins < ALIKE / 2) or each.spread < CONSTANT


def _won(records: Records, seen: Seen) -> str | None:
    """The discriminator is sure for reports, and that leaves the generator nothing to learn from.

    That a critic, or a loss that compares pairs, ranks every real sample above every fake is how it should be, as long
    as the generator has a slope. Nor is a discriminator ill that is sure of samples which come nearer to real ones.
    """
    fake = _values(records[-LASTING:], "outputs", SIDES[1])
    norms, last = _values(records, "gradients", "generator"), seen[-LASTING - 1 :]
    if min(len(records), len(last)) <= LASTING or not norms or len(fake) < LASTING:
        return None
    now, share = last[-1], norms[-1] / max(median(norms), 1e-30)
    told_apart = all(not each.accuracy <= 0.99 for each in last[1:])  # where it judges something else, nothing is known
    if told_apart and not math.isnan(now.accuracy) and share < VANISHED:
        why = f"the norm of the generator's gradient is {share:.1%} of its median in this run"
    elif told_apart and now.certain and max(fake) < 0.01 and now.apart > 0.95 * last[0].apart:
        why = f"the samples come no nearer to real ones ({last[0].apart:.2f} deviations off, now {now.apart:.2f})"
    else:
        return None
    return (
        f"it knows real from generated samples ({now.accuracy:.1%} on those of the report, D(G(z)) {fake[-1]:.3f}), "
        f"and {why}; lower --discriminator.lr, or try {_penalty(records)}"
    )


def _memorises(records: Records, seen: Seen) -> str | None:
    """Held-out images look to the discriminator more like generated ones than like those it trains on.

    Twice in a row, and by more than chance: by three standard errors of so many images.
    """
    recent = seen[-2:]
    if len(recent) < 2 or any(not (each.r_v > MEMORY and each.gap > 3) for each in recent):
        return None
    now = recent[-1]
    return (
        f"r_v is {now.r_v:.2f}, where 0 is a discriminator to which {now.held} held-out images are as those it trains "
        f"on, and 1 one to which they are as generated ones; give it more images, --data.flip true, "
        f"{_penalty(records)}, or an earlier end (--training.images)"
    )


def _oscillating(records: Records, seen: Seen) -> str | None:
    """A figure goes up and down over the last reports, several times what it moves on the whole."""
    figures = {
        "the share of modes": [each.even / each.modes for each in seen if each.modes],
        "the share of different ones among the samples": [each.kinds / each.real_kinds for each in seen if each.finite],
    }
    for name in SIDES:
        figures[f"the mean of {name.removesuffix(' before')}"] = _values(records, "outputs", name)
    for name, values in figures.items():
        last = values[-LAST:]
        low, high = min(last, default=0.0), max(last, default=0.0)
        way = sum(abs(after - before) for before, after in pairwise(last))
        if len(last) == LAST and high - low > SWING and way > 3 * (high - low):
            return (
                f"{name} swings between {low:.2f} and {high:.2f} in the last {LAST} reports; lower {_rates(records)}, "
                f"or try {_penalty(records)}"
            )
    return None


LOOKS: dict[str, Callable[[Records, Seen], str | None]] = {
    DIVERGING: _diverging,
    COLLAPSE: _collapse,
    WON: _won,
    MEMORISES: _memorises,
    OSCILLATING: _oscillating,
}


# remedies, and what records hold


def _against_collapse(records: Records) -> str:
    """What is offered to this game."""
    newest, players = records[-1], _players(records)
    if "discriminator" not in players:
        return f"try a smaller --game.reconstruction.beta, or lower {_rates(records)}"
    if "encoder" in players or "cycle" in newest.get("parts", {}) or "distance" in newest.get("losses", {}):
        return f"try {_penalty(records)}, or lower {_rates(records)}"
    return f"try --game.loss relativistic with {_penalty(records)}, --game.remedies.pack 2, or another --training.seed"


def _penalty(records: Records) -> str:
    """A penalty that the game has not, or more of the one that it has."""
    for name, weight in (("r1", "gamma"), ("r2", "gamma"), ("gradient", "weight")):
        if name in records[-1].get("parts", {}):
            return f"a larger --game.penalties.{name}.{weight}"
    return "--game.penalties.r1.gamma 1 and --game.penalties.r2.gamma 1"


def _rates(records: Records) -> str:
    return " and ".join(f"--{name}.lr" for name in _players(records)) or "the learning rates"


def _players(records: Records) -> list[str]:
    """The players that a remedy may name, of those whose rates the newest record holds."""
    rates = records[-1].get("learning_rates", {})
    return [name for name in ("generator", "encoder", "discriminator") if name in rates]


def _values(records: Records, kind: str, name: str) -> list[float]:
    """One figure of the records, where it is there and a number, the newest last."""
    found = (record.get(kind, {}).get(name) for record in records)
    return [value for value in found if value is not None and math.isfinite(value)]
