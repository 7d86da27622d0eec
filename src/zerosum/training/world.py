"""The processes of one training, as the loop sees them; here, the only one there is.

Process 0 leads: it alone writes the run folder, speaks, and looks at the clock. `distributed.Processes` is the world of
several.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor

from zerosum.training.checkpoint import State
from zerosum.training.interrupts import Interrupts


class World:
    """One process, which has no one to agree with. A context manager: within it the processes are connected."""

    rank = 0
    size = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell the others of an error, if there is one."""

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def check_device(self, device: torch.device) -> None:
        """Raise `UsageError` where the processes of this machine cannot all train on such a device."""

    def lead(self, work: Callable[[], Any]) -> Any:
        """What `work` gives on process 0, alone, as JSON holds it; the others wait for it however long it takes."""
        return work()

    def sharing(self) -> AbstractContextManager[None]:
        """Within it, what mixes samples sees the whole batch: `zerosum.together`."""
        return nullcontext()

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Put the mean over processes in place of each, in one exchange."""

    def first(self, words: str | None, after: int = 0) -> str | None:
        """What the first process that has any words says; on every one. Who has a lower `after` comes first."""
        return words

    def share(self, state: State) -> None:
        """Give all processes the state of process 0."""

    def interrupts(self) -> Interrupts:
        """Signals, as this process hears them."""
        return Interrupts()

    def agree(self, seconds: float, interrupts: Interrupts) -> float:
        """What process 0 takes for `seconds`; a signal that any of them heard is in `interrupts.number` of all."""
        return seconds


ALONE = World()


def join() -> World:
    """The world that torch's launcher (`torchrun`) put this process into; without one, that of one process."""
    launched = "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"
    if not launched or not dist.is_available():
        return World()
    from zerosum.training.distributed import Processes

    return Processes()
