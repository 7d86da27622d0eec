"""Penalties against closed forms, numerical derivatives, and under autocast; constraints against linear algebra."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.files import load_tensors, save_tensors
from zerosum.games.game import frozen
from zerosum.networks import build
from zerosum.penalties import (
    PENALTIES,
    clip_weights,
    consistency,
    difference_penalty,
    dragan,
    gradient_penalty,
    lazy_adam,
    lecam,
    mixing_warning,
    moving_average,
    path_length,
    r1,
    r1_difference,
    r2,
    r2_difference,
    randomness_warning,
    spectral_normalise,
)

Difference = Callable[..., Tensor]


@pytest.mark.parametrize("penalty", [r1, r2])
def test_linear_critic(penalty: object) -> None:
    critic = nn.Linear(3, 1)
    critic.weight.data = torch.tensor([[1.0, -2.0, 3.0]])
    value = PENALTIES["r1" if penalty is r1 else "r2"].function(critic, torch.randn(7, 3))
    assert value.item() == pytest.approx(14)  # ‖w‖², wherever the samples lie
    (slope,) = torch.autograd.grad(value, critic.weight)
    torch.testing.assert_close(slope, 2 * critic.weight)


def test_quadratic_form() -> None:
    """D(x) = xᵀAx/2 with a symmetric A has the gradient Ax: by hand 1/2·(‖(1, 1)‖² + ‖(2, 6)‖²) = 21."""
    form = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    x = torch.tensor([[1.0, 1 / 3], [2.0, 2.0]])
    assert r1(lambda x: (x @ form * x).sum(1) / 2, x).item() == pytest.approx(21)


def test_images_are_summed_over_all_their_dimensions() -> None:
    x = torch.randn(5, 3, 4, 6)
    assert r1(lambda x: 2 * x.sum((1, 2, 3)), x).item() == pytest.approx(4 * 3 * 4 * 6)


def test_real_network_against_numerical_gradient() -> None:
    torch.manual_seed(0)
    network = build("quick-discriminator", shape=(1, 4, 4)).double()
    x = torch.rand(3, 1, 4, 4, dtype=torch.float64) * 2 - 1
    step = 1e-5
    norms = torch.zeros(3, dtype=torch.float64)
    for pixel in range(16):
        shift = torch.zeros(16, dtype=torch.float64)
        shift[pixel] = step
        shift = shift.view(1, 1, 4, 4)
        norms += ((network(x + shift) - network(x - shift)).detach() / (2 * step)).square()
    assert r1(network, x).item() == pytest.approx(norms.mean().item(), rel=1e-7)


def linear(*weights: float) -> nn.Linear:
    layer = nn.Linear(len(weights), 1)
    layer.weight.data = torch.tensor([weights], dtype=torch.float32)
    return layer


def halved_square(x: Tensor) -> Tensor:
    """D(x) = ‖x‖²/2, whose gradient is x itself."""
    return x.square().flatten(1).sum(1) / 2


# For D(x) = w·x the slope is ‖w‖ wherever the samples lie, and the penalty's own 2(‖w‖ − 1)·w/‖w‖.
@pytest.mark.parametrize(
    ("weights", "one_sided", "counts"),
    [((3, 4), False, 1), ((3, 4), True, 1), ((0.3, 0.4), False, 1), ((0.3, 0.4), True, 0)],
)
def test_slope_of_a_linear_critic(weights: tuple[float, float], one_sided: bool, counts: int) -> None:
    critic = linear(*weights)
    norm = math.hypot(*weights)
    value = gradient_penalty(critic, torch.randn(6, 2), torch.randn(6, 2), torch.rand(6), one_sided=one_sided)
    assert value.item() == pytest.approx(counts * (norm - 1) ** 2)
    (slope,) = torch.autograd.grad(value, critic.weight)
    torch.testing.assert_close(slope, counts * 2 * (norm - 1) / norm * critic.weight.detach())
    if not one_sided:
        assert dragan(critic, torch.randn(6, 2), torch.randn(6, 2)).item() == pytest.approx((norm - 1) ** 2)


def test_the_point_between() -> None:
    """‖x̂‖ is 3 and ½ there: (2² + ½²) / 2, and 2² / 2 where slopes below 1 are free."""
    real, fake = torch.tensor([[[4.0]], [[0.0]]]), torch.tensor([[[0.0]], [[-2.0]]])
    mix = torch.tensor([0.75, 0.75])
    assert gradient_penalty(halved_square, real, fake, mix).item() == pytest.approx(2.125)
    assert gradient_penalty(halved_square, real, fake, mix, one_sided=True).item() == pytest.approx(2)
    assert dragan(halved_square, real, torch.tensor([[[-1.0]], [[0.5]]])).item() == pytest.approx(2.125)


def test_a_flat_critic_has_a_finite_slope() -> None:
    critic = linear(0, 0)
    for value in (
        gradient_penalty(critic, torch.randn(4, 2), torch.randn(4, 2), torch.rand(4)),
        path_length(critic, torch.randn(4, 2), torch.randn(4, 1), torch.tensor(1.0))[0],
    ):
        assert value.item() == pytest.approx(1, abs=0.02)
        assert torch.autograd.grad(value, critic.weight)[0].isfinite().all()


# Gauss–Hermite nodes 0 and ±√3 with weights 4/6 and 1/6 each, as six equal rows: the mean over them is that over
# N(0, 1) for polynomials up to degree 5, and over their pairs that over N(0, I) in two dimensions.
NODES = torch.tensor([-math.sqrt(3), 0.0, 0.0, 0.0, 0.0, math.sqrt(3)], dtype=torch.float64)
NORMAL = torch.cartesian_prod(NODES, NODES)  # (36, 2)
SIGNS = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)


@pytest.mark.parametrize("difference", [r1_difference, r2_difference])
@pytest.mark.parametrize("sigma", [1.0, 0.1, 0.01])
def test_differences_of_a_quadratic(difference: Difference, sigma: float) -> None:
    """‖Ax‖² plus a known error: σ²/4 ((tr A)² + 2 tr A²) for normal noise, σ²/4 ((tr A)² + 4 A₁₂²) for signs."""
    form = torch.tensor([[1.0, 0.5], [0.5, 3.0]], dtype=torch.float64)
    x = torch.tensor([[1.0, -2.0]], dtype=torch.float64)

    def critic(x: Tensor) -> Tensor:
        return (x @ form * x).sum(1) / 2

    exact = 0.0**2 + 5.5**2  # A x = (0, -5.5)
    assert r1(critic, x).item() == pytest.approx(exact)
    for noise, error in ((NORMAL, 16 + 2 * (1 + 9 + 0.5)), (SIGNS, 16 + 4 * 0.25)):
        value = difference(critic, x.expand(len(noise), 2), noise, sigma=sigma)
        assert value.item() == pytest.approx(exact + sigma**2 / 4 * error, rel=1e-9)


def test_differences_converge_with_the_step_squared() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1), nn.Flatten(0)).double()
    x = torch.randn(1, 2, dtype=torch.float64)
    wide, narrow = (
        abs(r1_difference(critic, x.expand(36, 2), NORMAL, sigma=sigma).item() - r1(critic, x).item())
        for sigma in (0.02, 0.01)
    )
    assert wide / narrow == pytest.approx(4, rel=0.01)


def test_differences_of_a_linear_critic_are_unbiased() -> None:
    """(w·ε)² for any step; over signs its mean is ‖w‖², and patches count with their sum, as in r1."""
    noise = SIGNS.float()
    assert r1_difference(linear(3, 4), torch.randn(4, 2), noise, sigma=0.5).item() == pytest.approx(25, rel=1e-5)
    weight = torch.tensor([[1.0, 2.0], [2.0, 2.0]])  # two logits a sample, whose sum has w = (3, 4)
    x = torch.randn(4, 2)
    assert r2_difference(lambda x: x @ weight, x, noise, sigma=0.5).item() == pytest.approx(25, rel=1e-5)
    assert r2(lambda x: x @ weight, x).item() == pytest.approx(25, rel=1e-5)


def test_differences_need_float32() -> None:
    torch.manual_seed(0)
    network = build("quick-discriminator", shape=(1, 8, 8))
    x, noise = (torch.rand(4, 1, 8, 8) * 2 - 1).bfloat16(), torch.randn(4, 1, 8, 8)
    plain = r1_difference(network, x.float(), noise)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert r1_difference(network, x, noise).item() == plain.item()
    exact = r1_difference(network.double(), x.double(), noise.double()).item()
    assert plain.item() == pytest.approx(exact, rel=1e-3)
    with pytest.raises(UsageError, match="float32"):
        difference_penalty(torch.zeros(4).bfloat16(), torch.zeros(4).bfloat16(), 0.01)
    with pytest.raises(UsageError, match="above zero"):
        difference_penalty(torch.zeros(4), torch.zeros(4), 0.0)


AT = torch.linspace(-1, 1, 12, dtype=torch.float64).view(4, 3)
SHIFT = AT.flip(0).square() - 0.3
MIX = torch.tensor([0.1, 0.4, 0.6, 0.9], dtype=torch.float64)

OF_NETWORKS: dict[str, Callable[[Callable[[Tensor], Tensor]], Tensor]] = {
    "r1": lambda net: r1(net, AT),
    "r2": lambda net: r2(net, AT),
    "gradient penalty": lambda net: gradient_penalty(net, AT, SHIFT, MIX),
    "one-sided": lambda net: gradient_penalty(net, AT, SHIFT, MIX, one_sided=True),
    "dragan": lambda net: dragan(net, AT, SHIFT),
    "differences": lambda net: r1_difference(net, AT, SHIFT, sigma=0.1),
    "consistency": lambda net: consistency(net, AT, AT + SHIFT),
    # the mean is held fixed in the derivative: here it does not move
    "path length": lambda net: path_length(net, AT, SHIFT[:, 0], torch.tensor(0.2).double(), decay=1.0)[0],
}


@pytest.mark.parametrize("name", OF_NETWORKS)
def test_double_backward_is_right(name: str) -> None:
    torch.manual_seed(0)
    first = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    second = torch.randn(5, dtype=torch.float64, requires_grad=True)
    penalty = OF_NETWORKS[name]

    def of_weights(one: Tensor, two: Tensor) -> Tensor:
        return penalty(lambda x: (x @ one).tanh() @ two)

    assert of_weights(first, second) > 0
    assert torch.autograd.gradcheck(of_weights, (first, second))
    assert torch.autograd.gradgradcheck(of_weights, (first, second))


def test_samples_get_no_gradient_and_keep_their_flags() -> None:
    made, real, noise = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3), torch.randn(4, 3)
    weight = torch.randn(3, requires_grad=True)

    def critic(x: Tensor) -> Tensor:
        return (x @ weight).square()

    fake = made * 1.0
    total = r1(critic, real) + r2(critic, fake) + gradient_penalty(critic, real, fake, torch.rand(4))
    total = total + dragan(critic, real, noise) + r2_difference(critic, fake, noise) + consistency(critic, fake, -fake)
    total.backward()
    assert made.grad is None
    assert not real.requires_grad
    assert weight.grad is not None
    assert weight.grad.any()


@pytest.mark.parametrize("name", ["r1", "gradient penalty", "dragan"])
def test_float32_under_autocast_and_without_gradients(name: str) -> None:
    torch.manual_seed(0)
    network = build("quick-discriminator", shape=(1, 8, 8))
    x, fake = ((torch.rand(4, 1, 8, 8) * 2 - 1).bfloat16() for _ in range(2))
    mix = torch.rand(4)

    def penalty(x: Tensor, fake: Tensor) -> Tensor:
        if name == "gradient penalty":
            return gradient_penalty(network, x, fake, mix.to(torch.promote_types(x.dtype, torch.float32)))
        return r1(network, x) if name == "r1" else dragan(network, x, fake)

    plain = penalty(x.float(), fake.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert penalty(x, fake).item() == plain.item()
    with torch.no_grad():
        assert penalty(x, fake).item() == plain.item()
    assert plain.dtype == torch.float32
    network.double()
    assert plain.item() == pytest.approx(penalty(x.double(), fake.double()).item(), rel=1e-5)


def test_sides() -> None:
    assert {name: penalty.side for name, penalty in PENALTIES.items()} == {"r1": "real", "r2": "fake"}


@pytest.mark.parametrize(
    "call",
    [
        lambda a, b: gradient_penalty(halved_square, a, b, torch.rand(4)),
        lambda a, b: gradient_penalty(halved_square, a, a, torch.rand(4, 1)),
        lambda a, b: dragan(halved_square, a, b),
        lambda a, b: r1_difference(halved_square, a, b),
        lambda a, b: consistency(halved_square, a, b),
        lambda a, b: path_length(halved_square, a, b, torch.tensor(0.0)),
        lambda a, b: path_length(halved_square, a[:, 0], a[:, 0], torch.tensor(0.0)),
    ],
)
def test_refused_shapes(call: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(UsageError, match="give"):
        call(torch.zeros(4, 3), torch.zeros(4, 1))


def test_consistency_by_hand() -> None:
    """D(x) = 2x: differences of 1 and -3 in x cost (4 + 36) / 2, and both logits hear of it: slope 2·2·5."""
    weight = torch.tensor(2.0, requires_grad=True)
    value = consistency(lambda x: x * weight, torch.tensor([1.0, 2.0]), torch.tensor([2.0, -1.0]))
    assert value.item() == pytest.approx(20)
    assert torch.autograd.grad(value, weight)[0].item() == pytest.approx(20)


def test_lecam_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.0], requires_grad=True), torch.tensor([[-1.0], [3.0]], requires_grad=True)
    anchors = torch.tensor(1.0, requires_grad=True), torch.tensor(-0.5, requires_grad=True)
    value = lecam(real, fake, *anchors)
    assert value.item() == pytest.approx((2.5**2 + 0.5**2) / 2 + (2**2 + 2**2) / 2)
    slopes = torch.autograd.grad(value, (real, fake, *anchors), allow_unused=True)
    torch.testing.assert_close(slopes[0], torch.tensor([2.5, 0.5]))
    torch.testing.assert_close(slopes[1], torch.tensor([[-2.0], [2.0]]))
    assert slopes[2:] == (None, None)
    moved = moving_average(torch.tensor(1.0), real, decay=0.9)
    assert (moved.item(), moved.requires_grad) == (pytest.approx(1.0), False)
    assert moving_average(torch.tensor(1.0), fake - 5, decay=0.9).item() == pytest.approx(0.9 - 0.4)


def test_path_length_of_a_linear_generator() -> None:
    """G(w) = A w has Jᵀy = Aᵀy: by hand lengths 5 and 10; the mean moves from 4 to 4 + 0.1 (7.5 − 4)."""
    matrix = torch.tensor([[3.0, 4.0], [6.0, 8.0]], requires_grad=True)
    noise = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    value, mean = path_length(lambda w: w @ matrix.T, torch.randn(2, 2), noise, torch.tensor(4.0), decay=0.9)
    assert mean.item() == pytest.approx(4.35)
    assert not mean.requires_grad
    assert value.item() == pytest.approx((0.65**2 + 5.65**2) / 2)
    (slope,) = torch.autograd.grad(value, matrix)  # (length − mean) · row / length
    torch.testing.assert_close(slope, torch.tensor([[0.65 * 0.6, 0.65 * 0.8], [5.65 * 0.6, 5.65 * 0.8]]))


def test_path_length_of_images_layers_and_mappings() -> None:
    """Images of 2×3 pixels: y is divided by √6. Two layers' squared lengths are averaged."""
    noise = torch.full((1, 1, 2, 3), 2.0)
    zero = torch.tensor(0.0)

    def draw(w: Tensor) -> Tensor:  # every pixel is 3 w₁ + 4 w₂
        return (w @ torch.tensor([3.0, 4.0])).view(-1, 1, 1, 1).expand(-1, 1, 2, 3)

    value, mean = path_length(draw, torch.ones(1, 2), noise, zero, decay=0.0)
    assert mean.item() == pytest.approx(5 * 12 / math.sqrt(6))
    assert value.item() == pytest.approx(0)
    _, mean = path_length(lambda w: draw(w[:, 0]) + 2 * draw(w[:, 1]), torch.ones(1, 2, 2), noise, zero, decay=0.0)
    assert mean.item() == pytest.approx(5 * 12 / math.sqrt(6) * math.sqrt((1 + 4) / 2))
    mapping = torch.tensor([[1.0, 2.0]], requires_grad=True)
    value, _ = path_length(lambda w: draw(w.square()), mapping * 1.0, noise, zero)
    assert torch.autograd.grad(value, mapping)[0].all()


