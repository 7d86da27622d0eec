r"""
9. Collapse, and what helps
===========================

The generator is asked for samples that D takes for real. It is *not* asked for different ones. If one place looks
real just now, the cheapest answer is to send every latent there. D soon learns to distrust that place, and the whole
crowd moves to the next. That is **mode collapse**, and the two losses need not look ill at all.

Eight narrow Gaussians on a ring make it visible: a good generator reaches all eight (the protocol of VEEGAN,
https://arxiv.org/abs/1705.07761).
"""

# %%
import json
import os

import matplotlib.pyplot as plt
import numpy as np

import zerosum
from zerosum.data import MIXTURES, open_data
from zerosum.metrics import count_modes
from zerosum.run import Run

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the minutes below

# %%
# How to provoke it
# -----------------
# Let the generator learn ten times as fast as the discriminator. G then runs to wherever D, a little out of date,
# says "real", before D can answer. It happens without our help in large GANs, where nobody knows beforehand which of
# the two is the faster.

common = {
    "game.loss": "non-saturating",
    "game.updates": "alternating",
    "latent.size": 64,
    "latent.distribution": "normal",
    "data.standardise": True,
    "generator.options.hidden": [128, 128],
    "generator.options.activation": "relu",
    "generator.options.output": "linear",
    "generator.lr": 1e-3,
    "generator.betas": [0.5, 0.99],
    "discriminator.options.hidden": [128, 128],
    "discriminator.options.activation": "relu",
    "discriminator.options.dropout": 0.0,
    "discriminator.lr": 1e-4,
    "discriminator.betas": [0.5, 0.99],
    "training.batch": 256,
}


def train(name: str, **changes: object) -> Run:
    """A run on the ring, with some settings changed."""
    settings = common | {key.replace("__", "."): value for key, value in changes.items()}
    return zerosum.train("ring8", recipe="gan-mlp", minutes=0.5 * BUDGET, out=f"runs/{name}", settings=settings)


collapsed = train("collapsed")

# %%
# The picture to look at is the row of small ones: a crowd that travels from mode to mode.

collapsed.samples()

# %%
# zerosum looks at samples and not at losses, and says at each report what it thinks. This is the last one:

print(json.loads((collapsed.path / "records.jsonl").read_text().splitlines()[-1])["health"])

# %%
# Remedy one: judge several samples together
# ------------------------------------------
# Give D *packs*: it sees four real points at once, or four generated ones (PacGAN, Lin et al. 2018,
# https://arxiv.org/abs/1712.04086). Four fakes in the same place are not to be mistaken for four real ones. Nothing
# else is changed; D is as slow as before. Minibatch discrimination (Salimans et al. 2016,
# https://arxiv.org/abs/1606.03498, section 3.2) and StyleGAN's minibatch deviation are the same thought built into D
# as a layer.

packed = train("packed", game__remedies__pack=4)

# %%
# Remedy two: a judge that keeps up, and a loss that compares
# -----------------------------------------------------------
# Equal rates, the relativistic loss and penalties on D's slope on both sides: lesson 13 tells where that leads.

compared = train(
    "compared",
    discriminator__lr=1e-3,
    game__loss="relativistic",
    game__penalties__r1__gamma=0.1,
    game__penalties__r2__gamma=0.1,
)

# %%
# Side by side: 2,500 samples of each, and how many of the eight modes have a sample within three standard deviations.
# *Even* is the number of modes that would be as evenly filled as these are.

centres, sigma = MIXTURES["ring8"]
real = open_data("ring8").take(np.arange(1000))
figure, panels = plt.subplots(1, 3, figsize=(10.5, 3.8), layout="constrained", sharex=True, sharey=True)
for axes, (title, run) in zip(
    panels, {"slow judge": collapsed, "packs of four": packed, "compared": compared}.items(), strict=True
):
    samples = np.asarray(run.model.sample(2500))
    modes = count_modes(samples, centres, sigma)
    axes.plot(*samples[:1000].T, "x", color="#d55e00", markersize=3, alpha=0.5)
    axes.plot(*real.T, ".", color="#0072b2", markersize=4)
    even = modes.total * np.exp(-modes.reverse_kl)
    axes.set(
        title=f"{title}: {modes.reached} of 8, even {even:.1f}", aspect="equal", xlim=(-1.7, 1.7), ylim=(-1.7, 1.7)
    )
plt.show()

# %%
# Others that are a flag away: noise on all that D sees, fading as the run goes on (Sønderby et al. 2017,
# https://arxiv.org/abs/1610.04490); fakes of former times (Shrivastava et al. 2017,
# https://arxiv.org/abs/1612.07828); D's features as G's aim (Salimans et al., section 3.1); several generators as
# one, ``--ensemble``. And where a run is long, ``--on-collapse rollback`` goes back to the last healthy checkpoint.
#
# **Exercise.** Take the remedies apart: equal rates alone, the relativistic loss alone, the penalties alone. Which of
# the three does most here? Then try ``"game.remedies.noise.start": 0.3`` with the slow judge.
