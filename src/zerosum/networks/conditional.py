"""Labels for networks that were built without: what a class is, said to a generator and to a discriminator.

Each wrapper takes a built network, says `takes_labels`, and has `forward(x, labels)`, labels int64 (N,) from 0 to
classes − 1, one for each row of x. UsageError for labels of another shape; a label that does not exist is an IndexError
of torch's on a CPU, and not looked for on a GPU, for that would wait for it: whoever makes labels sees to their range.

A minibatch layer (`add_minibatch`) goes before the inner head, whether it is put on the discriminator or on its
wrapper; the projection reads the features before it. Spectral normalisation (`penalties.spectral_normalise`) goes on
either, after that; on the wrapper it takes in the projection's embedding, as published, and leaves the gains and biases
of `NormedByLabel` alone.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.errors import UsageError
from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import check_images, check_positive
from zerosum.networks.registry import entry, takes_points


def _check_labels(labels: Tensor, x: Tensor) -> None:
    """One whole number for each row: a single label would otherwise be broadcast, and floats truncated."""
    if labels.shape != x.shape[:1] or labels.is_floating_point():
        raise UsageError(
            f"labels {labels.dtype} of shape {list(labels.shape)} for {len(x)} rows: give int64 labels, one a row"
        )


class OneHot(nn.Module):
    """Labels (N,) to rows (N, classes) that are 1 at the label and 0 elsewhere, without waiting for a GPU."""

    def __init__(self, classes: int):
        super().__init__()
        check_positive(classes=classes)
        self.classes = classes

    def forward(self, labels: Tensor) -> Tensor:
        """Labels (N,) to rows (N, classes)."""
        rows = torch.zeros(labels.shape[0], self.classes, device=labels.device)  # no len(): ONNX would fix the batch
        return rows.scatter_(1, labels[:, None], 1.0)


class LabelledGenerator(nn.Module):
    """Latents (N, latent) and labels (N,) to samples: the label's one-hot row stands behind the latent.

    Mirza & Osindero 2014, "Conditional Generative Adversarial Nets", https://arxiv.org/abs/1411.1784.

    Args:
        network: a generator built with latents of latent + classes numbers.
        classes: how many; UsageError for less than 1.
    """

    takes_labels = True

    def __init__(self, network: nn.Module, classes: int):
        super().__init__()
        self.one_hot = OneHot(classes)
        self.network = network

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Latents (N, latent), labels (N,) to images (N, C, H, W) or points (N, D)."""
        _check_labels(labels, z)
        samples: Tensor = self.network(torch.cat((z, self.one_hot(labels).to(z.dtype)), 1))
        return samples


class _Here(threading.local):
    """The labels of the call of `NormedByLabel` that this thread is in; None outside of one."""

    labels: Tensor | None = None


_here = _Here()


# y = γ_c (x − μ) / √(σ² + ε) + β_c,   μ, σ over the batch, whatever its labels
class LabelledNorm(nn.Module):
    """A BatchNorm whose gain and bias are those of each sample's class; only inside a `NormedByLabel`.

    The layer that is given stays, with its eps, momentum, statistics and mode, and loses its own gain and bias.
    """

    def __init__(self, norm: nn.modules.batchnorm._BatchNorm, classes: int):
        super().__init__()
        like = norm.weight
        norm.register_parameter("weight", None)
        norm.register_parameter("bias", None)
        norm.affine = False
        self.norm = norm
        self.gain = nn.Embedding(classes, norm.num_features).to(like)
        self.bias = nn.Embedding(classes, norm.num_features).to(like)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C) or maps (N, C, …), in their memory format and dtype."""
        labels = _here.labels
        if labels is None:
            raise UsageError("these layers are normed by label: call the NormedByLabel around them, with labels")
        places = [1] * (x.dim() - 2)
        gain, bias = (of(labels).to(x.dtype).unflatten(1, (-1, *places)) for of in (self.gain, self.bias))
        return torch.addcmul(bias, self.norm(x), gain)


class NormedByLabel(nn.Module):
    """A generator whose every BatchNorm has a gain and a bias for each class: latents (N, latent), labels (N,).

    Dumoulin, Shlens & Kudlur 2017, "A Learned Representation For Artistic Style", https://arxiv.org/abs/1610.07629;
    de Vries et al. 2017, "Modulating early visual processing by language", https://arxiv.org/abs/1707.00683. Gains
    begin at 1 and biases at 0, so that all classes begin alike. Statistics are those of the whole batch.

    Args:
        network: a generator with BatchNorm layers, which are replaced in place; UsageError for one without.
        classes: how many; UsageError for less than 1.
    """

    takes_labels = True

    def __init__(self, network: nn.Module, classes: int):
        super().__init__()
        check_positive(classes=classes)
        found = [
            (parent, name, child)
            for parent in network.modules()
            for name, child in parent.named_children()
            if isinstance(child, nn.modules.batchnorm._BatchNorm) and child.affine
        ]
        if not found:
            raise UsageError(
                f"{type(network).__name__} has no BatchNorm to make conditional: choose a generator that has "
                "(quick, dcgan, dcgan-28, sndcgan, or mlp with normalise), or join labels to the latent "
                "(LabelledGenerator)"
            )
        for parent, name, child in found:
            setattr(parent, name, LabelledNorm(child, classes))
        self.network = network

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Latents (N, latent), labels (N,) to images (N, C, H, W) or points (N, D)."""
        _check_labels(labels, z)
        outside = _here.labels
        _here.labels = labels
        try:
            samples: Tensor = self.network(z)
        finally:
            _here.labels = outside
        return samples


