"""How much of a device a training uses: the FLOPs of its steps, counted, beside what the device was seen to do.

*FLOPs*: 2·m·n·k of each matrix product and the like of each convolution, as torch dispatches them in whole steps of
`Engine`: both players' passes forwards and backwards, the second judgement of the fakes, every backward pass of a
penalty's own gradient (double backward). A lazy penalty counts by how often it is due. Nothing else is counted:
activations, blurs but as the depthwise convolutions they are, noise, Adam, the average. They are the FLOPs that are
done, so a product that a better formulation would leave out raises utilisation, not speed.

Each is put down to the dtype of its operands, for a training in bfloat16 takes penalties in float32, and a ceiling is
one of a dtype.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from math import lcm, prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from zerosum.config import RunConfig
from zerosum.games import Game
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed

SECONDS = 1.5  # for each ceiling
STRETCH = 0.05  # seconds at least between two looks at the clock
WORDS = {torch.bfloat16: "bf16", torch.float16: "float16", torch.float32: "float32", torch.float64: "float64"}

# of FLOPs


def convolution_backward_flops(
    sent: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: object,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
    mask: list[bool],
    *,
    out_val: object = None,
) -> int:
    """As many as the convolution's own for each gradient, by input and by weight.

    torch 2.13's formula takes the weight's as of one group: for R3GAN's 96 groups 96 times too many.
    """
    places = prod((x if transposed else sent).shape[2:])
    return 2 * len(x) * places * weight.numel() * sum(mask[:2])


def linear_flops(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, out_val: object = None) -> int:
    """Of a linear layer that torch keeps whole, as on MPS."""
    return 2 * x.numel() * len(weight)


def linear_backward_flops(x: Tensor, sent: Tensor, weight: Tensor, mask: list[bool], *, out_val: object = None) -> int:
    """Of its gradients by input and by weight."""
    return linear_flops(x, weight) * sum(mask[:2])


FORMULAS: dict[Any, Callable[..., int]] = flop_registry | {
    torch.ops.aten.convolution_backward: convolution_backward_flops,
    torch.ops.aten.linear: linear_flops,
    torch.ops.aten.linear_backward: linear_backward_flops,
}


class Flops(TorchDispatchMode):
    """Within it, the FLOPs of all products and convolutions are counted, by dtype, in `counted`."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[torch.dtype] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = function(*args, **kwargs or {})
        formula = FORMULAS.get(function.overloadpacket)
        if formula is not None:
            self.counted[args[1].dtype] += int(formula(*args, **kwargs or {}, out_val=out))
        return out


def cycle(game: Game, config: RunConfig) -> int:
    """Steps after which everything that is done at every so many-th of them has been due as often as it should."""
    return lcm(*(turn.every for turn in game.turns), *(penalty.every for penalty in config.game.penalties.values()))


def flops_an_image(engine: Engine, feed: Feed, steps: int) -> dict[torch.dtype, float]:
    """FLOPs an image shown, by dtype, counted over `steps` steps, which are taken."""
    before = engine.state.images
    with Flops() as flops:
        for _ in range(steps):
            engine.step(feed, 0.5)
    return {dtype: count / (engine.state.images - before) for dtype, count in flops.counted.items()}


# of a device


def synchronise(device: torch.device) -> None:
    """Wait until all that was launched is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def steps_alone(engine: Engine, feed: Feed, steps: int, device: torch.device) -> float:
    """Images a second of `steps` steps without reports and checkpoints."""
    before = engine.state.images
    synchronise(device)
    start = time.perf_counter()
    for _ in range(steps):
        engine.step(feed, 0.5)
    synchronise(device)
    return (engine.state.images - before) / (time.perf_counter() - start)


def best_rate(work: Callable[[], object], flops: float, device: torch.device) -> float:
    """FLOP/s of the fastest stretch of `work`, which does so many, in `SECONDS`."""

    def took(times: int) -> float:
        synchronise(device)
        start = time.perf_counter()
        for _ in range(times):
            work()
        synchronise(device)
        return time.perf_counter() - start

    took(2)
    times = max(1, round(STRETCH / took(2) * 2))
    end, best = time.perf_counter() + SECONDS, float("inf")
    while time.perf_counter() < end:
        best = min(best, took(times) / times)
    return flops / best


@torch.no_grad()
def product_ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the best product of two square matrices: of 2048 rows, on a GPU of 4096 and 8192 too."""
    best = 0.0
    for side in (2048,) if device.type == "cpu" else (2048, 4096, 8192):
        one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        made = torch.empty_like(one)
        best = max(best, best_rate(lambda: torch.mm(one, other, out=made), 2.0 * side**3, device))  # noqa: B023
    return best


@torch.no_grad()
def convolution_ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a dense 3×3 convolution of 256 channels on channels-last 32×32 maps, 16 of them, on a GPU 256."""
    count, channels, side = 16 if device.type == "cpu" else 256, 256, 32
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(device, dtype, memory_format=torch.channels_last)
    maps = torch.randn(count, channels, side, side, device=device).to(dtype, memory_format=torch.channels_last)
    return best_rate(lambda: layer(maps), 2.0 * count * side**2 * layer.weight.numel(), device)


def utilisation(flops: dict[torch.dtype, float], rate: float, ceilings: dict[torch.dtype, float]) -> float:
    """The share of the time that these FLOPs an image, at `rate` images a second, would take at the ceilings."""
    return sum(count * rate / ceilings[dtype] for dtype, count in flops.items())


def device_words(device: torch.device) -> str:
    """What a device is called, a CPU with its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return str(device)
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "cpu")
    return f"{model}, {torch.get_num_threads()} threads"


def forget_peak(device: torch.device) -> None:
    """From here on is the peak to be taken, where it can be begun anew: on CUDA."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> str:
    """The most memory so far: CUDA's by tensors, what Metal's driver holds, on a CPU the whole process's."""
    if device.type == "cuda":
        count = torch.cuda.max_memory_allocated(device)
    elif device.type == "mps":
        count = torch.mps.driver_allocated_memory()
    elif sys.platform == "win32":
        return "not told"
    else:
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        count = most if sys.platform == "darwin" else most << 10
    return f"{count / 2**30:.2f} GiB"
