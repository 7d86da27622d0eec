"""An ensemble is its members, each what its seed alone would train; kills, samples and means over all of them."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zerosum
import zerosum.at_once
import zerosum.ensemble
import zerosum.run
from conftest import Shell
from test_resume import await_that, end_of, records_of, reports_in
from zerosum.errors import DivergedError, RunError, UsageError
from zerosum.files import load_tensors, save_tensors
from zerosum.model import Ensemble
from zerosum.report import write_report
from zerosum.run import Run
from zerosum.training.checkpoint import existing
from zerosum.training.run_folder import EnsembleFolder, RunFolder

SETTINGS = {"training.batch": 32, "training.report_every": 64, "training.checkpoint_every": 64, "training.threads": 1}


IMAGES = 640


def train(out: Path, images: int = IMAGES, **changed: Any) -> Run:
    """`quick` on digits: lazy penalties, BatchNorm and an average."""
    settings = SETTINGS | changed.pop("settings", {})
    return zerosum.train("digits", out=out, images=images, settings=settings, **changed)


@pytest.fixture(scope="module")
def three(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three members of seeds 7, 8, 9: ten reports each. Not to be written to."""
    run = tmp_path_factory.mktemp("ensembles") / "three"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROSUM_CACHE", str(session_cache))
        torch.set_num_threads(1)
        train(run, seed=7, ensemble=3)
    return run


@pytest.fixture
def own_three(three: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(three, tmp_path / "three"))


