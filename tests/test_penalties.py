"""R1 and R2 against closed forms, numerical derivatives, and under autocast."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from zerosum.networks import build
from zerosum.penalties import PENALTIES, r1, r2


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


def test_double_backward_is_right() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, dtype=torch.float64)
    first = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    second = torch.randn(5, dtype=torch.float64, requires_grad=True)

    def penalty(one: Tensor, two: Tensor) -> Tensor:
        return r1(lambda x: (x @ one).tanh() @ two, x)

    assert torch.autograd.gradcheck(penalty, (first, second))
    assert torch.autograd.gradgradcheck(penalty, (first, second))


def test_samples_get_no_gradient_and_keep_their_flags() -> None:
    made = torch.randn(4, 3, requires_grad=True)
    real = torch.randn(4, 3)
    weight = torch.randn(3, requires_grad=True)
    total = r2(lambda x: (x @ weight).square(), made * 1.0) + r1(lambda x: (x @ weight).square(), real)
    total.backward()
    assert made.grad is None
    assert not real.requires_grad
    assert weight.grad is not None
    assert weight.grad.any()


def test_float32_under_autocast_and_without_gradients() -> None:
    torch.manual_seed(0)
    network = build("quick-discriminator", shape=(1, 8, 8))
    x = (torch.rand(4, 1, 8, 8) * 2 - 1).bfloat16()
    plain = r1(network, x.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert r1(network, x).item() == plain.item()
    with torch.no_grad():
        assert r1(network, x).item() == plain.item()
    assert plain.dtype == torch.float32
    assert plain.item() == pytest.approx(r1(network.double(), x.double()).item(), rel=1e-5)


def test_sides() -> None:
    assert {name: penalty.side for name, penalty in PENALTIES.items()} == {"r1": "real", "r2": "fake"}
