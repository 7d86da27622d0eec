"""The patch discriminator: what a logit sees, published sizes; and that losses and penalties take maps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zerosum import penalties
from zerosum.errors import UsageError
from zerosum.games import TERMS, Draw, Randomness, make_penalty
from zerosum.games.terms import Seen
from zerosum.losses import LOSSES, get_loss, refuse_probabilities
from zerosum.networks import Discriminator, ProjectionDiscriminator, add_minibatch, build, mixes_samples

FIELDS = {16: 1, 34: 2, 70: 3, 286: 5}  # and how often the image is halved
MAP_LOSSES = LOSSES | {
    "flipped": get_loss("minimax", flips=0.4),
    "flipped squares": get_loss("least-squares", flips=0.4),
}


def patch(shape: tuple[int, ...] = (1, 14, 11), field: int = 16, norm: str = "instance", **more: Any) -> Discriminator:
    torch.manual_seed(0)
    network = build("patch-discriminator", shape=shape, field=field, norm=norm, **more)
    assert isinstance(network, Discriminator)
    return network


@pytest.mark.parametrize(("field", "halvings"), FIELDS.items())
def test_a_logit_sees_exactly_its_field(field: int, halvings: int) -> None:
    """The gradient of one logit by the pixels; beside it the neighbour's, so many pixels on as there are halvings."""
    side = 10 * 2**halvings
    network = patch((1, side, side), field, "none").requires_grad_(False)
    image = torch.randn(1, 1, side, side, requires_grad=True)
    logits = network(image)
    assert logits.shape == (1, 8, 8)
    for place, start in ((3, 1), (4, 1 + 2**halvings)):
        (gradient,) = torch.autograd.grad(logits[0, 3, place], image, retain_graph=True)
        rows, columns = gradient[0, 0].nonzero().unbind(1)
        assert (rows.min(), rows.max() + 1) == (1, 1 + field)
        assert (columns.min(), columns.max() + 1) == (start, min(start + field, side))
        assert len(rows) == field * min(field, side - start)  # each of them


@pytest.mark.parametrize(
    ("channels", "field", "norm", "learned"),
    [
        (6, 70, "batch", 2_768_705),  # pix2pix: published as 2.8 M
        (6, 70, "instance", 2_768_705),
        (3, 70, "instance", 2_764_737 + 896),  # CycleGAN's has biases in place of scale and shift
        (3, 70, "none", 2_764_737),
        # 4×4 convolutions; the first and the last with biases, the others with scale and shift
        (1, 16, "layer", 17 * 64 + (16 * 64 + 2) * 128 + 16 * 128 + 1),
        (1, 34, "batch", 17 * 64 + (16 * 64 + 2) * 128 + (16 * 128 + 2) * 256 + 16 * 256 + 1),
        (
            3,
            286,
            "batch",
            49 * 64 + 1026 * 128 + 2050 * 256 + 4098 * 512 + 2 * (16 * 512 + 2) * 512 + 16 * 512 + 1,
        ),
    ],
)
def test_published_sizes(channels: int, field: int, norm: str, learned: int) -> None:
    network = patch((channels, 96, 96), field, norm)
    assert sum(parameter.numel() for parameter in network.parameters()) == learned


def test_layers_and_weights_are_the_papers() -> None:
    network = patch((3, 256, 256), 70, "batch")
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 128, 256, 512, 1]
    assert [layer.stride[0] for layer in convolutions] == [2, 2, 2, 1, 1]
    assert {(*layer.kernel_size, *layer.padding) for layer in convolutions} == {(4, 4, 1, 1)}
    assert [type(layer) for layer in network.body[:3]] == [nn.Conv2d, nn.LeakyReLU, nn.Conv2d]
    assert {layer.negative_slope for layer in network.modules() if isinstance(layer, nn.LeakyReLU)} == {0.2}
    for layer in convolutions:
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.06)
        assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize(("field", "halvings"), FIELDS.items())
def test_sizes_it_takes(field: int, halvings: int) -> None:
    least = 3 * 2**halvings
    assert patch((2, least, least + 2**halvings), field)(torch.randn(1, 2, least, least + 2**halvings)).shape == (
        1, 1, 2,
    )  # fmt: skip
    refused = f"field {field} needs images of at least {least}×{least}.*take field" if field > 16 else "at least 6×6"
    with pytest.raises(UsageError, match=rf"{refused}.*--data\.size"):
        patch((2, least - 1, 300), field)


