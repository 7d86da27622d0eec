"""
7. Distances between distributions
==================================

A generative network turns noise into a distribution Q; the data come from a distribution P. Training needs a number
that says how far apart they are, and a slope that says where to go. Four such numbers, where each of them is blind,
and which of them a discriminator measures.
"""

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn.functional import softplus

from zerosum.losses import classification_loss
from zerosum.metrics import (
    cross_entropy,
    earth_mover,
    earth_mover_assignment,
    entropy,
    jensen_shannon,
    kullback_leibler,
    parallel_lines,
    sliced_wasserstein,
    total_variation,
)

P_COLOUR, Q_COLOUR = "#3b4d61", "#e69f00"
COLOURS = {"total variation": "#0072b2", "KL": "#d55e00", "JS": "#009e73", "earth mover's": "#b0568f"}
plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 100})

# %%
# Three places on a line
# ----------------------
# P spreads its mass evenly over the places 0, 1 and 2; Q puts half of it in the middle.
#
# * **Total variation** is half the summed difference of the weights: the mass that is in the wrong place. 1/6.
# * The **earth mover's distance** is that mass times the way it has to go: on a line, the area between the two
#   cumulative distributions. Here everything goes one place far, so it is 1/6 too. Were the places 10 apart it would
#   be 10/6, and none of the others would notice.
# * **Kullback–Leibler** is the cross-entropy less the entropy: the nats one pays for coding P with the code of Q.
#   It depends on the direction.
# * **Jensen–Shannon** is the mean divergence of both from their mixture, symmetric and never above log 2.

places = np.arange(3)
p, q = np.full(3, 1 / 3), np.array([1 / 4, 1 / 2, 1 / 4])
worked = [
    ("TV", total_variation(p, q), COLOURS["total variation"]),
    ("EMD", earth_mover(places, p, q), COLOURS["earth mover's"]),
    ("KL(P‖Q)", kullback_leibler(p, q), COLOURS["KL"]),
    ("KL(Q‖P)", kullback_leibler(q, p), COLOURS["KL"]),
    ("JS", jensen_shannon(p, q), COLOURS["JS"]),
]
for name, value, _ in worked:
    print(f"{name:8} {value:.9f}")
print(f"cross-entropy − entropy {cross_entropy(p, q) - entropy(p):.9f} = KL(P‖Q)")

# %%
figure, (masses, cumulative, values) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
masses.bar(places - 0.2, p, 0.38, color=P_COLOUR, label="P")
masses.bar(places + 0.2, q, 0.38, color=Q_COLOUR, label="Q")
masses.set(title="weights", xticks=places, xlabel="place", ylim=(0, 0.6))
masses.legend(frameon=False)

steps = np.concatenate([[-0.5], places, [2.5]])
below, above = (np.concatenate([[0], np.cumsum(weights), [1]]) for weights in (p, q))
cumulative.fill_between(steps, below, above, step="post", color=COLOURS["earth mover's"], alpha=0.35, linewidth=0)
cumulative.step(steps, below, where="post", color=P_COLOUR, label="F, of P")
cumulative.step(steps, above, where="post", color=Q_COLOUR, label="G, of Q")
cumulative.annotate(
    "area = EMD\n= 1/12 + 1/12", (1.5, 0.71), (1.2, 0.3), arrowprops={"arrowstyle": "-", "color": "grey"}
)
cumulative.set(title="cumulative weights", xticks=places, xlabel="place")
cumulative.legend(frameon=False, loc="upper left")

bars = values.barh([name for name, _, _ in worked], [value for _, value, _ in worked], color=[c for _, _, c in worked])
values.bar_label(bars, fmt="%.4f", padding=4)
values.invert_yaxis()
values.set(title="distances", xlim=(0, 0.21), xlabel="a share, places moved, or nats")
plt.show()

# %%
# Two parallel lines
# ------------------
# P is uniform on a vertical line of length 1, Q on the same line moved aside by θ. A generator with the single
# parameter θ has to learn θ = 0. However close the lines are, they share no point: total variation stays at 1,
# Jensen–Shannon at log 2 and Kullback–Leibler at infinity until θ is exactly 0. None of them has a slope to follow.
# The earth mover's distance is \|θ\| (Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875, example 1).
#
# The dots are measured on 200 samples of each line: the assignment problem finds the distance, but for the small one
# between two draws of 200 heights; the sliced distance, the mean over the samples' shadows on random lines, is smaller
# by the mean of \|cos φ\|, which is 2/π, but as straight, and costs a sort instead of a matching.

