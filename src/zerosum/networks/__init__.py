"""Networks: one published architecture a file, all built from plain JSON-able arguments.

>>> generator = build("quick-generator", latent=64, shape=(1, 28, 28))
>>> discriminator = build("quick-discriminator", shape=(1, 28, 28))

Imports torch: import late where a command line must answer at once.
"""

from zerosum.networks import dcgan28, dcgan64, dcgan_dense, mlp, quick
from zerosum.networks.layers import is_convolutional, mixes_samples
from zerosum.networks.registry import Entry, build, entry, names, options, register

__all__ = [
    "Entry",
    "build",
    "dcgan28",
    "dcgan64",
    "dcgan_dense",
    "entry",
    "is_convolutional",
    "mixes_samples",
    "mlp",
    "names",
    "options",
    "quick",
    "register",
]
