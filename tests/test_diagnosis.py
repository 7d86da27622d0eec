"""Health: what a report sees of a game, and what is said of it; on records made up, and on real small games."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import zerosum
from players import game_of, networks, real_batch
from zerosum.data import open_data
from zerosum.diagnosis import (
    COLLAPSE,
    DIVERGING,
    HEALTHY,
    MEMORISES,
    OSCILLATING,
    WON,
    diagnose,
)
from zerosum.errors import DivergedError
from zerosum.evidence import Evidence, gather, standard_of
from zerosum.games import Batch, Generation, Latents, Remedies
from zerosum.losses import get_loss
from zerosum.settings import known_keys
from zerosum.training.checkpoint import State
from zerosum.training.reporter import Reporter

Record = dict[str, Any]
WELL = {"kinds": 40.0, "real_kinds": 50.0, "twins": 0.01, "real_twins": 0.01, "spread": 0.9, "apart": 0.2}
POINTS = {"twins": 0.01, "real_twins": 0.01, "spread": 0.9, "apart": 0.2, "kinds": 1.9, "real_kinds": 2.0, "modes": 8}
ALIKE = {"kinds": 1.1, "twins": 1.0, "spread": 0.05}


def history(*moments: Record, gradient: float = 1.0, **fixed: Any) -> list[Record]:
    """Records of a GAN, one a moment: what differs in its evidence from `WELL`, and other kinds of figures whole."""
    records = []
    for number, moment in enumerate(moments, start=1):
        moment = dict(moment)
        kinds = {kind: moment.pop(kind, None) for kind in ("gradients", "losses", "outputs", "parts")}
        records.append(
            {
                "images": 100 * number,
                "learning_rates": {"generator": 1e-3, "discriminator": 1e-3},
                "gradients": kinds["gradients"] or {"generator": gradient, "discriminator": gradient},
                "losses": kinds["losses"] or {"generator": 0.7, "discriminator": 1.4},
                "outputs": kinds["outputs"] or {"D(x)": 0.6, "D(G(z)) before": 0.4},
                "parts": kinds["parts"] or {},
                "evidence": Evidence(**{"samples": 256} | WELL | fixed | moment).to_record(),
            }
        )
    return records


SURE = {"accuracy": 1.0, "certain": True, "outputs": {"D(x)": 0.999, "D(G(z)) before": 0.001}}
RANKS = {"accuracy": 1.0, "certain": False}
NO_SLOPE = {"gradients": {"generator": 0.001, "discriminator": 1.0}}
BY_HEART = {"r_v": 0.8, "gap": 6.0, "held": 100}
SWINGS = [{"even": reached} for reached in (7.0, 2.0, 7.0, 2.0, 6.0, 1.0, 7.0, 3.0)]

ILL: dict[str, tuple[str, list[Record]]] = {
    "gradients grow": (DIVERGING, history(*[{}] * 5, *[{"gradients": {"generator": 400.0}}] * 2)),
    "gradients without measure": (DIVERGING, history(*[{"gradients": {"discriminator": 1e7}}] * 2)),
    "losses grow": (DIVERGING, history(*[{}] * 5, *[{"losses": {"discriminator": -900.0}}] * 2)),
    "no numbers": (DIVERGING, history({}, {"finite": False})),
    "lost": (COLLAPSE, history({}, ALIKE)),
    "constant": (COLLAPSE, history(ALIKE | {"spread": 0.0})),
    "stuck": (COLLAPSE, history(*[ALIKE] * 8)),
    "fewer kinds": (COLLAPSE, history({}, {"kinds": 3.0})),
    "few modes": (COLLAPSE, history(*[{"even": 2.0}] * 5, **POINTS)),
    "sure, no slope": (WON, history(*[SURE] * 4, *[SURE | NO_SLOPE] * 2)),
    "sure, no nearer": (WON, history(*[SURE] * 4)),
    "critic, no slope": (WON, history(*[RANKS] * 4, *[RANKS | NO_SLOPE] * 2)),
    "by heart": (MEMORISES, history({}, BY_HEART, BY_HEART)),
    "hopping": (OSCILLATING, history(*SWINGS, **POINTS)),
    "outputs swing": (
        OSCILLATING,
        history(*[{"outputs": {"D(x)": value}} for value in (0.9, 0.4, 0.9, 0.4, 0.9, 0.4, 0.9, 0.4)]),
    ),
}
WELLS: dict[str, list[Record]] = {
    "nothing yet": [],
    "no evidence": [{"images": 1, "gradients": {}, "losses": {}}],
    "well": history({}, {}, {}),
    "untrained, then learning": history(ALIKE, ALIKE | {"spread": 0.1}, ALIKE | {"spread": 0.3}, {}),
    "untrained for long": history(*[ALIKE | {"spread": 0.01 * 1.5**number} for number in range(8)]),
    "noise, then a blur that is nearer": history({"spread": 2.0, "apart": 4.0}, *[ALIKE | {"apart": 1.5}] * 3),
    "alike for long, as blurs on a line": history(*[ALIKE | {"spread": 0.3}] * 12),
    "sure, but not so sure": history(*[SURE | {"outputs": {"D(x)": 0.95, "D(G(z)) before": 0.04}}] * 6),
    "one jump of a gradient": history(*[{}] * 6, {"gradients": {"generator": 900.0}}),
    "small gradients that grow": history(*[{}] * 5, *[{"gradients": {"generator": 0.5}}] * 2, gradient=1e-3),
    "all real ones have copies": history({}, ALIKE | {"real_twins": 1.0, "kinds": 20.0}),
    "a critic ranks well": history(*[RANKS] * 9),
    "sure, and nearer": history(*[SURE | {"apart": 3.0 * 0.9**number} for number in range(6)]),
    "by heart once": history({}, BY_HEART),
    "few held out": history(*[BY_HEART | {"gap": 1.5}] * 3),
    "all modes": history(*[{"even": reached} for reached in (1.0, 1.0, 1.5, 5.0, 8.0, 8.0, 8.0, 8.0)], **POINTS),
    "outputs move": history(*[{"outputs": {"D(x)": 0.95 - 0.05 * number}} for number in range(8)]),
}


@pytest.mark.parametrize("name", ILL)
def test_an_illness_is_named_with_a_remedy_that_exists(name: str) -> None:
    state, records = ILL[name]
    verdict = diagnose(records)
    assert verdict.state == state, verdict.sentence
    assert verdict.sentence.startswith(f"{state}: ")
    flags = re.findall(r"--([a-z0-9_.-]*[a-z0-9])", verdict.sentence)
    assert flags
    for flag in flags:
        known = flag in known_keys() or re.fullmatch(r"game\.penalties\.(r1|r2|gradient)\.(gamma|weight)", flag)
        assert known, f"{flag} is no setting"


@pytest.mark.parametrize("name", WELLS)
def test_what_is_no_illness_raises_no_alarm(name: str) -> None:
    for end in range(len(WELLS[name]) + 1):
        assert diagnose(WELLS[name][:end]).state == HEALTHY, diagnose(WELLS[name][:end]).sentence


def test_a_report_without_evidence_leaves_the_verdict() -> None:
    records = history({}, ALIKE)
    assert (
        diagnose([*records, {key: value for key, value in records[0].items() if key != "evidence"}]).state == COLLAPSE
    )


def test_games_without_a_discriminator_and_translators_are_offered_what_they_have() -> None:
    records = history({}, ALIKE)
    records[-1]["learning_rates"] = {"generator": 1e-3, "encoder": 1e-3}
    assert "--game.reconstruction.beta" in diagnose(records).sentence
    paired = history({}, ALIKE | {"losses": {"generator": 1.0, "distance": 0.1}, "parts": {"r1": 0.1}})
    sentence = diagnose(paired).sentence
    assert "a larger --game.penalties.r1.gamma" in sentence
    assert "pack" not in sentence


def test_evidence_is_json() -> None:
    evidence = Evidence(256, kinds=1 / 3, real_kinds=50.0, certain=True, accuracy=0.5)
    read = json.loads(json.dumps({"evidence": evidence.to_record()}))
    assert Evidence.of_record(read) == Evidence(256, kinds=0.3333, real_kinds=50.0, certain=True, accuracy=0.5)
    assert Evidence.of_record({"images": 3}) is None


# what a report sees


class Mean(nn.Module):
    """A discriminator whose logit is `scale` times the mean of a sample's numbers."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, samples: Tensor) -> Tensor:
        return self.scale * samples.flatten(1).mean(1)


