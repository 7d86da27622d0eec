"""Games: gradients against plainly written passes, whose turn gives whom a gradient, and randomness by position."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from zerosum.games import Batch, Draw, Generation, Loss, Randomness, make_penalty
from zerosum.games.randomness import BLOCK, Latents
from zerosum.losses import LOSSES, get_loss
from zerosum.networks import build

SHAPE = (1, 8, 8)
LATENT = 6


def networks(kind: str = "quick", **options: Any) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(1)
    generator = build(f"{kind}-generator", latent=LATENT, shape=SHAPE)
    return generator, build(f"{kind}-discriminator", shape=SHAPE, **options)


def game_of(generator: nn.Module, discriminator: nn.Module, loss: str = "relativistic", **options: Any) -> Generation:
    return Generation(generator, discriminator, loss=get_loss(loss), latents=Latents(LATENT), **options)


def real_images(count: int, first: int = 0) -> Batch:
    return Batch(torch.rand(first + count, *SHAPE, generator=torch.Generator().manual_seed(2))[first:] * 2 - 1)


def draw_of(count: int, *, first: int = 0, batch: int | None = None, turn: int = 1) -> Draw:
    return Draw(Randomness(5), first, count, batch or count, turn)


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.grad for name, value in network.named_parameters() if value.grad is not None}


def close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """The same tensors, up to float32's rounding in sums of some hundreds of terms."""
    assert one.keys() == other.keys()
    scale = max(float(value.abs().max()) for value in other.values())
    assert scale > 0, "a comparison with nothing"
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-5 * scale, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("sure", [1.0, 200.0], ids=["new", "sure"])
@pytest.mark.parametrize("factor", [1.0, 0.5])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_simultaneous_gradients_are_those_of_two_passes(name: str, reduction: str, factor: float, sure: float) -> None:
    """One shared pass, against each player's loss differentiated on its own at the same networks."""
    generator, discriminator = networks()
    with torch.no_grad():
        discriminator.head.weight.mul_(sure)
    game = game_of(
        generator, discriminator, name, updates="simultaneous", discriminator_factor=factor, reduction=reduction
    )
    apart = copy.deepcopy((generator, discriminator))
    batch, draw = real_images(16), draw_of(16)
    assert [turn.players for turn in game.turns] == [("generator", "discriminator")]
    game.play("both", batch, draw).total.backward()

    own, judge = apart
    loss, weight = get_loss(name), 16.0 if reduction == "sum" else 1.0
    fake = own(Latents(LATENT, "normal").rows(Randomness(5), "latent", 0, 16))
    real_logits, fake_logits = judge(batch.images), judge(fake)
    if sure > 1:
        assert float(fake_logits.detach().abs().max()) > 3, "this discriminator is not sure"
    for_generator = torch.autograd.grad(
        loss.generator_loss(fake_logits, real_logits) * weight, list(own.parameters()), retain_graph=True
    )
    for_discriminator = torch.autograd.grad(
        loss.discriminator_loss(real_logits, judge(fake.detach())) * factor * weight, list(judge.parameters())
    )
    close(gradients(generator), dict(zip(dict(own.named_parameters()), for_generator, strict=True)))
    close(gradients(discriminator), dict(zip(dict(judge.named_parameters()), for_discriminator, strict=True)))


@pytest.mark.parametrize("gap", [40.0, 400.0])
@pytest.mark.parametrize("name", ["relativistic", "non-saturating"])
def test_generator_hears_a_discriminator_that_has_won(name: str, gap: float) -> None:
    """However sure D is, these losses have their full slope for the generator: -1/N a logit, of D(x) = x₁ here."""
    generator, layer = nn.Linear(LATENT, 2), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        generator.weight.zero_()
        generator.bias.fill_(-gap)
        layer.weight.copy_(torch.tensor([[1.0, 0.0]]))
    game = game_of(generator, nn.Sequential(layer, nn.Flatten(0)), name, updates="simultaneous")
    game.play("both", Batch(torch.zeros(8, 2)), draw_of(8)).total.backward()
    np.testing.assert_allclose(generator.bias.grad, [-1.0, 0.0], rtol=1e-5)


@pytest.mark.parametrize("kind", ["dcgan-28", "mlp"], ids=["batchnorm", "dropout"])
def test_simultaneous_losses_meet_the_same_networks(kind: str) -> None:
    """With BatchNorm or dropout too, each player's gradient is that of its own loss alone."""
    generator, discriminator = networks(kind)
    game = game_of(generator, discriminator, "minimax", updates="simultaneous")
    batch, draw = real_images(16), draw_of(16)
    torch.manual_seed(3)
    game.play("both", batch, draw).total.backward()
    both = gradients(generator)
    alone = game_of(*networks(kind), "minimax")
    torch.manual_seed(3)
    alone.play("generator", batch, draw).total.backward()
    close(both, gradients(alone.generator))


def both_turns(game: Generation, turns: int) -> list[Loss]:
    return [game.play("discriminator", real_images(8), draw_of(8, turn=turn)) for turn in range(turns)]


@pytest.mark.parametrize("discriminator_turns", [1, 3])
def test_a_turn_gives_the_other_player_no_gradient(discriminator_turns: int) -> None:
    game = game_of(*networks(), discriminator_turns=discriminator_turns)
    assert [(turn.name, turn.repeat) for turn in game.turns] == [
        ("discriminator", discriminator_turns),
        ("generator", 1),
    ]
    game.play("discriminator", real_images(8), draw_of(8)).total.backward()
    assert len(gradients(game.discriminator)) == len(list(game.discriminator.parameters()))
    assert not gradients(game.generator)
    game.zero_grad(set_to_none=True)
    game.play("generator", real_images(8), draw_of(8)).total.backward()
    assert len(gradients(game.generator)) == len(list(game.generator.parameters()))
    assert not gradients(game.discriminator)
    assert all(parameter.requires_grad for parameter in game.parameters())


