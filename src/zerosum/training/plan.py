"""The numbers a training runs by."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Plan:
    """How much at a time, and how long. Exactly one of `images` and `seconds` ends the run."""

    batch: int
    micro_batch: int
    images: int | None
    seconds: float | None
    report_every: int | None = None  # images; None: by the clock
    checkpoint_every: int | None = None  # images; None: a minute
    evaluate_every: int | None = None  # images, at which there is a report too; None: never
    autocast: torch.dtype | None = None
    compiled: bool = False
    device: torch.device = CPU

    def autocasting(self) -> AbstractContextManager[object]:
        """Within it, convolutions and products have the plan's precision."""
        return nullcontext() if self.autocast is None else torch.autocast(self.device.type, self.autocast)

    def progress(self, images: int, seconds: float) -> float:
        """The share of the run that is done."""
        return images / self.images if self.images is not None else seconds / (self.seconds or 1.0)
