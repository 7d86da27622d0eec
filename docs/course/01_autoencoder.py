r"""
1. Autoencoder: a picture through a needle's eye
================================================

Before two networks play against each other, let two work together. An **encoder** turns a digit of 784 pixels into a
*code* of 32 numbers, and a **decoder** turns the code into a digit again. Nobody tells them what the 32 numbers
should mean. They are judged by one thing, how far the digit that comes out is from the one that went in:

.. math:: \min_{E, D} \; \frac{1}{784} \; \mathbb{E}_x \, \| x - D(E(x)) \|^2

(Hinton & Salakhutdinov, *Science* 2006, https://doi.org/10.1126/science.1127647). What does not fit through the eye
of the needle is lost, so the two learn what is worth keeping.
"""

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch

import zerosum
from zerosum.data import open_data

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the minutes below

run = zerosum.train("mnist-5k", recipe="autoencoder", minutes=1 * BUDGET, out="runs/autoencoder")

# %%
# The report keeps a picture of digits that were held out of training, and of what became of them.

run.figure("reconstructions")

# %%
# Is that good? Ask the best *linear* code
# ----------------------------------------
# A network of one linear layer each way can do no better than principal components (Baldi & Hornik 1989). They take a
# line of NumPy, so they are the measure to beat: the mean squared error that is left with *k* numbers a digit.

digits = open_data("mnist-5k").take(np.arange(5000))  # uint8 (5000, 28, 28, 1)
rows = digits.reshape(5000, -1) / 255.0
mean = rows.mean(axis=0)
_, values, components = np.linalg.svd(rows - mean, full_matrices=False)
left = 1 - np.cumsum(values**2) / np.sum(values**2)  # the share of the variance that k components leave
total = ((rows - mean) ** 2).mean()

model = run.model
restored = model.reconstruct(digits).reshape(5000, -1) / 255.0
ours = ((rows - restored) ** 2).mean()
print(f"autoencoder, 32 numbers: {ours:.4f}; 32 principal components: {total * left[31]:.4f}")

# %%
figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
axes.plot(np.arange(1, 101), total * left[:100], color="#0072b2", label="principal components")
axes.plot(32, ours, "o", color="#d55e00", label="autoencoder")
axes.set(xlabel="numbers in a code", ylabel="squared error a pixel", yscale="log")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
plt.show()

# %%
# Half-way between two digits
# ---------------------------
# Mix two *pictures* and you get a double exposure. Mix two *codes* and decode: the decoder can only draw what it has
# learned to draw, so what lies between looks more like something in between. Most of the time: look closely, and you
# find places in code space that mean nothing. No digit ever sent its code there, so nobody told the decoder what to
# do.

one, other = digits[[7]], digits[[4000]]
shares = np.linspace(0, 1, 9)
codes = model.encode(np.concatenate([one, other]))
path = torch.from_numpy(np.stack([(1 - t) * codes[0] + t * codes[1] for t in shares])).float()
with torch.no_grad():
    decoded = model.generator(path).squeeze(1).numpy()
mixed = [(1 - t) * one[0, ..., 0] / 127.5 + t * other[0, ..., 0] / 127.5 - 1 for t in shares]

figure, panels = plt.subplots(2, len(shares), figsize=(9, 2.3), layout="constrained")
for row, (name, pictures) in enumerate((("pixels mixed", mixed), ("codes mixed", decoded))):
    for panel, picture in zip(panels[row], pictures, strict=True):
        panel.imshow(picture, cmap="gray", vmin=-1, vmax=1)
        panel.set(xticks=[], yticks=[])
    panels[row, 0].set_ylabel(name)
plt.show()

# %%
# That is the point where this course begins: a decoder *could* be a generator, if only we knew which codes to feed
# it. The next lesson makes the codes follow a distribution we know.
#
# **Exercise.** Train with ``settings={"latent.size": 2}`` and with ``128``. Where does the error fall on the curve of
# the principal components? Then take the nonlinearity away: ``{"encoder.options.hidden": [],
# "generator.options.hidden": [], "generator.options.output": "linear"}``. How close to the curve does it come?
