"""Judging in training, and what follows from a collapse: figures, the best model, patience, rollbacks, a real kill."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import zerosum
from test_diagnosis import PLAIN
from zerosum import run
from zerosum.cli import main
from zerosum.diagnosis import COLLAPSE, HEALTHY
from zerosum.errors import CollapsedError, DivergedError, RunError, UsageError
from zerosum.training import checkpoint
from zerosum.training.checkpoint import State
from zerosum.training.halt import MOST, Halt, after_collapse
from zerosum.training.judging import Judging, Rules, metrics_of, more_is_better
from zerosum.training.reporter import Reporter

SMALL: dict[str, Any] = {"training.threads": 1, "training.report_every": 640, "training.checkpoint_every": 640}
JUDGED: dict[str, Any] = {
    "evaluation.every": 640,
    "evaluation.metrics": ["frechet", "prdc"],
    "evaluation.features": "random",
    "evaluation.count": 50,
}


def records_of(run: Path) -> list[dict[str, Any]]:
    """The lines of records.jsonl."""
    return [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]


def newest_state(run: Path) -> str:
    """The SHA-256 of the newest checkpoint's tensors."""
    return hashlib.sha256(
        sorted(run.glob("checkpoints/[0-9]*"))[-1].joinpath("state.safetensors").read_bytes()
    ).hexdigest()


def test_figures_are_those_of_the_verb_and_change_nothing(tmp_path: Path) -> None:
    """At each multiple and at the end; the same training without them ends in the same bytes."""
    judged, plain = tmp_path / "judged", tmp_path / "plain"
    zerosum.train("digits", out=judged, images=1600, settings=SMALL | JUDGED)
    zerosum.train("digits", out=plain, images=1600, settings=SMALL)
    assert newest_state(judged) == newest_state(plain)
    found = {record["images"]: record["evaluation"] for record in records_of(judged) if "evaluation" in record}
    assert list(found) == [640, 1280, 1600]
    outcome = zerosum.evaluate(judged, metrics=("frechet", "prdc"), features="random", count=50)
    assert found[1600] == pytest.approx(outcome.evaluation.figures, rel=1e-3)
    assert found[640]["frechet[random]"] != found[1280]["frechet[random]"]


def test_a_report_is_made_where_a_judgement_is_due(tmp_path: Path) -> None:
    settings = JUDGED | {"training.threads": 1, "evaluation.every": 256, "evaluation.metrics": []}
    zerosum.train("digits", out=tmp_path / "run", images=640, settings=settings)
    found = {
        record["images"]: set(record["evaluation"]) for record in records_of(tmp_path / "run") if "evaluation" in record
    }
    assert found == {images: {"frechet[random]"} for images in (256, 512, 640)}


