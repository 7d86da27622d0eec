"""Numbers that fade over a run, alone and as the weight of a penalty."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from players import IMAGE, LATENT, config_of, draw_of, real_batch
from zerosum.games import Fading, Generation, Latents, make_penalty
from zerosum.losses import get_loss
from zerosum.making import make_game


@pytest.mark.parametrize(
    ("fading", "values"),
    [
        (Fading(0.8, 0.05, 0.5), {0.0: 0.8, 0.125: 0.4, 0.25: 0.2, 0.5: 0.05, 0.75: 0.05, 1.0: 0.05, 1.5: 0.05}),
        (Fading(2.0, 32.0), {0.0: 2.0, 0.5: 8.0, 1.0: 32.0}),
        (Fading(0.6, 0.0, 0.5), {0.0: 0.6, 0.125: 0.45, 0.25: 0.3, 0.5: 0.0, 1.0: 0.0}),
        (Fading(0.3, 0.3, 0.1), {0.0: 0.3, 0.05: 0.3, 1.0: 0.3}),
        (Fading(2.0, 0.2, 0.5, "cosine"), {0.0: 2.0, 0.125: 1.1 + 0.9 * 0.5**0.5, 0.25: 1.1, 0.5: 0.2, 1.0: 0.2}),
        (Fading(0.0, 0.0), {0.0: 0.0, 0.5: 0.0, 1.0: 0.0}),
    ],
    ids=["falls", "rises", "to zero", "stays", "by a cosine", "is zero"],
)
def test_fading_by_hand(fading: Fading, values: dict[float, float]) -> None:
    assert {progress: fading.at(progress) for progress in values} == pytest.approx(values, rel=1e-12)
    assert fading.constant == (len(set(values.values())) == 1)


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-6, 1e3), st.floats(1e-6, 1) | st.just(0.0), st.floats(0.01, 1), st.lists(st.floats(0, 1)))
def test_fading_falls_from_start_to_end(start: float, share: float, until: float, at: list[float]) -> None:
    fading = Fading(start, start * share, until)
    values = [fading.at(progress) for progress in [0.0, *sorted(at), 1.0]]
    slack = 1e-12 * start
    assert all(later <= earlier + slack for earlier, later in pairwise(values))
    assert all(start * share - slack <= value <= start + slack for value in values)
    assert (values[0], values[-1]) == (start, pytest.approx(start * share, rel=1e-12))


def linear_game(penalty: str, **options: Any) -> tuple[Generation, float]:
    """D(x) = w·x, under which each penalty on squared slopes is ‖w‖²; and that number."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 1, bias=False)
    made = make_penalty(penalty, layer, options={}, **options)
    game = Generation(
        nn.Linear(LATENT, 3),
        nn.Sequential(layer, nn.Flatten(0)),
        loss=get_loss("wasserstein"),
        latents=Latents(LATENT),
        penalties=(made,),
    )
    return game, float(layer.weight.detach().square().sum())


@pytest.mark.parametrize(("progress", "factor"), [(0.0, 6.0), (0.25, 3.0), (0.5, 1.5), (1.0, 1.5)])
def test_a_fading_penalty_has_the_weight_of_its_time(progress: float, factor: float) -> None:
    """Weight 3, every 2nd turn twofold, to a quarter at half time."""
    game, squared = linear_game("r1", weight=Fading(3.0, 0.75, 0.5), every=2)
    totals = [game.play("discriminator", real_batch(8), draw_of(8, turn=turn, progress=progress)) for turn in (0, 1)]
    wasserstein = float(totals[0].losses["discriminator"])
    assert float(totals[0].total.detach()) - wasserstein == pytest.approx(factor * squared, rel=1e-5)
    assert "r1" not in totals[1].parts


def test_a_configured_penalty_fades() -> None:
    config = config_of(game__penalties={"r1": {"gamma": 4.0, "fade_to": 0.25, "fade_until": 0.5, "every": 2}})
    (penalty,) = make_game(config, IMAGE).penalties.every
    assert [penalty.factor(progress) for progress in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([4.0, 2.0, 1.0, 1.0])
