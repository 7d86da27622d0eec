r"""
13. The state of the art: a GAN without tricks
==============================================

For ten years GANs were kept alive by tricks: label smoothing, minibatch layers, noise, five turns to one. *R3GAN*
(Huang, Gokaslan, Kuleshov & Tompkin 2024, https://arxiv.org/abs/2501.05441) throws all of them away and keeps two
things.

**A loss that compares.** With a loss for each sample alone, D needs one boundary between real and fake, and G can
satisfy it by pushing everything to one good place: that is collapse. A *relativistic* loss (Jolicoeur-Martineau 2018,
https://arxiv.org/abs/1807.00734) asks of each pair whether the real one looks more real than the fake,

.. math:: \mathcal{L}_D = \mathbb{E}_{x, z} \; \mathrm{softplus}(D(G(z)) - D(x))

so every real sample needs fakes near it.

**A penalty on both sides.** R1 keeps D flat on the data, R2 flat on the fakes (lesson 3). The paper proves that
either makes the game converge near its solution, and finds that in practice R1 alone is not enough: fakes that are
still far from the data are where nobody holds D.

What is left is free: modern residual networks without normalisation. zerosum's ``quick`` is the same idea made small,
0.3 million weights in both, for a CPU's minutes; ``r3gan`` is the published network at any size.
"""

# %%
import os

import matplotlib.pyplot as plt

import zerosum

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the minutes below

run = zerosum.train("mnist-5k", recipe="quick", minutes=3 * BUDGET, out="runs/quick")

# %%
run.figure("real-and-generated")

# %%
run.figure("progress")

# %%
# The curves are dull, and that is the news: no player runs away.

run.figure("losses")

# %%
# Better by how much?
# -------------------
# Eyes can be fooled by good samples that are all alike. Two distributions are compared by their *features*: the
# Fréchet distance (Heusel et al. 2017, https://arxiv.org/abs/1706.08500, equation 6) takes a normal distribution for
# each side,
#
# .. math:: d^2 = \| \mu_1 - \mu_2 \|^2 + \mathrm{tr}( \Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2} )
#
# and *precision and recall* (Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991) ask two questions apart: are
# samples like data, and is everything that is in the data also in the samples? Beside ``quick`` stands the vanilla
# GAN of lesson 5, trained for as long.

old = zerosum.train("mnist-5k", recipe="gan-mlp", minutes=3 * BUDGET, out="runs/vanilla")

figures = {}
for name, each in (("quick", run), ("gan-mlp", old)):
    judged = zerosum.evaluate(each.path, metrics=["frechet", "prdc"], features="random", count=1000)
    figures[name] = {key.partition("[")[0]: value for key, value in judged.evaluation.figures.items()}

# %%
names = ("precision", "recall", "density", "coverage")
figure, (bars, distance) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", width_ratios=(3, 1))
for place, (name, colour) in enumerate((("quick", "#0072b2"), ("gan-mlp", "#d55e00"))):
    drawn = bars.bar(
        [x + 0.4 * place - 0.2 for x in range(4)], [figures[name][key] for key in names], 0.38, color=colour
    )
    bars.bar_label(drawn, fmt="%.2f", fontsize=8)
    distance.bar(place, figures[name]["frechet"], color=colour, label=name)
bars.set(xticks=range(4), xticklabels=names, title="higher is better", ylim=(0, 1.3))
distance.set(xticks=[], title="Fréchet: lower is better")
distance.legend(frameon=False)
for axes in (bars, distance):
    axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# The features here are those of a fixed random network, which needs no download and sees strokes and not meanings:
# good for a comparison on one page, and for nothing else. A figure that is to be compared with others needs 10,000
# samples and known features: ``zerosum evaluate RUN --features inception``.
#
# **Exercise.** Take R2 away, then both penalties: ``settings={"game.penalties": {}}``. Watch
# ``run.figure("losses")``. Then the other half: keep the penalties and take ``{"game.loss": "non-saturating"}``.
# Which of the two matters more here?