@pytest.fixture
def fewer_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members' reports stay undrawn, the ensemble's is drawn: pictures take ten times as long as these trainings."""

    def write(path: Path) -> Path:
        if not (path / "members").is_dir():
            (path / "report.html").write_text("not drawn")
        return write_report(path) if (path / "members").is_dir() else path / "report.html"

    for room in (zerosum.run, zerosum.at_once, zerosum.ensemble):
        monkeypatch.setattr(room, "write_report", write)


def test_a_member_is_what_its_seed_alone_would_train(three: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in (three / "members").iterdir()) == ["0", "1", "2"]
    for number in (0, 2):
        alone, member = tmp_path / str(number), three / "members" / str(number)
        train(alone, seed=7 + number)
        assert end_of(member) == end_of(alone)
        assert records_of(member) == records_of(alone)
        assert (member / "config.toml").read_bytes() == (alone / "config.toml").read_bytes()
        names = [sorted(str(path.relative_to(run)) for path in run.rglob("*")) for run in (alone, member)]
        assert names[0] == names[1]
    text = (three / "config.toml").read_text()
    assert "ensemble = 3" in text
    assert "seed = 7" in text
    status = json.loads((three / "status.json").read_text())
    assert (status["state"], status["images"]) == ("done", 3 * IMAGES)


@pytest.mark.usefixtures("fewer_pictures")
def test_killed_or_stopped_in_the_middle_and_resumed_is_the_same_ensemble(
    three: Path, shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shell.folder / "run"
    words: list[object] = ["train", "digits", "--ensemble", 3, "--seed", 7, "--images", IMAGES, "--out", run]
    words += [word for key, value in SETTINGS.items() for word in (f"--{key}", value)]
    members = [run / "members" / number for number in "012"]
    first = shell.start(*words)
    await_that(lambda: reports_in(members[1]) >= 2, first)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    untouched = (members[0] / "records.jsonl").stat().st_mtime_ns
    then = shell.start(*words)
    before = reports_in(members[1])
    await_that(lambda: reports_in(members[1]) > before, then)
    then.send_signal(signal.SIGTERM)
    assert "Stopped and saved" in shell.finish(then, code=143)
    assert json.loads((run / "status.json").read_text())["state"] == "stopped"
    assert not members[2].exists()
    train(run, seed=7, ensemble=3)
    said = capsys.readouterr().out
    assert "member 3 of 3 (members/2)" in said
    assert "member 1 of 3" not in said
    assert (members[0] / "records.jsonl").stat().st_mtime_ns == untouched
    for member in members:
        assert end_of(member) == end_of(three / "members" / member.name)
    assert records_of(members[2]) == records_of(three / "members" / "2")


@pytest.mark.usefixtures("fewer_pictures")
def test_a_member_is_added_and_a_later_end_trains_all_on(own_three: Path) -> None:
    assert train(own_three, 704, seed=7, ensemble=4).images == 4 * 704
    assert {end_of(own_three / "members" / number)["at"] for number in "0123"} == {"000000704"}
    assert "ensemble = 4" in (own_three / "config.toml").read_text()
    again = (own_three / "report.html").stat().st_mtime_ns
    zerosum.train(recipe=own_three / "config.toml", out=own_three)
    assert (own_three / "report.html").stat().st_mtime_ns == again


def test_width_of_the_names(tmp_path: Path) -> None:
    """By the count; a folder that is there keeps its name when the ensemble grows."""
    folder = EnsembleFolder(tmp_path)
    assert folder.member(3, 16).name == "03"
    (tmp_path / "members" / "3").mkdir(parents=True)
    assert folder.member(3, 16).name == "3"
    assert folder.member(12, 16).name == "12"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ensemble": 2}, "Members may be added, not taken away: give --ensemble 3"),
        ({"ensemble": 1}, "asks for a single run"),
        ({"ensemble": 3, "settings": {"generator.lr": 0.5}}, "generator.lr: the run has"),
        ({"ensemble": 3, "seed": 8}, "training.seed: the run has 7, the command says 8"),
    ],
)
def test_what_an_ensemble_refuses(changed: dict[str, Any], words: str, own_three: Path) -> None:
    before = (own_three / "config.toml").read_bytes()
    with pytest.raises(UsageError, match=words):
        train(own_three, **({"seed": 7} | changed))
    assert (own_three / "config.toml").read_bytes() == before


def test_refused_starts(finished_run: Path, tmp_path: Path, own_three: Path) -> None:
    single = shutil.copytree(finished_run, tmp_path / "single")
    with pytest.raises(UsageError, match="holds a single run"):
        zerosum.train("digits", out=single, images=640, ensemble=2)
    assert zerosum.load(single).sample(1).shape == (1, 8, 8, 1)
    for changed in ({"seed": 2**63 - 2, "ensemble": 3}, {"ensemble": 2, "settings": {"game.loss": "hing"}}):
        with pytest.raises(UsageError):
            train(tmp_path / "refused", **changed)  # type: ignore[arg-type]
        assert not (tmp_path / "refused").exists()
    for path, folder in ((own_three, EnsembleFolder), (own_three / "members" / "1", RunFolder)):
        with folder(path), pytest.raises(RunError, match="Another process trains in"):
            train(own_three, 704, seed=7, ensemble=3)


def test_samples_come_from_all_members(three: Path) -> None:
    model = zerosum.load(three)
    assert isinstance(model, Ensemble)
    many = model.sample(200, seed=3)
    assert many.shape == (200, *model.shape[1:], model.shape[0]) == (200, 8, 8, 1)
    for count in (0, 1, 63, 64, 65, 199):
        assert np.array_equal(model.sample(count, seed=3), many[:count])
    own = [zerosum.load(three / "members" / str(number)).sample(200, seed=3) for number in range(3)]
    chosen = model.chosen(200, seed=3).numpy()
    assert np.array_equal(many, np.stack(own)[chosen, np.arange(200)])
    counts = np.bincount(model.chosen(9000, seed=1).numpy(), minlength=3)
    assert len(counts) == 3
    assert abs(counts - 3000).max() < 4 * np.sqrt(9000 * 2 / 9)  # four deviations of a binomial count
    assert not torch.equal(model.chosen(200, seed=3), model.chosen(200, seed=4))
    assert model.sample(2, seed=3, output="pil")[1].tobytes() == model.pictures(many[:2])[1].tobytes()


def test_an_ensemble_that_cannot_be_sampled(own_three: Path) -> None:
    file = own_three / "members" / "1" / "model" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(RunError, match="members/1"):
        zerosum.load(own_three)
    shutil.rmtree(file.parent)
    assert len(zerosum.load(own_three).members) == 2
    for number in "02":
        shutil.rmtree(own_three / "members" / number / "model")
    with pytest.raises(RunError, match="none of its members has a model yet"):
        zerosum.load(own_three)


def poison(run: Path) -> None:
    """One weight of the newest checkpoint becomes NaN."""
    newest = existing(run / "checkpoints")[-1]
    tensors, about = load_tensors(newest, "state")
    next(value for name, value in tensors.items() if name.startswith("game.generator") and value.dim() > 1).fill_(
        np.nan
    )
    save_tensors(newest, "state", tensors, {key: about[key] for key in ("format", "images", "seconds")})


@pytest.mark.usefixtures("fewer_pictures")
def test_a_member_that_diverges(own_three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others go on; it is named, left out of samples and means, and left as it is by the same command."""
    poison(own_three / "members" / "1")
    for again in (False, True):
        with pytest.raises(DivergedError, match=r"Member 2 of 3 \(members/1\) has diverged\. The game diverged at"):
            train(own_three, 704, seed=7, ensemble=3)
        said = capsys.readouterr().out
        assert ("member 3 of 3" in said) is not again
        assert {end_of(own_three / "members" / number)["at"] for number in "02"} == {"000000704"}
        assert json.loads((own_three / "status.json").read_text())["state"] == "diverged"
    assert len(zerosum.load(own_three).members) == 2
    table = json.loads((own_three / "ensemble.json").read_text())
    assert [member["counts"] for member in table["members"]] == [True, False, True]
    assert table["final"]["losses"]["generator"]["members"] == 2
    assert "without what diverged: member 1" in (own_three / "report.html").read_text()


