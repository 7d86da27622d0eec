"""
Add a network
=============

A network is a class with a decorator. The decorator gives its name, what it plays and what it is for; the constructor
takes the data's
shape (a generator: the latent's length, too) and options with JSON-able defaults, which become settings by themselves:
``--generator.options.width 64``. So ``config.json`` and the weights are enough to build it again.

The one below draws digits as a field of waves: each latent decides how much of 144 fixed waves goes into the
picture. It will never draw a sharp corner, and is small enough to be read at a glance.
"""

# %%
import math
import os
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import zerosum
from zerosum.networks import register

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the minutes below


@register("waves-generator", role="generator", of="images")
class WavesGenerator(nn.Module):
    """Latents (N, latent) to images (N, C, H, W) in [-1, 1], as sums of plane waves.

    Args:
        latent: numbers of a latent.
        shape: (C, H, W).
        width: units of the hidden layer.
        waves: how many in each direction.
    """

    basis: Tensor

    def __init__(self, latent: int, shape: Sequence[int], *, width: int = 256, waves: int = 12) -> None:
        super().__init__()
        self.shape = tuple(shape)
        channels, height, across = self.shape
        rows, columns = ((torch.arange(side) + 0.5) / side for side in (height, across))
        down, along = (
            torch.stack([torch.cos(math.pi * number * places) for number in range(waves)]) for places in (rows, columns)
        )
        basis = torch.einsum("ah,bw->abhw", down, along).reshape(waves**2, height * across)
        self.register_buffer("basis", basis / math.sqrt(waves))
        self.amounts = nn.Sequential(
            nn.Linear(latent, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, channels * waves**2),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Amounts of each wave, and their sum."""
        amounts = self.amounts(z).view(len(z), self.shape[0], -1)
        return torch.tanh(amounts @ self.basis).view(len(z), *self.shape)


# %%
# Its name is known now. The rest of the recipe stays as it was: the discriminator, the loss, the penalties, the
# schedule.

run = zerosum.train(
    "mnist-5k",
    recipe="quick",
    minutes=2 * BUDGET,
    out="runs/waves",
    settings={"generator.network": "waves-generator", "generator.options": {"width": 256, "waves": 14}},
)

# %%
# The released model is built from its config alone, wherever the file above was imported.

model = zerosum.load(run.path)
print(type(model.generator).__name__, f"{sum(p.numel() for p in model.generator.parameters()):,} parameters")
model.sample(32, seed=3)
