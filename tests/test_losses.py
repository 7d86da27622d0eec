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
from torch.nn.utils.parametrizations import spectral_norm

from light import LIGHT
from zerosum.errors import UsageError
from zerosum.losses import LOSSES, get_loss, refuse_probabilities
from zerosum.networks import build, names

# The published equations with SciPy's log σ: discriminator, generator, probability of the first argument.
Numbers = Callable[[np.ndarray, np.ndarray], np.ndarray]


def cross_entropy(r: np.ndarray, f: np.ndarray) -> np.ndarray:
    return -log_expit(r).mean() - log_expit(-f).mean()


def rank(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return ((a[:, None] > b).astype(float) + (a[:, None] == b) / 2).mean(1)


PUBLISHED: dict[str, tuple[Numbers, Numbers, Numbers]] = {
    "minimax": (cross_entropy, lambda r, f: log_expit(-f).mean(), lambda a, b: expit(a)),
    "non-saturating": (cross_entropy, lambda r, f: -log_expit(f).mean(), lambda a, b: expit(a)),
    "least-squares": (
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda r, f: ((f - 1) ** 2).mean() / 2,
        lambda a, b: np.clip(a, 0, 1),
    ),
    "hinge": (
        lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
        lambda r, f: -f.mean(),
        lambda a, b: np.clip((a + 1) / 2, 0, 1),
    ),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda r, f: -f.mean(), rank),
    "relativistic": (
        lambda r, f: -log_expit(r - f).mean(),
        lambda r, f: -log_expit(f - r).mean(),
        lambda a, b: expit(a - b.mean()),
    ),
    "relativistic-average": (
        lambda r, f: -log_expit(r - f.mean()).mean() - log_expit(r.mean() - f).mean(),
        lambda r, f: -log_expit(f - r.mean()).mean() - log_expit(f.mean() - r).mean(),
        lambda a, b: expit(a - b.mean()),
    ),
}

LOG2, LOG3, LOG43 = math.log(2), math.log(3), math.log(4 / 3)

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


# Real and fake logits, and D's and G's loss worked out on paper.
@pytest.mark.parametrize(
    ("name", "options", "real", "fake", "judge", "maker"),
    [
        ("least-squares", {}, [1.0, 3.0], [-1.0, 2.0], (0 + 4) / 4 + (1 + 4) / 4, (4 + 1) / 4),
        ("least-squares", {"a": -1, "b": 1, "c": 0}, [1.0, 3.0], [-1.0, 2.0], (0 + 4) / 4 + (0 + 9) / 4, (1 + 4) / 4),
        ("hinge", {}, [2.0, -1.0], [-3.0, 0.5], (0 + 2) / 2 + (0 + 1.5) / 2, 1.25),
        ("wasserstein", {}, [2.0, -1.0], [-3.0, 0.5], -1.25 - 0.5, 1.25),
        # means 0 and 0: the real logits at 0 cost log 2, the fake ones at ±log 3 cost log 4 and log 4/3
        ("relativistic-average", {}, [0.0, 0.0], [LOG3, -LOG3], *[math.log(2) + math.log(16 / 3) / 2] * 2),
        # means log 3 and 0: the difference is log 3 both ways
        ("relativistic-average", {}, [LOG3], [0.0], 2 * math.log(4 / 3), 2 * math.log(4)),
        # the label 0.9: at 0, log 2; at log 3, 0.9 log 4/3 + 0.1 log 4
        ("minimax", {"real_label": 0.9}, [LOG3], [0.0], 0.9 * LOG43 + 0.1 * math.log(4) + LOG2, -LOG2),
        ("non-saturating", {"real_label": 0.9}, [LOG3], [LOG3], 0.9 * LOG43 + 1.1 * math.log(4), LOG43),
    ],
)
def test_more_by_hand(
    name: str, options: dict[str, float], real: list[float], fake: list[float], judge: float, maker: float
) -> None:
    loss, r, f = get_loss(name, **options), torch.tensor(real), torch.tensor(fake)
    assert loss.discriminator_loss(r, f).item() == pytest.approx(judge)
    assert loss.generator_loss(f, r).item() == pytest.approx(maker)


def test_flipped_labels() -> None:
    """Of two real and two fake samples the second real one and the first fake one pass for the other kind."""
    real, fake = torch.tensor([0.0, LOG3]), torch.tensor([LOG3, -LOG3])
    chance = torch.tensor([[0.5, 0.01], [0.04, 0.9]])
    hard, soft = get_loss("minimax", flips=0.05), get_loss("non-saturating", flips=0.05, real_label=0.9)
    flipped = math.log(4)  # a real sample at log 3 that passes for generated
    assert hard.discriminator_loss(real, fake, chance).item() == pytest.approx(
        (LOG2 + flipped) / 2 + (LOG43 + LOG43) / 2
    )
    label = 0.9 * LOG43 + 0.1 * math.log(4)  # a fake at log 3 that passes for real
    assert soft.discriminator_loss(real, fake, chance).item() == pytest.approx(
        (LOG2 + flipped) / 2 + (label + LOG43) / 2
    )
    assert (hard.flips, hard.smooth, soft.smooth) == (0.05, True, False)
    squares = get_loss("least-squares", flips=0.05, a=-1, b=1)
    expected = (1 + (LOG3 + 1) ** 2) / 4 + ((LOG3 - 1) ** 2 + (1 - LOG3) ** 2) / 4
    assert squares.discriminator_loss(real, fake, chance).item() == pytest.approx(expected)
    assert squares.probability(real, fake)[0].item() == pytest.approx(0.5)
    patches = [logits.view(2, 1, 1).expand(2, 3, 4) for logits in (real, fake)]  # a label is its whole sample's
    torch.testing.assert_close(
        hard.discriminator_loss(*patches, chance), hard.discriminator_loss(real, fake, chance), rtol=1e-6, atol=0
    )
    assert torch.autograd.gradcheck(
        lambda r, f: soft.discriminator_loss(r, f, chance), [x.double().requires_grad_() for x in (real, fake)]
    )
    for wrong in (chance[:1], chance[:, 0], None):
        with pytest.raises(UsageError, match="uniform"):
            hard.discriminator_loss(real, fake, wrong)


