"""Between stored values and what networks see: float32 (N, C, H, W) in [-1, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from zerosum.data.fitting import Array


def normalise(raw: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Stored values to [-1, 1], on the device they are on.

    raw: (B, H, W, C) of any real dtype, or (B, D) float32 points. low, high: what becomes -1 and 1, exactly.
    Returns float32 (B, C, H, W), a channels-last view, or (B, D).
    """
    if raw.ndim == 2:
        return raw if (low, high) == (-1.0, 1.0) else (raw - (low + high) / 2) / ((high - low) / 2)
    values = raw.to(torch.float32)
    if low != 0.0:
        values = values - low
    # Division, not a multiplication by the reciprocal: high must become 1, not the float above it.
    return (values / ((high - low) / 2)).sub_(1.0).permute(0, 3, 1, 2)


def to_pixels(images: torch.Tensor, low: float, high: float, dtype: np.dtype[Any]) -> Array:
    """The inverse of `normalise`: float (N, C, H, W), clipped to [-1, 1], to (N, H, W, C) of `dtype`, rounded.

    Points (N, D) become an array of `dtype`, neither clipped nor rounded.
    """
    values = images.detach().to(device="cpu", dtype=torch.float32)
    if values.ndim == 2:
        if (low, high) != (-1.0, 1.0):
            values = values * ((high - low) / 2) + (low + high) / 2
        return values.numpy().astype(dtype)
    values = values.clamp(-1.0, 1.0).add(1.0).mul_((high - low) / 2).add_(low).permute(0, 2, 3, 1).contiguous()
    if np.dtype(dtype).kind in "iu":
        values = values.round_()
    return values.numpy().astype(dtype)
