"""What a restored sample and a code cost: by hand, against PyTorch's distributions, and against likelihoods."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import distributions as laws
from torch.nn.functional import binary_cross_entropy

from zerosum.errors import UsageError
from zerosum.likelihoods import COSTS, absolute, bernoulli, get_cost, normal_divergence, reparameterised, squared

SHAPES = [(7,), (3, 4, 5)]


def samples(count: int, shape: tuple[int, ...] = (7,), seed: int = 0) -> Tensor:
    """In [-1, 1], float64."""
    return torch.rand(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def codes(count: int, size: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Means and log-variances of codes, float64."""
    both = torch.randn(2, count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return both[0], both[1]


@pytest.mark.parametrize(
    ("name", "wanted", "made", "cost"),
    [
        ("squared", [1.0, -1.0], [0.0, 1.0], 2.5),
        ("absolute", [1.0, -1.0], [0.0, 1.0], 3.0),
        ("bernoulli", [1.0, -1.0], [0.0, 0.0], 2 * math.log(2)),
        ("bernoulli", [0.0], [0.5], -(math.log(0.75) + math.log(0.25)) / 2),
        ("bernoulli", [1.0, -1.0], [-1.0, 1.0], 14 * math.log(10)),  # all wrong: ten million to one, each
    ],
)
def test_costs_by_hand(name: str, wanted: list[float], made: list[float], cost: float) -> None:
    found = get_cost(name)(torch.tensor([wanted]).double(), torch.tensor([made]).double())
    torch.testing.assert_close(found, torch.tensor([cost]).double())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_costs_are_negative_log_densities(shape: tuple[int, ...]) -> None:
    """Of a normal law of variance 1 and a Laplace law of scale 1, but for what the sample has no part in."""
    wanted, made = samples(6, shape), samples(6, shape, seed=1)
    numbers = math.prod(shape)
    normal = -laws.Normal(made, 1.0).log_prob(wanted).flatten(1).sum(1)
    torch.testing.assert_close(squared(wanted, made), normal - numbers * math.log(2 * math.pi) / 2)
    laplace = -laws.Laplace(made, 1.0).log_prob(wanted).flatten(1).sum(1)
    torch.testing.assert_close(absolute(wanted, made), laplace - numbers * math.log(2))
    entropy = binary_cross_entropy((made + 1) / 2, (wanted + 1) / 2, reduction="none").flatten(1).sum(1)
    torch.testing.assert_close(bernoulli(wanted, made), entropy)
    black_or_white = wanted.sign()
    law = laws.Bernoulli(probs=(made + 1) / 2)
    drawn = -law.log_prob((black_or_white + 1) / 2).flatten(1).sum(1)
    torch.testing.assert_close(bernoulli(black_or_white, made), drawn)


@pytest.mark.parametrize("name", sorted(COSTS))
def test_a_cost_is_least_at_the_sample_and_finite_everywhere(name: str) -> None:
    wanted = samples(50)
    cost = get_cost(name)
    assert bool((cost(wanted, wanted) < cost(wanted, wanted + 0.01 * samples(50, seed=2).sign())).all())
    edges = torch.tensor([[-1.0, 1.0, -1.0, 1.0]])
    made = torch.tensor([[1.0, -1.0, -1.0, 1.0]], requires_grad=True)
    value = cost(edges, made)
    value.sum().backward()
    assert bool(value.isfinite().all())
    assert made.grad is not None
    assert bool(made.grad.isfinite().all())


def test_an_unknown_cost_is_named() -> None:
    with pytest.raises(UsageError, match="no reconstruction loss 'bernouli': did you mean 'bernoulli'"):
        get_cost("bernouli")


def test_gradients() -> None:
    wanted, made = samples(3), samples(3, seed=1).requires_grad_()
    for cost in COSTS.values():
        assert torch.autograd.gradcheck(partial(cost, wanted), made)
    mean, log_variance = (value.requires_grad_() for value in codes(4))
    noise = codes(4, seed=1)[0]
    assert torch.autograd.gradcheck(normal_divergence, (mean, log_variance))
    assert torch.autograd.gradcheck(lambda *two: reparameterised(*two, noise), (mean, log_variance))


def test_divergence_against_pytorchs() -> None:
    mean, log_variance = codes(200, size=5)
    here = laws.Independent(laws.Normal(3 * mean, (log_variance / 2).exp()), 1)
    there = laws.Independent(laws.Normal(torch.zeros_like(mean), 1.0), 1)
    expected = laws.kl_divergence(here, there)
    torch.testing.assert_close(normal_divergence(3 * mean, log_variance), expected)
    assert float(expected.min()) > 0
    assert not bool(normal_divergence(torch.zeros(2, 5), torch.zeros(2, 5)).any())


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 0.5), (1.5, 1.0), (-0.4, 2.0), (3.0, 0.1)])
def test_divergence_against_a_monte_carlo_estimate(mean: float, deviation: float) -> None:
    """E[log q(z) − log p(z)] over 200,000 drawn codes, within four of its standard errors."""
    count = 200_000
    noise = torch.randn(count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    means = torch.tensor([[mean, -mean]]).double()
    log_variances = torch.full((1, 2), 2 * math.log(deviation)).double()
    drawn = reparameterised(means, log_variances, noise)
    log_q = laws.Normal(means, deviation).log_prob(drawn).sum(1)
    log_p = laws.Normal(0.0, 1.0).log_prob(drawn).sum(1)
    estimate, error = float((log_q - log_p).mean()), float((log_q - log_p).std()) / math.sqrt(count)
    closed = float(normal_divergence(means, log_variances))
    assert abs(estimate - closed) < 4 * error
    assert error < 0.02 * closed


def test_codes_are_drawn_from_their_law() -> None:
    mean, log_variance = torch.tensor([[1.0, -2.0]]), torch.tensor([[math.log(0.25), math.log(9.0)]])
    noise = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0))
    drawn = reparameterised(mean, log_variance, noise)
    torch.testing.assert_close(drawn.mean(0), mean[0], rtol=0, atol=0.04)
    torch.testing.assert_close(drawn.std(0), torch.tensor([0.5, 3.0]), rtol=0.02, atol=0)
    torch.testing.assert_close(reparameterised(mean, log_variance, torch.zeros(1, 2)), mean)


