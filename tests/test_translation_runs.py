"""Runs that translate, from folders to files: what is paired, kept from training, refused, resumed, and made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import zerosum
from conftest import Shell
from pictures import SIDE, draw_pair, write_pairs
from zerosum.data import open_pairs
from zerosum.errors import DataError, UsageError
from zerosum.run import Run
from zerosum.translator import Translator

TINY = {
    "generator.options.width": 4,
    "discriminator.options.field": 16,
    "training.threads": 1,
    "training.report_every": 16,
    "training.checkpoint_every": 16,
}


def train(folder: Path, source: Path | None, recipe: str = "pix2pix", images: int = 32, **settings: Any) -> Run:
    chosen = TINY | {
        key.replace("__", "."): str(value) if isinstance(value, Path) else value for key, value in settings.items()
    }
    return zerosum.train(source, recipe=recipe, out=folder / "run", images=images, settings=chosen)


def about(run: Run, file: str = "data.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.path / file).read_text())
    return found


def test_partners_are_found_by_name_and_others_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outlines, filled = write_pairs(tmp_path, 30)
    (outlines / "003.png").unlink()
    (filled / "005.png").unlink()
    (filled / "007.png").write_bytes(b"no picture")
    run = train(tmp_path, outlines, data__target=filled, data__max_rejected=0.1)
    alone = (run.path / "alone.txt").read_text().splitlines()
    assert [line.split(" (")[0] for line in alone] == ["source: 005.png", "source: 007.png", "target: 003.png"]
    assert "alone.txt" in capsys.readouterr().out
    assert "007.png" in (run.path / "rejected.txt").read_text()
    found = about(run)
    held = 27 - found["count"]
    assert 0 < held < 9
    assert found["given"] | {"count": 0} == found["given"] | {"shape": [1, SIDE, SIDE], "dtype": "uint8", "count": 0}
    with pytest.raises(DataError, match="005"):
        train(tmp_path / "none", outlines, data__target=write_pairs(tmp_path / "other", 2)[1].parent)


def test_depth_and_channels_may_differ(tmp_path: Path) -> None:
    """16 bits of grey in, 8 bits of colour out; the result of a file is as deep as the targets."""
    outlines, filled = write_pairs(tmp_path, 24)
    for path in outlines.glob("*.png"):
        values = np.asarray(Image.open(path)).astype(np.uint16) * 200
        Image.fromarray(values).save(path)
    run = train(tmp_path, outlines, data__target=filled, data__holdout=0.0)
    model = run.model
    assert isinstance(model, Translator)
    assert (model.config["given"]["dtype"], model.config["data"]["dtype"]) == ("uint16", "uint8")
    made = model.translate(np.zeros((40, 33, 1), np.uint16))
    assert (made.shape, made.dtype) == ((40, 33, 3), np.uint8)


@pytest.mark.parametrize("order", [True, "right-to-left"])
def test_halves_are_pairs(order: bool | str, tmp_path: Path) -> None:
    both = tmp_path / "both"
    both.mkdir()
    for number in range(24):
        picture = Image.new("RGB", (2 * SIDE, SIDE))
        for place, half in enumerate(draw_pair(number)):
            picture.paste(half, (place * SIDE, 0))
        picture.save(both / f"{number}.png")
    run = train(tmp_path, both, data__side_by_side=order, data__holdout=0.0)
    rows = np.asarray(Image.open(run.path / "samples" / "translations.png").convert("RGB")).astype(int)
    source, target = (rows[SIDE * place : SIDE * (place + 1)] for place in (0, 2))
    is_grey = [bool((side.max(-1) == side.min(-1)).all()) for side in (source, target)]
    assert is_grey == ([True, False] if order is True else [False, True])


@pytest.mark.parametrize("degrade", ["downsample:2", "mask:strokes", "gray", "blur:2", "noise:0.2", "jpeg:10"])
def test_every_degradation_is_a_game(degrade: str, tmp_path: Path) -> None:
    filled = write_pairs(tmp_path, 24)[1]
    network: dict[str, Any] = {}
    if degrade.startswith("downsample"):
        network = {"generator__network": "srgan-generator", "generator__options": {"blocks": 1, "width": 4}}
    run = train(tmp_path, filled, data__degrade=degrade, **network)
    model = run.model
    assert isinstance(model, Translator)
    channels, height, width = model.config["given"]["shape"]
    assert model.translate(np.zeros((height, width, channels), np.uint8)).shape == (SIDE, SIDE, 3)
    assert about(run)["degrade"] == degrade
    figures = json.loads((run.path / "records.jsonl").read_text().splitlines()[-1])["figures"]
    assert figures["source PSNR"] < 60, "what is made worse is worse"


def test_what_is_held_out_never_moves(tmp_path: Path) -> None:
    """By name: a run that sees more pictures of the same names keeps the same ones from training."""
    outlines, filled = write_pairs(tmp_path, 30)
    few = train(tmp_path / "few", outlines, data__target=filled)
    held = open_pairs(outlines, filled)
    write_pairs(tmp_path, 40)
    many = open_pairs(outlines, filled)
    from zerosum.data import hold_out_by_name

    names = [
        {pairs.wanted.names[row] for row in hold_out_by_name(pairs.wanted, 0.1)[1] if pairs.wanted.names}
        for pairs in (held, many)
    ]
    assert names[0] == {name for name in names[1] if int(name[:3]) < 30}
    assert about(few)["count"] == 30 - len(names[0])
    with pytest.raises(UsageError, match="have changed"):
        train(tmp_path / "few", outlines, data__target=filled)


def test_other_sources_are_other_data(tmp_path: Path) -> None:
    """Not the targets alone: a run does not go on with other pictures to start from."""
    outlines, filled = write_pairs(tmp_path, 24)
    train(tmp_path, outlines, data__target=filled)
    Image.new("L", (SIDE, SIDE)).save(outlines / "001.png")
    with pytest.raises(UsageError, match="have changed"):
        train(tmp_path, outlines, data__target=filled)


def test_domains_need_no_pairs(tmp_path: Path) -> None:
    """Unequal in number, size and channels; `zerosum.train` names the run after both."""
    outlines, filled = write_pairs(tmp_path, 24)
    for number in range(20, 24):
        (outlines / f"{number:03d}.png").unlink()
    for path in filled.glob("*.png"):
        Image.open(path).resize((48, 40)).save(path)
    run = train(tmp_path, None, "cyclegan", data__a=outlines, data__b=filled)
    model = run.model
    assert isinstance(model, Translator)
    assert model.directions == ("a-to-b", "b-to-a")
    assert model.config["given"]["shape"] == model.config["data"]["shape"] == [3, SIDE, SIDE]
    labels = json.loads((run.path / "samples" / "translations.json").read_text())["labels"]
    assert labels == ["a", "a to b", "and back to a", "b", "b to a", "and back to b"]
    newest = max((run.path / "checkpoints").iterdir())
    assert json.loads((newest / "state.json").read_text())["images"] == run.images
    with pytest.raises(UsageError, match=r"--data\.a FOLDER"):
        train(tmp_path / "other", filled, "cyclegan", data__a=outlines, data__b=filled)


def test_the_distance_alone_plays_without_a_judge(tmp_path: Path) -> None:
    outlines, filled = write_pairs(tmp_path, 24)
    run = train(tmp_path, outlines, data__target=filled, game__translation__adversarial=0.0, game__penalties={})
    record = json.loads((run.path / "records.jsonl").read_text().splitlines()[-1])
    assert list(record["losses"]) == ["distance"]
    assert list(record["gradients"]) == ["generator"]
    assert record["outputs"] == {}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"data.degrade": "downsample:5"}, "data.size"),
        ({"data.degrade": "grey"}, "gray"),
        ({"data.degrade": "gray", "data.channels": 1}, "channels"),
        ({"data.degrade": "noise:25"}, "noise:0.196"),
        ({"data.degrade": "downsample:2"}, "unet-generator"),
    ],
)
def test_degradations_that_cannot_be_are_refused(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    filled = write_pairs(tmp_path, 24)[1]
    with pytest.raises(UsageError, match=words):
        train(tmp_path, filled, **{key.replace(".", "__"): value for key, value in settings.items()})
    assert not (tmp_path / "run" / "config.toml").exists()


def test_the_command_line_from_pairs_to_pictures(shell: Shell, tmp_path: Path) -> None:
    write_pairs(tmp_path, 24)
    flags = [word for key, value in TINY.items() for word in (f"--{key.replace('_', '-')}", value)]
    said = shell.run("train", "outlines", "--data.target", "filled", "--recipe", "pix2pix", "--images", 32, *flags)
    run = "runs/outlines-pix2pix"
    assert f"zerosum translate {run}" in said
    shell.run("translate", run, "outlines", "--out", "results")
    results = sorted((tmp_path / "results").iterdir())
    assert [path.name for path in results] == [f"{number:03d}.png" for number in range(24)]
    assert {np.asarray(Image.open(path)).shape for path in results} == {(SIDE, SIDE, 3)}
    assert "zerosum translate" in shell.run("sample", run, code=2)
    assert Path(tmp_path / run / "report.html").stat().st_size > 10_000
