"""Gradient penalties: plain functions of a discriminator and a batch.

Mescheder, Geiger & Nowozin, "Which Training Methods for GANs do actually Converge?", 2018,
https://arxiv.org/abs/1801.04406, section 4: R1(D) = γ/2 · E[‖∇ₓD(x)‖²] over real samples (equation 9), and R2
the same over generated ones (equation 10). The factor γ/2, and the laziness, are the caller's.

The gradient is differentiated in its turn, which works in eager mode only (torch.compile does not support
double backward), and which is done in float32 even under autocast.

Imports torch: import late where a command line must answer at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn


# mean over i of ‖∂D(x_i)/∂x_i‖²
def r1(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """The mean over real samples (N, …) of the squared norm of the logit's gradient: a scalar,
    differentiable.

    The norm is over all dimensions of a sample. Where layers mix samples (BatchNorm), the gradient of a
    sample is that of the sum of all logits, as in the published code. Neither the samples nor their graph
    receive a gradient.
    """
    return _squared_gradient_norm(discriminator, real)


# mean over i of ‖∂D(G(z_i))/∂G(z_i)‖²
def r2(discriminator: Callable[[Tensor], Tensor], fake: Tensor) -> Tensor:
    """The same as `r1` for generated samples (N, …); the generator receives no gradient from it."""
    return _squared_gradient_norm(discriminator, fake)


class Penalty(NamedTuple):
    """A penalty's function of (discriminator, samples), and the side whose samples it takes."""

    function: Callable[[nn.Module, Tensor], Tensor]
    side: Literal["real", "fake"]


PENALTIES: dict[str, Penalty] = {"r1": Penalty(r1, "real"), "r2": Penalty(r2, "fake")}


def _squared_gradient_norm(discriminator: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    # torch.enable_grad: the caller may sit in a region without gradients (a report); the penalty needs them.
    with torch.enable_grad(), torch.autocast(samples.device.type, enabled=False):
        precise = samples.float() if samples.dtype in (torch.float16, torch.bfloat16) else samples
        inputs = precise.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(inputs).sum(), inputs, create_graph=True)
        return gradient.square().flatten(1).sum(1).mean()
