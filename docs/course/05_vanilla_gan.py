r"""
5. The vanilla GAN draws digits
===============================

The same game, with pixels. Both networks are fully connected with one hidden layer of 100 units, the way the first
GAN is taught: noise of 20 numbers in, 784 pixels out, and 784 pixels in, one logit out. A step of training is two
lines of algorithm 1 in Goodfellow et al. 2014 (https://arxiv.org/abs/1406.2661):

1. *D's turn*: a batch of real digits and a batch of fakes; a step down
   :math:`-\log \sigma(D(x)) - \log(1 - \sigma(D(G(z))))`;
2. *G's turn*: the same fakes; a step down :math:`-\log \sigma(D(G(z)))`, through D, whose weights stay as they are.
"""

# %%
import json
import os

import matplotlib.pyplot as plt
import numpy as np

import zerosum
from zerosum.data import open_data

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the minutes below

run = zerosum.train("mnist-5k", recipe="gan-mlp", minutes=1.5 * BUDGET, out="runs/gan-mlp")

# %%
# The same latents at different times. First come clouds in the middle, where ink mostly is; then strokes; then digits
# with salt and pepper, for nothing in these networks knows that neighbouring pixels have to do with each other.

run.figure("milestones")

# %%
# Reading the curves
# ------------------
# What to look at is not whether a loss falls but whether the two stay *near each other*. If D cannot tell, its loss
# is 2 log 2 = 1.39 and all outputs are 0.5. Mostly D is a little ahead, and that is well: somebody has to know the
# way.

run.figure("losses")

# %%
# D(x) is D's mean opinion of real digits, D(G(z)) of generated ones, before and after the turn that should improve
# it.

run.figure("outputs")

# %%
# Does it invent, or remember?
# ----------------------------
# A generator could win by learning the training set by heart. So for some samples, look for the digit of the
# training set that is nearest: below each sample, the real one that is most like it, pixel by pixel.

digits = open_data("mnist-5k").take(np.arange(5000))
samples = np.asarray(run.model.sample(10, seed=3))
rows, drawn = digits.reshape(5000, -1).astype(np.float32), samples.reshape(10, -1).astype(np.float32)
nearest = ((drawn[:, None] - rows[None]) ** 2).sum(axis=2).argmin(axis=1)

figure, panels = plt.subplots(2, 10, figsize=(10, 2.3), layout="constrained")
for column in range(10):
    for row, picture in enumerate((samples[column], digits[nearest[column]])):
        panels[row, column].imshow(picture[..., 0], cmap="gray", vmin=0, vmax=255)
        panels[row, column].set(xticks=[], yticks=[])
panels[0, 0].set_ylabel("sample")
panels[1, 0].set_ylabel("nearest")
plt.show()

# %%
# And the health of the game, in words, as every report of ``zerosum train`` says it:

record = json.loads((run.path / "records.jsonl").read_text().splitlines()[-1])
print(record["health"])

# %%
# **Exercise.** Take D's dropout away, ``settings={"discriminator.options.dropout": 0.0}``: who wins, and in which
# curve do you see it first? Then make the latents shorter, ``{"latent.size": 2}``: which digits are lost?
