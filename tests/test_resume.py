"""A run that was interrupted, in any way, ends in the same bytes as one that was not; what is damaged is named."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import zerosum
from conftest import Shell
from zerosum.errors import UsageError

# Recipe, batch, images from report to report, reports. `quick` has an average, lazy penalties, a schedule and BatchNorm
# on one side; `gan-mlp` dropout; `dcgan-28` dropout, and BatchNorm on both sides.
GAMES = {
    "quick": ("quick", 32, 96, 40),
    "dropout": ("gan-mlp", 32, 128, 40),
    "batchnorm": ("dcgan-28", 8, 16, 6),
}


def command(name: str, out: Path) -> list[object]:
    recipe, batch, every, reports = GAMES[name]
    words: list[object] = ["train", "digits", "--recipe", recipe, "--out", out, "--images", reports * every]
    words += ["--training.batch", batch, "--training.report-every", every, "--training.checkpoint-every", every]
    return words


def checkpoints_of(run: Path) -> list[Path]:
    """The newest last; what a kill left half written has another name."""
    return sorted((run / "checkpoints").glob("[0-9]*"))


def end_of(run: Path) -> dict[str, str]:
    """SHA-256 of all that a run ends in: its last checkpoint and its model."""
    newest = checkpoints_of(run)[-1]
    files = {"state": newest / "state.safetensors", "model": run / "model" / "model.safetensors"}
    return {"at": newest.name} | {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}


def records_of(run: Path) -> list[dict[str, Any]]:
    """The records but for what the clock says."""
    lines = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in line.items() if key not in ("seconds", "images_per_second")} for line in lines
    ]


def await_that(happens: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not happens():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


def reports_in(run: Path) -> int:
    records = run / "records.jsonl"
    return records.read_text().count("\n") if records.exists() else 0


def interrupt(shell: Shell, name: str, run: Path, after: int, number: signal.Signals, wait: float) -> str | None:
    """Give the command, and a signal `wait` seconds after its report number `after`. None: it was done before."""
    process = shell.start(*command(name, run))
    await_that(lambda: reports_in(run) >= after or process.poll() is not None, process)
    time.sleep(wait)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    if process.returncode == 0:
        return None
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), out + err
    assert "Traceback" not in err, err
    return out


@pytest.mark.parametrize("name", GAMES)
def test_killed_and_resumed_is_the_same_run(name: str, shell: Shell) -> None:
    whole, pieces = shell.folder / "whole", shell.folder / "pieces"
    straight = shell.start(*command(name, whole))
    chance = random.Random(name)
    reports = GAMES[name][-1]
    for after in (reports // 4 + chance.randrange(3), reports // 2 + chance.randrange(3)):
        assert interrupt(shell, name, pieces, after, signal.SIGKILL, chance.uniform(0, 0.04)) is not None
    said = shell.run(*command(name, pieces))
    assert "Going on from image" in said
    shell.finish(straight)
    assert end_of(pieces) == end_of(whole)
    assert records_of(pieces) == records_of(whole)
    assert len(records_of(whole)) == reports
    pictures = {path.name: path.read_bytes() for path in (whole / "samples").iterdir()}
    assert pictures == {path.name: path.read_bytes() for path in (pieces / "samples").iterdir()}
    assert sorted(path.name for path in (pieces / "checkpoints").iterdir()) == [
        path.name for path in checkpoints_of(whole)
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_saves_first(number: signal.Signals, shell: Shell, whole_quick: Path) -> None:
    run = shell.folder / "run"
    said = interrupt(shell, "quick", run, 12, number, 0.02)
    assert said is not None
    assert "Stopped and saved at image" in said
    saved = checkpoints_of(run)[-1]
    assert f"{int(saved.name):,}" in said
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["images"]) == ("stopped", int(saved.name))
    shell.run(*command("quick", run))
    assert end_of(run) == end_of(whole_quick)
    # A stop between two reports has a record of its own, and the next is the mean of fewer turns; the others are alike.
    expected, found = ({line["images"]: line for line in records_of(path)} for path in (whole_quick, run))
    own = found.keys() - expected.keys()
    assert own <= {int(saved.name)}
    after = [images for images in expected if images > int(saved.name)][: len(own)]
    assert [images for images in expected if found[images] != expected[images]] == after


@pytest.fixture(scope="module")
def whole_quick(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 40 reports of "quick" in one go."""
    shell = Shell(session_cache, tmp_path_factory.mktemp("whole"))
    shell.run(*command("quick", shell.folder / "run"))
    return shell.folder / "run"