def test_clipped_weights() -> None:
    layer = linear(3, -0.005)
    layer.bias.data.fill_(-7)
    clip_weights(layer, 0.01)
    assert layer.weight.tolist() == [[pytest.approx(0.01), pytest.approx(-0.005)]]
    assert layer.bias.item() == pytest.approx(-0.01)
    assert layer.weight.requires_grad
    with pytest.raises(UsageError, match="above zero"):
        clip_weights(layer, 0)


def spectral_network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(2, 3, 3),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(3, 2, 2),
        nn.Flatten(),
        nn.Linear(50, 1),
        nn.Flatten(0),
    )
    return spectral_normalise(layers)


def test_spectral_normalisation_against_singular_values() -> None:
    network, x = spectral_network(), torch.randn(2, 2, 6, 6)
    originals = {i: network[i].parametrizations.weight.original.detach().clone() for i in (0, 2, 4)}
    for _ in range(200):
        network(x)
    for i, original in originals.items():
        matrix = original.transpose(0, 1) if i == 2 else original  # a transposed convolution's outputs come second
        largest = torch.linalg.svdvals(matrix.flatten(1))[0]
        torch.testing.assert_close(network[i].weight, original / largest, rtol=1e-4, atol=1e-6)
    parameters = list(network.parameters())
    assert spectral_normalise(network) is network
    assert len(list(network.parameters())) == len(parameters)  # once is enough
    with pytest.raises(UsageError, match="no linear"):
        spectral_normalise(nn.Tanh())


