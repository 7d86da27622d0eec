"""Labelled networks: against torch's own layers class by class, and against the papers' formulas."""

from __future__ import annotations

from copy import deepcopy
from itertools import product
from threading import Barrier, Thread
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.func import functional_call

from light import LIGHT
from zerosum import penalties
from zerosum.errors import UsageError
from zerosum.games.game import frozen
from zerosum.networks import (
    Discriminator,
    Given,
    LabelledDiscriminator,
    LabelledGenerator,
    NormedByLabel,
    ProjectionDiscriminator,
    add_minibatch,
    build,
    classes_shape,
    conditional,
    is_convolutional,
    mixes_samples,
    names,
)
from zerosum.networks.equalised import EqualisedConv

LABELS = torch.tensor([0, 1, 2, 1, 0, 2])
SHAPE = (1, 16, 16)
MLP = {"hidden": [8], "normalise": True}
DISCRIMINATORS = names("discriminator")


def labelled(name: str, shape: tuple[int, ...] = SHAPE, classes: int = 3, **options: Any) -> LabelledDiscriminator:
    options = LIGHT.get(name, {}) | options
    return LabelledDiscriminator(build(name, shape=classes_shape(name, shape, classes), **options), classes)


def projection(name: str, shape: tuple[int, ...] = SHAPE, classes: int = 3, **options: Any) -> ProjectionDiscriminator:
    return ProjectionDiscriminator(build(name, shape=shape, **LIGHT.get(name, {}) | options), classes)


@pytest.mark.parametrize("name", ["mlp-generator", "quick-generator"])
def test_labelled_generator_reads_a_one_hot_row(name: str) -> None:
    torch.manual_seed(0)
    inner = build(name, latent=5 + 3, shape=SHAPE).eval()
    z = torch.randn(6, 5)
    rows = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]])
    network = LabelledGenerator(inner, 3)
    assert torch.equal(network(z, LABELS), inner(torch.cat((z, rows), 1)))
    assert set(network.state_dict()) == {f"network.{key}" for key in inner.state_dict()}


def published_norm(x: Tensor, gains: Tensor, biases: Tensor, eps: float) -> Tensor:
    """torch's BatchNorm in training, once for each class with that class's gain and bias; rows are picked after."""
    made = torch.empty_like(x)
    for label in range(len(gains)):
        rows = nn.functional.batch_norm(x, None, None, gains[label], biases[label], training=True, eps=eps)
        made[label == LABELS] = rows[label == LABELS]
    return made


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(4, 1e-3, 0.01), nn.BatchNorm2d(4, 2e-5, 0.3)], ids=str)
def test_normed_by_label_is_a_batch_norm_for_each_class(norm: Any) -> None:
    torch.manual_seed(0)
    size = (6, 4) if isinstance(norm, nn.BatchNorm1d) else (6, 4, 5, 3)
    plain = deepcopy(norm).double()
    network = NormedByLabel(nn.Sequential(deepcopy(norm)).double(), 3)
    layer = network.network[0]
    x = torch.randn(size, dtype=torch.float64) * 3 + 1
    torch.testing.assert_close(network(x, LABELS), plain(x), rtol=0, atol=1e-12)  # all classes begin alike
    for embedding in (layer.gain, layer.bias):
        nn.init.normal_(embedding.weight)
    expected = published_norm(x, layer.gain.weight, layer.bias.weight, norm.eps)
    torch.testing.assert_close(network(x, LABELS), expected, rtol=0, atol=1e-12)
    plain(x)
    assert layer.norm.momentum == norm.momentum
    torch.testing.assert_close(layer.norm.running_mean, plain.running_mean)
    torch.testing.assert_close(layer.norm.running_var, plain.running_var)
    network.eval()
    alone = network(x[1:2], LABELS[1:2])
    torch.testing.assert_close(network(x, LABELS)[1:2], alone)
    shifted = (x[1:2] - plain.running_mean.view(1, 4, *[1] * (x.dim() - 2))) / (
        plain.running_var.view(1, 4, *[1] * (x.dim() - 2)) + norm.eps
    ).sqrt()
    by_hand = shifted * layer.gain.weight[1].view(1, 4, *[1] * (x.dim() - 2))
    by_hand = by_hand + layer.bias.weight[1].view(1, 4, *[1] * (x.dim() - 2))
    torch.testing.assert_close(alone, by_hand)


GENERATORS = [("mlp-generator", MLP), ("quick-generator", {}), ("dcgan-28-generator", {}), ("sndcgan-generator", {})]


