"""Names of figures, `frechet` or `frechet[random]` where they are of features, and which way each is better.

Of figures that stand in neither set neither way is: they are to be compared with another, or are best about 1.
"""

from __future__ import annotations

LESS = frozenset({"frechet", "kernel", "ppl-w", "ppl-z", "reverse-kl", "sliced-wasserstein", "l1"})
MORE = frozenset({"precision", "recall", "coverage", "modes", "high-quality", "psnr", "ssim"})


def parts(figure: str) -> tuple[str, str]:
    """The name by itself, and the features; "" where it is of none.

    >>> parts("frechet[onnx:net.onnx]")
    ('frechet', 'onnx:net.onnx')
    """
    name, _, features = figure.removesuffix("]").partition("[")
    return name, features


def bare(figure: str) -> str:
    """The name without its features: frechet of frechet[random]."""
    return parts(figure)[0]
