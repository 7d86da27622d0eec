"""Rows of a large file that are read where they lie, not through a mapping of it.

A process in which the whole of a large file has been mapped counts as that large, and is killed as such where memory is
allotted.
"""

from __future__ import annotations

import os
import weakref
from functools import cached_property
from typing import Any

import numpy as np

from zerosum.data.fitting import Array
from zerosum.errors import RunError

LARGE = 2**28  # bytes of a file from which on it matters


def in_place(values: Array) -> Array | InPlace:
    """The same rows: as a plain array, whose indexing is faster by microseconds, or if they are many in their file."""
    if isinstance(values, np.memmap) and values.nbytes >= LARGE and hasattr(os, "preadv"):
        return InPlace(values)
    return np.asarray(values)


class InPlace:
    """The rows of a memory-mapped file, none of which is mapped for it."""

    def __init__(self, values: np.memmap[Any, Any]) -> None:
        self.shape, self.dtype, self._path = values.shape, values.dtype, str(values.filename)

    def __len__(self) -> int:
        return int(self.shape[0])

    def take(self, rows: Array) -> Array:
        """Rows by number, fresh. IndexError for one that is not there, RunError for a file that was cut since."""
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self):
            raise IndexError(f"rows from {rows.min()} to {rows.max()} of {len(self)}")
        taken = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        raw = taken.reshape(len(rows), -1).view(np.uint8)
        size = raw.shape[1]
        for place, row in enumerate(rows.tolist()):
            if os.preadv(self._file, [raw[place].data], row * size) != size:
                raise RunError(f"{self._path}: shorter than it was; give the same command again, and it is made anew")
        return taken

    @cached_property
    def _file(self) -> int:
        file = os.open(self._path, os.O_RDONLY)
        weakref.finalize(self, os.close, file)
        return file
