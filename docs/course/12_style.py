r"""
12. Style: from StyleGAN on
===========================

In every generator so far the latent enters at the bottom, and each layer works on what the last one left. StyleGAN
(Karras, Laine & Aila 2019, https://arxiv.org/abs/1812.04948) turns that round. The bottom is a *constant* that is
learned. The latent passes a network of its own, the **mapping**, and becomes a *style* w; and w tells **every layer**
what mean and deviation its maps should have (equation 1, after Huang & Belongie 2017,
https://arxiv.org/abs/1703.06868):

.. math:: \mathrm{AdaIN}(x_i, w) = s_i(w) \, \frac{x_i - \mu(x_i)}{\sigma(x_i)} + b_i(w)

Why a mapping? Latents are a round cloud, because we chose it so. Faces, or digits, are not round: some combinations
do not exist. The mapping may bend the cloud until its directions mean something.
"""

# %%
import os

import matplotlib.pyplot as plt
import torch

import zerosum

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the minutes below

run = zerosum.train("mnist-5k", recipe="style-mlp", minutes=3 * BUDGET, out="runs/style")

# %%
run.samples()

# %%
# Style mixing
# ------------
# Every layer hears a style, and nobody says it must be the same one. Let the first layers follow one sample, and the
# last another: what comes from whom? In a generator of faces pose and shape come from the coarse layers, colours from
# the fine ones. This one has three layers for 28×28 digits, and the first decides most.

model = run.model
generator = model.generator
layers = len(generator.layers)
with torch.no_grad():
    first, last = generator.styles(model.latents(6, seed=1)), generator.styles(model.latents(6, seed=8))
    both = torch.stack([torch.stack([one] + [other] * (layers - 1)) for one in first for other in last])
    mixed = generator.synthesise(both)[:, 0]
    sides = [generator.synthesise(styles)[:, 0] for styles in (first, last)]

figure, panels = plt.subplots(7, 7, figsize=(6.4, 6.4))
figure.subplots_adjust(wspace=0.05, hspace=0.05, left=0.06, right=0.99, bottom=0.01, top=0.94)
for axes in panels.ravel():
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
for place in range(6):
    panels[0, place + 1].imshow(sides[1][place], cmap="bone", vmin=-1, vmax=1)
    panels[place + 1, 0].imshow(sides[0][place], cmap="bone", vmin=-1, vmax=1)
    for row in range(6):
        panels[row + 1, place + 1].imshow(mixed[6 * row + place], cmap="gray", vmin=-1, vmax=1)
figure.text(0.56, 0.965, "styles of the other layers", ha="center")
figure.text(0.03, 0.45, "style of the first layer", va="center", rotation="vertical")
plt.show()

# %%
# Truncation
# ----------
# The middle of all styles, w̄, is the best-trained place there is: the average digit, clean and dull. Going only a
# share ψ of the way from it to a sample's own style trades variety for safety (appendix B):
#
# .. math:: w' = \bar w + \psi \, (w - \bar w)
#
# Each row below has the same eight latents.

figure, panels = plt.subplots(5, 8, figsize=(8, 5.2))
figure.subplots_adjust(wspace=0.04, hspace=0.04, left=0.09, right=0.99, bottom=0.01, top=0.99)
for row, psi in zip(panels, (0.0, 0.3, 0.6, 1.0, 1.4), strict=True):
    for axes, picture in zip(row, model.sample(8, seed=4, truncation=psi), strict=True):
        axes.imshow(picture[..., 0], cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
    row[0].set_ylabel(f"ψ = {psi:g}", rotation=0, ha="right", va="center")
plt.show()

# %%
# StyleGAN2 (2020, https://arxiv.org/abs/1912.04958) found that AdaIN leaves blots in pictures and moved the style
# into the *weights* of the convolutions; it adds a penalty that makes a step in w a step of even length in the
# picture (path length) and takes R1 every sixteenth turn only. ``--recipe stylegan2`` is that, at any size.
#
# **Exercise.** Mix the other way round: let the *last* layer alone follow the other sample. Then compare ψ in w with
# ψ in z: ``--recipe gan-mlp`` scales latents. Which row of which looks like one digit?
