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
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from zerosum.errors import UsageError, nearest
from zerosum.networks.layers import Dropout, check_positive, check_shape, glorot_uniform_, logits_of
from zerosum.networks.registry import register


@register("mlp-generator", role="generator", of="both")
class MLPGenerator(nn.Module):
    """Latents (N, latent) to images (N, C, H, W) or points (N, D).

    Args:
        latent: length of a latent.
        shape: (C, H, W) of the images or (D,) of the points.
        hidden: units of each hidden layer, first to last; empty for a linear generator.
        activation: "leaky-relu" or "tanh", after each hidden layer.
        slope: of the leaky ReLU below zero.
        hidden_bias: whether hidden layers have biases (the last layer always has).
        output: "tanh" for [-1, 1], or "linear" for points without bounds.
        init: "glorot" (uniform, zero biases) or "normal" (weights and biases).
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
        output: str = "tanh",
        init: str = "glorot",
        std: float = 0.02,
    ):
        super().__init__()
        check_positive(latent=latent)
        self.shape = check_shape(shape)
        _check_choice("output", output, ("tanh", "linear"))
        layers = _hidden_layers([latent, *hidden], activation, slope, hidden_bias, dropout=0.0)
        layers.append(nn.Linear([latent, *hidden][-1], prod(self.shape)))
        if output == "tanh":
            layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers)
        _initialise(self, init, std)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to images (N, C, H, W) or points (N, D)."""
        generated: Tensor = self.layers(z)
        return generated.view(-1, *self.shape)


@register("mlp-discriminator", role="discriminator", of="both")
class MLPDiscriminator(nn.Module):
    """Images (N, C, H, W) or points (N, D) to logits (N,).

    Args:
        shape: (C, H, W) of the images or (D,) of the points.
        hidden: units of each hidden layer, first to last.
        activation: "leaky-relu" or "tanh", after each hidden layer.
        slope: of the leaky ReLU below zero.
        dropout: probability with which a hidden unit is dropped in training; 0 for none.
        hidden_bias: whether hidden layers have biases (the last layer always has).
        init: "glorot" (uniform, zero biases) or "normal" (weights and biases).
        std: standard deviation of the "normal" weights.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        hidden: Sequence[int] = [100],
        activation: str = "leaky-relu",
        slope: float = 0.3,
        dropout: float = 0.5,
        hidden_bias: bool = True,
        init: str = "glorot",
        std: float = 0.02,
    ):
        super().__init__()
        sizes = [prod(check_shape(shape)), *hidden]
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout is {dropout}: it must be at least 0 and below 1")
        layers = _hidden_layers(sizes, activation, slope, hidden_bias, dropout)
        self.layers = nn.Sequential(nn.Flatten(), *layers, nn.Linear(sizes[-1], 1))
        _initialise(self, init, std)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) or points (N, D) to logits (N,)."""
        return logits_of(self.layers(x))


def _hidden_layers(sizes: Sequence[int], activation: str, slope: float, bias: bool, dropout: float) -> list[nn.Module]:
    """Linear layers between consecutive `sizes`, each followed by its activation and its dropout."""
    _check_choice("activation", activation, ("leaky-relu", "tanh"))
    for size in sizes[1:]:
        check_positive(hidden=size)
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers.append(nn.Linear(before, after, bias=bias))
        layers.append(nn.Tanh() if activation == "tanh" else nn.LeakyReLU(slope))
        if dropout:
            layers.append(Dropout(dropout))
    return layers


def _initialise(network: nn.Module, init: str, std: float) -> None:
    _check_choice("init", init, ("glorot", "normal"))
    if init == "glorot":
        glorot_uniform_(network)
    else:
        for parameter in network.parameters():
            nn.init.normal_(parameter, 0.0, std)


def _check_choice(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"there is no {option} {value!r}: {nearest(value, known)}")
