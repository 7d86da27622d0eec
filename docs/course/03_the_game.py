r"""
3. The game and its losses
==========================

Two players. The **generator** G turns noise z into samples. The **discriminator** D looks at a sample and gives a
number, a *logit*, large where it believes that the sample is real. D is a classifier, so it minimises the
classifier's cross-entropy; G wants D to be wrong. In Goodfellow's words (2014, https://arxiv.org/abs/1406.2661,
equation 1)

.. math:: \min_G \max_D \; \mathbb{E}_{x} \log \sigma(D(x)) + \mathbb{E}_{z} \log (1 - \sigma(D(G(z))))

where σ makes a probability of a logit. It is a **zero-sum** game: what one wins the other loses. Nothing here says
what a digit is. D finds out by comparing, and G only ever hears of the data through the slope of D.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

from zerosum.losses import get_loss
from zerosum.penalties import r1

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})

# %%
# One game, many losses
# ---------------------
# The left picture is what the generator minimises, the right one how hard it is pushed: the slope of its loss by the
# logit of one of its samples. At the beginning every sample is bad and D is sure of it: its logits are far to the
# left. There the *minimax* loss is flat: the generator learns least when it needs it most. Goodfellow saw that
# himself, and trained with the *non-saturating* loss, which has the same fixed point and a slope near 1 on the left
# (section 3 of the paper). Least squares (https://arxiv.org/abs/1611.04076) push the harder the farther away; a
# Wasserstein critic (https://arxiv.org/abs/1701.07875) and the hinge always push alike.

logits = torch.linspace(-6, 6, 241)
shown = {"minimax": "#0072b2", "non-saturating": "#d55e00", "least-squares": "#009e73", "wasserstein": "#aa4499"}
figure, (values, slopes) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for name, colour in shown.items():
    loss = get_loss(name)
    fakes = logits.clone().requires_grad_()
    each = torch.stack([loss.generator_loss(logit[None], torch.zeros(1)) for logit in fakes])
    (slope,) = torch.autograd.grad(each.sum(), fakes)
    values.plot(logits, each.detach(), color=colour, label=name)
    slopes.plot(logits, -slope, color=colour, label=name)
values.set(title="the generator's loss", xlabel="logit of a generated sample", ylim=(-7, 8))
slopes.set(title="how hard it is pushed", xlabel="logit of a generated sample", ylim=(-0.5, 3))
for axes in (values, slopes):
    axes.axvspan(-6, -2, color="grey", alpha=0.12, linewidth=0)
slopes.text(-5.9, 2.75, "D is sure: fake", fontsize=9)
slopes.legend(frameon=False)
plt.show()

# %%
# The smallest game of all
# ------------------------
# Let the data be the single point 0, let G make the single point θ, and let D be linear: D(x) = ψx. This is the
# *Dirac-GAN* of Mescheder, Geiger & Nowozin (2018, https://arxiv.org/abs/1801.04406). The solution is θ = ψ = 0: the
# fake is the real point, and D says nothing. Does gradient descent find it?
#
# It does not. Each player turns at right angles to the way to the solution, so the two chase each other around it.
# With both updated at once the spiral leads outwards; one after the other they circle for ever. What helps is to ask
# D to be *flat on the data*, with the penalty R1 (equation 9 there):
#
# .. math:: R_1 = \frac{\gamma}{2} \; \mathbb{E}_{x} \, \| \nabla_x D(x) \|^2


def play(updates: str, gamma: float, steps: int = 500, rate: float = 0.1) -> np.ndarray:
    """The way (θ, ψ) of both players, (steps + 1, 2), with zerosum's own losses and penalty."""
    loss, real = get_loss("minimax"), torch.zeros(1, 1)
    theta, psi = torch.tensor([[1.0]], requires_grad=True), torch.tensor([[1.0]], requires_grad=True)
    way = [(1.0, 1.0)]
    for _ in range(steps):

        def judge(x: torch.Tensor) -> torch.Tensor:
            return (x @ psi)[:, 0]

        against = loss.discriminator_loss(judge(real), judge(theta.detach())) + gamma / 2 * r1(judge, real)
        (for_psi,) = torch.autograd.grad(against, psi)
        if updates == "alternating":
            psi.data -= rate * for_psi
        (for_theta,) = torch.autograd.grad(loss.generator_loss(judge(theta), judge(real)), theta)
        if updates == "simultaneous":
            psi.data -= rate * for_psi
        theta.data -= rate * for_theta
        way.append((theta.item(), psi.item()))
    return np.array(way)


games = {
    "simultaneous": play("simultaneous", 0.0),
    "alternating": play("alternating", 0.0),
    "alternating, R1": play("alternating", 1.0),
}
figure, panels = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained", sharex=True, sharey=True)
for axes, (title, way) in zip(panels, games.items(), strict=True):
    axes.plot(*way.T, color="#0072b2", linewidth=1)
    axes.plot(*way[0], "o", color="#009e73")
    axes.plot(*way[-1], "s", color="#d55e00")
    axes.plot(0, 0, "+", color="black", markersize=12)
    axes.set(title=title, xlabel="θ, the generator", aspect="equal", xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
panels[0].set_ylabel("ψ, the discriminator")
plt.show()
for title, way in games.items():
    print(f"{title:16} distance to the solution: {np.hypot(*way[0]):.2f} at first, {np.hypot(*way[-1]):.4f} at last")

# %%
# So a GAN is not a minimisation, and there is no loss whose fall would mean that all is well: the two losses say who
# is ahead, not how good the samples are. Much of what follows is about keeping two players near a point around which
# they would rather circle.
#
# **Exercise.** Play with ``gamma`` 0.1, 1 and 10: is more always better? Then take the losses
# ``"non-saturating"`` and ``"wasserstein"`` in ``play``. Which of them creeps inwards without R1, which never does?
