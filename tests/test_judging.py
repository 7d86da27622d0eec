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

import zerosum
from test_diagnosis import PLAIN
from zerosum.cli import main
from zerosum.diagnosis import COLLAPSE, HEALTHY
from zerosum.errors import DivergedError, UsageError
from zerosum.training.halt import MOST, after_collapse
from zerosum.training.judging import Judging, Rules, metrics_of, more_is_better

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
    stands = json.loads((out / "status.json").read_text())
    assert stands["state"] == "done"
    assert "no better in 2 evaluations than at image 1,280, 0.7" in stands["reason"]
    assert zerosum.load(out / "best").config["images"] == 1280
    assert json.loads((out / "checkpoints/best/state.json").read_text())["images"] == 1280
    assert zerosum.load(out).config["images"] == 2560
    assert f"best model      {out / 'best'}: precision 0.7 at image 1,280" in capsys.readouterr().out
    assert main(command) == 0
    assert "is done: 2,560 images" in capsys.readouterr().out
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
        (
            {"evaluation.every": 100, "evaluation.metrics": "modes", "evaluation.features": "random"},
            "modes is of points",
        ),
    ],
)
def test_what_cannot_be_judged_is_said_before_the_first_step(
    tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as error:
        zerosum.train("digits", out=tmp_path / "run", images=640, settings=settings)
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
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "diverged"
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
    about = sorted(whole.glob("checkpoints/[0-9]*"))[0] / "state.json"
    assert json.loads(about.read_text())["healthy"], "the last healthy one is kept, however old"


def test_translators_are_judged_on_the_way_too(tmp_path: Path) -> None:
    """On what is held out, beside what was wanted: the last figures are those of the last report and of the verb."""
    settings = SMALL | JUDGED | {"evaluation.metrics": "pairs,frechet", "evaluation.best": "psnr", "data.holdout": 0.05}
    run = zerosum.train("digits", recipe="inpainting", out=tmp_path / "run", images=1280, settings=settings)
    last = records_of(run.path)[-1]
    outcome = zerosum.evaluate(run.path, metrics=("pairs", "frechet"), features="random", count=50)
    assert last["evaluation"] == pytest.approx(outcome.evaluation.figures, rel=1e-3)
    assert {"psnr", "l1", "ssim", "frechet[random]"} == last["evaluation"].keys()
    assert zerosum.load(run.path / "best").config["images"] in (640, 1280)
