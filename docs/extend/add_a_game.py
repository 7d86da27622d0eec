r"""
Add a game
==========

A game says who plays and what each of them minimises in its turn. The training loop knows nothing else: it shuffles,
updates, averages, reports, saves and resumes whatever has ``turns``, ``play`` and ``sample``.

The game below has **one** player. In place of a discriminator stands a formula, the *energy distance* between two sets
of points (Székely & Rizzo 2013, https://doi.org/10.1016/j.jspi.2013.03.018),

.. math:: 2 \, \mathbb{E} \|x - y\| - \mathbb{E} \|x - x'\| - \mathbb{E} \|y - y'\|

with x, x' real and y, y' generated. It is 0 only where the two distributions are equal, and for points of two
dimensions it is all the judge that is needed. Generators trained on such a distance are the generative moment
matching networks of Li, Swersky & Zemel (2015, https://arxiv.org/abs/1502.02761). For pictures they fail, as
distances between pixels mean little: there one needs a judge that learns what to look at.
"""

# %%
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import zerosum
from zerosum.config import RunConfig
from zerosum.config_game import KINDS
from zerosum.data import MIXTURES
from zerosum.games import Batch, Draw, Game, Latents, Loss, Turn
from zerosum.making import MAKERS
from zerosum.metrics import count_modes
from zerosum.players import About, blueprints, latents_of

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the minutes below


# 2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖, without the zeros of a point's distance to itself
def energy_distance(real: Tensor, fake: Tensor) -> Tensor:
    """Between points (N, D) and (M, D), without bias: it may fall a little below 0."""

    def within(points: Tensor) -> Tensor:
        return torch.cdist(points, points).sum() / (len(points) * (len(points) - 1))

    return 2 * torch.cdist(real, fake).mean() - within(real) - within(fake)


class EnergyGame(Game):
    """A generator alone, which minimises the energy distance to each batch.

    Args:
        generator: latents (N, length) to points (N, D).
        latents: what it starts from.
    """

    turns = (Turn("generator"),)
    released = ("generator",)

    def __init__(self, generator: nn.Module, latents: Latents) -> None:
        super().__init__()
        self.generator, self.latents = generator, latents

    def play(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """The loss of the one turn; what is random comes from `draw`, so that a resumed run is the same run."""
        made = self.generator(draw.latents(self.latents))
        distance = energy_distance(batch.images, made.float())
        return Loss(distance, {"generator": distance.detach()})

    def sample(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Points of latents."""
        made: Tensor = self.generator(latent)
        return made


def make_energy(config: RunConfig, about: About) -> EnergyGame:
    """The game that a configuration asks for."""
    return EnergyGame(blueprints(config, about)["generator"].build(), latents_of(config))


KINDS["energy"] = ("generator",)  # its players: their sections of the configuration
MAKERS["energy"] = make_energy

# %%
# A recipe for it, as a file like any other. (``Path`` writes it here so that this page is one file.)

Path("runs").mkdir(exist_ok=True)
Path("runs/energy.toml").write_text(
    """
[recipe]
name = "energy"
title = "A generator against the energy distance"
source = "Li, Swersky & Zemel, ICML 2015, https://arxiv.org/abs/1502.02761"

[data]
standardise = true

[game]
kind = "energy"

[latent]
size = 2
distribution = "uniform"

[generator]
network = "mlp-generator"
lr = 1e-3
schedule = "cosine"
decay_to = 0.01
options = { hidden = [128, 128, 128], output = "linear", init = "pytorch", hidden_bias = true, fourier = [1.0, 4.0] }

[training]
minutes = 1
batch = 512
ema = 10_000
"""
)
run = zerosum.train("ring8", recipe="runs/energy.toml", minutes=1 * BUDGET, out="runs/energy")

# %%
run.samples()

# %%
samples = np.asarray(run.model.sample(2500))
print(count_modes(samples, *MIXTURES["ring8"]))
run.figure("losses")