def judged_by(discriminator: nn.Module, loss: str = "non-saturating", **options: Any) -> Generation:
    generator, _ = networks((1, 8, 8))
    return Generation(generator, discriminator, loss=get_loss(loss), latents=Latents(6), **options)


def around(mean: float, count: int = 128, seed: int = 0) -> Tensor:
    """Images whose own means have this mean exactly, and a deviation of 0.1."""
    rows = torch.randn(count, 1, 1, 1, generator=torch.Generator().manual_seed(seed))
    return (mean + 0.1 * (rows - rows.mean()) / rows.std()).expand(count, 1, 8, 8)


def test_r_v_is_that_of_its_equation_and_its_gap_is_in_standard_errors() -> None:
    real, made, held = Batch(around(0.5)), around(-0.5), Batch(around(0.25, 64))
    evidence = gather(judged_by(Mean()), made, real, held, standard_of(real.images))
    assert evidence.r_v == pytest.approx((0.5 - 0.25) / (0.5 + 0.5), rel=1e-4)
    assert evidence.gap == pytest.approx(0.25 / (0.1 * (1 / 128 + 1 / 64) ** 0.5), rel=1e-4)
    assert evidence.held == 64
    assert gather(judged_by(Mean()), made, real, None, standard_of(real.images)).held == 0


