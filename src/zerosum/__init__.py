"""zerosum: train, judge, explore and ship generative adversarial networks.

>>> import zerosum
>>> run = zerosum.train("photos/", minutes=10)  # doctest: +SKIP
>>> zerosum.load(run.path).sample(16, seed=7).shape  # doctest: +SKIP
(16, 64, 64, 3)
>>> zerosum.load("runs/maps").translate(array).shape  # of an image-to-image run: (H, W, c)  # doctest: +SKIP
(600, 800, 3)
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from zerosum.version import VERSION

__version__ = VERSION
__all__ = ["__version__", "evaluate", "load", "train"]

if TYPE_CHECKING:
    from zerosum.evaluate import evaluate
    from zerosum.model import load
    from zerosum.train import train


class _Package(ModuleType):
    """Imports what needs PyTorch only when it is asked for: `zerosum --help` does not.

    `zerosum.train` is the function, also after the module of that name was imported: Python then puts the module in
    the package's attribute, which is refused here.
    """

    @property
    def train(self) -> Any:
        from zerosum.train import train

        return train

    @train.setter
    def train(self, module: ModuleType) -> None:
        """Keep the function."""

    @property
    def evaluate(self) -> Any:
        from zerosum.evaluate import evaluate

        return evaluate

    @evaluate.setter
    def evaluate(self, module: ModuleType) -> None:
        """Keep the function, here too."""

    @property
    def load(self) -> Any:
        from zerosum.model import load

        return load


sys.modules[__name__].__class__ = _Package