def normed(name: str, options: dict[str, Any], classes: int = 3) -> NormedByLabel:
    network = NormedByLabel(build(name, latent=5, shape=SHAPE, **options), classes)
    for key, parameter in network.named_parameters():
        if "gain" in key or "bias.weight" in key:
            nn.init.normal_(parameter, float("gain" in key), 0.5)
    return network


@pytest.mark.parametrize(("name", "options"), GENERATORS, ids=str)
def test_normed_generators(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = normed(name, options)
    z = torch.randn(6, 5)
    assert mixes_samples(network)
    assert is_convolutional(network) is not name.startswith("mlp")
    network(z, LABELS).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())
    copied, rebuilt = deepcopy(network), normed(name, options)
    rebuilt.load_state_dict(load(save(network.state_dict())))
    for twin in (copied, rebuilt):
        assert torch.equal(twin.eval()(z, LABELS), network.eval()(z, LABELS))
    assert not torch.equal(network(z, LABELS), network(z, LABELS.flip(0)))
    bare = {key: value for key, value in network.state_dict().items() if "gain" not in key}
    with pytest.raises(RuntimeError, match="gain"):
        rebuilt.load_state_dict(bare)


def test_normed_by_label_keeps_format_and_dtype() -> None:
    torch.manual_seed(0)
    network = normed("dcgan-28-generator", {}).to(memory_format=torch.channels_last)
    seen: list[Tensor] = []
    for layer in network.modules():
        if isinstance(layer, conditional.LabelledNorm):
            layer.register_forward_hook(lambda _, __, out: seen.append(out))
    z = torch.randn(6, 5)
    full = network(z, LABELS)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(z, LABELS)
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in seen if out.dim() == 4)
    assert [out.dtype for out in seen] == [torch.float32] * 4 + [torch.bfloat16] * 4
    torch.testing.assert_close(half.float(), full, rtol=0, atol=0.05)


def test_labels_do_not_outlive_the_call() -> None:
    network = NormedByLabel(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), 3)
    good = network(torch.randn(6, 5), LABELS)
    assert good.shape == (6, 2)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        network(torch.randn(6, 4), LABELS)
    with pytest.raises(IndexError):
        network(torch.randn(6, 5), LABELS + 1)  # no fourth class
    with pytest.raises(UsageError, match="with labels"):
        network.network(torch.randn(6, 5))


def test_a_generator_inside_a_generator_keeps_its_own_labels() -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.normed = NormedByLabel(nn.Sequential(nn.BatchNorm1d(2)), 3)

        def forward(self, z: Tensor) -> Tensor:
            return self.normed(z, torch.zeros(len(z), dtype=torch.int64))

    network = NormedByLabel(nn.Sequential(nn.Identity(), nn.BatchNorm1d(2)), 3)
    network.network[0] = Inner()
    network.network[1].gain.weight.data = torch.tensor([[1.0, 1], [2, 2], [3, 3]])
    z = torch.randn(6, 2)
    plain = nn.functional.batch_norm(nn.functional.batch_norm(z, None, None, training=True), None, None, training=True)
    torch.testing.assert_close(network(z, LABELS), plain * (LABELS + 1)[:, None])


