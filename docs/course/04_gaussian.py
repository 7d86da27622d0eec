r"""
4. The smallest GAN that learns: a Gaussian
===========================================

Data that one can look through: a thousand points x = zA + b, with z standard normal and

.. math:: A = \begin{pmatrix} 1 & 2 \\ -0.1 & 0.5 \end{pmatrix}, \qquad b = (1, 2)

so that their mean is b and their covariance AᵀA. The generator is one linear layer, six numbers, and could be exactly
right. The discriminator has two small hidden layers (5 and 3 units, tanh). Whatever goes wrong here is the game's
doing, and not that of the networks.
"""

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch

import zerosum
from zerosum.data import GAUSSIAN_COVARIANCE, GAUSSIAN_MEAN, open_data

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the lengths below

run = zerosum.train(recipe="gan-gaussian", epochs=max(2, round(20 * BUDGET)), out="runs/gaussian")

# %%
# Twenty passes over the data, a few seconds. The ellipses lie two standard deviations from the mean.

run.samples()

# %%
# What the generator sees
# -----------------------
# The generator never meets a data point. All it gets is the arrow at each of its own samples: the slope of D's logit,
# the direction in which a sample would look more real. Here is such a field. It is drawn by a discriminator of the
# same kind, trained for a moment against a generator that is still wrong.

points = open_data("gaussian").take(np.arange(1000))
real = torch.from_numpy(points)
dice = torch.Generator().manual_seed(0)
fake = torch.randn(1000, 2, generator=dice)

torch.manual_seed(1)
judge = zerosum.networks.build(
    "mlp-discriminator", shape=(2,), hidden=[32, 32], activation="tanh", dropout=0.0, init="pytorch"
)
loss = zerosum.losses.get_loss("non-saturating")
descent = torch.optim.Adam(judge.parameters(), lr=0.01)
for _ in range(150):
    cost = loss.discriminator_loss(judge(real), judge(fake))
    descent.zero_grad()
    cost.backward()
    descent.step()

across, up = np.meshgrid(np.linspace(-5, 6, 23), np.linspace(-5, 9, 23))
places = torch.from_numpy(np.stack([across.ravel(), up.ravel()], 1)).float().requires_grad_()
(arrows,) = torch.autograd.grad(judge(places).sum(), places)

figure, axes = plt.subplots(figsize=(6.4, 6), layout="constrained")
shades = axes.contourf(across, up, judge(places).sigmoid().detach().reshape(across.shape), 20, cmap="RdBu", alpha=0.5)
axes.plot(*points.T, ".", color="#0072b2", markersize=3, label="real")
axes.plot(*fake.T, ".", color="#d55e00", markersize=3, label="generated")
axes.quiver(across, up, *arrows.T.reshape(2, *across.shape), color="black", alpha=0.6, width=0.003)
axes.set(title="D's opinion, and the way uphill", xlim=(-5, 6), ylim=(-5, 9))
axes.legend(loc="upper left", markerscale=4)
figure.colorbar(shades, label="probability of being real")
plt.show()

# %%
# Are the moments right?
# ----------------------
# One run proves little: games with other seeds end elsewhere. An *ensemble* trains several at once; for a game as
# small as this, four trained at once cost hardly more than one.

many = zerosum.train(recipe="gan-gaussian", epochs=max(2, round(20 * BUDGET)), ensemble=4, out="runs/gaussians")
for place, member in enumerate(many.model.members):
    drawn = np.asarray(member.sample(5000))
    print(f"member {place}: mean {drawn.mean(axis=0).round(2)}, covariance {np.cov(drawn.T).round(2).tolist()}")
print(f"the data: mean {GAUSSIAN_MEAN}, covariance {GAUSSIAN_COVARIANCE.round(2).tolist()}")

# %%
many.samples()

# %%
# The means come out well and the covariances roughly, and they go on moving: D always finds some direction in which
# the two clouds differ, and G follows it, and overshoots. That is lesson 3's spiral, in six dimensions.
#
# **Exercise.** Add ``settings={"game.penalties.r1.gamma": 1.0}``. Do the four members agree better? Then let the
# discriminator be worse, ``{"discriminator.options.hidden": []}``: a linear D can tell means apart, and nothing else.
# What does the generator's covariance do?
