"""Points less their mean, by their deviation: for training alone; what is released speaks in the data's units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import zerosum
from zerosum.data import normalise, open_data, to_pixels
from zerosum.errors import DataError, UsageError


def test_points_are_of_unit_deviation_and_come_back() -> None:
    store = open_data("grid25").standardised()
    raw = store.gather(np.arange(len(store)))
    made = normalise(raw, store.low, store.high)
    assert float(made.mean()) == pytest.approx(0, abs=1e-5)
    assert float(made.std()) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(to_pixels(made, store.low, store.high, np.dtype(np.float32)), raw.numpy(), atol=1e-5)


def test_pictures_and_points_of_one_number_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="for points"):
        open_data("digits").standardised()
    np.save(tmp_path / "same.npy", np.full((50, 2), 3.0, dtype=np.float32))
    with pytest.raises(DataError, match="nothing to standardise"):
        open_data(str(tmp_path / "same.npy")).standardised()


def test_a_released_model_speaks_in_the_datas_units(tmp_path: Path) -> None:
    np.save(tmp_path / "far.npy", np.random.default_rng(0).normal(500, 20, (400, 2)).astype(np.float32))
    settings = {"training.batch": 16, "training.report_every": 160}
    run = zerosum.train(tmp_path / "far.npy", recipe="points", images=160, out=tmp_path / "run", settings=settings)
    model = run.model
    inside = model.generate(model.latents(8, seed=3)).numpy()
    assert np.abs(inside).max() < 10
    low, high = model.config["data"]["low"], model.config["data"]["high"]
    assert (low + high) / 2 == pytest.approx(500, abs=3)
    assert (high - low) / 2 == pytest.approx(20, abs=2)
    np.testing.assert_allclose(model.sample(8, seed=3), inside * (high - low) / 2 + (low + high) / 2, rtol=1e-5)
    with pytest.raises(UsageError, match="other settings"):
        zerosum.train(
            tmp_path / "far.npy",
            recipe="points",
            images=160,
            out=tmp_path / "run",
            settings=settings | {"data.standardise": False},
        )