def test_mistakes_are_named() -> None:
    with pytest.raises(UsageError, match=r"take field 34.*16 from 6×6, 34 from 12×12, 70 from 24×24, 286 from 96×96"):
        patch((1, 20, 20), 70)
    with pytest.raises(UsageError, match="take one of 16, 34, 70, 286"):
        patch(field=71)
    with pytest.raises(UsageError, match="did you mean 'instance'"):
        patch(norm="instanse")
    with pytest.raises(UsageError, match="mlp-discriminator"):
        patch((2,))
    with pytest.raises(UsageError, match="one logit a sample"):
        add_minibatch(patch(), "deviation")


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "none"])
def test_map_and_features(norm: str) -> None:
    """Features are averaged over places; the map is what the head makes of each; samples mix by BatchNorm alone."""
    network = patch((3, 24, 16), 34, norm).to(memory_format=torch.channels_last)
    assert network.maps
    assert mixes_samples(network) is (norm == "batch")
    x = torch.rand(4, 3, 24, 16).to(memory_format=torch.channels_last)
    logits, features = network(x, features=True)
    places = network.body(x)
    assert places.is_contiguous(memory_format=torch.channels_last)
    assert logits.shape == (4, 4, 2)
    assert features.shape == (4, network.width) == (4, 256)
    torch.testing.assert_close(features, torch.stack([place.flatten(1).mean(1) for place in places]))
    window = nn.functional.pad(places, (1, 1, 1, 1))[:, :, 2:6, 1:5]  # beneath the logit at (2, 1)
    by_hand = (window * network.head.weight).sum((1, 2, 3)) + network.head.bias
    torch.testing.assert_close(logits[:, 2, 1], by_hand, rtol=1e-4, atol=1e-5)
    alone = network(x[:1])[0]
    assert torch.allclose(alone, logits[0], atol=1e-5) is (norm != "batch")
    refuse_probabilities(network, x)
    normal = penalties.spectral_normalise(network)
    assert normal(x).shape == (4, 4, 2)
    assert not torch.allclose(normal(x), logits, rtol=0.01)


def test_a_projection_adds_one_number_everywhere() -> None:
    network = patch()
    both = ProjectionDiscriminator(network, 3)
    x, labels = torch.rand(4, 1, 14, 11), torch.tensor([0, 1, 2, 1])
    added = both(x, labels) - network(x)
    assert added.flatten(1).std(1).max() < 1e-5
    assert added.flatten(1).mean(1).abs().min() > 1e-4


@pytest.mark.parametrize("name", MAP_LOSSES)
def test_every_loss_takes_maps(name: str) -> None:
    """It is the loss of all logits in one row, with a slope by each; a probability for each place."""
    loss = MAP_LOSSES[name]
    torch.manual_seed(1)
    x, fakes = torch.rand(6, 1, 14, 11), torch.rand(6, 1, 14, 11, requires_grad=True)
    network = patch()
    network.head.weight.data /= 10  # within the hinge's margins, beyond which it has no slope
    real, fake = network(x), network(fakes)
    chance = (torch.rand(6, 2),) if loss.flips else ()
    each = [chances.repeat_interleave(real[0].numel(), 0) for chances in chance]  # a sample's places share its label
    theirs = loss.discriminator_loss(real, fake, *chance)
    torch.testing.assert_close(theirs, loss.discriminator_loss(real.flatten(), fake.flatten(), *each))
    ours = loss.generator_loss(fake, real)
    torch.testing.assert_close(ours, loss.generator_loss(fake.flatten(), real.flatten()))
    slopes = torch.autograd.grad(theirs, (real, fake), retain_graph=True)
    assert all(slope.isfinite().all() and slope.all() for slope in slopes)
    to_weights = torch.autograd.grad(theirs, list(network.parameters()), retain_graph=True, allow_unused=True)
    for (key, _), gradient in zip(network.named_parameters(), to_weights, strict=True):
        # where real and fake are compared, what is added to both has no slope
        assert gradient is not None
        assert gradient.isfinite().all()
        assert gradient.any() or key == "head.bias"
    (to_fakes,) = torch.autograd.grad(ours, fakes)
    assert to_fakes.isfinite().all()
    assert to_fakes.flatten(1).any(1).all()
    for one, other in ((real, fake), (fake, real)):
        chances = loss.probability(one.detach(), other.detach())
        assert chances.shape == one.shape
        assert 0 <= chances.min() <= chances.max() <= 1


