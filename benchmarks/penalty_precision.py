"""What the precision does to penalties: recipes are trained, and at each stop the penalties of one batch are taken in
several precisions, from the same weights and samples.

    python benchmarks/penalty_precision.py                         # wgan-gp-28: may its penalty be in bfloat16?
    python benchmarks/penalty_precision.py r3gan stylegan2         # R1, R2, path lengths: how far from float64?

Of `wgan-gp-28`: the penalty in float32 and under bfloat16 autocast, with the same points between, the largest relative
difference of a sample's slope, the angle between the two gradients by the critic's parameters, and beside it the angle
between the float32 gradients of two batches: what the choice of the batch alone does.

Of `r3gan` and `stylegan2`, both at size xs on digits at 32×32×3 and trained in bfloat16 autocast: each penalty as the
training takes it there, by the functions of `zerosum.penalties`, and all through in bfloat16, both against float64: the
relative error of its value, and of its gradient by all parameters, ‖g − g₆₄‖ / ‖g₆₄‖, with the angle between the two;
and again the angle between the gradients of two batches, in float64.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zerosum.assembly import make_plan, make_state, resolve
from zerosum.data import normalise, open_data
from zerosum.games import Generation, Randomness
from zerosum.making import make_game
from zerosum.material import Material
from zerosum.networks.style import StyleGenerator
from zerosum.networks.stylegan2 import SynthesisLayer
from zerosum.order import Order
from zerosum.penalties import gradient_penalty, path_length, r1, r2
from zerosum.settings import make_config
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed
from zerosum.training.memory import keep_buffers

RECIPES = ("wgan-gp-28", "r3gan", "stylegan2")
STOPS = (0, 20, 60, 120)  # steps
BATCH = 128
Inputs = tuple[Tensor, ...]


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


def wgan_gp() -> None:
    """Train, stop, compare float32 and bfloat16."""
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


# the penalties of R3GAN and of StyleGAN2


def inexact(network: nn.Module, samples: Tensor) -> Tensor:
    """R1 or R2 as it would be with all of it under the autocast around."""
    inputs = samples.detach().requires_grad_()
    (slope,) = torch.autograd.grad(network(inputs).float().sum(), inputs, create_graph=True)
    return slope.square().flatten(1).sum(1).mean()


def inexact_path_length(synthesise: nn.Module, styles: Tensor, noise: Tensor) -> Tensor:
    """The path length likewise, of a mean of zero."""
    start = styles.detach().requires_grad_()
    projected = (synthesise(start) * noise).float().sum() / noise[0, 0].numel() ** 0.5
    (slope,) = torch.autograd.grad(projected, start, create_graph=True)
    return slope.square().sum((1, 2)).mean() / styles.shape[1]


class Synthesis(nn.Module):
    """What a styled generator makes of styles (N, layers, style), with its noise held still."""

    def __init__(self, generator: StyleGenerator) -> None:
        super().__init__()
        self.generator = generator
        for layer in generator.modules():
            if isinstance(layer, SynthesisLayer):
                layer.eval()

    def forward(self, styles: Tensor) -> Tensor:
        return self.generator.synthesise(styles)


def with_gradient(value: Tensor, network: nn.Module) -> tuple[float, Tensor]:
    """A penalty's value, and its gradient by all parameters in float64; zeros for those it does not depend on."""
    found = torch.autograd.grad(value, list(network.parameters()), allow_unused=True)
    pairs = zip(found, network.parameters(), strict=True)
    flat = [(torch.zeros_like(own) if gradient is None else gradient).double().flatten() for gradient, own in pairs]
    return value.item(), torch.cat(flat)


class Asked(NamedTuple):
    """A penalty: its network, how training takes it, how it would be in bfloat16, and what it is given."""

    name: str
    network: nn.Module
    taken: Callable[..., Tensor]
    rough: Callable[..., Tensor]
    inputs: Inputs


