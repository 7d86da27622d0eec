"""Rows that are decoded each time they are asked for: for pictures that would fill a disk if all were kept decoded."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property

import numpy as np

from zerosum.data.decode import Unreadable, decode
from zerosum.data.fitting import Array, Plan
from zerosum.data.shards import Shards
from zerosum.data.sources import Rejected
from zerosum.errors import DataError, RunError


class Lazy:
    """The decoded pictures of `shards`, (N, H, W, C) as `plan` says, of which none are kept.

    A picture that cannot be read is told of once, and the next that can be read is shown in its place: which one
    that is does not depend on when it is shown. More than `most` of them raise DataError, and RunError what cannot be
    reached now.
    """

    def __init__(self, shards: Shards, plan: Plan, most: int, tell: Callable[[Rejected], None]) -> None:
        self.shards, self.plan, self.most, self.tell = shards, plan, most, tell
        self.shape = (len(shards), *plan.shape)
        self.dtype = np.dtype(plan.dtype)
        self.faults: dict[int, Rejected] = {}
        self._awaited: dict[int, Future[Array | Rejected]] = {}

    def __len__(self) -> int:
        return len(self.shards)

    def take(self, rows: Array) -> Array:
        """Fresh (B, H, W, C). IndexError for a row that is not there, DataError for too many that cannot be read."""
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self):
            raise IndexError(f"rows from {rows.min()} to {rows.max()} of {len(self)}")
        found = np.empty((len(rows), *self.plan.shape), dtype=self.dtype)
        wanted = [self._awaited.pop(row) if row in self._awaited else self._begin(row) for row in rows.tolist()]
        for place, (row, future) in enumerate(zip(rows.tolist(), wanted, strict=True)):
            found[place] = self._whole(row, future.result())
        return found

    def expect(self, rows: Array) -> None:
        """Begin to decode these; what was awaited before and is not among them is given up."""
        wanted = dict.fromkeys(rows.tolist())
        for row in [row for row in self._awaited if row not in wanted]:
            self._awaited.pop(row).cancel()
        for row in wanted:
            if row not in self._awaited:
                self._awaited[row] = self._begin(row)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")  # for as long as threads decode; see `quiet_pillow`
        many = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return ThreadPoolExecutor(min(16, many), thread_name_prefix="zerosum-decode")

    def _begin(self, row: int) -> Future[Array | Rejected]:
        return self._pool.submit(self._decoded, row)

    def _decoded(self, row: int) -> Array | Rejected:
        """Pillow releases the GIL."""
        try:
            return decode(self.shards.read(row), self.plan)
        except Unreadable as verdict:
            return Rejected(self.shards.name(row), str(verdict))
        except OSError as error:  # of the disk or the network, and gone tomorrow: another picture would not be exact
            raise RunError(
                f"{self.shards.name(row)}: cannot be read now: {error.strerror or error}. Give the same command again: "
                "the run goes on where it was last saved"
            ) from error

    def _whole(self, row: int, found: Array | Rejected) -> Array:
        """The picture of the row, or of the next that can be read."""
        for _ in range(len(self)):
            if not isinstance(found, Rejected):
                return found
            self._note(row, found)
            row = (row + 1) % len(self)
            found = self._decoded(row)
        raise DataError(f"{self.shards.path}: not one of its pictures can be read")

    def _note(self, row: int, fault: Rejected) -> None:
        if row in self.faults:
            return
        self.faults[row] = fault
        if len(self.faults) > self.most:
            raise DataError(
                f"{self.shards.path}: {len(self.faults):,} of {len(self):,} pictures cannot be read, more than "
                f"--data.max-rejected allows; the last: {fault.name}: {fault.reason}"
            )
        self.tell(fault)
