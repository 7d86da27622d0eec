"""zerosum: train, judge, explore and ship generative adversarial networks.

>>> import zerosum
>>> run = zerosum.train("photos/", minutes=10)  # doctest: +SKIP
>>> zerosum.load(run.path).sample(16, seed=7).shape  # doctest: +SKIP
(16, 64, 64, 3)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zerosum.version import VERSION

__version__ = VERSION
__all__ = ["__version__", "load", "train"]

if TYPE_CHECKING:
    from zerosum.model import load
    from zerosum.train import train


def __getattr__(name: str) -> Any:
    """Import what needs PyTorch only when it is asked for: `zerosum --help` does not."""
    if name == "train":
        from zerosum.train import train

        return train
    if name == "load":
        from zerosum.model import load

        return load
    raise AttributeError(f"module 'zerosum' has no attribute {name!r}")