def test_spectral_normalisation_is_copied_saved_and_frozen(tmp_path: Path) -> None:
    network, x = spectral_network(), torch.randn(2, 2, 6, 6)
    network(x)
    twin = copy.deepcopy(network)
    save_tensors(tmp_path, "state", network.state_dict(), {})
    loaded, _ = load_tensors(tmp_path, "state")
    assert all(type(value) is Tensor for value in network.state_dict().values() if not isinstance(value, nn.Parameter))
    torch.manual_seed(9)
    other = spectral_normalise(copy.deepcopy(network))
    for parameter in other.parameters():
        nn.init.normal_(parameter)
    other.load_state_dict(loaded)
    for _ in range(3):  # power iteration goes on alike
        expected = network(x)
        assert torch.equal(twin(x), expected)
        assert torch.equal(other(x), expected)
    inputs = x.clone().requires_grad_()
    frozen(network, inputs).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.any()
    assert all(parameter.grad is None for parameter in network.parameters())
    value = r1(network, x)
    assert all(
        g is None or g.isfinite().all()
        for g in torch.autograd.grad(value, list(network.parameters()), allow_unused=True)
    )


def test_lazy_adam() -> None:
    """StyleGAN2's own numbers for every 16th turn, and the memory of 17 steps is that of 16."""
    rate, betas = lazy_adam(0.002, (0.0, 0.99), 16)
    assert rate == pytest.approx(0.00188235, rel=1e-5)
    assert betas == (0.0, pytest.approx(0.9905853, rel=1e-6))
    assert betas[1] ** 17 == pytest.approx(0.99**16)
    with pytest.raises(UsageError, match="at least 1"):
        lazy_adam(0.002, (0.0, 0.99), 0)


def test_warnings() -> None:
    mixed = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.3))
    assert re.search(
        r"layer 1 \(BatchNorm2d\).*layer normalisation.*instance normalisation", mixing_warning(mixed) or ""
    )
    assert re.search(r"layer 2 \(Dropout\).*dropout to 0", randomness_warning(mixed) or "")
    for fine in (nn.GroupNorm(1, 2), nn.InstanceNorm2d(2), nn.LayerNorm(2), nn.Dropout(0.0)):
        assert mixing_warning(nn.Sequential(fine)) is None
        assert randomness_warning(nn.Sequential(fine)) is None