@pytest.mark.parametrize("norm", ["instance", "none"])
@pytest.mark.parametrize("name", [name for name, term in TERMS.items() if term.player == "discriminator"])
def test_every_penalty_takes_maps(name: str, norm: str) -> None:
    network = patch(norm=norm)
    real, fake = torch.rand(4, 1, 14, 11), torch.rand(4, 1, 14, 11) * 2 - 1
    penalty = make_penalty(name, network, weight=None, every=1, options={})
    value = penalty(network, Seen(real, fake, network(real), network(fake)), Draw(Randomness(3), 0, 4, 4, 0))
    assert value.shape == ()
    assert value > 0
    value.backward()
    for key, parameter in network.named_parameters():
        if key != "head.bias":  # adds the same to all logits
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key
            assert key.endswith("bias") or parameter.grad.any(), key


def linear_critic() -> tuple[Discriminator, Tensor]:
    """Two convolutions in a row, (2, 6, 5) to a map, and the slope of the sum of its logits, found pixel by pixel."""
    torch.manual_seed(0)
    critic = Discriminator(nn.Conv2d(2, 3, 3, 2, 1), 3)
    critic.head = nn.Conv2d(3, 1, 2)
    critic = critic.double()
    pixels = torch.eye(60, dtype=torch.float64).view(60, 2, 6, 5)
    with torch.no_grad():
        slope = critic(pixels).sum((1, 2)) - critic(torch.zeros(1, 2, 6, 5, dtype=torch.float64)).sum()
    return critic, slope.view(2, 6, 5)


def test_penalties_sum_a_samples_logits() -> None:
    """Of a critic that is linear, the slope of the sum of a sample's logits is the same everywhere, and known."""
    critic, slope = linear_critic()
    x, other, noise = torch.randn(3, 4, 2, 6, 5, dtype=torch.float64)
    assert critic(x).shape == (4, 2, 2)
    norm = slope.norm().item()
    assert abs(norm - 1) > 0.1
    mix = torch.rand(4, dtype=torch.float64)
    assert penalties.gradient_penalty(critic, x, other, mix).item() == pytest.approx((norm - 1) ** 2)
    assert penalties.dragan(critic, x, noise).item() == pytest.approx((norm - 1) ** 2)
    assert penalties.r1(critic, x).item() == pytest.approx(norm**2)
    assert penalties.r2(critic, other).item() == pytest.approx(norm**2)
    along = (noise * slope).sum((1, 2, 3)).square().mean().item()
    assert penalties.r1_difference(critic, x, noise, sigma=0.1).item() == pytest.approx(along)
    assert penalties.r2_difference(critic, other, noise, sigma=0.1).item() == pytest.approx(along)


def test_other_penalties_are_means_over_places() -> None:
    critic, _ = linear_critic()
    x, other = torch.randn(2, 4, 2, 6, 5, dtype=torch.float64)
    real, fake = critic(x).detach(), critic(other).detach()
    squares = [(r - f) ** 2 for r, f in zip(real.flatten().tolist(), fake.flatten().tolist(), strict=True)]
    assert penalties.consistency(critic, x, other).item() == pytest.approx(sum(squares) / 16)
    low, high = torch.tensor(-0.5), torch.tensor(0.25)
    by_hand = sum((r - 0.25) ** 2 for r in real.flatten().tolist()) / 16
    by_hand += sum((f + 0.5) ** 2 for f in fake.flatten().tolist()) / 16
    assert penalties.lecam(real, fake, low, high).item() == pytest.approx(by_hand)
    mean = penalties.moving_average(torch.tensor(0.0), real, decay=0.9)
    assert mean.item() == pytest.approx(0.1 * sum(real.flatten().tolist()) / 16)