thetas = np.linspace(-1, 1, 401)
lines = [parallel_lines(theta) for theta in thetas]
print(parallel_lines(0.5), parallel_lines(0.0), sep="\n")

heights = np.random.default_rng(0).uniform(size=(2, 200))
measured = np.linspace(-1, 1, 9)
clouds = [np.stack([np.full(200, place), heights[1]], axis=1) for place in measured]
origin = np.stack([np.zeros(200), heights[0]], axis=1)
assigned = [earth_mover_assignment(origin, cloud) for cloud in clouds]
sliced = [sliced_wasserstein(origin, cloud) for cloud in clouds]

# %%
figure, axes = plt.subplot_mosaic(
    [["lines", "tv", "kl"], ["lines", "js", "emd"]], figsize=(11, 5.2), layout="constrained"
)
axes["lines"].plot([0, 0], [0, 1], color=P_COLOUR, linewidth=4)
axes["lines"].plot([0.6, 0.6], [0, 1], color=Q_COLOUR, linewidth=4)
axes["lines"].annotate("", (0.58, 0.5), (0.02, 0.5), arrowprops={"arrowstyle": "<->", "color": "grey"})
axes["lines"].text(0.3, 0.53, "θ", ha="center")
axes["lines"].text(0, 1.04, "P", ha="center", color=P_COLOUR)
axes["lines"].text(0.6, 1.04, "Q", ha="center", color=Q_COLOUR)
axes["lines"].set(title="uniform on two lines", xlim=(-0.5, 1.1), ylim=(-0.1, 1.2), xticks=[0, 0.6], yticks=[0, 1])
axes["lines"].set_xticklabels(["0", "θ"])

apart = thetas != 0
for name, colour, height, label in (
    ("tv", COLOURS["total variation"], 1.0, "1"),
    ("kl", COLOURS["KL"], 1.0, "∞"),  # drawn at the top of a broken axis
    ("js", COLOURS["JS"], math.log(2), "log 2"),
):
    for side in (thetas < 0, thetas > 0):
        axes[name].plot(thetas[side], np.full(side.sum(), height), color=colour)
    axes[name].plot(0, height, "o", color=colour, markerfacecolor="white")
    axes[name].plot(0, 0, "o", color=colour)
    axes[name].set(yticks=[0, height], ylim=(-0.1 * height, 1.2 * height))
    axes[name].set_yticklabels(["0", label])
axes["emd"].plot(thetas, [line.earth_mover for line in lines], color=COLOURS["earth mover's"], label="|θ|")
axes["emd"].plot(measured, assigned, "o", color=COLOURS["earth mover's"], label="assignment, 200 samples")
axes["emd"].plot(measured, sliced, "s", color=COLOURS["earth mover's"], markerfacecolor="white", label="sliced")
axes["emd"].plot(thetas, 2 / math.pi * np.abs(thetas), ":", color="grey", label="2|θ|/π")
axes["emd"].legend(frameon=False, fontsize=8, loc="upper center")
axes["emd"].set(ylim=(-0.1, 1.2))
for name, title in (("tv", "total variation"), ("kl", "KL(P‖Q)"), ("js", "JS"), ("emd", "earth mover's")):
    axes[name].set(title=title, xlabel="θ")
plt.show()

# %%
# What a discriminator measures
# -----------------------------
# The discriminator of a GAN maximises
#
# .. math:: V(D) = E_{x \sim P} \log D(x) + E_{x \sim Q} \log (1 - D(x)).
#
# For each x the best answer is D*(x) = P(x) / (P(x) + Q(x)), and with it the value of the game is
#
# .. math:: V(D^*) = 2 \, JS(P, Q) - 2 \log 2
#
# (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, theorem 1): a discriminator trained to the end is a
# Jensen–Shannon meter that reads −2 log 2 where nothing can be told apart, and 0 where everything can. First on the
# three places, where a discriminator is a table of three logits: gradient ascent from "I cannot tell".

logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
weights_p, weights_q = torch.from_numpy(p), torch.from_numpy(q)
ascent = torch.optim.SGD([logits], lr=1.0)
readings = []
for _ in range(100):
    loss = weights_p @ softplus(-logits) + weights_q @ softplus(logits)  # −V(D)
    ascent.zero_grad()
    loss.backward()
    ascent.step()
    readings.append(-loss.item())
optimum = 2 * jensen_shannon(p, q) - 2 * math.log(2)
print(f"table: V(D) {readings[-1]:.9f}, 2 JS − 2 log 2 {optimum:.9f}")
print("D", torch.sigmoid(logits).detach().numpy().round(6), "P / (P + Q)", (p / (p + q)).round(6))

