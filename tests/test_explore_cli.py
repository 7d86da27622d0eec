"""`zerosum explore`: every verb leaves its files and the command that repeats it; what cannot be is refused."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explorers import explorer
from translators import model_of
from zerosum.cli import main
from zerosum.data import open_data
from zerosum.explore import load_directions


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder of a style generator."""
    explorer("style-28-generator").save(tmp_path / "my run" / "model")
    return tmp_path / "my run"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture to project, whose name has more than one dot."""
    path = tmp_path / "a.b.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save(path)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_verb_says_the_command_that_repeats_it(
    run: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.csv").write_text("".join(f"{n:03d}.png,{'ab'[n % 2]}\n" for n in range(30)))
    few = ["--count", "2", "--steps", "3"]
    for words, expected in (
        (["interpolate", *few, "--seed", "3"], {"interpolate-w-seed-3.png", "interpolate-w-seed-3.webp"}),
        (["interpolate", *few, "--way", "linear"], {"interpolate-linear-seed-0.png"}),
        (["truncation", "--count", "2", "--values", "0.5,1"], {"truncation-seed-0.png"}),
        (["mix", "--count", "2", "--layers", "0"], {"mix-seed-0.png"}),
        (["arithmetic", "7 - 3 + 12", "--truncation", "0.7"], {"arithmetic-seed-0.png"}),
        (["directions", *few], {"directions-sefa.png", "directions-sefa/01.png", "directions-sefa/02.png"}),
        (["directions", *few, "--method", "pca", "--layers", "0-1"], {"directions-pca-layers-0-1/directions.json"}),
        (["directions", *few, "--labels", str(tmp_path / "labels.csv")], {"directions-labels/01.png"}),
        (["project", str(picture), "--features", "none", "--steps", "2"], {"project-a.b.png", "project-a.b.json"}),
        (["edit", *few], {"edit-sefa-1.png"}),
        (["edit", "--steps", "3", "--projection", str(run / "explore/project-a.b")], {"edit-sefa-1-2.png"}),
    ):
        before = files(run / "explore") if (run / "explore").exists() else {}
        assert main(["explore", words[0], str(run), *words[1:]]) == 0, words
        made = files(run / "explore")
        assert expected <= made.keys() - before.keys(), "nothing was written over"
        assert {name: made[name] for name in before} == before
        said = capsys.readouterr().out
        command = re.search("again: (.*)", said)[1]  # type: ignore[index]
        about = [
            json.loads(made[name]) for name in made.keys() - before.keys() if name.count("/") == 0 and ".json" in name
        ]
        assert [item["command"] for item in about] == [command]
        assert main(shlex.split(command)[1:]) == 0
        assert files(run / "explore") == made, "the command makes the same again, in the same place"
        capsys.readouterr()
    assert "do not trust it" in _words(run, ["directions", *few, "--labels", str(tmp_path / "labels.csv")], capsys)
    found = load_directions(run / "explore" / "directions-sefa")
    assert len(found) == 2


def _words(run: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["explore", words[0], str(run), *words[1:]]) == 0
    return capsys.readouterr().out


def test_results_go_where_they_are_asked_for(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "else where"
    said = _words(run, ["interpolate", "--count", "1", "--steps", "3", "--out", str(out)], capsys)
    assert sorted(path.suffix for path in out.iterdir()) == [".json", ".png", ".webp"]
    assert f"--out {shlex.quote(str(out))}" in said
    assert not (run / "explore").exists()
    with Image.open(out / "interpolate-w-seed-0.png") as sheet:
        assert sheet.format == "PNG"


def test_directions_of_other_weights_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _words(run, ["directions", "--count", "1", "--steps", "2"], capsys)
    explorer("style-28-generator", seed=1).save(run / "model")
    assert "found in other weights" in _words(run, ["edit", "--count", "1", "--steps", "2"], capsys)


def test_commands_that_cannot_be(run: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model_of(depth=2, width=2).save(tmp_path / "pairs" / "model")
    explorer("mlp-generator", shape=(2,), options={"output": "linear"}).save(tmp_path / "points" / "model")
    member = tmp_path / "several" / "members" / "0"
    shutil.copytree(run, member)
    (member / "status.json").write_text('{"state": "done"}')
    explorer("quick-generator").save(tmp_path / "plain" / "model")
    (tmp_path / "file").write_text("")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "interpolate-w-seed-0.json").write_text("[]")
    for words, code, text in (
        (["interpolate", tmp_path / "pairs"], 2, r"zerosum translate .*pairs IMAGE\|FOLDER"),
        (["interpolate", tmp_path / "several"], 2, "zerosum explore interpolate .*members/0"),
        (["interpolate", tmp_path / "points"], 2, "makes points"),
        (["interpolate", tmp_path / "none"], 5, "is no run folder"),
        (["interpolate", run, "--out", tmp_path / "file"], 5, "could not be written"),
        (["interpolate", run, "--out", tmp_path / "bad"], 5, "is damaged.*Delete it"),
        (["interpolate", run, "--device", "gpu"], 2, "cannot be used"),
        (["interpolate", run, "--nothing"], 2, "Unknown argument"),
        (["interpolate", run, "--count", "1", "--steps", "1"], 2, "--steps must be 2"),
        (["mix", tmp_path / "plain"], 2, "has no styles"),
        (["mix", run, "--layers", "9"], 2, "layers 0 to 3"),
        (["truncation", run, "--values", "a"], 2, "--values a: give numbers"),
        (["arithmetic", run, "7 minus 3"], 2, "no sum of samples"),
        (["directions", run, "--method", "ica"], 2, "no method 'ica'"),
        (["directions", run, "--labels", tmp_path / "none.csv"], 3, "cannot be read"),
        (["directions", run, "--labels", "data"], 2, "nobody knows its data"),
        (["project", run, tmp_path / "none.png"], 3, "cannot be read"),
        (["edit", run], 5, "holds no directions"),
        (["edit", run, "--directions", tmp_path], 5, "holds no directions"),
    ):
        assert main(["explore", *map(str, words)]) == code, words
        assert re.search(text, capsys.readouterr().err), words
    with pytest.raises(SystemExit):
        main(["explore"])
    assert main(["explore", "interpolate", str(member), "--count", "1", "--steps", "3"]) == 0


@pytest.fixture
def two_digits(finished_run: Path, tmp_path: Path) -> Path:
    """A run of digits whose generator makes a mean zero, a mean one, or what lies between, by its first number."""
    store = open_data("digits", labels=True)
    assert store.labels is not None
    means = [store.take(np.flatnonzero(store.labels == digit)).mean(0).ravel() / 8 - 1 for digit in (0, 1)]
    zero, one = (torch.from_numpy(np.arctanh(mean.clip(-0.99, 0.99))).float() for mean in means)
    model = explorer("mlp-generator", options={"hidden": []})
    layer = model.generator.layers[0]  # type: ignore[index]
    with torch.no_grad():
        layer.weight.zero_()  # type: ignore[operator]
        layer.weight[:, 0] = (one - zero) / 2  # type: ignore[index]
        layer.bias.copy_((one + zero) / 2)  # type: ignore[operator]
    model.config["data"] |= {"high": 16}
    model.save(tmp_path / "digits" / "model")
    shutil.copy(finished_run / "config.toml", tmp_path / "digits")
    return tmp_path / "digits"


def test_classes_of_the_runs_own_data(
    two_digits: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerosum.explore.classes.REAL", 100)
    monkeypatch.setattr("zerosum.explore.classes.best_installed", lambda: "random")  # then it is the pixels, and quick
    words = ["directions", "--labels", "data", "--samples", "100", "--steps", "2"]
    said = _words(two_digits, words, capsys)
    assert re.search(r"Labels by a classifier of pixels, right about [789]\d\.\d% of real images", said)
    figures = json.loads((two_digits / "explore/directions-labels.json").read_text())["figures"]
    assert figures["classifier"]["features"] == "pixels"
    first = load_directions(two_digits / "explore/directions-labels")
    assert abs(float(first.vectors[0, 0])) > 0.8
    assert first.facts[0]["accuracy"] > 0.8


def test_classes_that_styles_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explorer("style-28-generator", classes=2, labels="concatenate").save(tmp_path / "model")
    words = ["directions", "--labels", "data", "--samples", "60", "--steps", "2"]
    assert re.search("1. to class 1: .* right about", _words(tmp_path / "model", words, capsys))
    explorer("quick-generator", classes=2, labels="concatenate").save(tmp_path / "beside")
    assert main(["explore", words[0], str(tmp_path / "beside"), *words[1:]]) == 2
    assert "give --label" in capsys.readouterr().err