def test_generator_meets_the_improved_discriminator() -> None:
    """Alternating: what D learned between the turns changes G's loss, on the very fakes D has seen."""
    game = game_of(*networks(), "non-saturating")
    game.play("discriminator", real_images(8), draw_of(8))
    with torch.no_grad():
        game.discriminator.head.bias.add_(3.0)  # D now takes all for real
        fakes = game.generator(Latents(LATENT, "normal").rows(Randomness(5), "latent", 0, 8))
        expected = torch.nn.functional.softplus(-game.discriminator(fakes)).mean()
    loss = game.play("generator", real_images(8), draw_of(8))
    torch.testing.assert_close(loss.losses["generator"], expected, rtol=1e-4, atol=1e-5)
    assert float(loss.outputs["D(G(z)) after"]) > 0.9


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
def test_penalties_come_each_so_many_turns(every: int, updates: str) -> None:
    """For D(x) = w·x the penalty is ‖w‖², so the term is every · γ/2 · ‖w‖² on every `every`-th turn, else nothing."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 1, bias=False)
    gamma, squared = 0.6, float(layer.weight.detach().square().sum())
    penalties = tuple(make_penalty(name, None, weight=gamma / 2, every=every, options={}) for name in ("r1", "r2"))
    discriminator = nn.Sequential(layer, nn.Flatten(0))
    plain, penalised = (
        game_of(nn.Linear(LATENT, 3), discriminator, penalties=chosen, updates=updates) for chosen in ((), penalties)
    )
    penalised.generator = plain.generator
    turn_name = plain.turns[0].name
    batch = Batch(torch.randn(8, 3))
    for turn in range(9):
        with_it = penalised.play(turn_name, batch, draw_of(8, turn=turn))
        without = plain.play(turn_name, batch, draw_of(8, turn=turn))
        due = turn % every == 0
        difference = float((with_it.total - without.total).detach())
        assert difference == pytest.approx(2 * every * gamma / 2 * squared if due else 0.0, rel=1e-5, abs=1e-7)
        assert set(with_it.parts) == ({"r1", "r2"} if due else set())
        if due:
            assert float(with_it.parts["r1"]) == pytest.approx(squared, rel=1e-5)


@pytest.mark.parametrize("turn", ["discriminator", "generator"])
def test_sum_is_the_mean_times_the_batch(turn: str) -> None:
    totals = []
    for reduction in ("mean", "sum"):
        game = game_of(*networks(), "non-saturating", reduction=reduction)
        totals.append(float(game.play(turn, real_images(8), draw_of(8)).total.detach()))
    assert totals[1] == pytest.approx(8 * totals[0], rel=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
def test_micro_batches_gather_the_gradient_of_the_batch(reduction: str, updates: str) -> None:
    """Where no layer mixes samples, 4 quarters of a batch, each weighted 1/4, have the whole batch's gradient."""

    def fresh() -> Generation:
        torch.manual_seed(1)
        generator = build("mlp-generator", latent=LATENT, shape=SHAPE)
        discriminator = build("mlp-discriminator", shape=SHAPE, dropout=0.0)
        penalty = make_penalty("r1", None, weight=0.5, every=2, options={})
        return game_of(generator, discriminator, penalties=(penalty,), updates=updates, reduction=reduction)

    for name in [turn.name for turn in fresh().turns]:
        whole, parts = fresh(), fresh()
        whole.play(name, real_images(16), draw_of(16, turn=2)).total.backward()
        for first in range(0, 16, 4):
            piece = draw_of(4, first=first, batch=16, turn=2)
            (parts.play(name, real_images(4, first), piece).total / 4).backward()
        close(gradients(parts), gradients(whole))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 4 * BLOCK), st.lists(st.integers(1, 2 * BLOCK), min_size=1, max_size=4), st.integers(0, 2**63))
def test_rows_are_the_same_whatever_the_batch(first: int, counts: list[int], seed: int) -> None:
    whole = Latents(3, "normal").rows(Randomness(seed), "latent", first, sum(counts))
    randomness, position = Randomness(seed, keep=1), first
    for count in counts:
        piece = Latents(3, "normal").rows(randomness, "latent", position, count)
        assert torch.equal(piece, whole[position - first : position - first + count])
        position += count


def test_seeds_streams_and_positions_differ() -> None:
    def rows(seed: int = 0, stream: str = "latent", first: int = 0) -> Tensor:
        return Latents(4, "normal").rows(Randomness(seed), stream, first, 8)

    drawn = [rows(), rows(seed=1), rows(stream="generator"), rows(first=8), rows(first=BLOCK)]
    for number, one in enumerate(drawn):
        assert all(not bool((one == other).any()) for other in drawn[number + 1 :])


@pytest.mark.parametrize(
    ("distribution", "law"), [("normal", stats.norm()), ("uniform", stats.uniform(loc=-1, scale=2))]
)
def test_latents_follow_their_law(distribution: str, law: Any) -> None:
    values = Latents(4, distribution).rows(Randomness(0), "latent", 100, 5000).double().numpy()
    assert stats.kstest(values.ravel(), law.cdf).pvalue > 0.01
    assert abs(stats.pearsonr(values[:-1, 0], values[1:, 0]).statistic) < 0.05  # rows do not follow from each other
    assert np.abs(np.corrcoef(values, rowvar=False) - np.eye(4)).max() < 0.05
