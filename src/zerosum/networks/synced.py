"""BatchNorm whose statistics are those of a batch that lies on several processes.

PyTorch's own `SyncBatchNorm` is for GPUs alone, and cannot be differentiated twice, as penalties of slopes ask.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zerosum.together import alone, of_each

REDUCED = (torch.float16, torch.bfloat16)


# With μ_r, σ²_r of the n numbers of process r: μ = mean_r μ_r, σ² = mean_r (σ²_r + (μ_r − μ)²)
# Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979: no
# difference of large squares, as E[x²] − μ² would be.
class SyncedNorm(nn.modules.batchnorm._BatchNorm):
    """`nn.BatchNorm1d` and `2d` in one: features (N, C), or maps (N, C, …), in their dtype and memory format.

    In training, and within `together.shared`, mean and variance are those of all processes' samples; else it is
    PyTorch's. The parameters, buffers and their names are PyTorch's too.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The same shape, each channel with mean 0 and variance 1, then scaled and shifted."""
        if not self.training or alone():
            return super().forward(x)
        wide = x.float() if x.dtype in REDUCED else x
        over = [0, *range(2, x.dim())]
        form = (1, -1, *[1] * (x.dim() - 2))
        own = wide.mean(over)
        spread = (wide - own.view(form)).square().mean(over)
        means, spreads = of_each(torch.stack((own, spread))).unbind(1)  # (processes, C)
        mean = means.mean(0)
        variance = (spreads + (means - mean).square()).mean(0)
        self._remember(mean.detach(), variance.detach(), len(means) * x.numel() // x.shape[1])
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        made = (wide - mean.view(form)) * scale.view(form)
        return (made + self.bias.view(form) if self.affine else made).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics, by the variance over `count` − 1, as PyTorch does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_((variance * count / max(count - 1, 1)).to(self.running_var.dtype), weight)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  (PyTorch's name)
        if input.dim() < 2:
            raise ValueError(f"features (N, C) or maps (N, C, …) have two dimensions or more, not {input.dim()}")


def synchronise(network: nn.Module) -> nn.Module:
    """Put a `SyncedNorm` of the same parameters in place of every BatchNorm inside `network`; returns it."""
    made: dict[int, SyncedNorm] = {}
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.modules.batchnorm._BatchNorm) and not isinstance(child, SyncedNorm):
                parent.add_module(name, made.setdefault(id(child), _like(child)))
    return network


def _like(norm: nn.modules.batchnorm._BatchNorm) -> SyncedNorm:
    new = SyncedNorm(norm.num_features, norm.eps, norm.momentum, False, norm.track_running_stats)
    new.affine = norm.affine
    for name, parameter in norm.named_parameters(recurse=False):
        new.register_parameter(name, parameter)
    for name, buffer in norm.named_buffers(recurse=False):
        new.register_buffer(name, buffer)
    return new.train(norm.training)