@pytest.fixture(scope="module")
def killed_quick(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, killed towards its end."""
    shell = Shell(session_cache, tmp_path_factory.mktemp("killed"))
    interrupt(shell, "quick", shell.folder / "run", 34, signal.SIGKILL, 0.0)
    return shell.folder / "run"


@pytest.fixture
def half_way(killed_quick: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(killed_quick, tmp_path / "half"))


def go_on(run: Path, **changed: Any) -> None:
    """In this process, what the command says for the game "quick"."""
    recipe, batch, every, reports = GAMES["quick"]
    settings = {"training.batch": batch, "training.report_every": every, "training.checkpoint_every": every}
    zerosum.train("digits", recipe=recipe, out=run, **({"images": reports * every, "settings": settings} | changed))


def flip_a_byte(checkpoint: Path) -> None:
    data = bytearray((checkpoint / "state.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (checkpoint / "state.safetensors").write_bytes(data)


def truncate(checkpoint: Path) -> None:
    data = (checkpoint / "state.safetensors").read_bytes()
    (checkpoint / "state.safetensors").write_bytes(data[: len(data) // 2])


def edit(checkpoint: Path) -> None:
    about = (checkpoint / "state.json").read_text()
    images = f'"images": {int(checkpoint.name)}'
    assert images in about
    (checkpoint / "state.json").write_text(about.replace(images, images[:-1] + "1"))


def empty(checkpoint: Path) -> None:
    (checkpoint / "state.json").write_bytes(b"")


def lose(checkpoint: Path) -> None:
    (checkpoint / "state.safetensors").unlink()


@pytest.mark.parametrize("damage", [flip_a_byte, truncate, edit, empty, lose])
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    damage: Callable[[Path], None], half_way: Path, whole_quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, newest = checkpoints_of(half_way)[-2:]
    damage(newest)
    go_on(half_way)
    said = capsys.readouterr().out
    assert f"Checkpoint {newest.name} is not used: " in said
    assert f"Going on from image {int(before.name):,}" in said
    assert end_of(half_way) == end_of(whole_quick)
    assert records_of(half_way) == records_of(whole_quick)


def test_no_sound_checkpoint_left(half_way: Path, shell: Shell) -> None:
    there = checkpoints_of(half_way)
    for checkpoint in there:
        flip_a_byte(checkpoint)
    said = shell.run(*command("quick", half_way), code=5)
    assert said.count("is not used") == len(there) >= 2
    assert "another --out" in said


def test_what_lies_beyond_the_checkpoint_is_forgotten(half_way: Path, whole_quick: Path) -> None:
    """A kill after a report and before its checkpoint leaves a record and samples too many; in a write, a torn line."""
    last = (half_way / "records.jsonl").read_text().splitlines()[-1]
    beyond = json.loads(last) | {"images": 999_999}
    with (half_way / "records.jsonl").open("a") as file:
        file.write(json.dumps(beyond) + "\n" + last[: len(last) // 2])
    shutil.copy(half_way / "samples" / "real.png", half_way / "samples" / "000999999.png")
    go_on(half_way)
    assert records_of(half_way) == records_of(whole_quick)
    names = [sorted(path.name for path in (run / "samples").iterdir()) for run in (half_way, whole_quick)]
    assert names[0] == names[1]


def test_two_trainers_on_one_run(shell: Shell) -> None:
    """The second is refused while the first lives, and goes on where it was killed: its lock died with it."""
    run = shell.folder / "run"
    first = shell.start(*command("quick", run))
    await_that(lambda: reports_in(run) >= 2, first)
    first.send_signal(signal.SIGSTOP)  # alive, and not done before the second has tried
    try:
        said = shell.run(*command("quick", run), code=5)
    finally:
        first.kill()
        first.communicate()
    assert f"Another process trains in {run}" in said
    second = shell.start(*command("quick", run))
    at_first = reports_in(run)
    await_that(lambda: reports_in(run) > at_first + 1, second)
    second.kill()
    second.communicate()


def test_a_changed_recipe_is_refused_with_the_differences(finished_run: Path, shell: Shell) -> None:
    before = (finished_run / "config.toml").read_bytes()
    words = ["train", "digits", "--out", finished_run, "--images", 640]
    said = shell.run(*words, "--training.batch", 32, "--generator.lr", "5e-4", "--game.penalties.r1.gamma", 1, code=2)
    assert "training.batch: the run has 64, the command says 32" in said
    assert "generator.lr: the run has 0.001, the command says 0.0005" in said
    assert "game.penalties.r1.gamma: the run has 0.5, the command says 1.0" in said
    assert "latent" not in said
    assert "--out" in said
    assert (finished_run / "config.toml").read_bytes() == before


def test_other_data_are_refused(tmp_path: Path) -> None:
    """The rows decide, not the file's name or date: a copy may stand in for them, one other pixel may not."""
    rows = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "rows.npy", rows)

    def train(images: int) -> None:
        settings = {"training.batch": 16, "training.report_every": 32, "training.threads": 1}
        zerosum.train(tmp_path / "rows.npy", out=tmp_path / "run", images=images, settings=settings)

    train(32)
    os.utime(tmp_path / "rows.npy", (1, 1))
    train(64)
    rows[3, 4, 5] ^= 1
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(UsageError, match="have changed"):
        train(96)