@pytest.mark.parametrize(
    ("loss", "real", "made", "certain", "accuracy"),
    [
        ("non-saturating", 0.5, -0.5, True, 1.0),
        ("non-saturating", 0.9, 0.5, True, 0.5),  # takes all for real
        ("relativistic", 0.9, 0.5, False, 1.0),  # ranks them well all the same
        ("wasserstein", 0.9, 0.5, False, 1.0),
        ("wasserstein", -0.5, 0.5, False, 0.0),
    ],
)
def test_accuracy_is_of_probabilities_or_of_ranks(
    loss: str, real: float, made: float, certain: bool, accuracy: float
) -> None:
    batch = Batch(around(real).clamp(real - 0.1, real + 0.1))
    fakes = around(made).clamp(made - 0.1, made + 0.1)
    evidence = gather(judged_by(Mean(10.0), loss), fakes, batch, None, standard_of(batch.images))
    assert (evidence.certain, evidence.accuracy) == (certain, accuracy)


def test_samples_are_compared_with_real_ones() -> None:
    """Against what can be said of them beforehand: the same, one of them over and over, and shifted by a deviation."""
    real = real_batch(200, (3, 40, 24))
    points = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    game = game_of((3,))
    for samples in (real.images, points):
        standard = standard_of(samples)
        same = gather(game if samples is points else judged_by(Mean()), samples, Batch(samples), None, standard)
        assert same.spread == pytest.approx(1, rel=0.01)
        assert same.apart == pytest.approx(0, abs=1e-4)
        assert (same.kinds, same.twins) == (same.real_kinds, same.real_twins)
        assert same.real_twins < 0.2
        one = samples[:1].expand_as(samples)
        constant = gather(game if samples is points else judged_by(Mean()), one, Batch(samples), None, standard)
        assert constant.spread == pytest.approx(0, abs=1e-5)
        assert (constant.kinds, constant.twins) == (pytest.approx(1, abs=1e-5), 1.0)
    shifted = points + points.std(0, correction=0)
    assert gather(game, shifted, Batch(points), None, standard_of(points)).apart == pytest.approx(1, rel=1e-5)


def test_looking_changes_nothing() -> None:
    """Not the networks with their statistics, and no random number: a run is the same whatever is looked at."""
    discriminator = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 1)
    )
    game = judged_by(nn.Sequential(discriminator, nn.Flatten(0)))
    before, drawn = {key: value.clone() for key, value in game.state_dict().items()}, torch.get_rng_state()
    real = real_batch(30, (1, 8, 8))
    gather(game, real.images, real, real, standard_of(real.images))
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(value, before[key]) for key, value in game.state_dict().items())
    assert game.training