def penalties_of(game: Generation, real: Tensor, size: int) -> Iterator[Asked]:
    """Each penalty of a game, on real samples and on samples of new latents of `size` numbers."""
    latents = torch.randn(len(real), size)
    with torch.no_grad():
        fake = game.generator(latents)
    yield Asked("r1", game.discriminator, r1, inexact, (real,))
    if "r2" in game.penalties:
        yield Asked("r2", game.discriminator, r2, inexact, (fake,))
    if "path_length" in game.penalties:
        made = Synthesis(copy.deepcopy(game.generator))
        with torch.no_grad():
            styles = made.generator.styles(latents[: len(real) // 2])
        styles = styles[:, None].repeat(1, len(made.generator.layers), 1)
        noise = torch.randn_like(fake[: len(styles)])
        yield Asked("path_length", made, lengths, inexact_path_length, (styles, noise))


def lengths(synthesise: nn.Module, styles: Tensor, noise: Tensor) -> Tensor:
    """The mean square of path lengths, of which the penalty with a mean of zero is the whole."""
    return path_length(synthesise, styles, noise, torch.zeros((), dtype=styles.dtype), decay=1.0)[0]


def against_float64(recipe: str) -> None:
    """Train a recipe, stop, compare what it is trained with to float64."""
    device = torch.device("cpu")
    store = open_data("mnist-5k", size="32", channels=3)
    asked = {"training.size": "xs", "training.device": "cpu", "training.precision": "bf16"}
    config, _ = Order(recipe, "mnist-5k", asked).after(Material(store, device, store.digest))
    torch.manual_seed(0)
    game = make_game(config, store.shape)
    resolve(config, store, game, device)
    keep_buffers()
    game.to(memory_format=torch.channels_last)
    plan = make_plan(config, store, device)
    engine, feed = Engine(make_state(config, game), plan), Feed(store, Randomness(0), flip=False)
    for stop in STOPS:
        while engine.state.images < stop * plan.batch:
            engine.step(feed, 0.0)
        one, other = (
            list(penalties_of(game, normalise(store.gather(rows), store.low, store.high), int(config.latent.size)))
            for rows in np.arange(2 * plan.batch).reshape(2, -1)
        )
        for asked_for, again in zip(one, other, strict=True):
            print(f"| `{recipe}` | {stop} | {' | '.join(cells(asked_for, again.inputs))} |", flush=True)


def cells(asked_for: Asked, others: Inputs) -> list[str]:
    """A row's: name, value, the error as trained, that in bfloat16, the angle to the gradient of `others`."""
    network = asked_for.network
    precise = copy.deepcopy(network).double()
    value, gradient = with_gradient(asked_for.taken(precise, *(each.double() for each in asked_for.inputs)), precise)
    made = [asked_for.name, f"{value:.4g}"]
    for take in (asked_for.taken, asked_for.rough):
        with torch.autocast("cpu", torch.bfloat16):
            found = take(network, *asked_for.inputs)
        near, off = with_gradient(found, network)
        apart = float((off - gradient).norm() / gradient.norm())
        made.append(f"{abs(near / value - 1):.1e}, {apart:.1e}, {angle(gradient, off):.2g}°")
    another = with_gradient(asked_for.taken(precise, *(each.double() for each in others)), precise)[1]
    return [*made, f"{angle(gradient, another):.2g}°"]


def main() -> int:
    """Of each recipe that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", choices=RECIPES, default=RECIPES[0], metavar="RECIPE")
    recipes = parser.parse_args().recipes
    recipes = [recipes] if isinstance(recipes, str) else recipes
    if RECIPES[0] in recipes:
        wgan_gp()
    others = [recipe for recipe in recipes if recipe != RECIPES[0]]
    if others:
        print(
            "| recipe | steps | penalty | value | as trained: value, gradient, angle | in bfloat16 | of two batches |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- |")
    for recipe in others:
        against_float64(recipe)
    return 0


if __name__ == "__main__":
    sys.exit(main())