@pytest.mark.parametrize("beside", [0.0, 0.7])
def test_the_bound_against_a_likelihood_in_closed_form(beside: float) -> None:
    """Probabilistic PCA: x = Wz + b + noise has log p(x) in closed form, and its posterior of z too.

    With that posterior as encoder the ELBO is log p(x); with its mean moved by `beside` it is less, by the divergence
    of the two.
    """
    rng = torch.Generator().manual_seed(0)
    w = torch.linalg.qr(torch.randn(5, 2, dtype=torch.float64, generator=rng)).Q * torch.tensor([2.0, 0.5])
    b, x = (torch.randn(5, dtype=torch.float64, generator=rng) for _ in range(2))
    likelihood = laws.MultivariateNormal(b, w @ w.T + torch.eye(5)).log_prob(x)
    precision = torch.eye(2) + w.T @ w  # diagonal: the columns of W are orthogonal
    variance = 1 / precision.diagonal()
    mean = variance * (w.T @ (x - b)) + beside
    lost = 0.5 * beside**2 * (1 / variance).sum()  # KL of two normal laws of one covariance

    def rows(value: Tensor) -> Tensor:
        return value.expand(40_000, -1)

    noise = torch.randn(40_000, 2, dtype=torch.float64, generator=rng)
    drawn: Any = reparameterised(rows(mean), rows(variance.log()), noise)
    cost = squared(rows(x), drawn @ w.T + b) + 5 * math.log(2 * math.pi) / 2
    elbo = -(cost.mean() + normal_divergence(mean[None], variance.log()[None]))
    error = float(cost.std()) / 200
    assert abs(float(elbo - (likelihood - lost))) < 4 * error
    assert error < 0.02
