"""Judging runs that are no lone generator: translators beside the pictures wanted, ensembles with their error bars."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zerosum
from pictures import SIDE, write_pairs
from zerosum.data import Degradation, hold_out_by_name, open_data
from zerosum.errors import RunError, UsageError
from zerosum.evaluate import evaluate as judge
from zerosum.evaluation import evaluate, fitting, side_of_model, side_of_store, side_of_translations
from zerosum.evaluation.members import of_members, over_members
from zerosum.metrics import extractor, ssim
from zerosum.sampler import Sampler
from zerosum.translator import Translator

COUNT = 40  # pairs, of which one in five is held out
TINY = {"generator.options.width": 4, "training.threads": 1, "training.report_every": 16, "data.holdout": 0.2}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders of pictures; the first has more of them, without partners."""
    return write_pairs(tmp_path_factory.mktemp("pairs"), COUNT)


@pytest.fixture(scope="module")
def runs(session_cache: Path, pairs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs that translate, just begun. Not to be written to."""
    outlines, filled = map(str, pairs)
    folder, field = tmp_path_factory.mktemp("runs"), {"discriminator.options.field": 16}
    asked = {
        "paired": ("pix2pix", outlines, {"data.target": filled} | field),
        "holes": ("inpainting", filled, {"discriminator.options.width": 4}),
        "unpaired": ("cyclegan", None, {"data.a": filled, "data.b": outlines, "data.channels": 3} | field),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROSUM_CACHE", str(session_cache))
        for name, (recipe, source, settings) in asked.items():
            zerosum.train(source, recipe=recipe, out=folder / name, images=16, settings=TINY | settings)
    return folder


def held_names(folder: Path) -> list[str]:
    store = open_data(folder)
    assert store.names is not None
    return [store.names[row] for row in hold_out_by_name(store, 0.2)[1]]


def pixels(path: Path) -> np.ndarray:
    """(H, W, C) of a file."""
    array = np.asarray(Image.open(path))
    return array if array.ndim == 3 else array[..., None]


def test_pairs_are_those_of_the_files(runs: Path, pairs: tuple[Path, Path], tmp_path: Path) -> None:
    """Against the held-out files themselves, each translated alone and compared by hand with its target."""
    outlines, filled = pairs
    model = zerosum.load(runs / "paired")
    assert isinstance(model, Translator)
    two = [(model.translate(pixels(outlines / name)), pixels(filled / name)) for name in held_names(filled)]
    made, wanted = (np.stack(side).astype(np.float64) for side in zip(*two, strict=True))
    errors = ((made - wanted) ** 2).mean((1, 2, 3))
    as_seen = [torch.from_numpy(side / 127.5 - 1).permute(0, 3, 1, 2) for side in (made, wanted)]
    found = judge(runs / "paired", metrics=("pairs",), features="random", out=tmp_path / "it.json").evaluation
    assert found.figures["l1"] == pytest.approx(np.abs(made - wanted).mean() / 127.5, rel=1e-5)
    assert found.figures["psnr"] == pytest.approx((10 * np.log10(255**2 / errors)).mean(), rel=1e-5)
    assert found.figures["ssim"] == pytest.approx(float(ssim(*as_seen).mean()), rel=1e-4)
    protocol = found.protocol
    weights = json.loads((runs / "paired" / "model" / "config.json").read_text())["file"]["sha256"]
    assert protocol["made"] == {
        "name": "paired",
        "kind": "translations",
        "part": "held out",
        "count": len(two),
        "of": len(two),
        "shape": [3, SIDE, SIDE],
        "seed": 0,
        "sha256": weights,
    }
    assert (protocol["real"]["part"], protocol["real"]["count"]) == ("held out", len(two))
    assert f"paired (translations, held out: {len(two)}) against filled (held out: {len(two)})" in found.words()


def test_copies_are_looked_for_where_it_was_trained(runs: Path, pairs: tuple[Path, Path], tmp_path: Path) -> None:
    """Of held-out pictures too; where none were held out, those it was trained on are judged and searched."""
    everything = Path(shutil.copytree(runs / "holes", tmp_path / "run"))
    config = (everything / "config.toml").read_text()
    (everything / "config.toml").write_text(config.replace("holdout = 0.2", "holdout = 0.0"))
    (everything / "data.json").write_text(json.dumps({"digest": open_data(pairs[1]).digest}))
    held, whole = (
        judge(run, metrics=("nearest",), features="pixels", out=tmp_path / "it.json").evaluation.protocol
        for run in (runs / "paired", everything)
    )
    count = held["real"]["count"]
    assert (held["trained"]["part"], held["trained"]["count"]) == ("trained on", COUNT - count)
    assert held["measures"]["nearest"] | {"duplicates within": 0} == {
        "among": COUNT - count,
        "of": COUNT - count,
        "real": "held-out images",
        "duplicates within": 0,
        "share of real images within": 0.01,
    }
    assert (whole["made"]["part"], whole["made"]["count"]) == ("trained on", COUNT)
    assert (whole["trained"], whole["held"]) == (None, None)
    assert whole["measures"]["nearest"]["real"].startswith("training images")


def test_without_pairs_a_goes_to_b(runs: Path, pairs: tuple[Path, Path], tmp_path: Path) -> None:
    outlines, filled = pairs
    model = zerosum.load(runs / "unpaired")
    assert isinstance(model, Translator)
    found = judge(runs / "unpaired", features="pixels", metrics=("frechet",), out=tmp_path / "it.json").evaluation
    names = held_names(filled)
    made = np.stack([model.translate(pixels(filled / name), "a-to-b") for name in names])
    np.save(tmp_path / "made.npy", made)
    folder = tmp_path / "b"
    folder.mkdir()
    for name in held_names(outlines):
        shutil.copy(outlines / name, folder)
    by_hand = judge(tmp_path / "made.npy", folder, features="pixels", metrics=("frechet",)).evaluation
    assert found.protocol["made"]["count"] == len(names)
    assert found.figures["frechet[pixels]"] == pytest.approx(by_hand.figures["frechet[pixels]"], rel=1e-4)
    with pytest.raises(UsageError, match="pairs is of translations beside the pictures wanted of the same rows"):
        judge(runs / "unpaired", features="random", metrics=("pairs",))


def test_holes_follow_from_the_seed_alone(runs: Path, tmp_path: Path) -> None:
    def figures(seed: int) -> dict[str, float]:
        asked = {"metrics": ("pairs",), "features": "random", "out": tmp_path / "it.json"}
        return judge(runs / "holes", seed=seed, **asked).evaluation.figures

    assert figures(3) == figures(3)
    assert figures(3)["l1"] != figures(4)["l1"]


def test_translations_are_the_same_in_any_portion(runs: Path, pairs: tuple[Path, Path]) -> None:
    model = zerosum.load(runs / "holes")
    assert isinstance(model, Translator)
    store = open_data(pairs[1])
    side = side_of_translations(model, store, Degradation.parse("mask:box"), 5)
    real = side_of_store(store)
    assert side.shape == real.shape
    torch.testing.assert_close(side.images(13, 4), side.images(0, 17)[13:])
    same = (side.images(0, 8) == real.images(0, 8)).all(1).float().mean()
    assert 0.2 < float(same) < 0.95, "what no hole takes away stays, at its own place"
    assert "pairs" in fitting(side, real)
    others = side_of_store(store.part(np.arange(len(store))[::-1]))
    assert "pairs" not in fitting(side, others), "the same pictures in another order"
    weights = next(iter(model.networks["generator"].parameters()))
    torch.nn.init.constant_(weights, float("nan"))
    with pytest.raises(RunError, match="translations 0 to 1 are not finite"):
        side.images(0, 2)


def test_a_translator_is_one_of_any_two(runs: Path, pairs: tuple[Path, Path], tmp_path: Path) -> None:
    common = {"metrics": ("frechet",), "features": "random", "out": tmp_path / "it.json"}
    one = judge(runs / "paired", pairs[1], **common).evaluation
    other = judge(pairs[1], runs / "paired", **common).evaluation
    assert one.figures["frechet[random]"] == pytest.approx(other.figures["frechet[random]"])
    assert [one.protocol[side]["kind"] for side in ("made", "real")] == ["translations", "data"]
    two = judge(runs / "paired", runs / "holes", **common).evaluation.protocol
    assert (two["made"]["name"], two["real"]["name"]) == ("paired", "holes")
    for words in ((runs / "paired" / "model", pairs[1]), (pairs[1], runs / "paired" / "model")):
        with pytest.raises(UsageError, match="nobody knows which ones: name its run folder"):
            judge(*words, **common)


def test_what_few_pictures_allow(runs: Path, tmp_path: Path) -> None:
    """What is not asked for is left out where there are too few for it; what is asked for is an error."""
    found = judge(runs / "paired", features="random", count=4, out=tmp_path / "it.json").evaluation
    assert "prdc" not in found.protocol["measures"]
    assert {"frechet[random]", "psnr", "nearest[random]"} <= set(found.figures)
    assert set(judge(runs / "paired", features="random", count=1, out=tmp_path / "it.json").evaluation.figures) == {
        "l1",
        "psnr",
        "ssim",
    }
    with pytest.raises(UsageError, match="prdc needs 6"):
        judge(runs / "paired", features="random", count=4, metrics=("prdc",))


# ---------------------------------------------------------------- ensembles


@pytest.fixture(scope="module")
def ensemble(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators of digits, hardly trained. Not to be written to."""
    run = tmp_path_factory.mktemp("runs") / "three"
    settings = {"training.ensemble": 3, "training.threads": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROSUM_CACHE", str(session_cache))
        zerosum.train("digits", out=run, images=64, settings=settings)
    return run


@pytest.mark.parametrize("second", [None, "digits"])
def test_an_ensemble_is_judged_as_one_and_by_its_members(ensemble: Path, second: str | None, tmp_path: Path) -> None:
    common = {"metrics": ("frechet", "prdc"), "features": "random", "count": 60, "seed": 2}
    outcome = judge(ensemble, second, out=tmp_path / "it.json", **common)
    model = zerosum.load(ensemble)
    assert isinstance(model, Sampler)
    whole = evaluate(
        side_of_model(model, 2), side_of_store(open_data("digits")), ("frechet", "prdc"), extractor("random"), count=60
    )
    assert outcome.evaluation.figures == whole.figures
    alone = [judge(ensemble / "members" / str(k), "digits", out=tmp_path / "x.json", **common) for k in range(3)]
    content = json.loads((tmp_path / "it.json").read_text())
    assert set(content["members"]) == set(content["figures"])
    for name, spread in content["members"].items():
        values = [one.evaluation.figures[name] for one in alone]
        assert spread["values"] == values
        assert spread["mean"] == pytest.approx(np.mean(values))
        assert spread["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert [each["name"] for each in content["protocol"]["members"]] == [f"members/{k}" for k in range(3)]
    assert len({each["sha256"] for each in content["protocol"]["members"]}) == 3
    lines = outcome.evaluation.words().splitlines()
    assert "over 3 members, mean ± standard deviation:" in lines
    assert any(line.startswith("members/2: frechet[random] ") for line in lines)


def test_a_member_that_diverged_does_not_count(ensemble: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(ensemble, tmp_path / "run"))
    for number in (0, 2):
        status = run / "members" / str(number) / "status.json"
        status.write_text(json.dumps(json.loads(status.read_text()) | {"state": "diverged"}))
    found = judge(run, metrics=("frechet",), features="random", count=20).evaluation
    content = json.loads((run / "evaluation.json").read_text())
    assert [each["name"] for each in content["protocol"]["members"]] == ["members/1"]
    assert content["members"]["frechet[random]"]["deviation"] is None
    assert content["members"]["frechet[random]"]["values"] == [found.figures["frechet[random]"]], "all there is"
    assert "over 1 member:" in found.words()


def test_a_figure_that_a_member_lacks() -> None:
    members = {"members/0": {"a": 1.0, "b": 5.0}, "members/1": {"a": 4.0}}
    spreads = over_members(members)
    assert (spreads["a"].mean, spreads["b"].values, spreads["b"].mean) == (2.5, (5.0, None), 5.0)
    assert spreads["a"].deviation == pytest.approx(math.sqrt(4.5))
    assert spreads["b"].deviation is None
    assert of_members(members)[-1] == "members/1: a 4"