@pytest.mark.parametrize("size", ["8", "auto"])
def test_the_same_words_again_go_on(size: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a run wrote of its size (8x8) is what was asked for (8); and the end may be moved, both in one."""
    settings = {"data.size": size, "training.batch": 32, "training.report_every": 64, "training.threads": 1}
    for images in (64, 64, 128):
        run = zerosum.train("digits", out=tmp_path / "run", images=images, settings=settings)
        assert run.images == images
    said = capsys.readouterr().out
    assert "is done: 64 images" in said
    assert said.count("Going on from image 64") == 2
    assert [record["images"] for record in records_of(tmp_path / "run")] == [64, 128]
    zerosum.train(recipe=tmp_path / "run" / "config.toml", out=tmp_path / "run", images=192)
    assert len(records_of(tmp_path / "run")) == 3


def test_a_folder_named_as_a_built_in_set_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    run = zerosum.train("digits", images=64, settings={"training.threads": 1})
    assert run.path == Path("runs/digits-auto")
    assert 'source = "digits"' in (run.path / "config.toml").read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's compiler uses what PyTorch deprecates
@pytest.mark.skipif(shutil.which("g++") is None, reason="turns are compiled with g++")
def test_compiled_turns_resume_exactly_too(tmp_path: Path) -> None:
    """With dropout: the random numbers of the first step after a resume are those it would have met."""
    settings = {"training.compile": True, "training.report_every": 320, "training.batch": 32}

    def train(name: str, images: int) -> None:
        zerosum.train("digits", recipe="gan-mlp", out=tmp_path / name, images=images, settings=settings)

    train("whole", 640)
    train("pieces", 320)
    train("pieces", 640)
    assert end_of(tmp_path / "pieces") == end_of(tmp_path / "whole")
    assert records_of(tmp_path / "pieces") == records_of(tmp_path / "whole")


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from zerosum.cli import main
sys.exit(main(sys.argv[2:]))
"""


def test_a_disk_that_takes_no_more(half_way: Path, whole_quick: Path, shell: Shell) -> None:
    """No file may grow beyond 64 kB: a checkpoint cannot be written, the old ones stay, and it goes on afterwards."""
    kept = [path.name for path in checkpoints_of(half_way)]
    said = shell.finish(shell.python("-c", LIMITED, 65_536, *command("quick", half_way)), code=5)
    assert "could not be written" in said
    assert "same command again" in said
    assert [path.name for path in checkpoints_of(half_way)] == kept
    assert zerosum.load(half_way).sample(2).shape == (2, 8, 8, 1)
    go_on(half_way)
    assert end_of(half_way) == end_of(whole_quick)


WITHOUT_PICKLE = """
import pickle, sys
import torch

def refused(*words, **more):
    raise RuntimeError("a pickle was read or written")

class Refused:
    __init__ = refused

for name in ("load", "loads", "dump", "dumps"):
    setattr(pickle, name, refused)
pickle.Unpickler = pickle.Pickler = Refused
torch.load = torch.save = refused
from zerosum.cli import main
for words in sys.argv[1].split("; "):
    if code := main(words.split()):
        sys.exit(code)
"""


def test_no_pickle_is_read_or_written(shell: Shell, tmp_path: Path) -> None:
    """Decoding a folder, training, resuming and sampling, with all of pickle's doors shut."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(24):
        Image.fromarray(noise.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{number}.png")
    train = "train pictures --out run --training.batch 8 --training.report-every 16 --images"
    words = f"{train} 16; {train} 32; sample run --out x.npy; report run"
    said = shell.finish(shell.python("-c", WITHOUT_PICKLE, words))
    assert "Going on from image 16" in said
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pt", ".pth", ".pkl", ".pickle", ".ckpt")]
    assert len(files) > 40