def test_the_report_has_mean_and_deviation_of_every_figure(three: Path) -> None:
    records = [records_of(three / "members" / number) for number in "012"]
    table = json.loads((three / "ensemble.json").read_text())
    page = (three / "report.html").read_text()
    for kind in ("losses", "outputs", "gradients"):
        assert table["final"][kind].keys() == records[0][-1][kind].keys()
        for name, found in table["final"][kind].items():
            values = np.array([[record[kind][name] for record in own] for own in records])
            assert found["mean"] == pytest.approx(values[:, -1].mean(), rel=1e-12)
            assert found["deviation"] == pytest.approx(values[:, -1].std(ddof=1), rel=1e-9)
            assert (found["lowest"], found["highest"]) == (values[:, -1].min(), values[:, -1].max())
            assert found["members"] == 3
            assert f"{values[:, -1].mean():.4g} ± {values[:, -1].std(ddof=1):.2g}" in page
            curve = table["curves"][kind][name]
            assert curve["images"] == list(range(64, IMAGES + 1, 64))
            np.testing.assert_allclose(curve["mean"], values.mean(axis=0), rtol=1e-12)
            np.testing.assert_allclose(curve["deviation"], values.std(axis=0, ddof=1), rtol=1e-9)
    newest = [[line["parts"]["r1"] for line in own if "r1" in line["parts"]][-1] for own in records]  # it is lazy
    assert table["final"]["parts"]["r1"]["mean"] == pytest.approx(np.mean(newest))
    for number in "012":
        assert f'href="members/{number}/report.html"' in page
    for name in ("samples", "members", "losses", "outputs", "parts", "pace"):
        with Image.open(three / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 200


def test_curves_of_members_that_reported_at_different_moments(own_three: Path) -> None:
    """On the line between two reports: member 1 lacks the second, and member 2 has not come to the last."""
    for number, gone in (("1", 128), ("2", IMAGES)):
        file = own_three / "members" / number / "records.jsonl"
        lines = [line for line in file.read_text().splitlines() if json.loads(line)["images"] != gone]
        file.write_text("".join(f"{line}\n" for line in lines))
    write_report(own_three)
    losses = [[line["losses"]["generator"] for line in records_of(own_three / "members" / n)] for n in "012"]
    found = json.loads((own_three / "ensemble.json").read_text())["curves"]["losses"]["generator"]
    assert found["images"] == list(range(64, IMAGES + 1, 64))
    assert found["members"] == [3] * 9 + [2]
    assert found["mean"][1] == pytest.approx(np.mean([losses[0][1], np.mean(losses[1][:2]), losses[2][1]]))
    assert found["mean"][-1] == pytest.approx(np.mean([losses[0][-1], losses[1][-1]]))


@pytest.mark.usefixtures("fewer_pictures")
def test_points_of_all_members(tmp_path: Path) -> None:
    settings = {"training.report_every": 200, "training.compile": False}
    run = zerosum.train(
        "gaussian", recipe="gan-gaussian", out=tmp_path / "run", images=400, ensemble=2, settings=settings
    )
    model = run.model
    many = model.sample(100, seed=5)
    assert many.shape == (100, 2)
    np.testing.assert_allclose(model.sample(37, seed=5), many[:37], rtol=1e-6)
    with Image.open(run.path / "figures" / "scatter.png") as picture:
        assert picture.width == 1000
    final = json.loads((run.path / "ensemble.json").read_text())["final"]["points"]
    ends = [records_of(run.path / "members" / number)[-1]["points"] for number in "01"]
    assert final["mean 2"]["mean"] == pytest.approx(np.mean([end["mean"][1] for end in ends]))
    assert final["covariance 1 2"]["deviation"] == pytest.approx(
        np.std([end["covariance"][0][1] for end in ends], ddof=1)
    )
