"""Fully connected networks, for images and for points.

The defaults are the first GAN as it is taught for MNIST: Goodfellow et al., "Generative Adversarial Nets",
2014, https://arxiv.org/abs/1406.2661, in the TensorFlow form of Raschka & Mirjalili, "Python Machine
Learning", 3rd ed. 2019, ch. 17. Published there: z of 20, one hidden layer of 100 units with leaky ReLU
(Keras's slope, 0.3), no bias in the generator's hidden layer, tanh at its end; dropout 0.5 in the
discriminator; Glorot-uniform weights, zero biases. For 28×28 the generator has 81,184 parameters, the
discriminator 78,601.

With `hidden=[]` and `output="linear"` the generator, with `hidden=[5, 3]`, `activation="tanh"` and
`dropout=0` the discriminator, are those of Zhang et al., "Dive into Deep Learning", ch. 20.1, for the 2-D
Gaussian; there `init="normal"` draws every weight and every bias from N(0, 0.02).

With `hidden=[400, 400, 400, 400]`, `activation="relu"`, `normalise` and `output="linear"` the generator, with
`hidden=[200, 200, 200]`, `activation="maxout"` and `dropout=0` the discriminator, are those of Lin, Khetan, Fanti & Oh,
"PacGAN: The power of two samples in generative adversarial networks", 2018, https://arxiv.org/abs/1712.04086, for
points in the plane; there `init="normal-weights"` draws the weights from N(0, 0.02), and biases are zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.networks.discriminator import Discriminator
from zerosum.networks.fourier import FourierFeatures
from zerosum.networks.layers import Dropout, ToRange, check_choice, check_positive, check_shape, glorot_uniform_
from zerosum.networks.registry import register


@register("mlp-generator", role="generator", of="both")
class MLPGenerator(nn.Module):
    """Latents (N, latent) to images (N, C, H, W) or points (N, D).

    Args:
        latent: length of a latent.
        shape: (C, H, W) of the images or (D,) of the points.
        hidden: units of each hidden layer, first to last; empty for a linear generator.
        activation: "leaky-relu", "relu" or "tanh", after each hidden layer.
        slope: of the leaky ReLU below zero.
        hidden_bias: whether hidden layers have biases (the last layer always has).
        normalise: whether BatchNorm stands between each hidden layer and its activation.
        fourier: scales of the Fourier features (`fourier.FourierFeatures`, 16 frequencies each) that stand beside the
            latent, so that neighbours can be far apart: fewer samples lie between two modes; empty: none.
        output: "tanh" for [-1, 1], or "linear" for points without bounds.
        init: "glorot" (uniform, zero biases), "normal" (weights and biases), "normal-weights" (zero biases) or
            "pytorch" (uniform within 1/√inputs, weights and biases, so that kinks do not all go through 0).
        std: standard deviation of the "normal" weights.
    """

    def __init__(
        self,
        latent: int,
        shape: Sequence[int],
        *,
        hidden: Sequence[int] = [100],
        activation: str = "leaky-relu",
        slope: float = 0.3,
        hidden_bias: bool = False,
        normalise: bool = False,
        fourier: Sequence[float] = [],
        output: str = "tanh",
        init: str = "glorot",
        std: float = 0.02,
    ):
        super().__init__()
        check_positive(latent=latent)
        self.shape = check_shape(shape)
        check_choice("output", output, ("tanh", "linear"))
        layers: list[nn.Module] = []
        widths = [latent, *hidden]
        if fourier:
            features = FourierFeatures(latent, fourier)
            layers.append(features)
            widths[0] = features.width
        layers += _hidden_layers(widths, activation, slope, hidden_bias, normalise=normalise)
        layers.append(nn.Linear(widths[-1], prod(self.shape)))
        if output == "tanh":
            layers.append(ToRange())
        self.layers = nn.Sequential(*layers)
        _initialise(self, init, std)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to images (N, C, H, W) or points (N, D)."""
        generated: Tensor = self.layers(z)
        return generated.view(-1, *self.shape)


