"""What bfloat16 does to WGAN-GP's penalty: the recipe `wgan-gp-28` is trained, and at each stop the penalty of one
batch is taken in float32 and under bfloat16 autocast, from the same weights, samples and points between.

    python benchmarks/penalty_precision.py

Printed: the penalty both ways, the largest relative difference of a sample's slope, the angle between the two
gradients by the critic's parameters, and beside it the angle between the float32 gradients of two batches: what the
choice of the batch alone does.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor, nn

from zerosum.assembly import make_plan, make_state, resolve
from zerosum.data import normalise, open_data
from zerosum.games import Randomness
from zerosum.making import make_game
from zerosum.penalties import gradient_penalty
from zerosum.settings import make_config
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed
from zerosum.training.memory import keep_buffers

STOPS = (0, 20, 60, 120)  # steps
BATCH = 128


def taken(critic: nn.Module, real: Tensor, fake: Tensor, mix: Tensor, exact: bool) -> tuple[float, Tensor, Tensor]:
    """The penalty, the slope of each sample, and the penalty's gradient by the critic's parameters."""
    modes = [(layer, layer.training) for layer in critic.modules()]
    critic.eval()
    with torch.autocast("cpu", torch.bfloat16):
        value = gradient_penalty(critic, real, fake, mix, exact=exact)
        shares = mix.view(-1, 1, 1, 1)
        between = (shares * real + (1 - shares) * fake).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=not exact):
            (slope,) = torch.autograd.grad(critic(between).float().sum(), between)
    gradients = torch.autograd.grad(value, list(critic.parameters()), allow_unused=True)
    flat = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])
    for layer, mode in modes:
        layer.training = mode
    return value.item(), slope.flatten(1).norm(dim=1), flat


def angle(one: Tensor, other: Tensor) -> float:
    """Between two gradients, in degrees."""
    return float(torch.rad2deg(torch.arccos(torch.nn.functional.cosine_similarity(one, other, dim=0).clamp(-1, 1))))


def main() -> int:
    """Train, stop, compare."""
    config = make_config("wgan-gp-28", {"training.device": "cpu"})
    store = open_data("mnist-5k")
    torch.manual_seed(0)
    game = make_game(config, store.shape)
    resolve(config, store, game, torch.device("cpu"))
    keep_buffers()
    game.to(memory_format=torch.channels_last)
    engine = Engine(make_state(config, game), make_plan(config, store, torch.device("cpu")))
    feed = Feed(store, Randomness(0), flip=False)
    print("| steps | penalty float32 | bfloat16 | slope, largest difference | gradients apart | of two batches |")
    print("| --- | --- | --- | --- | --- | --- |")
    done = 0
    for stop in STOPS:
        for _ in range(stop - done):
            engine.step(feed, 0.0)
        done = stop
        batches = []
        for first in (0, BATCH):
            real = normalise(store.gather(np.arange(first, first + BATCH)), store.low, store.high)
            with torch.no_grad():
                fake = game.generator(torch.rand(BATCH, config.latent.size) * 2 - 1)
            batches.append((real, fake, torch.rand(BATCH)))
        exact, slopes, gradient = taken(game.discriminator, *batches[0], exact=True)
        rough, roughly, rounded = taken(game.discriminator, *batches[0], exact=False)
        other = taken(game.discriminator, *batches[1], exact=True)[2]
        print(
            f"| {stop} | {exact:.4g} | {rough:.4g} | {float(((roughly - slopes) / slopes).abs().max()):.2%} | "
            f"{angle(gradient, rounded):.1f}° | {angle(gradient, other):.1f}° |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