def test_the_best_is_kept_and_patience_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures made up, so that the second is the best: two more, and it is over; the same command says so."""
    made_up = iter((0.3, 0.7, 0.5, 0.7, 0.6))
    monkeypatch.setattr(Judging, "judge", lambda self, model: {"precision[random]": next(made_up)})
    out = tmp_path / "run"
    command = [
        "train",
        "digits",
        "--out",
        str(out),
        "--images",
        "32k",
        "--evaluate-every",
        "640",
        "--best",
        "precision",
    ]
    command += ["--patience", "2", "--evaluation.features", "random"]
    command += [word for key, value in SMALL.items() for word in (f"--{key}", str(value))]
    assert main(command) == 0
    assert [record["images"] for record in records_of(out)] == [640, 1280, 1920, 2560]
    why = "precision[random] became no better in 2 evaluations than 0.7 at image 1,280"
    assert json.loads((out / "status.json").read_text())["reason"] == why
    assert zerosum.load(out / "best").config["images"] == 1280
    assert json.loads((out / "checkpoints/best/state.json").read_text())["images"] == 1280
    assert zerosum.load(out).config["images"] == 2560
    said = capsys.readouterr().out
    assert f"minutes, before its time: {why}." in said
    assert f"best model      {out / 'best'}: precision[random] 0.7 at image 1,280" in said
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "is done: 2,560 images" in said
    assert f"give more --patience, for {why}" in said
    assert json.loads((out / "status.json").read_text())["reason"] == why
    assert main([*command, "--patience", "3"]) == 0
    assert len(records_of(out)) == 5, "one more, and that is no better either"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"evaluation.best": "frechet"}, "--evaluate-every 200k"),
        ({"evaluation.every": 100, "evaluation.patience": 2}, "--best frechet"),
        ({"evaluation.every": 100, "evaluation.best": "loss"}, "no figure 'loss' to be the best by"),
        ({"evaluation.every": 100, "evaluation.best": "vendi"}, "no figure 'vendi' to be the best by"),
        ({"evaluation.every": 100, "evaluation.metrics": "fid"}, "no measure 'fid'"),
        ({"evaluation.every": 100, "evaluation.metrics": "prdc", "evaluation.best": "kernel"}, "--metrics prdc,kernel"),
        ({"evaluation.every": 100, "evaluation.features": "vgg"}, "no extractor 'vgg'"),
        ({"evaluation.every": 100, "evaluation.metrics": "prdc", "evaluation.count": 5}, "prdc needs 6 images"),
        ({"evaluation.every": 100, "evaluation.best": "frechet[pixels]"}, "give --evaluation.features pixels with it"),
        ({"evaluation.every": 100, "evaluation.best": "ppl-w"}, "of this generator is ppl-z"),
        (
            {"evaluation.every": 100, "evaluation.metrics": "modes", "evaluation.features": "random"},
            "modes is of points",
        ),
    ],
)
def test_what_cannot_be_judged_is_said_before_the_first_step(
    tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    features = {"evaluation.features": "random"} if "evaluation.every" in settings else {}
    with pytest.raises(UsageError) as error:
        zerosum.train("digits", out=tmp_path / "run", images=640, settings=features | settings)
    assert words in str(error.value)
    assert not (tmp_path / "run").exists()


def test_which_way_is_better() -> None:
    assert [more_is_better(name) for name in ("frechet", "kernel[random]", "reverse-kl", "ppl-z")] == [False] * 4
    assert [more_is_better(name) for name in ("precision", "coverage", "modes", "high-quality")] == [True] * 4
    assert metrics_of(Rules(1, best="coverage")) == ("prdc",)
    assert metrics_of(Rules(1)) == ("frechet",)


def test_a_collapse_counts_in_two_reports_that_looked() -> None:
    ill, well = (
        {"health": f"{COLLAPSE}: alike", "evidence": {"samples": 9}},
        {"health": HEALTHY, "evidence": {"samples": 9}},
    )
    repeated = {"health": ill["health"]}
    for history in ([], [ill], [ill, well], [well, ill], [ill, repeated], [ill, repeated, well]):
        assert after_collapse(history, "stop", 0) is None, history
    for history in ([ill, ill], [well, ill, repeated, ill], [ill, ill, repeated]):
        assert after_collapse(history, "continue", 0) is None
        for rule, rollbacks, kind in (("stop", 0, "fail"), ("rollback", MOST - 1, "back"), ("rollback", MOST, "fail")):
            halt = after_collapse(history, rule, rollbacks)  # type: ignore[arg-type]
            assert halt is not None
            assert halt.kind == kind


ILL: dict[str, Any] = {key.replace("__", "."): value for key, value in PLAIN.items()} | {
    "training.threads": 1,
    "training.compile": False,
    "training.report_every": 5000,
    "training.checkpoint_every": 5000,
}


def test_a_game_that_collapses_can_be_stopped(tmp_path: Path) -> None:
    """It may be made to go on all the same, by the same command but for this."""
    common: dict[str, Any] = {"recipe": "points", "out": tmp_path / "run", "images": 40_000}
    with pytest.raises(
        DivergedError, match=r"^Stopped at a collapse: .*--on-collapse continue goes on all the same\.$"
    ):
        zerosum.train("ring8", settings=ILL | {"training.on_collapse": "stop"}, **common)
    stopped = records_of(tmp_path / "run")
    assert [record["health"].startswith(COLLAPSE) for record in stopped[-2:]] == [True, True]
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "collapsed"
    run = zerosum.train("ring8", settings=ILL, **common)
    assert run.images >= 40_000
    assert records_of(tmp_path / "run")[: len(stopped)] == stopped


CHILD = """
import sys
import zerosum
from test_judging import ILL
from zerosum.errors import DivergedError
try:
    settings = ILL | {"training.on_collapse": "rollback"}
    zerosum.train("ring8", recipe="points", out=sys.argv[1], images=40_000, settings=settings)
except DivergedError as error:
    print(error)
