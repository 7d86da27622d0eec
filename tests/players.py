"""What the tests of games share: small networks, plainly written gradients, and games that play one turn."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from zerosum.assembly import make_state
from zerosum.config import RunConfig
from zerosum.games import Batch, Draw, Fading, Generation, Latents, Loss, Randomness, Remedies
from zerosum.losses import get_loss
from zerosum.making import make_game
from zerosum.networks import build
from zerosum.settings import make_config
from zerosum.training.engine import Engine
from zerosum.training.plan import Plan

LATENT = 6
IMAGE = (2, 8, 8)
NOISE = Fading(0.8, 0.05, 0.5)
CODES = Latents(LATENT, "normal", (3, 4), 2)
SEED = 5
TURNS: dict[str, dict[str, Any]] = {
    "discriminator": {},
    "generator": {},
    "one pass": {"updates": "simultaneous", "one_pass": True},
    "two passes": {"updates": "simultaneous", "one_pass": False},
}
APART = {"r1": {"every": 3}, "gradient": {"every": 3}, "r2": {}, "path_length": {"every": 2}}


def networks(shape: tuple[int, ...], pack: int = 1, latents: Latents | None = None) -> tuple[nn.Module, nn.Module]:
    """Smooth and small, so that float32 gradients can be compared closely."""
    torch.manual_seed(1)
    length = LATENT if latents is None else latents.length
    generator = build("mlp-generator", latent=length, shape=shape, hidden=[9], activation="tanh")
    shown = (shape[0] * pack, *shape[1:])
    options = {"hidden": [12, 7], "activation": "tanh", "dropout": 0.0}
    return generator, build("mlp-discriminator", shape=shown, **options)


def game_of(
    shape: tuple[int, ...] = (3,), *, loss: str = "non-saturating", remedies: Remedies | None = None, **options: Any
) -> Generation:
    remedies = remedies or Remedies()
    latents = options.pop("latents", Latents(LATENT))
    generator, discriminator = networks(shape, remedies.pack, latents)
    torch.manual_seed(2)  # Q's weights
    return Generation(
        generator, discriminator, loss=get_loss(loss), latents=latents, shape=shape, remedies=remedies, **options
    )


def real_batch(count: int, shape: tuple[int, ...] = (3,), seed: int = 3) -> Batch:
    return Batch(torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1)


def draw_of(count: int, *, turn: int = 0, progress: float = 0.0) -> Draw:
    return Draw(Randomness(SEED), turn * count, count, count, turn, progress)


def latents_of(count: int, latents: Latents | None = None, stream: str = "latent", first: int = 0) -> Tensor:
    return (latents or Latents(LATENT)).rows(Randomness(SEED), stream, first, count)


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.grad for name, value in network.named_parameters() if value.grad is not None}


def reference(loss: Tensor, network: nn.Module) -> dict[str, Tensor]:
    named = dict(network.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), retain_graph=True, materialize_grads=True)
    return dict(zip(named, found, strict=True))


def close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """The same tensors, up to float32's rounding."""
    assert found.keys() == expected.keys()
    scale = max(float(value.abs().max()) for value in expected.values())
    assert scale > 0, "a comparison with nothing"
    for name, value in found.items():
        torch.testing.assert_close(
            value, expected[name], rtol=1e-4, atol=2e-5 * scale, msg=lambda m, n=name: f"{n}: {m}"
        )


class Spy:
    """What a network was given, pass by pass."""

    def __init__(self, network: nn.Module) -> None:
        self.seen: list[Tensor] = []
        network.register_forward_pre_hook(lambda _, given: self.seen.append(given[0].detach().clone()))


def play(game: Generation, turn: str, batch: Batch, draw: Draw) -> Loss:
    """One turn, from one seed of PyTorch's generator, with its gradients."""
    torch.manual_seed(9)
    loss = game.play(turn, batch, draw)
    loss.total.backward()
    return loss


def begin(config: RunConfig, shape: tuple[int, ...] = IMAGE) -> Engine:
    torch.manual_seed(0)
    state = make_state(config, make_game(config, shape))
    batch = config.training.batch
    return Engine(state, Plan(batch, config.training.micro_batch or batch, 1000, None))


class Images:
    """A feed of random images, by position."""

    def __init__(self, shape: tuple[int, ...] = IMAGE) -> None:
        self.randomness, self.shape = Randomness(3), shape

    def batch(self, first: int, count: int) -> Batch:
        rows = Latents(math.prod(self.shape), "uniform").rows(self.randomness, "real", first, count)
        return Batch(rows.view(count, *self.shape))


def config_of(**settings: Any) -> RunConfig:
    chosen = {
        "generator.network": "mlp-generator",
        "discriminator.network": "mlp-discriminator",
        "discriminator.options": {"dropout": 0.0},
        "latent.size": 4,
        "game.penalties": {},
        "training.images": 1000,
        "training.batch": 8,
    }
    return make_config("quick", chosen | {key.replace("__", "."): value for key, value in settings.items()})


def turn_of(name: str) -> str:
    return "both" if "pass" in name else name
