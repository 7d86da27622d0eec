"""Losses against closed forms in float64 (SciPy), their slopes, extremes, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_expit
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.losses import LOSSES, get_loss, refuse_probabilities
from zerosum.networks import build, names

# The published equations with SciPy's log σ: discriminator, generator, probability of the first argument.
Numbers = Callable[[np.ndarray, np.ndarray], np.ndarray]


def cross_entropy(r: np.ndarray, f: np.ndarray) -> np.ndarray:
    return -log_expit(r).mean() - log_expit(-f).mean()


PUBLISHED: dict[str, tuple[Numbers, Numbers, Numbers]] = {
    "minimax": (cross_entropy, lambda r, f: log_expit(-f).mean(), lambda a, b: expit(a)),
    "non-saturating": (cross_entropy, lambda r, f: -log_expit(f).mean(), lambda a, b: expit(a)),
    "relativistic": (
        lambda r, f: -log_expit(r - f).mean(),
        lambda r, f: -log_expit(f - r).mean(),
        lambda a, b: expit(a - b.mean()),
    ),
}

pairs_of_logits = st.lists(
    st.tuples(st.floats(-60, 60, width=32), st.floats(-60, 60, width=32)), min_size=1, max_size=9
)


def test_every_loss_is_checked_here() -> None:
    assert set(PUBLISHED) == set(LOSSES)
    assert all(name == loss.name for name, loss in LOSSES.items())


@pytest.mark.parametrize("name", PUBLISHED)
@settings(max_examples=40, deadline=None)
@given(logits=pairs_of_logits)
def test_losses_are_the_published_ones(name: str, logits: list[tuple[float, float]]) -> None:
    r, f = np.array(logits).T
    real, fake = torch.tensor(r), torch.tensor(f)
    loss, (discriminator, generator, probability) = get_loss(name), PUBLISHED[name]
    assert loss.discriminator_loss(real, fake).item() == pytest.approx(discriminator(r, f), rel=1e-9, abs=1e-12)
    assert loss.generator_loss(fake, real).item() == pytest.approx(generator(r, f), rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(loss.probability(real, fake), probability(r, f), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(loss.probability(fake, real), probability(f, r), rtol=1e-9, atol=1e-15)


def test_by_hand() -> None:
    real, fake = torch.tensor([0.0, math.log(3)]), torch.tensor([0.0, -math.log(3)])  # σ: 1/2, 3/4; 1/2, 1/4
    half, most = math.log(2), math.log(4 / 3)
    assert get_loss("minimax").discriminator_loss(real, fake).item() == pytest.approx(half + most)
    assert get_loss("minimax").generator_loss(fake, real).item() == pytest.approx(-(half + most) / 2)
    assert get_loss("non-saturating").generator_loss(fake, real).item() == pytest.approx((half + math.log(4)) / 2)
    # differences 0 and log 9: σ = 1/2 and 9/10
    relativistic = get_loss("relativistic")
    assert relativistic.discriminator_loss(real, fake).item() == pytest.approx((half + math.log(10 / 9)) / 2)
    assert relativistic.generator_loss(fake, real).item() == pytest.approx((half + math.log(10)) / 2)


@pytest.mark.parametrize("name", LOSSES)
def test_slopes(name: str) -> None:
    torch.manual_seed(0)
    loss = get_loss(name)
    real = torch.randn(5, dtype=torch.float64, requires_grad=True)
    fake = torch.randn(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss.discriminator_loss, (real, fake))
    if loss.pairs:
        assert torch.autograd.gradcheck(loss.generator_loss, (fake, real))
    else:
        assert torch.autograd.gradcheck(lambda f: loss.generator_loss(f, real.detach()), (fake,))
        torch.testing.assert_close(loss.generator_loss(fake, real), loss.generator_loss(fake, real[:2]), rtol=0, atol=0)
    slopes = torch.autograd.grad(loss.discriminator_loss(real, fake), (real, fake))
    assert loss.smooth is all(bool(slope.all()) for slope in slopes)
    assert (slopes[0] < 0).all()
    assert (slopes[1] > 0).all()
    (uphill,) = torch.autograd.grad(loss.generator_loss(fake, real), fake)
    assert (uphill < 0).all()  # the generator gains by fakes that look more real


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_extreme_logits(name: str, dtype: torch.dtype) -> None:
    loss = get_loss(name)
    for r, f in ((1e4, -1e4), (-1e4, 1e4), (1e4, 1e4), (0.0, 0.0)):
        real = torch.full((3,), r, dtype=dtype, requires_grad=True)
        fake = torch.full((3,), f, dtype=dtype, requires_grad=True)
        for value in (loss.discriminator_loss(real, fake), loss.generator_loss(fake, real)):
            assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
            slopes = torch.autograd.grad(value, (real, fake), allow_unused=True)
            assert value.isfinite()
            assert all(slope is None or slope.isfinite().all() for slope in slopes)
        chance = loss.probability(real, fake)
        assert ((chance >= 0) & (chance <= 1)).all()


@pytest.mark.parametrize("name", LOSSES)
def test_refused_logits(name: str) -> None:
    loss = get_loss(name)
    three = torch.zeros(3)
    for one, other, message in (
        (three, torch.zeros(3, 1), "do not fit"),
        (three, three.long(), "int64"),
        (torch.tensor(0.0), three, "one logit"),
        (torch.zeros(0), torch.zeros(0), "one logit"),
    ):
        for function in (loss.discriminator_loss, loss.generator_loss, loss.probability):
            with pytest.raises(UsageError, match=message):
                function(one, other)
    if loss.pairs:
        with pytest.raises(UsageError, match="of one size"):
            loss.discriminator_loss(three, torch.zeros(4))
    else:
        assert loss.discriminator_loss(three, torch.zeros(4)).item() == pytest.approx(2 * math.log(2))
    with pytest.raises(UsageError, match="did you mean 'minimax'"):
        get_loss("minmax")


class Squashed(nn.Module):
    """A discriminator whose sigmoid no list of layers shows."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 1)
        self.first = nn.Linear(2, 4)
        self.first.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).tanh()).sigmoid().squeeze(1)


@pytest.mark.parametrize("last", [nn.Sigmoid(), nn.LogSigmoid(), nn.Softmax(1), nn.Hardsigmoid()], ids=repr)
def test_refused_last_layer(last: nn.Module) -> None:
    network = nn.Sequential(nn.Linear(2, 1), last, nn.Flatten(0), nn.Identity())
    with pytest.raises(UsageError, match=type(last).__name__):
        refuse_probabilities(network)
    refuse_probabilities(nn.Sequential(nn.Sigmoid(), nn.Linear(2, 1)))


def test_refused_hidden_sigmoid_leaves_the_network_as_it_was() -> None:
    network, batch = Squashed(), torch.randn(64, 2)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    refuse_probabilities(network)
    with pytest.raises(UsageError, match="whatever its weights"):
        refuse_probabilities(network, batch)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert network.training
    assert network.last.training
    assert not network.first.training


@pytest.mark.parametrize("name", names("discriminator"))
def test_logits_that_lie_in_the_unit_interval_by_chance_are_taken(name: str) -> None:
    torch.manual_seed(0)
    network, batch = build(name, shape=(1, 8, 8)), torch.rand(16, 1, 8, 8) * 2 - 1
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    last.weight.data *= 1e-3
    if last.bias is not None:
        last.bias.data.fill_(0.5)
        logits = network.eval()(batch)
        assert ((logits > 0) & (logits < 1)).all()
    refuse_probabilities(network, batch)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    refuse_probabilities(network, batch)