@register("mlp-discriminator", role="discriminator", of="both")
class MLPDiscriminator(Discriminator):
    """Images (N, C, H, W) or points (N, D) to logits (N,).

    Args:
        shape: (C, H, W) of the images or (D,) of the points.
        hidden: units of each hidden layer, first to last.
        activation: "leaky-relu", "relu", "tanh" or "maxout", after each hidden layer.
        slope: of the leaky ReLU below zero.
        pieces: linear functions of which a maxout unit is the greatest.
        dropout: probability with which a hidden unit is dropped in training; 0 for none.
        hidden_bias: whether hidden layers have biases (the last layer always has).
        fourier: scales of the Fourier features (`fourier.FourierFeatures`, 16 frequencies each) that stand beside
            the coordinates of points, in radians a unit of the data; empty for none. UsageError with images.
        init: "glorot" (uniform, zero biases), "normal" (weights and biases), "normal-weights" (zero biases) or
            "pytorch" (uniform within 1/√inputs, weights and biases, so that kinks do not all go through 0).
        std: standard deviation of the "normal" weights.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        hidden: Sequence[int] = [100],
        activation: str = "leaky-relu",
        slope: float = 0.3,
        pieces: int = 5,
        dropout: float = 0.5,
        hidden_bias: bool = True,
        fourier: Sequence[float] = [],
        init: str = "glorot",
        std: float = 0.02,
    ):
        sizes = check_shape(shape)
        if fourier and len(sizes) > 1:
            raise UsageError(f"fourier is {list(fourier)}, which is for points, and these are images: leave it out")
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout is {dropout}: it must be at least 0 and below 1")
        first = FourierFeatures(sizes[0], fourier) if fourier else nn.Flatten()
        widths = [first.width if isinstance(first, FourierFeatures) else prod(sizes), *hidden]
        check_positive(pieces=pieces)
        layers = _hidden_layers(widths, activation, slope, hidden_bias, dropout=dropout, pieces=pieces)
        super().__init__(nn.Sequential(first, *layers), widths[-1])
        _initialise(self, init, std)


# y_i = max over j of h_ij
class Maxout(nn.Module):
    """Goodfellow, Warde-Farley, Mirza, Courville & Bengio, "Maxout Networks", 2013, https://arxiv.org/abs/1302.4389.

    Features (N, pieces·units), piece after piece, to (N, units): of each unit's numbers the greatest.
    """

    def __init__(self, pieces: int):
        super().__init__()
        self.pieces = pieces

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, pieces·units) to (N, units)."""
        pieces: Tensor = features.unflatten(1, (self.pieces, -1))
        return pieces.amax(1)


def _hidden_layers(
    sizes: Sequence[int],
    activation: str,
    slope: float,
    bias: bool,
    *,
    normalise: bool = False,
    dropout: float = 0.0,
    pieces: int | None = None,
) -> list[nn.Module]:
    """Linear layers between consecutive `sizes`, each followed by its BatchNorm, its activation and its dropout.

    Without `pieces` there is no maxout.
    """
    activations: dict[str, Callable[[], nn.Module]] = {
        "leaky-relu": lambda: nn.LeakyReLU(slope),
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
    }
    if pieces is not None:
        activations["maxout"] = lambda: Maxout(pieces)
    check_choice("activation", activation, tuple(activations))
    for size in sizes[1:]:
        check_positive(hidden=size)
    each = pieces if activation == "maxout" and pieces is not None else 1
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers.append(nn.Linear(before, after * each, bias=bias))
        if normalise:
            layers.append(nn.BatchNorm1d(after))
        layers.append(activations[activation]())
        if dropout:
            layers.append(Dropout(dropout))
    return layers


def _initialise(network: nn.Module, init: str, std: float) -> None:
    check_choice("init", init, ("glorot", "normal", "normal-weights", "pytorch"))
    if init == "pytorch":
        return  # as its layers drew them
    if init == "glorot":
        glorot_uniform_(network)
        return
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None and init == "normal":
                nn.init.normal_(layer.bias, 0.0, std)
            elif layer.bias is not None:
                nn.init.zeros_(layer.bias)
