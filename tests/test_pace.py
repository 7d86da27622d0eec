"""When the loop reports, judges and saves, and what it says of its speed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from zerosum.training.loop import Pace
from zerosum.training.plan import Plan


def at(images: int, seconds: float) -> Any:
    """How far a run is."""
    return SimpleNamespace(images=images, seconds=seconds)


def test_the_speed_is_that_of_training_alone() -> None:
    """A run by the clock may end with the time that a save took: then the speed is the one before that."""
    pace = Pace(Plan(batch=10, micro_batch=10, images=None, seconds=10.0), at(0, 0.0))
    assert pace.rate(at(50, 0.5)) == pytest.approx(100)
    pace.saved(at(50, 0.5))
    pace.resume(at(50, 9.0))
    assert pace.rate(at(60, 9.2)) == pytest.approx(50)
    for seconds in (9.2, 10.5):
        pace.resume(at(60, seconds))
        assert pace.rate(at(60, seconds + 1)) == pytest.approx(50)


@pytest.mark.parametrize("reports", [None, 1000])
def test_a_judgement_is_a_report(reports: int | None) -> None:
    plan = Plan(batch=10, micro_batch=10, images=9000, seconds=None, report_every=reports, evaluate_every=300)
    pace = Pace(plan, at(0, 0.0))
    assert [images for images in range(10, 700, 10) if pace.reports(at(images, 0.0))][:3] == [300, 310, 320]
    pace.reported(at(300, 0.0))
    assert not pace.reports(at(590, 0.0))
    assert pace.reports(at(600, 0.0))
