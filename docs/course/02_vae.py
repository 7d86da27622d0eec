r"""
2. Variational autoencoder: codes that can be drawn
===================================================

The autoencoder's codes lie wherever they like. A *variational* autoencoder (Kingma & Welling 2014,
https://arxiv.org/abs/1312.6114) asks for two things at once: restore the digit, and let the codes look as if they
were drawn from a standard normal distribution. The encoder answers with a small cloud for each digit, a mean and a
variance, and the decoder sees a point drawn from the cloud. What is minimised is the negative of a lower bound of log
p(x) (equation 3 there):

.. math:: \mathbb{E}_{q(z|x)}[-\log p(x|z)] \; + \; \mathrm{KL}(q(z|x) \,\|\, \mathcal{N}(0, I))

The first term pulls the clouds apart, so that the decoder can tell digits from each other. The second pulls all of
them together around zero. Between them the plane is covered without holes, and a point of it that nobody ever encoded
still means a digit.
"""

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import zerosum
from zerosum.data import open_data

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the minutes below

settings = {"latent.size": 2}  # few enough to be looked at
run = zerosum.train("mnist-5k", recipe="vae", minutes=1.5 * BUDGET, out="runs/vae", settings=settings)

# %%
# With two numbers a digit one can draw all that the decoder knows: a walk over the plane, two deviations each way.

run.figure("plane")

# %%
# Where the digits went
# ---------------------
# The encoder's means for 2,000 digits, each in the colour of its class. No label was ever used; that classes gather
# at all is because digits of a class look alike. The rings are one, two and three deviations of the distribution that
# the codes are asked to follow.

store = open_data("mnist-5k", labels=True)
some = np.random.default_rng(0).permutation(5000)[:2000]
codes = run.model.encode(store.take(some))
labels = store.labels[some]

figure, axes = plt.subplots(figsize=(6, 5.4), layout="constrained")
dots = axes.scatter(*codes.T, c=labels, s=6, cmap="tab10", vmin=-0.5, vmax=9.5)
for radius in (1, 2, 3):
    axes.add_patch(plt.Circle((0, 0), radius, fill=False, color="grey", linewidth=0.8))
axes.set(aspect="equal", xlabel="first number", ylabel="second number", xlim=(-4, 4), ylim=(-4, 4))
figure.colorbar(dots, ticks=range(10), label="digit")
plt.show()

# %%
# And now it generates: draw two normal numbers, decode. Readable, and *soft*. That is no accident. Where a code could
# mean a 4 or a 9 the squared (or Bernoulli) error is least for their average, so the decoder draws the average. A
# blurred digit is never very wrong, pixel by pixel, and never right as a whole.

run.model.sample(32, seed=1)

# %%
# What would be needed is somebody who looks at the whole and says: *no digit looks like this*. That is the
# discriminator, and the rest of this course is about it.
#
# **Exercise.** Give the divergence more weight, ``{"game.reconstruction.beta": 10.0}``: what happens to the plane,
# and what to the rings? Then give the codes room, ``{"latent.size": 20}``: are samples better? Are *reconstructions*?