# %%
# Then a network that only sees samples: P is the standard normal distribution, Q has two bumps at ±d, 0.5 wide. The
# value is measured on 200,000 samples of each that the network was not trained on, which is good to about 0.001. But
# for that error no network can read more than the optimum: a weak or lazy discriminator understates the distance.
# Beyond x = ±2.5, where hardly a sample falls, it has learned little, and that costs it nothing.


def two_bumps(x: np.ndarray, centre: float) -> np.ndarray:
    """The density of Q at x."""
    return sum(np.exp(-((x - bump) ** 2) / 0.5) / math.sqrt(0.5 * math.pi) / 2 for bump in (-centre, centre))


def draw(centre: float, count: int, dice: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(count, 1) samples of P and of Q."""
    sides = torch.randint(0, 2, (count, 1), generator=dice) * 2 - 1
    return torch.randn(count, 1, generator=dice), sides * centre + 0.5 * torch.randn(count, 1, generator=dice)


def train(centre: float) -> tuple[nn.Module, float]:
    """A discriminator of P and Q, and the value of its game on fresh samples."""
    torch.manual_seed(0)
    dice = torch.Generator().manual_seed(1)
    network = nn.Sequential(nn.Linear(1, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 1))
    descent = torch.optim.Adam(network.parameters(), lr=1e-2)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(descent, 600)
    for _ in range(600):
        real, fake = draw(centre, 1024, dice)
        loss = classification_loss(network(real), network(fake))
        descent.zero_grad()
        loss.backward()
        descent.step()
        slower.step()
    with torch.no_grad():
        real, fake = draw(centre, 200_000, dice)
        return network, -classification_loss(network(real), network(fake)).item()


grid = np.linspace(-8, 8, 4001)
normal = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
centres = (0.0, 0.75, 1.5, 2.25, 3.0, 4.0)
found, true = [], []
for centre in centres:
    network, value = train(centre)
    bumps = two_bumps(grid, centre)
    found.append(value)
    true.append(jensen_shannon(normal / normal.sum(), bumps / bumps.sum()))
    print(f"d = {centre:4}: V(D) {value:+.4f}, 2 JS − 2 log 2 {2 * true[-1] - 2 * math.log(2):+.4f}")
    if centre == 1.5:
        shown = (bumps, torch.sigmoid(network(torch.from_numpy(grid).float()[:, None])).detach()[:, 0])

# %%
figure, (table, answers, meter) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
table.axhline(optimum, color=COLOURS["JS"], linestyle="--", label="2 JS − 2 log 2")
table.axhline(-2 * math.log(2), color="grey", linestyle=":", label="−2 log 2")
table.plot(readings, color="black", label="V(D)")
table.set(title="three places, three logits", xlabel="step", ylabel="value of the game")
table.legend(frameon=False, loc="center right")

bumps, learned = shown
answers.fill_between(grid, normal, color=P_COLOUR, alpha=0.3, linewidth=0, label="P")
answers.fill_between(grid, bumps, color=Q_COLOUR, alpha=0.4, linewidth=0, label="Q, d = 1.5")
answers.plot(grid, normal / (normal + bumps), "--", color=COLOURS["JS"], label="P / (P + Q)")
answers.plot(grid, learned, color="black", linewidth=1, label="D(x), trained")
answers.set(title="a network that sees samples", xlabel="x", xlim=(-4, 4), ylim=(0, 1.3))
answers.legend(frameon=False, fontsize=8, ncols=2, loc="upper center")

span = np.array([0, math.log(2)])
meter.plot(span, 2 * span - 2 * math.log(2), "--", color=COLOURS["JS"], label="2 JS − 2 log 2")
meter.plot(true, found, "o", color="black", label="V(D), trained")
for centre, x, y in zip(centres, true, found, strict=True):
    meter.annotate(f"d = {centre:g}", (x, y), (8, -4), textcoords="offset points", fontsize=8)
meter.set(
    title="the discriminator is a JS meter", xlabel="JS(P, Q), nats", ylabel="value of the game", xlim=(-0.03, 0.85)
)
meter.legend(frameon=False, loc="upper left")
plt.show()

# %%
# So a generator that plays the minimax game against a perfect discriminator descends on Jensen–Shannon, and on the two
# lines that has no slope. What is done about it: the non-saturating loss, a discriminator that is kept smooth by a
# penalty or blurred by noise on its inputs, or a critic that estimates the earth mover's distance instead.
#
# **Exercise.** Give Q a third bump, far away and with a hundredth of the mass: which of the four distances notices it
# most, which least? Then train ``network`` for 20 steps in place of 600: does a lazy discriminator over- or understate?
