"""How a game is doing, in a sentence: from the records alone, so that it costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

HEALTHY = "healthy"
WARM = 10_000  # images: an untrained generator makes everything alike, and is not ill


def diagnose(records: Sequence[dict[str, Any]], diversity: float | None = None, *, certain: bool = True) -> str:
    """A verdict on the newest of `records` in words: "healthy", or the illness, its evidence and a remedy.

    Args:
        records: the lines of records.jsonl so far, the newest last.
        certain: whether the discriminator's outputs are probabilities, so that being sure means having won.
        diversity: mean deviation between the report's samples, as a share of that between real ones.
    """
    if not records:
        return HEALTHY
    if diversity is not None and diversity < 0.1 and records[-1]["images"] >= WARM:
        remedy = (
            "--game.loss relativistic with --game.penalties.r1.gamma and --game.penalties.r2.gamma, or another seed"
            if "discriminator" in records[-1].get("losses", {})
            else "a smaller --game.reconstruction.beta, or lower learning rates"
        )
        return f"collapse: the samples differ from each other by {diversity:.0%} of what real ones do; try {remedy}"
    recent = records[-3:]
    # A critic's outputs are ranks: a good one ranks every real image over every fake, and the game is well.
    outputs = [record["outputs"] for record in recent if "D(x)" in record.get("outputs", {})] if certain else []
    won = [item["D(x)"] > 0.99 and item["D(G(z)) before"] < 0.01 for item in outputs]
    if len(won) == 3 and all(won):
        last = outputs[-1]
        return (
            f"the discriminator has won: it tells real from fake at D(x) {last['D(x)']:.3f}, D(G(z)) "
            f"{last['D(G(z)) before']:.3f}; lower --discriminator.lr or add --game.penalties.r1.gamma"
        )
    norms = [value for record in recent for value in record.get("gradients", {}).values() if value is not None]
    first = [value for record in records[:3] for value in record.get("gradients", {}).values() if value is not None]
    if norms and first and max(norms) > 1e4 * max(1.0, *first):
        return f"diverging: a gradient's norm has grown to {max(norms):.2g}; lower the learning rates"
    return HEALTHY
