"""Named scalars of every turn, summed on the device and read once a report."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zerosum.training.world import ALONE, World


class Records:
    """Means over the turns since the last reading. Adding costs two small operations, no wait."""

    def __init__(self, world: World = ALONE) -> None:
        self._world = world
        self._totals: dict[tuple[str, ...], Tensor] = {}
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, turn: str, values: dict[str, Tensor]) -> None:
        """One turn's scalars (0-dim float32 tensors, detached)."""
        self.add_stacked(turn, list(values), torch.stack(list(values.values())))

    def add_stacked(self, turn: str, names: Sequence[str], stacked: Tensor) -> None:
        """The same, the scalars in one tensor (len(names),), which is kept."""
        key = (turn, *names)
        if key in self._totals:
            self._totals[key].add_(stacked)
            self._counts[key] += 1
        else:
            self._totals[key] = stacked
            self._counts[key] = 1

    def read(self) -> dict[str, float]:
        """The mean of each scalar over the turns it occurred in, and over the processes, all of which must read; begins
        anew. The one host sync of a report.
        """
        if not self._totals:
            return {}
        sums_of_all = torch.cat(list(self._totals.values()))
        self._world.average([sums_of_all])
        flat = sums_of_all.tolist()
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        position = 0
        for key, count in self._counts.items():
            for name in key[1:]:
                sums[name] = sums.get(name, 0.0) + flat[position]
                counts[name] = counts.get(name, 0) + count
                position += 1
        self._totals.clear()
        self._counts.clear()
        return {name: total / counts[name] for name, total in sums.items()}
