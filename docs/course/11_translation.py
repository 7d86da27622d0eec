r"""
11. Image to image
==================

Give the generator a picture in place of noise. With *pairs*, a source and the picture wanted, one could simply
minimise the distance between result and target. But where several answers are right, the one that is least wrong on
average is a blur: lesson 2 again. Isola et al. (*pix2pix*, 2017, https://arxiv.org/abs/1611.07004, equation 4) keep
the distance, for what is certain, and add a discriminator that sees source and result together, for what is not:

.. math:: \min_G \max_D \; \mathcal{L}_{GAN}(G, D) + \lambda \; \mathbb{E} \, \| y - G(x) \|_1

Two inventions carry it. The generator is a **U-Net**: a way down and a way up, with bridges between maps of equal
size, so that edges need not pass through the eye of the needle. And the discriminator judges **patches**: not whether
the picture is real, but whether each neighbourhood is.
"""

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import zerosum
from zerosum.data import open_data

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the minutes below

# %%
# No pairs at hand? Make them
# ---------------------------
# Take something away from pictures, and let the translator restore it. Here every digit has a box cut out. A tenth of
# the digits, chosen by a hash, never takes part in training, and all that is shown is of that tenth. First with the
# distance alone, then with a judge; both see as many digits.

settings = {"data.degrade": "mask:box", "generator.options.width": 16, "training.batch": 16}
images = max(320, round(20_000 * BUDGET))
alone = zerosum.train(
    "mnist-5k",
    recipe="inpainting",
    images=images,
    out="runs/distance-alone",
    settings=settings | {"game.translation.adversarial": 0.0, "game.penalties": {}},
)
judged = zerosum.train("mnist-5k", recipe="inpainting", images=images, out="runs/judged", settings=settings)

# %%
judged.samples()

# %%
# The two side by side
# --------------------
# The difference is in the holes. What the distance alone fills in is careful and pale: where a stroke might end here
# or there, it draws a bit of both. With a judge the translator decides, and is now and then decidedly wrong. PSNR,
# which measures the distance, mostly likes the first one better. It is not the figure to choose by.


def holes(digits: np.ndarray) -> np.ndarray:
    """The same digits (N, H, W, 1) with alpha, transparent in a box: what is to be filled, (N, H, W, 2)."""
    alpha = np.full_like(digits, 255)
    alpha[:, 9:20, 12:23] = 0
    return np.concatenate([digits, alpha], axis=-1)


held = open_data("mnist-5k").take(np.arange(3, 5000, 500))
given = holes(held)
shown = np.where(given[..., 1:] > 0, given[..., :1], 127)
rows = {"given": shown, "distance": None, "judged": None, "wanted": held}
for name, run in (("distance", alone), ("judged", judged)):
    rows[name] = np.stack([run.model.translate(picture) for picture in given])
figure, panels = plt.subplots(4, len(held), figsize=(10, 4.2))
figure.subplots_adjust(wspace=0.04, hspace=0.04, left=0.09, right=0.99, bottom=0.01, top=0.99)
for line, (name, pictures) in zip(panels, rows.items(), strict=True):
    for axes, picture in zip(line, pictures, strict=True):
        axes.imshow(picture[..., 0], cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()

# %%
# Without pairs
# -------------
# Horses and zebras do not come in pairs. *CycleGAN* (Zhu et al. 2017, https://arxiv.org/abs/1703.10593, equation 2)
# trains a translator each way, with a judge at each end, and asks that who goes there and back comes home:
#
# .. math:: \mathbb{E}_x \, \| F(G(x)) - x \|_1 + \mathbb{E}_y \, \| G(F(y)) - y \|_1
#
# ``zerosum train --recipe cyclegan --data.a horses/ --data.b zebras/`` does that with two folders.
#
# **Exercise.** Other ways to make pairs: ``"data.degrade": "noise:0.6"`` and ``"blur:2"``, with ``recipe="pix2pix"``.
# Where does the judge help, and where does the distance do? And weigh them: ``{"game.reconstruction.weight": 10.0}``.