def test_threads_do_not_share_labels() -> None:
    """Both calls are inside the network at once, before and behind its norm, and each is normed by its own labels."""
    meet = Barrier(2, timeout=20)
    network = NormedByLabel(nn.Sequential(nn.Identity(), nn.BatchNorm1d(2), nn.Identity()), 2).eval()
    for layer in (network.network[0], network.network[2]):
        layer.register_forward_pre_hook(lambda _, given: (given, meet.wait())[0])
    network.network[1].bias.weight.data = torch.tensor([[0.0, 0.0], [100.0, 100.0]])
    made: dict[int, Tensor] = {}

    def call(label: int) -> None:
        made[label] = network(torch.zeros(3, 2), torch.full((3,), label))

    threads = [Thread(target=call, args=(label,)) for label in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.testing.assert_close(made[1] - made[0], torch.full((3, 2), 100.0))


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_labelled_discriminator_joins_maps_or_numbers(name: str) -> None:
    torch.manual_seed(0)
    shape = (2, 32, 32)
    network = labelled(name, shape).eval()
    x = torch.rand(6, *shape)
    if name.startswith("mlp"):
        joined = torch.zeros(6, 2 * 32 * 32 + 3)
        joined[:, :-3] = x.flatten(1)
        for row, label in enumerate(LABELS):
            joined[row, 2 * 32 * 32 + label] = 32  # √(32·32): as much as a map of ones
    else:
        joined = torch.zeros(6, 5, 32, 32)
        joined[:, :2] = x
        for row, label in enumerate(LABELS):
            joined[row, 2 + label] = 1
    logits, features = network(x, LABELS, features=True)
    torch.testing.assert_close(logits, network.network(joined))
    torch.testing.assert_close(features, network.network(joined, features=True)[1])
    assert features.shape == (6, network.width)
    assert torch.equal(network(x, LABELS), logits)
    assert not torch.equal(network(x, LABELS.flip(0)), logits)


def test_labelled_discriminator_of_points() -> None:
    network, x = labelled("mlp-discriminator", (2,)).eval(), torch.randn(6, 2)
    rows = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]])
    assert torch.equal(network(x, LABELS), network.network(torch.cat((x, rows), 1)))
    assert classes_shape("mlp-discriminator", (2,), 3) == (5,)
    with pytest.raises(UsageError, match="mlp-generator"):
        classes_shape("quick-discriminator", (2,), 3)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_projection_by_hand(name: str) -> None:
    """Equation 3: yᵀVφ(x) + ψ(φ(x)), row by row; the same number over a map of logits."""
    torch.manual_seed(0)
    network = projection(name, (1, 32, 32)).eval()
    x = torch.rand(6, 1, 32, 32)
    logits, features = network(x, LABELS, features=True)
    plain, phi = network.network(x, features=True)
    assert torch.equal(features, phi)
    v = network.embedding.weight
    for row, label in enumerate(LABELS):
        expected = plain[row] + torch.dot(v[:, label], phi[row])
        torch.testing.assert_close(logits[row], expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(network(x, LABELS), logits)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_one_class_is_a_plain_network(name: str) -> None:
    """With one class nothing is said: a zero projection is the network, and so is a one-hot row it does not read."""
    torch.manual_seed(0)
    x, labels = torch.rand(4, 1, 32, 32), torch.zeros(4, dtype=torch.int64)
    projected = projection(name, (1, 32, 32), 1).eval()
    nn.init.zeros_(projected.embedding.weight)
    assert torch.equal(projected(x, labels), projected.network(x))
    network, plain = labelled(name, (1, 32, 32), 1).eval(), build(name, shape=(1, 32, 32), **LIGHT.get(name, {})).eval()
    state = network.network.state_dict()
    for key, value in plain.state_dict().items():
        if state[key].shape != value.shape:  # the first layer: the weights of the label come last
            equalised = isinstance(next(plain.body.children()), EqualisedConv)  # divided by the root of what enters
            state[key].zero_()[:, : value.shape[1]] = value * (2**0.5 if equalised else 1)
        else:
            state[key].copy_(value)
    torch.testing.assert_close(network(x, labels), plain(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("wrap", "name"), list(product((labelled, projection), ("mlp-discriminator", "quick-discriminator")))
)
def test_what_callers_do_with_a_labelled_discriminator(wrap: Any, name: str) -> None:
    torch.manual_seed(0)
    network = wrap(name, **({"dropout": 0.0} if name.startswith("mlp") else {}))
    x = torch.rand(6, *SHAPE)
    assert isinstance(network, Discriminator)
    assert not mixes_samples(network)
    assert is_convolutional(network) is not name.startswith("mlp")
    judge = Given(network, LABELS)
    fake = x.clone().requires_grad_()
    logits, features = frozen(judge, fake, features=True)
    assert torch.equal(logits, network(x, LABELS))
    (logits.sum() + features.sum()).backward()
    assert fake.grad is not None
    assert fake.grad.any()
    assert all(parameter.grad is None for parameter in network.parameters())
    # R1's gradient is that of each sample with its own label
    alone = torch.stack([penalties.r1(Given(network, LABELS[i : i + 1]), x[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(penalties.r1(judge, x), alone.mean())
    penalties.gradient_penalty(judge, x, x.flip(0), torch.rand(6)).backward()
    assert torch.equal(deepcopy(network)(x, LABELS), network(x, LABELS))
    with torch.autocast("cpu", torch.bfloat16):
        assert network(x, LABELS).isfinite().all()


@pytest.mark.parametrize("wrap", [labelled, projection])
@pytest.mark.parametrize("outside", [False, True])
def test_minibatch_layers_inside_or_outside(wrap: Any, outside: bool) -> None:
    torch.manual_seed(0)
    network = wrap("quick-discriminator")
    before = network.width
    assert add_minibatch(network if outside else network.network, "deviation") is (
        network if outside else network.network
    )
    assert mixes_samples(network)
    assert (network.width, network.head) == (before, network.network.head)
    x = torch.rand(6, *SHAPE)
    alone = torch.cat([network(x[i : i + 1], LABELS[i : i + 1]) for i in range(6)])
    assert not torch.allclose(network(x, LABELS), alone, atol=1e-5)
    assert sum(key.endswith("head.1.weight") for key in network.state_dict()) == 1
    with pytest.raises(UsageError, match="body of the network inside"):
        _ = network.body


@pytest.mark.parametrize("wrap", [labelled, projection])
@pytest.mark.parametrize("outside", [False, True])
def test_spectral_normalisation_inside_or_outside(wrap: Any, outside: bool) -> None:
    torch.manual_seed(0)
    network = wrap("mlp-discriminator", hidden=[8], dropout=0.0)
    penalties.spectral_normalise(network if outside else network.network)
    x = torch.rand(6, *SHAPE)
    for _ in range(50):  # power iteration
        network(x, LABELS)
    network.eval()
    weights = [network.head.weight, network.network.body[1].weight]
    if outside and wrap is projection:
        weights.append(network.embedding.weight)
    for weight in weights:
        assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=1e-2)
    assert network.train()(x, LABELS).isfinite().all()


def test_spectral_normalisation_leaves_gains_alone() -> None:
    network = penalties.spectral_normalise(normed("quick-generator", {}))
    wrapped = {key for key in network.state_dict() if "parametrizations" in key}
    assert wrapped
    assert not any("gain" in key or "norm" in key for key in wrapped)


class Echo(nn.Module):
    """Says what it was given."""

    def forward(self, x: Tensor, given: Tensor, *, features: bool = False) -> Any:
        return (given, x) if features else given


@pytest.mark.parametrize(("count", "rows"), [(3, [0, 1, 2]), (6, [0, 1, 2, 0, 1, 2]), (2, [0, 1]), (1, [0])])
@pytest.mark.parametrize("given", [torch.tensor([4, 5, 6]), torch.randn(3, 2), torch.randn(3, 2, 2)])
def test_given_rows(given: Tensor, count: int, rows: list[int]) -> None:
    x = torch.randn(count, 7)
    network = Given(Echo(), given)
    assert torch.equal(network(x), given[rows])
    assert torch.equal(network(x, features=True)[1], x)
    assert network.state_dict() == {}
    with pytest.raises(UsageError, match="4 samples"):
        network(torch.randn(4, 7))


@pytest.mark.parametrize(
    "network",
    [lambda: labelled("mlp-discriminator"), lambda: projection("quick-discriminator"), lambda: normed(*GENERATORS[1])],
)
@pytest.mark.parametrize("labels", [torch.zeros(1, dtype=torch.int64), torch.zeros(6), torch.zeros(6, 1).long()])
def test_labels_of_the_wrong_kind(network: Any, labels: Tensor) -> None:
    network = network()
    x = torch.randn(6, 5) if isinstance(network, NormedByLabel) else torch.rand(6, *SHAPE)
    with pytest.raises(UsageError, match="for 6 rows"):
        network(x, labels)


def test_mistakes_are_named() -> None:
    with pytest.raises(UsageError, match="no BatchNorm to make conditional: choose"):
        NormedByLabel(build("dcgan-dense-generator", latent=5, shape=SHAPE), 3)
    for wrap in (LabelledGenerator, NormedByLabel, ProjectionDiscriminator):
        with pytest.raises(UsageError, match="classes is 0"):
            wrap(build("quick-discriminator", shape=SHAPE), 0)
    with pytest.raises(UsageError, match="classes is 0"):
        classes_shape("mlp-discriminator", SHAPE, 0)
    with pytest.raises(UsageError, match="did you mean 'mlp-discriminator'"):
        classes_shape("mlp-discriminatr", SHAPE, 3)
    with pytest.raises(UsageError, match="no labels, or codes"):
        Given(Echo(), torch.zeros(0))


@pytest.mark.parametrize("kind", ["normed", "labelled", "projection"])
def test_wrappers_compile_whole_and_export(kind: str) -> None:
    """No Python state stands in the way of a compiled turn, or of an exported model."""
    torch.manual_seed(0)
    if kind == "normed":
        network: nn.Module = normed("mlp-generator", MLP).eval()
        x = torch.randn(6, 5)
    else:
        network = (labelled if kind == "labelled" else projection)("mlp-discriminator", dropout=0.0)
        x = torch.rand(6, *SHAPE)
    parameters = dict(network.named_parameters())

    def call(parameters: dict[str, Tensor], x: Tensor, labels: Tensor) -> Tensor:
        return functional_call(network, parameters, (x, labels))

    compiled = torch.compile(call, fullgraph=True, backend="eager")
    for labels in (LABELS, LABELS.flip(0)):
        torch.testing.assert_close(compiled(parameters, x, labels), network(x, labels))
    program = torch.export.export(network, (x, LABELS), strict=False)
    torch.testing.assert_close(program.module()(x, LABELS.flip(0)), network(x, LABELS.flip(0)))
