"""How far made images are from wanted ones, pixel by pixel and window by window.

    MSE(x, y)  = mean (x − y)²                                         over all channels and places of an image
    PSNR(x, y) = 10 log10(L² / MSE)                                    in dB; L is the span of the values
    SSIM(x, y) = (2 μx μy + C1) (2 σxy + C2) / ((μx² + μy² + C1) (σx² + σy² + C2))
                 C1 = (0.01 L)², C2 = (0.03 L)²                        in [−1, 1], 1 for equal images

SSIM takes values to begin at 0, as light does: of images in [-1, 1] an image and its negative would else come out
alike. So `low` is taken off first. PSNR does not change with it.

μ, σ², σxy are means, variances and the covariance under a Gaussian window of 11 × 11 and deviation 1.5 whose weights
sum to 1, wherever that lies inside the image; an image's SSIM is the mean over these places.

Source: Wang, Bovik, Sheikh and Simoncelli 2004, Image quality assessment: from error visibility to structural
similarity, IEEE TIP 13(4), equations 13 to 17. It speaks of grey images of at least 11 × 11: here channels are
averaged, and a smaller image has the largest odd window that fits.

PyTorch is imported when a function is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerosum.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

MOST_PSNR = 100.0  # dB; equal images have no finite PSNR, and one of them would make a mean over images infinite
WINDOW, DEVIATION = 11, 1.5  # pixels
K1, K2 = 0.01, 0.03
AT_ONCE = 2**20  # values of a side judged at once, in float64


# PSNR = 10 log10(L² / MSE)
def psnr(made: Tensor, wanted: Tensor, *, span: float = 2.0) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB, at most 100, which equal images have: float64 (N,) on the CPU.

    made, wanted: (N, C, H, W) in any layout of memory. span: the largest value less the least that there can be, 2
    for images in [-1, 1]. The figure of a set is the mean of its images' (not the PSNR of their mean error, which is
    less). Raises UsageError for shapes that do not fit.
    """
    import torch

    _check(made, wanted, span)
    parts = zip(_parts(made), _parts(wanted), strict=True)
    errors = [(one - other).square().flatten(1).mean(1) for one, other in parts]
    return (10 * torch.log10(span**2 / torch.cat(errors))).clamp(max=MOST_PSNR)


# SSIM = (2 μx μy + C1) (2 σxy + C2) / ((μx² + μy² + C1) (σx² + σy² + C2)), equation 13
def ssim(made: Tensor, wanted: Tensor, *, low: float = -1.0, span: float = 2.0) -> Tensor:
    """Structural similarity of each image, in [-1, 1]: float64 (N,) on the CPU.

    made, wanted, span, errors: as for `psnr`. low: the least value that there can be, which is black. Figures of
    images smaller than 11 × 11, whose window is another, compare with each other only.
    """
    import torch

    _check(made, wanted, span)
    parts = zip(_parts(made), _parts(wanted), strict=True)
    return torch.cat([_similarity(one - low, other - low, span).flatten(1).mean(1) for one, other in parts])


def _similarity(x: Tensor, y: Tensor, span: float) -> Tensor:
    """SSIM at every place where the window fits, of float64 (N, C, H, W) from 0 to `span`."""
    c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
    weights = _weights(min(WINDOW, *x.shape[2:]))
    mean_x, mean_y = _windowed(x, weights), _windowed(y, weights)
    variance_x = _windowed(x * x, weights) - mean_x**2
    variance_y = _windowed(y * y, weights) - mean_y**2
    covariance = _windowed(x * y, weights) - mean_x * mean_y
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return above / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))


def _weights(fitting: int) -> list[float]:
    """A line of the window, of the largest odd length up to `fitting`; the window is its outer product."""
    import torch

    half = (fitting - 1) // 2
    line = torch.exp(-(torch.arange(-half, half + 1, dtype=torch.float64) ** 2) / (2 * DEVIATION**2))
    weights: list[float] = (line / line.sum()).tolist()
    return weights


def _windowed(maps: Tensor, weights: list[float]) -> Tensor:
    """The weighted mean around each place of (N, C, H, W) where the window fits, along one axis, then the other.

    Shifted sums: PyTorch's convolution in float64 would unfold the images first, eleven times their size.
    """
    for axis in (2, 3):
        size = maps.shape[axis] - len(weights) + 1
        total = weights[0] * maps.narrow(axis, 0, size)
        for shift, weight in enumerate(weights[1:], start=1):
            total = total.add(maps.narrow(axis, shift, size), alpha=weight)
        maps = total
    return maps


def _parts(images: Tensor) -> list[Tensor]:
    """The images in float64 on the CPU (not every device has float64), a bounded number at a time."""
    count = max(1, AT_ONCE // images[0].numel()) if len(images) else 1
    return [part.detach().cpu().double() for part in images.split(count)]


def _check(made: Tensor, wanted: Tensor, span: float) -> None:
    if made.shape != wanted.shape:
        raise UsageError(
            f"Images of shape {tuple(made.shape)} cannot be compared with images of shape {tuple(wanted.shape)}: "
            "give as many of the same size and channels."
        )
    if made.ndim != 4 or 0 in made.shape[1:]:
        raise UsageError(f"Images are (N, C, H, W), and these are {tuple(made.shape)}.")
    if not span > 0:
        raise UsageError(f"The span of the values is {span}; it must be above 0, such as 2 for images in [-1, 1].")