def test_packs_and_numbers_that_are_none() -> None:
    game = game_of((3,), remedies=Remedies(pack=4))
    real = real_batch(101)
    assert gather(game, real.images, real, None, standard_of(real.images)).accuracy >= 0
    spoilt = real.images.clone()
    spoilt[3, 1] = torch.nan
    evidence = gather(game, spoilt, real, None, standard_of(real.images))
    assert evidence == Evidence(101, finite=False)


# real games


def healths(data: str | Path, out: Path, **settings: Any) -> list[tuple[int, str]]:
    """The verdicts of a run, by images shown; of one that diverges, those before."""
    recipe, images = settings.pop("recipe", "quick"), settings.pop("images")
    flat = {key.replace("__", "."): value for key, value in settings.items()}
    with suppress(DivergedError):
        zerosum.train(str(data), recipe=recipe, out=out, images=images, settings={"training.threads": 1} | flat)
    records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    assert all("evidence" in record for record in records)
    return [(record["images"], record["health"]) for record in records]


def test_a_constant_generator_raises_the_alarm_at_the_next_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the count of images shown: here a few hundred."""
    report = Reporter.report

    def then_constant(reporter: Reporter, state: State, means: dict[str, float], rate: float) -> None:
        report(reporter, state, means, rate)
        if state.images == 384:
            assert state.ema is not None
            for network in (state.game.get_submodule("generator"), state.ema.network):
                for parameter in network.parameters():
                    torch.nn.init.zeros_(parameter)

    monkeypatch.setattr(Reporter, "report", then_constant)
    found = healths("digits", tmp_path / "run", images=640, training__report_every=128)
    assert [health for images, health in found if images <= 384] == [HEALTHY] * 3
    assert next(health for images, health in found if images == 512).startswith(COLLAPSE)


def test_learning_rates_far_too_high_are_told(tmp_path: Path) -> None:
    found = healths(
        "digits", tmp_path / "run", images=1920, training__report_every=128, generator__lr=1.0, discriminator__lr=1.0
    )
    assert found[0][1] == HEALTHY or found[0][1].startswith((COLLAPSE, DIVERGING))
    assert any(health.startswith(DIVERGING) for _, health in found[1:]), found


def test_a_discriminator_on_fifty_images_memorises_them(tmp_path: Path) -> None:
    """And on 4,500 it does not. Without held-out images nothing is said."""
    np.save(tmp_path / "few.npy", open_data("mnist-5k").take(np.arange(0, 5000, 50)), allow_pickle=False)
    common: dict[str, Any] = {"training__report_every": 2000, "data__size": "20"}
    few = healths(tmp_path / "few.npy", tmp_path / "few", images=12_000, data__holdout=0.5, **common)
    assert few[-1][1].startswith(MEMORISES), few
    many = healths("mnist-5k", tmp_path / "many", images=6000, data__holdout=0.1, **common)
    assert {health for _, health in many} == {HEALTHY}, many


PLAIN: dict[str, Any] = {
    "game__loss": "non-saturating",
    "game__penalties": {},
    "game__remedies__noise__start": 0.0,
    "game__remedies__noise__end": 0.0,
    "generator__betas": [0.5, 0.999],
    "generator__options": {"hidden": [128, 128], "slope": 0.0, "init": "pytorch", "output": "linear"},
    "discriminator__betas": [0.5, 0.999],
    "discriminator__lr": 1e-4,
    "discriminator__options": {"hidden": [128, 128], "slope": 0.0, "init": "pytorch", "dropout": 0.0},
}


def test_a_gan_without_any_remedy_hops_from_mode_to_mode(tmp_path: Path) -> None:
    """And the recipe made for such data does not."""
    common: dict[str, Any] = {"recipe": "points", "training__compile": False}
    ill = healths("ring8", tmp_path / "ill", images=150_000, training__report_every=10_000, **common, **PLAIN)
    assert sum(health.startswith((COLLAPSE, OSCILLATING)) for _, health in ill) >= len(ill) / 2, ill
    well = healths("ring8", tmp_path / "well", images=18_000, training__report_every=2000, **common)
    assert {health for _, health in well} == {HEALTHY}, well


def test_a_short_healthy_run_raises_no_alarm(finished_run: Path) -> None:
    records = [json.loads(line) for line in (finished_run / "records.jsonl").read_text().splitlines()]
    assert {record["health"] for record in records} == {HEALTHY}
    assert all(Evidence.of_record(record) is not None for record in records)
