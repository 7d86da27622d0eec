"""ADA's controller against its definition in plain numbers, and the schedule."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from zerosum.augment import Adaptive, Ramp
from zerosum.errors import UsageError


def logits(count: int, mean: float, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(mean, 1, count).astype(np.float32))


def train(controller: Adaptive, distance: float, turns: int, batch: int = 32, offset: float = 0.0) -> list[float]:
    """p after each turn; the discriminator's logits of real and generated images are so far apart."""
    seen = []
    for turn in range(turns):
        real, fake = (logits(batch, side * distance / 2 + offset, 2 * turn + (side > 0)) for side in (1, -1))
        controller.observe(real, fake)
        seen.append(float(controller.p))
    return seen


def by_hand(distance: float, turns: int, batch: int, images: int, every: int, target: float) -> list[float]:
    p, signs, seen = 0.0, [], []
    for turn in range(turns):
        signs += np.sign(logits(batch, distance / 2, 2 * turn + 1).numpy()).tolist()
        if (turn + 1) % every == 0:
            p = min(1.0, max(0.0, p + math.copysign(batch * every / images, np.mean(signs) - target)))
            signs = []
        seen.append(p)
    return seen


@pytest.mark.parametrize("distance", [0.0, 1.2, 1.7, 3.0])
def test_p_moves_as_published(distance: float) -> None:
    seen = train(Adaptive(images=20_000), distance, 120)
    np.testing.assert_allclose(seen, by_hand(distance, 120, 32, 20_000, 4, 0.6), atol=1e-5)


def test_p_rises_where_d_overfits_and_falls_where_it_does_not_and_stays_in_0_to_1() -> None:
    controller = Adaptive(images=2_000)
    up = train(controller, 4.0, 80)
    assert up[-1] == 1.0
    assert up[:3] == [0.0] * 3
    assert all(later >= earlier for earlier, later in pairwise(up))
    assert abs(up[31] - 32 * 32 / 2_000) < 1e-6  # so many images of so many
    assert float(controller.r) > 0.8
    down = train(controller, 0.5, 80)
    assert down[-1] == 0.0
    assert float(controller.r) < 0.6


def test_relative_signs_do_not_see_a_constant() -> None:
    """And the target means the same overlap: real and generated normal logits, r = 2 Φ(distance / 2) - 1."""
    plain, relative, moved = (Adaptive(images=20_000, relative=way) for way in (False, True, True))
    np.testing.assert_array_equal(train(relative, 2.5, 40, 256), train(moved, 2.5, 40, 256, offset=7.0))
    train(plain, 2.5, 40, 256)
    want = math.erf(2.5 / 2 / math.sqrt(2))
    for controller in (plain, relative):
        assert abs(float(controller.r) - want) < 4.5 / math.sqrt(1024)
    blind = Adaptive(images=20_000)
    train(blind, 0.0, 40, offset=7.0)
    assert float(blind.p) == pytest.approx(40 * 32 / 20_000)  # up at every turn: what relative is for


@pytest.mark.parametrize("cut", [8, 13])
def test_resumed_it_goes_on_as_if_nothing_had_happened(cut: int) -> None:
    whole = Adaptive(images=3_000)
    rest = train(whole, 1.7, 40)[cut:]
    first = Adaptive(images=3_000)
    train(first, 1.7, cut)
    resumed = Adaptive(images=3_000)
    resumed.load_state_dict(first.state_dict())
    seen = []
    for turn in range(cut, 40):
        resumed.observe(logits(32, 0.85, 2 * turn + 1), logits(32, -0.85, 2 * turn))
        seen.append(float(resumed.p))
    assert seen == rest


def test_patches_count_as_one_image_and_nan_as_none() -> None:
    controller = Adaptive(images=1_000, every=1, target=0.1)
    controller.observe(torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, 1.0]]), torch.zeros(2, 3))
    assert float(controller.r) == pytest.approx(1 / 3)
    assert float(controller.p) == pytest.approx(2 / 1_000)
    controller.observe(torch.full((2, 3), float("nan")), torch.zeros(2, 3))
    assert float(controller.p) == 0.0


def test_the_ramp_is_half_a_cosine() -> None:
    ramp = Ramp(0.1, 0.5, 1_000)
    assert [ramp.at(images) for images in (0, 500, 1_000, 5_000)] == pytest.approx([0.1, 0.3, 0.5, 0.5])
    assert ramp.at(250) == pytest.approx(0.5 - 0.4 * (1 + math.sqrt(0.5)) / 2)
    assert Ramp(0.3, 0.3, 1).at(0) == 0.3


def test_numbers_out_of_range_are_refused() -> None:
    for wrong in (1.0, -1.0, 3.0):
        with pytest.raises(UsageError, match="target"):
            Adaptive(target=wrong)
    for options in ({"images": 0}, {"every": 0}):
        with pytest.raises(UsageError, match="above 0"):
            Adaptive(**options)
    with pytest.raises(UsageError, match=r"\[0, 1\]"):
        Ramp(0.0, 1.5, 10)
    with pytest.raises(UsageError, match="images"):
        Ramp(0.0, 0.5, 0)
