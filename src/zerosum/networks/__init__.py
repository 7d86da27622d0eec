"""Networks: one published architecture a file, all built from plain JSON-able arguments.

>>> generator = build("quick-generator", latent=64, shape=(1, 28, 28))
>>> discriminator = build("quick-discriminator", shape=(1, 28, 28))

Imports torch: import late where a command line must answer at once.
"""

from zerosum.networks import dcgan28, dcgan64, dcgan_dense, infogan, mlp, quick, sndcgan
from zerosum.networks.discriminator import Discriminator
from zerosum.networks.fourier import FourierFeatures
from zerosum.networks.layers import is_convolutional, mixes_samples
from zerosum.networks.minibatch import MinibatchDeviation, MinibatchDiscrimination, add_minibatch
from zerosum.networks.registry import Entry, build, entry, names, options, register

__all__ = [
    "Discriminator",
    "Entry",
    "FourierFeatures",
    "MinibatchDeviation",
    "MinibatchDiscrimination",
    "add_minibatch",
    "build",
    "dcgan28",
    "dcgan64",
    "dcgan_dense",
    "entry",
    "infogan",
    "is_convolutional",
    "mixes_samples",
    "mlp",
    "names",
    "options",
    "quick",
    "register",
    "sndcgan",
]
