r"""
6. Transposed convolution, BatchNorm, and DCGAN
===============================================

A fully connected generator has to learn about every pixel apart. A convolution knows two things beforehand:
neighbours belong together, and a stroke is a stroke wherever it is. Radford, Metz & Chintala (2016,
https://arxiv.org/abs/1511.06434) found the recipe that made convolutional GANs train: strides in place of pooling,
transposed convolutions in the generator, BatchNorm in both, ReLU in G and leaky ReLU in D. Two of its parts deserve a
closer look.
"""

# %%
import os

import matplotlib.pyplot as plt
import torch
from torch import nn

import zerosum

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the minutes below

# %%
# Transposed convolution
# ----------------------
# A convolution is linear, so it is a matrix C. With stride 2 the matrix has half as many rows as columns: 8 pixels
# become 4. The generator needs the way up, and takes the matrix the other way round: y = Cᵀx. That is all that a
# *transposed* convolution is. It undoes nothing; it is the convolution's backward pass, used forwards.

kernel = torch.tensor([[[1.0, 2.0, 3.0, 1.5]]])
down = torch.stack(
    [nn.functional.conv1d(row[None, None], kernel, stride=2, padding=1)[0, 0] for row in torch.eye(8)], 1
)
up = torch.stack(
    [nn.functional.conv_transpose1d(row[None, None], kernel, stride=2, padding=1)[0, 0] for row in torch.eye(4)], 1
)
print("the matrix up is that down, transposed:", torch.equal(up, down.T))

figure, panels = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained", width_ratios=(2, 1))
for axes, matrix, title in zip(panels, (down, up), ("C: convolution, 8 to 4", "Cᵀ: transposed, 4 to 8"), strict=True):
    axes.imshow(matrix, cmap="Blues")
    axes.set(title=title, xticks=[], yticks=[])
    for (row, column), value in zip(matrix.nonzero().tolist(), matrix[matrix != 0].tolist(), strict=True):
        axes.text(
            column, row, f"{value:g}", ha="center", va="center", fontsize=8, color="white" if value > 2 else "black"
        )
plt.show()

# %%
# Each input pixel paints one copy of the kernel, stride pixels from the last. How often is a pixel of the result
# painted on? With a kernel of 4 and stride 2, always equally often. With 5 and 2, or 3 and 2, neighbours differ, and
# the generator begins its life with a checkerboard that it has to unlearn (Odena, Dumoulin & Olah 2016,
# https://distill.pub/2016/deconv-checkerboard/).

figure, panels = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for axes, size in zip(panels, (3, 4, 5), strict=True):
    strokes = nn.functional.conv_transpose2d(torch.ones(1, 1, 8, 8), torch.ones(1, 1, size, size), stride=2)[0, 0]
    shown = axes.imshow(strokes[4:-4, 4:-4], cmap="magma", vmin=0, vmax=9)
    axes.set(title=f"kernel {size}, stride 2", xticks=[], yticks=[])
figure.colorbar(shown, ax=panels, label="strokes on a pixel", shrink=0.8)
plt.show()

# %%
# BatchNorm
# ---------
# Weights drawn from N(0, 0.02) make a signal smaller from layer to layer: after five, all latents lead to almost the
# same grey. BatchNorm (Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167) brings every channel back to mean 0
# and deviation 1 over the batch, then to a scale and shift that are learned:
#
# .. math:: y = \gamma \, \frac{x - \mu_{batch}}{\sqrt{\sigma^2_{batch} + \epsilon}} + \beta
#
# So a fresh generator answers differently to different latents, and D's gradient reaches the first layer. The price:
# a sample now depends on the others of its batch. That is why a trained generator needs statistics to stand in for a
# batch (zerosum estimates them anew at each report), and why WGAN-GP, in lesson 8, asks for another normalisation.


def spreads(normalise: bool) -> list[float]:
    """The deviation over a batch after each layer of a fresh generator."""
    torch.manual_seed(0)
    signal, found = torch.randn(64, 100, 1, 1), [1.0]
    for before, after in ((100, 256), (256, 128), (128, 64), (64, 32), (32, 16)):
        layer = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)
        nn.init.normal_(layer.weight, 0.0, 0.02)
        signal = layer(signal)
        signal = torch.relu(nn.BatchNorm2d(after)(signal) if normalise else signal)
        found.append(signal.std(dim=0).mean().item())
    return found


figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.semilogy(spreads(True), "o-", color="#009e73", label="with BatchNorm")
axes.semilogy(spreads(False), "o-", color="#d55e00", label="without")
axes.set(xlabel="layer", ylabel="what is left of the latents", title="A generator on its first day")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
plt.show()

# %%
# DCGAN
# -----
# Kernels of 5×5, 64 to 256 channels, 28×28 digits. An image costs a hundred times what it costs the network of lesson
# 5, so in the same minutes it sees far fewer; and what it draws are strokes, not salt and pepper.

run = zerosum.train("mnist-5k", recipe="dcgan-28", minutes=3 * BUDGET, out="runs/dcgan")

# %%
run.figure("milestones")

# %%
run.figure("real-and-generated")

# %%
# **Exercise.** ``recipe="dcgan-dense"`` has no BatchNorm. Train it for as long: what is better at first, what later?
# Then replace BatchNorm in this discriminator alone, ``settings={"discriminator.options.norm": "layer"}``. What
# changes in ``run.figure("outputs")``?
