r"""
10. Conditional GANs: ask for a 3
=================================

So far a sample was whatever the latent made it. With labels, both players can be told the class: G makes *a 3*, and D
judges whether this is *a real 3*. Mirza & Osindero (2014, https://arxiv.org/abs/1411.1784) wrote the label, as a row
of ten numbers with a single 1, beside the latent and beside the image. Later GANs compare instead of concatenating: a
*projection* discriminator (Miyato & Koyama 2018, https://arxiv.org/abs/1802.05637) adds the inner product
of the image's features φ(x) with a vector that is learned for the class:

.. math:: D(x, y) = v_y^\top \phi(x) + \psi(\phi(x))

The second term asks whether the picture is real, the first whether it is of this class.
"""

# %%
import os

import matplotlib.pyplot as plt
import torch

import zerosum

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the minutes below

run = zerosum.train("mnist-5k", recipe="cgan", minutes=2 * BUDGET, out="runs/cgan")

# %%
# A row for each digit that was asked for.

run.samples()

# %%
# From now on the model takes a ``label``: its name, or its number.

model = run.model
model.sample(16, label=3, seed=5)

# %%
# What is left for the latent
# ---------------------------
# The class is said, so the latent holds the rest: slant, width, weight. Here each *column* is one latent, and each
# row a class. If the two are well told apart, a column is one handwriting.

latents = model.latents(10, seed=2)
pictures = torch.cat([model.generate(latents, torch.full((10,), digit)) for digit in range(10)])

figure, panels = plt.subplots(10, 10, figsize=(6, 6))
figure.subplots_adjust(wspace=0.04, hspace=0.04, left=0.01, right=0.99, bottom=0.01, top=0.99)
for axes, picture in zip(panels.ravel(), pictures, strict=True):
    axes.imshow(picture[0], cmap="gray", vmin=-1, vmax=1)
    axes.axis("off")
plt.show()

# %%
# Every class on its own
# ----------------------
# A generator of ten classes can be good at nine. So the report judges each class apart: how different its samples are
# from each other, among others. A class whose diversity has fallen has collapsed, while the average looked fine.

run.figure("classes")

# %%
# **Exercise.** Train ``--recipe cgan-projection`` and ``--recipe acgan`` for as long and compare their ``classes``
# figures. ACGAN asks D to *name* the class; why might that make samples easier to name, and less various?
