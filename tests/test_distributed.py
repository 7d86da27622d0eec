"""Several processes, started by torch's own launcher, are one training: the same numbers, one end, nothing lost.

Tolerances: what several processes compute differs from what one does by the order of sums alone. In float64 all that a
game holds after three steps is within 1e-9 of its size (found: 1e-13, and 6e-8 of 1e-9 where a slope is zero but for
rounding); in float32 weights are within 1e-4 of theirs, records within 1e-4.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import shares
from conftest import Shell
from zerosum.errors import UsageError
from zerosum.refusals import refuse_sharing
from zerosum.settings import make_config

PIECES = 64  # images from report to report, and from checkpoint to checkpoint
TRAIN = ["digits", "--recipe", "quick", "--training.batch", 32, "--training.threads", 1, "--training.precision"]
TRAIN += ["float32", "--training.report-every", PIECES, "--training.checkpoint-every", PIECES]
WITHIN = 30  # seconds in which all processes end


def launch(shell: Shell, count: int, *words: object, restarts: int = 0) -> subprocess.Popen[str]:
    """The launcher with `count` processes of `python WORDS`."""
    options = ["--standalone", "--nproc-per-node", count, "--max-restarts", restarts]
    return shell.python("-m", "torch.distributed.run", *options, *words)


def job(shell: Shell, count: int, name: str, folder: Path) -> subprocess.Popen[str]:
    return launch(shell, count, Path(__file__).with_name("shares.py"), name, folder)


def train(shell: Shell, count: int, run: Path, images: int, restarts: int = 0) -> subprocess.Popen[str]:
    words = ["-m", "zerosum", "train", *TRAIN, "--out", run, "--images", images]
    return launch(shell, count, *words, restarts=restarts)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How it ended, and all that it and its processes said. Fails where it does not end in time."""
    try:
        out, err = process.communicate(timeout=WITHIN + 60)
    finally:
        process.kill()
    return process.returncode, out + err


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Any]:
    """What a game comes to in this process."""
    folder = tmp_path_factory.mktemp("alone")
    shares.write_domains(folder)

    def played(name: str, double: bool) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            return shares.play(name, double=double)

    return played


@pytest.fixture(scope="session")
def together(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """What the games came to on two processes, and on four."""
    folders = {}
    for count in (2, 4):
        folders[count] = tmp_path_factory.mktemp(f"of {count}")
        code, said = ended(job(Shell(session_cache, folders[count]), count, "games", folders[count]))
        assert code == 0, said
    return folders


def close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float, floor: float) -> None:
    """All within `tolerance` of each tensor's largest number, or of `floor` where that is more."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        size = max(float(value.abs().max()), floor) if value.is_floating_point() and value.numel() else 0.0
        torch.testing.assert_close(found[name], value, rtol=0, atol=tolerance * size, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("name", shares.GAMES)
def test_four_processes_are_one_but_for_rounding(name: str, alone: Any, together: dict[int, Path]) -> None:
    (tensors, records), (expected, means) = shares.read(together[4], name), alone(name, True)
    close(tensors, expected, 1e-9, 1e-6)
    assert records == pytest.approx(means, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", [name for name in shares.GAMES if name != "cyclegan"])  # its float32 drifts at once
def test_two_processes_in_float32(name: str, alone: Any, together: dict[int, Path]) -> None:
    (tensors, records), (expected, means) = shares.read(together[2], name), alone(name, False)
    weights = {key for key in expected if key.startswith(("game.", "ema."))}
    close({key: tensors[key] for key in weights}, {key: expected[key] for key in weights}, 1e-4, 1e-2)
    assert records == pytest.approx(means, rel=1e-4, abs=1e-5)


def workers(launcher: subprocess.Popen[str]) -> list[int]:
    """The processes it started, in the order of their ranks."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == launcher.pid:
                environment = (folder / "environ").read_bytes().split(b"\0")
                ranks = [int(line[5:]) for line in environment if line.startswith(b"RANK=")]
                found |= {rank: int(folder.name) for rank in ranks}
        except OSError:
            continue
    return [found[rank] for rank in sorted(found)]


def reports_in(run: Path) -> int:
    records = run / "records.jsonl"
    return records.read_text().count("\n") if records.exists() else 0