def test_smoothing_has_its_optimum_at_the_label() -> None:
    real = torch.tensor([math.log(9)], requires_grad=True)  # σ = 0.9
    value = get_loss("minimax", real_label=0.9).discriminator_loss(real, torch.zeros(1))
    assert torch.autograd.grad(value, real)[0].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hinge", {"real_label": 0.9}, "has no option 'real_label': it takes none; minimax"),
        ("least-squares", {"real_label": 0.9}, "give b = 0.9"),
        ("minimax", {"flip": 0.1}, "did you mean 'flips'"),
        ("minimax", {"a": 0.1}, "known: flips, real_label"),
        ("minimax", {"flips": 0.5}, "below 0.5"),
        ("minimax", {"real_label": 0.1}, "above 0.5"),
        ("minimax", {"real_label": "0.9"}, "give a number"),
        ("least-squares", {"a": math.nan}, "give a number"),
        ("least-squares", {"a": 1, "b": 1}, "same side of a"),
        ("least-squares", {"a": 1, "b": 0}, "same side of a"),
    ],
)
def test_refused_options(name: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_loss(name, **options)


@pytest.mark.parametrize("name", LOSSES)
def test_smooth_is_a_slope_by_every_fake_logit(name: str) -> None:
    fake = torch.linspace(-6, 6, 25, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(get_loss(name).discriminator_loss(torch.zeros(25), fake), fake)
    assert get_loss(name).smooth is bool(slope.all())


@pytest.mark.parametrize("name", LOSSES)
def test_linear_is_a_slope_that_no_logit_changes(name: str) -> None:
    loss, fake = get_loss(name), torch.linspace(-3, 3, 7, requires_grad=True)
    slopes = [
        torch.autograd.grad(value, fake)[0]
        for value in (loss.discriminator_loss(torch.zeros(7), fake), loss.generator_loss(fake, torch.zeros(7)))
    ]
    assert loss.linear is all(bool((slope == slope[0]).all()) for slope in slopes)


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.smooth])
def test_the_generators_gradient_is_the_discriminators_rescaled(name: str) -> None:
    """By b_i / a_i, the losses' derivatives by the i-th fake logit, also where the logits meet in a mean."""
    torch.manual_seed(0)
    judge, loss = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)).double(), get_loss(name)
    fakes = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    real, fake = judge(torch.randn(5, 3, dtype=torch.float64)).detach(), judge(fakes)
    a, sent = torch.autograd.grad(loss.discriminator_loss(real, fake), (fake, fakes), retain_graph=True)
    b, wanted = torch.autograd.grad(loss.generator_loss(fake, real), (fake, fakes))
    torch.testing.assert_close(sent * (b / a)[:, None], wanted)


@pytest.mark.parametrize("name", LOSSES)
def test_slopes(name: str) -> None:
    torch.manual_seed(0)
    loss = get_loss(name)
    real = torch.rand(5, dtype=torch.float64, requires_grad=True)  # in (0, 1) no loss is at its target, or flat
    fake = torch.rand(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss.discriminator_loss, (real, fake))
    if loss.pairs:
        assert torch.autograd.gradcheck(loss.generator_loss, (fake, real))
    else:
        assert torch.autograd.gradcheck(lambda f: loss.generator_loss(f, real.detach()), (fake,))
        torch.testing.assert_close(loss.generator_loss(fake, real), loss.generator_loss(fake, real[:2]), rtol=0, atol=0)
    slopes = torch.autograd.grad(loss.discriminator_loss(real, fake), (real, fake))
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
    if name == "relativistic":
        with pytest.raises(UsageError, match="of one size"):
            loss.discriminator_loss(three, torch.zeros(4))
    else:
        expected = PUBLISHED[name][0](np.zeros(3), np.zeros(4))
        assert loss.discriminator_loss(three, torch.zeros(4)).item() == pytest.approx(expected)
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


def test_spectral_normalisation_hides_no_sigmoid_and_feigns_none() -> None:
    """A weight divided by its own size stays as it is when it is negated; here the logits lie in (0, 1] by chance."""
    torch.manual_seed(0)
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[3.0, 4.0]])
    network, batch = nn.Sequential(spectral_norm(layer), nn.Flatten(0)), torch.rand(64, 2) * 0.6 + 0.05
    logits = network.eval()(batch)
    assert ((logits > 0) & (logits <= 1)).all()
    refuse_probabilities(network, batch)
    squashed = Squashed()
    spectral_norm(squashed.last)
    with pytest.raises(UsageError, match="whatever its weights"):
        refuse_probabilities(squashed, batch)


@pytest.mark.parametrize("name", names("discriminator"))
def test_logits_that_lie_in_the_unit_interval_by_chance_are_taken(name: str) -> None:
    torch.manual_seed(0)
    network, batch = build(name, shape=(1, 24, 24), **LIGHT.get(name, {})), torch.rand(16, 1, 24, 24) * 2 - 1
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    last.weight.data *= 1e-3
    if last.bias is not None:
        last.bias.data.fill_(0.5)
        logits = network.eval()(batch)
        assert ((logits > 0) & (logits < 1)).all()
    refuse_probabilities(network, batch)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    refuse_probabilities(network, batch)
