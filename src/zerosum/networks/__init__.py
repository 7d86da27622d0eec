"""Networks: one published architecture a file, all built from plain JSON-able arguments.

>>> generator = build("quick-generator", latent=64, shape=(1, 28, 28))
>>> discriminator = build("quick-discriminator", shape=(1, 28, 28))

Imports torch: import late where a command line must answer at once.
"""

from zerosum.networks import (
    dcgan28,
    dcgan64,
    dcgan_dense,
    encoder_generator,
    infogan,
    mlp,
    patch,
    quick,
    r3gan,
    resnet,
    sndcgan,
    srgan,
    style,
    stylegan2,
    unet,
)
from zerosum.networks.blueprint import Blueprint
from zerosum.networks.codes import CodeDistribution
from zerosum.networks.conditional import (
    Given,
    LabelledDiscriminator,
    LabelledGenerator,
    NormedByLabel,
    ProjectionDiscriminator,
    classes_shape,
)
from zerosum.networks.discriminator import Discriminator, feature_count
from zerosum.networks.encoder import Encoder, build_encoder
from zerosum.networks.fourier import FourierFeatures
from zerosum.networks.joint import JointDiscriminator
from zerosum.networks.keeps import KeepsKnown
from zerosum.networks.layers import is_convolutional, mixes_samples
from zerosum.networks.minibatch import MinibatchDeviation, MinibatchDiscrimination, add_minibatch
from zerosum.networks.registry import Entry, build, entry, names, options, register
from zerosum.networks.style import StyleGenerator
from zerosum.networks.synced import SyncedNorm, synchronise
from zerosum.networks.translator import ImageToImage

__all__ = [
    "Blueprint",
    "CodeDistribution",
    "Discriminator",
    "Encoder",
    "Entry",
    "FourierFeatures",
    "Given",
    "ImageToImage",
    "JointDiscriminator",
    "KeepsKnown",
    "LabelledDiscriminator",
    "LabelledGenerator",
    "MinibatchDeviation",
    "MinibatchDiscrimination",
    "NormedByLabel",
    "ProjectionDiscriminator",
    "StyleGenerator",
    "SyncedNorm",
    "add_minibatch",
    "build",
    "build_encoder",
    "classes_shape",
    "dcgan28",
    "dcgan64",
    "dcgan_dense",
    "encoder_generator",
    "entry",
    "feature_count",
    "infogan",
    "is_convolutional",
    "mixes_samples",
    "mlp",
    "names",
    "options",
    "patch",
    "quick",
    "r3gan",
    "register",
    "resnet",
    "sndcgan",
    "srgan",
    "style",
    "stylegan2",
    "synchronise",
    "unet",
]