def await_reports(run: Path, count: int, launcher: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while reports_in(run) < count:
        assert launcher.poll() is None, launcher.communicate()
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def newest(run: Path) -> Path:
    return sorted((run / "checkpoints").glob("[0-9]*"))[-1]


def test_killed_and_resumed_on_another_number(shell: Shell) -> None:
    """kill -9 of one of two: all end, nothing is half there; one process and four go on alike from what is saved."""
    run = shell.folder / "run"
    launcher = train(shell, 2, run, 100_000)
    await_reports(run, 3, launcher)
    os.kill(workers(launcher)[1], signal.SIGKILL)
    begun = time.monotonic()
    code, said = ended(launcher)
    assert time.monotonic() - begun < WITHIN
    assert code != 0
    assert "process 1 fell silent" in said
    assert not list((run / "checkpoints").glob(".*"))
    at = int(newest(run).name)
    copy = Path(shutil.copytree(run, shell.folder / "copy"))
    code, said = ended(train(shell, 4, run, at + 2 * PIECES))
    assert code == 0, said
    assert f"Going on from image {at:,}" in said
    assert said.count("Done: ") == said.count("processes: 4") == 1
    shell.run("train", *TRAIN, "--out", copy, "--images", at + 2 * PIECES)
    assert newest(run).name == newest(copy).name == f"{at + 2 * PIECES:09d}"
    ends = [load_file(newest(path) / "state.safetensors") for path in (run, copy)]
    weights = {name for name in ends[0] if name.startswith(("game.", "ema."))}
    close({name: ends[0][name] for name in weights}, {name: ends[1][name] for name in weights}, 2e-3, 1e-2)
    records = [[json.loads(line) for line in (path / "records.jsonl").read_text().splitlines()] for path in (run, copy)]
    assert [line["images"] for line in records[0]] == [line["images"] for line in records[1]]
    for one, other in zip(*records, strict=True):
        assert one["losses"] == pytest.approx(other["losses"], rel=1e-2)


def test_the_launcher_restarts_it(shell: Shell) -> None:
    """Process 0 is killed: the launcher starts all anew, and they go on by themselves to the end."""
    run, images = shell.folder / "run", 12 * PIECES
    launcher = train(shell, 2, run, images, restarts=1)
    await_reports(run, 2, launcher)
    os.kill(workers(launcher)[0], signal.SIGKILL)
    code, said = ended(launcher)
    assert code == 0, said
    assert said.count("Going on from image") == 1
    assert newest(run).name == f"{images:09d}"
    assert json.loads((run / "status.json").read_text())["state"] == "done"


@pytest.mark.parametrize("one", [False, True], ids=["the launcher", "one process"])
def test_a_signal_saves_first(one: bool, shell: Shell) -> None:
    """All stop at the same step, whether the launcher hears it and tells them, or one of them alone."""
    run = shell.folder / "run"
    launcher = train(shell, 2, run, 100_000)
    await_reports(run, 2, launcher)
    processes = workers(launcher)
    os.kill(processes[1] if one else launcher.pid, signal.SIGTERM)
    _, said = ended(launcher)
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["images"]) == ("stopped", int(newest(run).name)), said
    assert f"Stopped and saved at image {status['images']:,}" in said
    assert not any(Path(f"/proc/{process}").exists() for process in processes)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("raising", "picture 7 of this machine cannot be read"),
        ("ill", "The game diverged at image 16, in the both turn: the loss 'discriminator' is nan"),
    ],
)
def test_what_one_process_meets_ends_all(name: str, says: str, shell: Shell) -> None:
    begun = time.monotonic()
    code, said = ended(job(shell, 2, name, shell.folder))
    assert code != 0
    assert time.monotonic() - begun < WITHIN + 30
    assert said.index(says) < said.index("Traceback")  # the launcher's own, which comes last
    if name == "ill":
        assert said.count(says) == 1


def test_the_others_wait_for_process_0(shell: Shell) -> None:
    code, said = ended(job(shell, 2, "patience", shell.folder))
    assert code == 0, said
    assert said.count("nobody was lost") == 2


@pytest.mark.parametrize(
    ("processes", "settings", "says"),
    [
        (3, {}, "training.batch 64 cannot be shared evenly by 3 processes: give a multiple of 3"),
        (4, {"training.micro_batch": 2}, "training.micro_batch 2 cannot be shared evenly by 4"),
        (4, {"training.batch": 12, "game.remedies.pack": 2}, "in packs of 2: give a multiple of 8"),
        (4, {"training.batch": 12, "game.penalties": {"path_length": {}}}, "takes a half: give a multiple of 8"),
        (2, {"training.ensemble": 4}, "members of an ensemble do not need each other"),
        (2, {"training.compile": True}, "compiled for one process only"),
    ],
)
def test_what_cannot_be_shared_is_refused(processes: int, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        refuse_sharing(make_config("quick", settings), processes)


def test_a_refusal_is_said_once(shell: Shell) -> None:
    run = shell.folder / "run"
    code, said = ended(launch(shell, 2, "-m", "zerosum", "train", "digits", "--out", run, "--training.batch", 33))
    assert code != 0
    assert said.count("cannot be shared evenly by 2 processes") == 1
    assert not run.exists()
