"""One backward pass that serves both players, where no layer of the discriminator mixes samples.

With a_i and b_i the slopes of the discriminator's and the generator's loss by the logit of fake i: what the
discriminator's loss sends to fake i is scaled by b_i / a_i on its way to the generator; see `generation`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def hear_as_generator(shown: Tensor, logits: Tensor, a: Tensor, b: Tensor, factor: float) -> Tensor:
    """Let the gradient that reaches `shown` be the generator's; what is to be added to the discriminator's loss.

    Args:
        shown: fakes (N, …) as they are judged, with a graph to the generator.
        logits: theirs, (N,), or (N, h, w) of patches, whose ratio b / a is then the same for all of a sample.
        a, b: the slopes of the two losses by `logits`.
        factor: on the discriminator's loss.

    The addition is 0 in value. Where D is all but sure, a_i dies away and b_i does not: it keeps what is sent above
    1e-12 b_i, so that the generator hears it in full; D does not notice, for Adam's epsilon is larger by far.
    """
    floor = 1e-12 * b.abs()
    sent = torch.where(a.abs() < floor, floor.copysign(a), a)
    ratio = (torch.nan_to_num(b / sent, nan=0.0) / factor).reshape(len(b), -1)[:, 0]
    shown.register_hook(lambda gradient: gradient * ratio.to(gradient.dtype).view(-1, *[1] * (gradient.ndim - 1)))
    return ((sent - a) * (logits - logits.detach())).sum()