"""


def test_rollbacks_lead_on_by_other_chance_and_survive_a_kill(tmp_path: Path) -> None:
    """Three times back, then the end; killed after the first, the run ends in the same bytes."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}

    def begin(out: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, str(out)], stdout=subprocess.PIPE, text=True, env=environment
        )

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    said, _ = begin(whole).communicate(timeout=120)
    assert "It went back 3 times, and collapsed again." in said
    with begin(killed) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("Back from image"):
                child.send_signal(signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    again, _ = begin(killed).communicate(timeout=120)
    assert "Going on from image" in again
    assert newest_state(killed) == newest_state(whole)
    rollbacks = records_of(whole)[-1]["rollbacks"]
    assert rollbacks == records_of(killed)[-1]["rollbacks"]
    assert [step["why"].startswith(COLLAPSE) for step in rollbacks] == [True] * MOST
    assert [step["from"] > step["to"] > 0 for step in rollbacks] == [True] * MOST
    with pytest.raises(DivergedError):
        zerosum.train(
            "ring8",
            recipe="points",
            out=tmp_path / "first",
            images=40_000,
            settings=ILL | {"training.on_collapse": "stop"},
        )
    name = f"samples/{rollbacks[0]['from']:09d}.json"
    assert (tmp_path / "first" / name).read_text() != (whole / name).read_text(), "by other chance, other samples"
    kept = [int(path.name) for path in sorted(whole.glob("checkpoints/[0-9]*"))]
    assert kept[0] == rollbacks[-1]["to"] < kept[-2], "the last healthy one is kept, however old"


def test_translators_are_judged_on_the_way_too(tmp_path: Path) -> None:
    """On what is held out, beside what was wanted: the last figures are those of the last report and of the verb."""
    settings = SMALL | JUDGED | {"evaluation.metrics": "pairs,frechet", "evaluation.best": "psnr", "data.holdout": 0.05}
    run = zerosum.train("digits", recipe="inpainting", out=tmp_path / "run", images=1280, settings=settings)
    last = records_of(run.path)[-1]
    outcome = zerosum.evaluate(run.path, metrics=("pairs", "frechet"), features="random", count=50)
    assert last["evaluation"] == pytest.approx(outcome.evaluation.figures, rel=1e-3)
    assert {"psnr", "l1", "ssim", "frechet[random]"} == last["evaluation"].keys()
    assert zerosum.load(run.path / "best").config["images"] in (640, 1280)


def silenced(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """The generator of a run makes the same of all latents from image `at` on, unless the run has gone back."""
    tick = Reporter.tick

    def then_constant(reporter: Reporter, state: State, progress: float) -> None:
        tick(reporter, state, progress)
        if state.images == at and not state.rollbacks:
            for network in (state.game.get_submodule("generator"), state.ema.network if state.ema else None):
                for parameter in network.parameters() if network is not None else ():
                    torch.nn.init.zeros_(parameter)

    monkeypatch.setattr(Reporter, "tick", then_constant)


def test_healthy_is_what_a_report_has_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collapse comes between a healthy report and the checkpoints after it: those are not gone back to."""
    silenced(monkeypatch, at=832)
    settings = SMALL | {"training.checkpoint_every": 128, "training.on_collapse": "rollback"}
    run = zerosum.train("digits", out=tmp_path / "run", images=2560, settings=settings)
    (step,) = records_of(run.path)[-1]["rollbacks"]
    assert (step["from"], step["to"]) == (1920, 640)
    assert {record["health"] for record in records_of(run.path)} == {HEALTHY}


def test_a_collapse_at_the_end_of_the_time_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that was spent stays spent: the run ends where it was healthy, and says so."""
    report = Reporter.report

    def too_late(reporter: Reporter, state: State, means: dict[str, float], rate: float) -> Halt:
        report(reporter, state, means, rate)
        state.seconds = 2 * 60.0
        return Halt("back", "collapse: made up")

    monkeypatch.setattr(Reporter, "report", too_late)
    settings = {"training.threads": 1, "training.report_every": 128, "training.on_collapse": "rollback"}
    with pytest.raises(CollapsedError, match="At the end of its time a collapse: made up"):
        zerosum.train("digits", out=tmp_path / "run", minutes=1, settings=settings)
    stands = json.loads((tmp_path / "run/status.json").read_text())
    assert stands["state"] == "collapsed"
    assert zerosum.load(tmp_path / "run").config["images"] == stands["images"]


def test_a_kill_while_a_checkpoint_is_swapped_loses_nothing(tmp_path: Path) -> None:
    """The only one there is, under the name that it has in that moment."""
    settings = SMALL | {"generator.schedule": "constant", "discriminator.schedule": "constant"}
    for out in ("whole", "torn"):
        zerosum.train("digits", out=tmp_path / out, images=640, settings=settings)
    (only,) = (tmp_path / "torn/checkpoints").glob("[0-9]*")
    only.rename(only.with_name(f".{only.name}.old"))
    only.with_name(f".{only.name}.tmp").mkdir()
    for out in ("whole", "torn"):
        zerosum.train("digits", out=tmp_path / out, images=1280, settings=settings)
    assert newest_state(tmp_path / "whole") == newest_state(tmp_path / "torn")
    assert not list((tmp_path / "torn/checkpoints").glob(".*"))


def test_the_best_is_of_one_figure_and_one_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for later, or by another figure or of other samples, it begins anew; the last line says what is there."""
    out, judged = tmp_path / "run", SMALL | JUDGED
    zerosum.train("digits", out=out, images=640, settings=judged)
    assert not (out / "best").exists()
    capsys.readouterr()
    for images, settings in (
        (1280, {"evaluation.best": "frechet"}),
        (1920, {"evaluation.best": "coverage"}),
        (2560, {"evaluation.best": "coverage", "evaluation.count": 40}),
    ):
        zerosum.train("digits", out=out, images=images, settings=judged | settings)
        best = zerosum.load(out / "best").config
        assert best["images"] == best["judged"]["images"] == images
        assert best["judged"]["count"] == settings.get("evaluation.count", 50)
        assert (
            f"{best['judged']['figure']} {best['judged']['value']:.4g} at image {images:,}" in capsys.readouterr().out
        )


@pytest.mark.parametrize(
    "line",
    [
        {"images": 5, "health": HEALTHY, "evidence": [1]},
        {"images": 5, "health": HEALTHY, "evaluation": {"frechet[random]": "x"}},
        {"images": 5, "health": HEALTHY, "losses": 3},
        {"images": 5, "evidence": {"samples": 3}},
    ],
)
def test_damaged_records_are_named(tmp_path: Path, line: dict[str, Any]) -> None:
    out = tmp_path / "run"
    zerosum.train("digits", out=out, images=640, settings=SMALL)
    with (out / "records.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(RunError, match=r"records\.jsonl, line 2 is no record"):
        zerosum.train("digits", out=out, images=1280, settings=SMALL)


def test_members_that_collapse_may_go_on(tmp_path: Path) -> None:
    """All of them stopped: no report can be made, but that is no traceback; with `continue` they train on."""
    common: dict[str, Any] = {"recipe": "points", "out": tmp_path / "run", "images": 40_000, "ensemble": 2}
    for _ in range(2):
        with pytest.raises(DivergedError, match="Stopped at a collapse"):
            zerosum.train("ring8", settings=ILL | {"training.on_collapse": "stop"}, **common)
    zerosum.train("ring8", settings=ILL, **common)
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "done"


class KilledError(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", ["write", "drop", "release"])
def test_a_kill_within_going_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Before the healthy checkpoint is written anew, before the newer ones go, and at the last."""
    common: dict[str, Any] = {
        "recipe": "points",
        "images": 40_000,
        "settings": ILL | {"training.on_collapse": "rollback"},
    }
    with pytest.raises(DivergedError):
        zerosum.train("ring8", out=tmp_path / "whole", **common)
    owner, going = (Reporter if at == "release" else checkpoint), run.go_back

    def killed_there(training: Any, why: str) -> None:
        def die(*_: Any) -> None:
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(owner, at, die)
            going(training, why)

    with monkeypatch.context() as patch:
        patch.setattr(run, "go_back", killed_there)
        with pytest.raises(KilledError):
            zerosum.train("ring8", out=tmp_path / "killed", **common)
    with pytest.raises(DivergedError):
        zerosum.train("ring8", out=tmp_path / "killed", **common)
    assert newest_state(tmp_path / "killed") == newest_state(tmp_path / "whole")
    for step, expected in zip(
        *(records_of(tmp_path / name)[-1]["rollbacks"] for name in ("killed", "whole")), strict=True
    ):
        assert step == expected
