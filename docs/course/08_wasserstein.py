r"""
8. A critic that measures distance: WGAN and WGAN-GP
====================================================

A perfect discriminator reads the Jensen–Shannon divergence, and where the two distributions do not overlap that has
no slope: lesson 7. Arjovsky, Chintala & Bottou (2017, https://arxiv.org/abs/1701.07875) let the second player measure
something else, the **earth mover's** distance, through its dual form (equation 2 there):

.. math:: W(P, Q) = \sup_{\|f\|_L \le 1} \; \mathbb{E}_{x \sim P} f(x) - \mathbb{E}_{x \sim Q} f(x)

The critic f is no classifier. It gives marks, as far apart for real and fake as it can, under one condition: its
slope is nowhere above 1. All the art lies in that condition.
"""

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import zerosum
from zerosum.losses import get_loss
from zerosum.metrics import earth_mover_samples
from zerosum.penalties import clip_weights, gradient_penalty

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the lengths below
STEPS = max(30, round(600 * min(BUDGET, 1)))
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})

# %%
# Three judges of the same two heaps
# ----------------------------------
# Real samples lie around 0, fakes around 6, and they do not overlap. A discriminator separates them perfectly, and
# then is flat where the fakes are: no way home. A critic whose weights are *clipped* to a small box (algorithm 1) has
# a slope everywhere, but whatever the box allows. A critic with a *gradient penalty* (Gulrajani et al. 2017,
# https://arxiv.org/abs/1704.00028, equation 3) is asked for a slope of 1 on the way between real and fake,
#
# .. math:: \lambda \; \mathbb{E}_{\hat x} \, ( \| \nabla f(\hat x) \| - 1 )^2
#
# and becomes a ramp: every fake learns which way to go, and how far it is.


def judge(kind: str, shift: float) -> nn.Module:
    """A judge of N(0, ½) against N(shift, ½), trained to the end."""
    torch.manual_seed(0)
    dice = torch.Generator().manual_seed(1)
    network = nn.Sequential(nn.Linear(1, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
    loss = get_loss("non-saturating" if kind == "discriminator" else "wasserstein")
    descent = torch.optim.Adam(network.parameters(), lr=3e-3, betas=(0.5, 0.9))
    for _ in range(STEPS):
        real, fake = torch.randn(2, 256, 1, generator=dice) / 2 + torch.tensor([0.0, shift])[:, None, None]
        cost = loss.discriminator_loss(network(real)[:, 0], network(fake)[:, 0])
        if kind == "gradient penalty":
            mix = torch.rand(256, generator=dice)
            cost = cost + 10 * gradient_penalty(lambda x: network(x)[:, 0], real, fake, mix)
        descent.zero_grad()
        cost.backward()
        descent.step()
        if kind == "clipped weights":
            clip_weights(network, 0.1)
    return network


line = torch.linspace(-3, 9, 400)[:, None].requires_grad_()
figure, panels = plt.subplots(2, 3, figsize=(10.5, 5), layout="constrained", sharex=True)
for (top, bottom), kind in zip(panels.T, ("discriminator", "clipped weights", "gradient penalty"), strict=True):
    marks = judge(kind, 6.0)(line)
    (slope,) = torch.autograd.grad((marks.sigmoid() if kind == "discriminator" else marks).sum(), line)
    shown = marks.sigmoid() if kind == "discriminator" else marks - marks.mean()
    top.plot(line.detach(), shown.detach(), color="black")
    top.set(title=kind, ylabel="probability" if kind == "discriminator" else "mark")
    bottom.plot(line.detach(), slope, color="#aa4499")
    bottom.set(xlabel="x", ylabel="slope", ylim=(-2.0, 0.5))
    for axes in (top, bottom):
        axes.axvspan(-1, 1, color="#0072b2", alpha=0.15, linewidth=0)
        axes.axvspan(5, 7, color="#d55e00", alpha=0.15, linewidth=0)
panels[0, 0].text(0, 0.05, "real", ha="center", color="#0072b2")
panels[0, 0].text(6, 0.9, "fake", ha="center", color="#d55e00")
plt.show()

# %%
# The loss means something
# ------------------------
# Move the fakes, train the critic, and read its loss: it is the earth mover's distance, measured by a network. A loss
# that falls when samples get better is what GANs did not have before.
#
# It reads a little too much, and one can say by how much. A penalty is no law: a critic of slope s gains sW and pays
# λ(s − 1)², which is best at s = 1 + W/2λ. With λ = 10 and a distance of 6 that is a slope of 1.3. The error vanishes
# as the two heaps meet, and the direction was right all the time.

shifts = (0.5, 1.0, 2.0, 4.0, 6.0)
read, true = [], []
dice = torch.Generator().manual_seed(2)
for shift in shifts:
    critic = judge("gradient penalty", shift)
    real, fake = torch.randn(2, 2000, 1, generator=dice) / 2 + torch.tensor([0.0, shift])[:, None, None]
    with torch.no_grad():
        read.append((critic(real).mean() - critic(fake).mean()).item())
    true.append(earth_mover_samples(real[:, 0].numpy(), fake[:, 0].numpy()))
print("critic", np.round(read, 2), "earth mover's", np.round(true, 2))

figure, axes = plt.subplots(figsize=(4.6, 3.6), layout="constrained")
way = np.linspace(0, 6.2)
axes.plot(way, way, "--", color="grey", label="equal")
axes.plot(way, way * (1 + way / 20), ":", color="#aa4499", label="with a slope of 1 + W/2λ")
axes.plot(true, read, "o", color="#aa4499", label="read by a critic")
axes.set(xlabel="earth mover's distance", ylabel="critic's difference of marks")
axes.legend(frameon=False)
plt.show()

# %%
# With digits
# -----------
# The networks of lesson 5, the Wasserstein loss, the gradient penalty, and five turns of the critic for one of the
# generator: the slope is right only if the critic is near its best. The critic's loss is minus the distance, and goes
# towards 0.

settings = {
    "game.loss": "wasserstein",
    "game.penalties.gradient.weight": 10.0,
    "game.updates": "alternating",
    "game.discriminator_turns": 5,
    "discriminator.options.dropout": 0.0,
    "generator.betas": [0.0, 0.9],
    "discriminator.betas": [0.0, 0.9],
}
run = zerosum.train("mnist-5k", recipe="gan-mlp", minutes=1.5 * BUDGET, out="runs/wgan-gp", settings=settings)

# %%
run.figure("losses")

# %%
run.samples()

# %%
# **Exercise.** Clip to 0.01 and to 1 in ``judge``: what becomes of the ramp? Then ask for a slope of *at most* 1,
# ``gradient_penalty(…, one_sided=True)``. Where do the two differ? For images, ``--recipe wgan`` and ``--recipe
# wgan-gp`` are the published ones.