class _Wrapped(Discriminator):
    """A discriminator around another: features, their `width`, `maps` and the head are the inner one's."""

    takes_labels = True

    def __init__(self, network: Discriminator):
        nn.Module.__init__(self)
        self.width, self.maps = network.width, network.maps
        self.network = network

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is not there. The head is in one place, so that a state_dict has it once.
        if name == "head":
            return self.network.head
        if name == "body":
            raise UsageError(f"{type(self).__name__} reads labels too: take the body of the network inside")
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "head":
            self.network.head = value
        else:
            super().__setattr__(name, value)


class LabelledDiscriminator(_Wrapped):
    """Samples and labels (N,) to logits: the label is joined to the sample (Mirza & Osindero 2014).

    As maps, for a network of images: behind its channels, `classes` further ones, all 1 for the label's and all 0 for
    the others. As numbers, for a network that takes points too (by the registry): behind the sample, flattened in the
    order C, H, W; behind an image the number is √(H·W), which weighs as much among its pixels as a map of ones would.
    (A single 1 beside 784 pixels is all but unheard: after 60,000 digits a generator still ignored its labels.)

    Args:
        network: a discriminator built with `classes_shape(name, shape, classes)`.
        classes: how many; UsageError for less than 1.
    """

    def __init__(self, network: Discriminator, classes: int):
        super().__init__(network)
        self.one_hot = OneHot(classes)
        self.flat = takes_points(network)

    def forward(self, x: Tensor, labels: Tensor, *, features: bool = False) -> Any:  # type: ignore[override]
        """Samples (N, …), labels (N,) to logits (N,), or (N, h, w) over patches; with `features`, and features."""
        _check_labels(labels, x)
        rows = self.one_hot(labels).to(x.dtype)
        if self.flat or x.dim() == 2:
            joined = torch.cat((x.flatten(1), rows * prod(x.shape[2:]) ** 0.5), 1)
        else:  # written in the order of channels-last maps
            maps = rows[:, None, None, :].expand(-1, *x.shape[2:], -1)
            joined = torch.cat((x.permute(0, 2, 3, 1), maps), 3).permute(0, 3, 1, 2)
        return self.network(joined, features=features)


# f(x, y) = ψ(φ(x)) + yᵀV φ(x)
class ProjectionDiscriminator(_Wrapped):
    """Miyato & Koyama 2018, "cGANs with Projection Discriminator", https://arxiv.org/abs/1802.05637, equation 3.

    To the network's logit is added the inner product of the label's embedding and the features φ(x), those that its
    body makes; where logits are a map, the same number everywhere. V begins Glorot-uniform, as in the authors' code. It
    is kept as a linear layer of one-hot rows, (width, classes), so that spectral normalisation takes it in.

    Args:
        network: a discriminator of samples.
        classes: how many; UsageError for less than 1.
    """

    def __init__(self, network: Discriminator, classes: int):
        super().__init__(network)
        check_positive(classes=classes)
        self.embedding = nn.Linear(classes, network.width, bias=False)
        nn.init.xavier_uniform_(self.embedding.weight)

    def forward(self, x: Tensor, labels: Tensor, *, features: bool = False) -> Any:  # type: ignore[override]
        """Samples (N, …), labels (N,) to logits (N,), or (N, h, w) over patches; with `features`, and features."""
        _check_labels(labels, x)
        logits, seen = self.network(x, features=True)
        projected = (F.embedding(labels, self.embedding.weight.T) * seen).sum(1)
        logits = logits + projected.view(-1, *[1] * (logits.dim() - 1))
        return (logits, seen) if features else logits


def classes_shape(name: str, shape: Sequence[int], classes: int) -> tuple[int, ...]:
    """The shape with which the discriminator inside a `LabelledDiscriminator` is built.

    Args:
        name: of a registered discriminator.
        shape: (C, H, W) of the images or (D,) of the points.
        classes: how many.

    Returns (C + classes, H, W) for a network of images, (C·H·W + classes,) or (D + classes,) for one that takes points
    too. Raises UsageError for an unknown name, for points with a network of images, and for less than one class.
    """
    check_positive(classes=classes)
    if entry(name).of != "images":
        return (prod(shape) + classes,)
    channels, height, width = check_images(shape, name, least=1)
    return channels + classes, height, width


class Given(nn.Module):
    """A network with its second argument bound: `network(x, rows of x)`, for what knows of samples only.

    Args:
        network: any with forward(x, given, …).
        given: labels (n,), codes (n, d) or any tensor with one row for each of n samples.

    x of n rows gets them as they are; of a multiple of n (real and fake samples in one batch), repeated; of fewer (the
    half of a batch), the first. UsageError for any other number, and for none given.
    """

    def __init__(self, network: nn.Module, given: Tensor):
        super().__init__()
        if not len(given):
            raise UsageError("no labels, or codes, are given: give one row a sample")
        self.network = network
        self.given = given

    def forward(self, x: Tensor, **options: Any) -> Any:
        """What the network makes of samples x (N, …) and their rows; options are handed on."""
        count = len(self.given)
        if len(x) > count and len(x) % count:
            raise UsageError(f"{len(x)} samples, and labels or codes of {count}: give a multiple, or fewer")
        given = self.given.repeat(-(-len(x) // count), *[1] * (self.given.dim() - 1)) if len(x) > count else self.given
        return self.network(x, given[: len(x)], **options)
