r"""
Add a loss
==========

A loss is two functions of logits, one for each side, and a third that turns logits into probabilities for the curves.
Here is one that zerosum lacks: the **exponential** loss of boosting, made a game,

.. math::

   \mathcal{L}_D = \mathbb{E} \, e^{-D(x)/2} + \mathbb{E} \, e^{D(G(z))/2}, \qquad
   \mathcal{L}_G = \mathbb{E} \, e^{-D(G(z))/2}

Its best D is the same as that of the logistic loss, log P/Q; far from there it is stricter.
"""

# %%
import os

import torch
from torch import Tensor

import zerosum
from zerosum.losses import LOSSES, AdversarialLoss, absolute_probability

BUDGET = float(os.environ.get("ZEROSUM_DOCS_BUDGET", "1"))  # times the lengths below
REACH = 20.0  # logits beyond are held there: e¹⁰ is a large enough loss


# mean e^(−r/2) + mean e^(f/2)
def exponential_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss of logits (N,) of both sides."""
    return torch.exp(-real.clamp(min=-REACH) / 2).mean() + torch.exp(fake.clamp(max=REACH) / 2).mean()


# mean e^(−f/2)
def exponential_generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """The generator's loss; `real` is for losses that compare."""
    return torch.exp(-fake.clamp(min=-REACH) / 2).mean()


loss = AdversarialLoss(
    "exponential",
    exponential_discriminator_loss,
    exponential_generator_loss,
    absolute_probability,
    smooth=False,  # it is flat beyond REACH, so both players' gradients are taken apart
)
LOSSES[loss.name] = loss

# %%
# Check it before you train with it: the best logit of a place where real samples are three times as frequent is log 3.

logit = torch.zeros(1, dtype=torch.float64, requires_grad=True)
descent = torch.optim.LBFGS([logit], max_iter=50)


def step() -> Tensor:
    """Three real samples to one fake, all in one place."""
    descent.zero_grad()
    cost = 3 * torch.exp(-logit / 2) + torch.exp(logit / 2)
    cost.sum().backward()
    return cost.sum()


descent.step(step)
print(f"best logit {logit.item():.6f}, log 3 = {torch.tensor(3.0).log().item():.6f}")

# %%
# From here on it is one of zerosum's. Any network, any penalty, any remedy goes with it.

run = zerosum.train(
    recipe="gan-gaussian",
    epochs=max(2, round(20 * BUDGET)),
    out="runs/exponential",
    settings={"game.loss": "exponential"},
)

# %%
run.samples()
