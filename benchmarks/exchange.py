"""What processes of one training spend on each other: run it by torch's launcher.

    python -m torch.distributed.run --nproc-per-node 2 benchmarks/exchange.py

Prints, for the world it is started in, the milliseconds of one averaging of gradients by their number, of the step's
agreement on clock and signals, and of one synchronised BatchNorm forward and back.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from zerosum.networks import synchronise
from zerosum.training.world import join

SIZES = (10**4, 10**5, 10**6, 10**7)


def milliseconds(work: Callable[[], object], times: int = 30) -> float:
    """The median of so many."""
    work()
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return 1000 * statistics.median(found)


def main() -> None:
    torch.set_num_threads(1)
    with join() as world:
        lines = []
        for size in SIZES:
            gradient = torch.ones(size)
            taken = milliseconds(lambda gradient=gradient: world.average([gradient]))
            sent = 2 * (world.size - 1) / world.size * 4 * size
            lines.append(f"average of {size:>10,} numbers  {taken:9.3f} ms  {sent / taken / 1e6:6.2f} GB/s a process")
        with world.interrupts() as interrupts:
            lines.append(
                f"clock and signals                {milliseconds(lambda: world.agree(0.0, interrupts)):9.3f} ms"
            )
        maps = torch.randn(16, 64, 16, 16).contiguous(memory_format=torch.channels_last).requires_grad_()
        norm = nn.Sequential(nn.BatchNorm2d(64))
        plain = milliseconds(lambda: norm(maps).sum().backward())
        synchronise(norm)
        with world.sharing():
            synced = milliseconds(lambda: norm(maps).sum().backward())
        lines.append(
            f"BatchNorm, 16 maps of 64×16×16   {synced:9.3f} ms  (PyTorch's own, not synchronised: {plain:.3f} ms)"
        )
        if world.leads:
            print(f"{world.size} processes\n" + "\n".join(lines), flush=True)
        world.lead(lambda: None)


if __name__ == "__main__":
    main()
