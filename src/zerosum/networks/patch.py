"""PatchGAN: a discriminator that judges patches, each by itself.

Isola, Zhu, Zhou & Efros, "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
https://arxiv.org/abs/1611.07004, section 3.2.2 and appendix 6.1.2; Zhu, Park, Isola & Efros, "Unpaired Image-to-Image
Translation using Cycle-Consistent Adversarial Networks", 2017, https://arxiv.org/abs/1703.10593, appendix 7.2.

Published: 4×4 convolutions of padding 1, C64-C128-C256-C512 (channels) for patches of 70×70, C64-C128 for 16×16,
C64-C128-C256-C512-C512-C512 for 286×286; leaky ReLU 0.2 after each, normalisation after each but the first; stride 2
but for the last, and for the convolution to one number after it, which have stride 1; weights N(0, 0.02). With n
convolutions of stride 2 a number sees 9·2ⁿ − 2 pixels each way, and its neighbour the same 2ⁿ pixels on. As in the
authors' code convolutions before a normalisation have no biases.

For 6 channels (an image beside the one it was made of) and 70×70: 2,768,705 parameters. For 3 channels 2,765,633;
CycleGAN's code has 2,764,737, for its instance normalisation has neither scale nor shift (896 each), and its
convolutions 896 biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from zerosum.errors import UsageError
from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import NORMS, check_choice, check_images, check_positive, normal_
from zerosum.networks.registry import register

HALVINGS = {16: 1, 34: 2, 70: 3, 286: 5}  # convolutions of stride 2, by the pixels that a number sees each way


def least_side(field: int) -> int:
    """The shorter side of the smallest image that gives a number with this receptive field: 6, 12, 24 or 96 pixels.

    Each convolution of stride 1 takes a row off the halved map, and two of them must leave one.
    """
    return 3 << HALVINGS[field]


def field_for(side: int) -> int:
    """The field that is taken where none is asked for, by the image's shorter side in pixels."""
    return 70 if side >= 128 else 34 if side >= 48 else 16


@register("patch-discriminator", role="discriminator", of="images")
class PatchDiscriminator(Discriminator):
    """Images (N, C, H, W) to maps of logits (N, h, w), h = ⌊H / 2ⁿ⌋ − 2; n = 1, 2, 3, 5 for the fields below.

    Args:
        shape: (C, H, W) of the images.
        field: the side of a patch, the receptive field of a logit: 16, 34, 70 or 286 pixels. Images may be smaller
            than a patch, the rest of which is then padding, down to 6, 12, 24 or 96 pixels each way: UsageError below.
            0: 70 from 128 pixels on (published at 256), 34 from 48, else 16.
        norm: "batch" as in pix2pix, "instance" as in CycleGAN; "layer"; or "none", and the convolutions have biases.
            A penalty on each sample's gradient needs one that mixes no samples, any but "batch".
        width: channels behind the first convolution; the later ones have 2, 4 and 8 times as many.

    Features (N, width, h + 1, w + 1) are those of places: `body` gives them as a map, and `features=True` their means.
    """

    maps = True

    def __init__(self, shape: Sequence[int], *, field: int = 70, norm: str = "batch", width: int = 64):
        check_choice("norm", norm, tuple(NORMS))
        check_positive(width=width)
        channels, rows, columns = check_images(shape, "patch-discriminator", least=least_side(min(HALVINGS)))
        field = field or field_for(min(rows, columns))
        _check_field(field, rows, columns)
        halvings = HALVINGS[field]
        widths = [channels, *(width * min(2**stage, 8) for stage in range(halvings + 1))]
        layers: list[nn.Module] = []
        for stage, (before, after) in enumerate(pairwise(widths)):
            normalised = NORMS[norm](after) if stage else []
            stride = 2 if stage < halvings else 1
            layers += [nn.Conv2d(before, after, 4, stride, 1, bias=not normalised), *normalised]
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        super().__init__(nn.Sequential(*layers), widths[-1])
        self.head = nn.Conv2d(widths[-1], 1, 4, 1, 1)
        normal_(self)


def _check_field(field: int, rows: int, columns: int) -> None:
    if field not in HALVINGS:
        known = ", ".join(map(str, HALVINGS))
        raise UsageError(f"there is no patch-discriminator with field {field!r}: take one of {known} pixels")
    least, shorter = least_side(field), min(rows, columns)
    if shorter < least:
        fits = max(known for known in HALVINGS if least_side(known) <= shorter)
        takes = ", ".join(f"{known} from {least_side(known)}×{least_side(known)}" for known in HALVINGS)
        raise UsageError(
            f"patch-discriminator with field {field} needs images of at least {least}×{least}, these are "
            f"{rows}×{columns}: take field {fits}, or enlarge them with --data.size (the fields take images: {takes})"
        )
