"""Runs that know labels: sampling by class, a row of the report for each, and what is refused before they begin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import zerosum
from conftest import Shell
from zerosum.cli import main
from zerosum.data import holdout, open_data
from zerosum.errors import RunError, UsageError
from zerosum.games import Game, Latents, Randomness
from zerosum.model import Ensemble, Model, load
from zerosum.networks import Blueprint
from zerosum.training.exhibits import Exhibits
from zerosum.training.samples import spread

NAMES = ("7", "shirt", "shoe")
SHORT: tuple[object, ...] = ("--images", 32, "--training.batch", 8)


def model_of(classes: tuple[str, ...] = NAMES, seed: int = 0) -> Model:
    """Of new weights; each class looks different from the first."""
    torch.manual_seed(seed)
    arguments = {"latent": 4, "shape": [1, 6, 6], "hidden": [8]}
    labels = "concatenate" if classes else "none"
    plan = Blueprint("mlp-generator", arguments, labels=labels, classes=len(classes))
    config = {
        "networks": {"generator": plan.to_json()},
        "latent": {"size": 4, "distribution": "normal"},
        "classes": list(classes),
        "data": {"shape": [1, 6, 6], "dtype": "uint8", "low": 0, "high": 255},
    }
    return Model({"generator": plan.build()}, config)


def folder_of(path: Path, sizes: dict[str, int], seed: int = 0) -> Path:
    """A folder of 8×8 pictures, none like another, so many in each subfolder."""
    chance = np.random.default_rng(seed)
    for name, count in sizes.items():
        (path / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = chance.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(path / name / f"{number:02}.png")
    return path


# sampling


def test_labels_are_drawn_evenly_and_by_position() -> None:
    model = model_of()
    drawn = model.labels(30_000, seed=5)
    assert drawn is not None
    counts = torch.bincount(drawn)
    assert len(counts) == 3
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 18.4, "χ² of two degrees, passed once in ten thousand"
    assert torch.equal(cast(Tensor, model.labels(900, seed=5, first=1000)), drawn[1000:1900])
    assert not torch.equal(cast(Tensor, model.labels(900, seed=6)), drawn[:900])
    assert cast(Tensor, model.labels(0)).tolist() == []


@pytest.mark.parametrize("label", [None, "shoe", 0])
def test_sample_i_is_the_same_whatever_the_count(label: str | int | None) -> None:
    model = model_of()
    many = np.asarray(model.sample(130, seed=2, label=label))  # more than are made at once
    for count in (1, 64, 65):
        assert np.array_equal(model.sample(count, seed=2, label=label), many[:count])


@pytest.mark.parametrize(
    ("label", "number"), [(0, 0), (2, 2), ("2", 2), ("shirt", 1), ("shoe", 2), ("7", 0), (np.int64(1), 1)]
)
def test_a_class_is_asked_for_by_number_or_name(label: Any, number: int) -> None:
    """A name that is a number, the class called "7", means the name."""
    model = model_of()
    made = model.generator(model.latents(9, seed=1), torch.full((9,), number)).detach()
    expected = np.rint((made.permute(0, 2, 3, 1).numpy() + 1) * 127.5).astype(np.uint8)
    assert np.array_equal(model.sample(9, seed=1, label=label), expected)
    others = [np.asarray(model.sample(9, seed=1, label=other)) for other in range(3) if other != number]
    assert not any(np.array_equal(expected, other) for other in others)


@pytest.mark.parametrize("label", [3, -1, "3", "-1", "Shirt", "", "1.0", 1.0, "²"])
def test_no_such_class(label: Any) -> None:
    for count in (0, 3):
        with pytest.raises(UsageError, match="the 3 classes are '7', 'shirt', 'shoe'"):
            model_of().sample(count, label=label)


def test_many_classes_are_not_all_listed() -> None:
    with pytest.raises(UsageError, match=r"the 30 classes are '0', '1', .*, '11' …\.$"):
        model_of(tuple(map(str, range(30)))).sample(1, label="dog")


def test_a_model_without_labels() -> None:
    assert model_of(()).labels(3) is None
    with pytest.raises(UsageError, match="trained without labels"):
        model_of(()).sample(1, label=0)


def test_an_ensemble_of_one_class() -> None:
    members = [model_of(seed=seed) for seed in (0, 1)]
    both = Ensemble(members)
    assert both.classes == NAMES
    for label in ("shoe", None):
        own = np.stack([np.asarray(member.sample(90, seed=1, label=label)) for member in members])
        chosen = both.chosen(90, seed=1).numpy()
        assert 0 < chosen.sum() < 90
        assert np.array_equal(both.sample(90, seed=1, label=label), own[chosen, np.arange(90)])
    with pytest.raises(RunError, match="no ensemble"):
        Ensemble([model_of(), model_of(("a", "b", "c"))])


def test_a_model_folder_keeps_its_classes(tmp_path: Path) -> None:
    model = model_of()
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.classes == NAMES
    assert np.array_equal(again.sample(70, label="shirt"), model.sample(70, label="shirt"))
    assert np.array_equal(again.sample(70), model.sample(70))
    Model({"generator": model.generator}, model.config | {"classes": ["7", "shirt"]}).save(tmp_path / "other")
    with pytest.raises(RunError, match="the classes are not those of the generator"):
        load(tmp_path / "other")


def test_the_command_samples_a_class(tmp_path: Path, shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    model_of().save(tmp_path / "model")
    model_of(()).save(tmp_path / "plain")
    out = tmp_path / "shirts.npy"
    shell.run("sample", tmp_path / "model", "--label", "shirt", "--count", 8, "--seed", 3, "--out", out)
    assert np.array_equal(np.load(out, allow_pickle=False), model_of().sample(8, seed=3, label=1))
    assert main(["sample", str(tmp_path / "model"), "--label", "2", "--count", "8", "--out", str(out)]) == 0
    assert np.array_equal(np.load(out, allow_pickle=False), model_of().sample(8, label="shoe"))
    assert main(["sample", str(tmp_path / "model"), "--label", "dress", "--out", str(tmp_path / "no.png")]) == 2
    assert "There is no label 'dress': the 3 classes are '7', 'shirt', 'shoe'." in capsys.readouterr().err
    assert main(["sample", str(tmp_path / "plain"), "--label", "2", "--out", str(tmp_path / "no.png")]) == 2
    assert "trained without labels" in capsys.readouterr().err
    assert not (tmp_path / "no.png").exists()


# what a run shows of its classes


@pytest.fixture(scope="module")
def run(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run of `acgan`, with codes, on three classes, the first of one image."""
    here = tmp_path_factory.mktemp("clothes")
    settings = {"training.batch": 8, "training.report_every": 32, "generator.options": {"hidden": [16]}}
    settings |= {"discriminator.options": {"hidden": [16]}, "training.ema": 0}
    settings |= {"game.remedies.information": 1.0, "latent.categorical": [3, 2], "latent.continuous": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROSUM_CACHE", str(session_cache))
        data = folder_of(here / "data", {"7": 1, "shirt": 12, "shoe": 5})
        zerosum.train(data, recipe="acgan", out=here / "run", images=64, settings=settings)
    return here / "run"


def tiles_of(picture: Path, rows: int) -> np.ndarray:
    """(rows, columns, 8, 8) of a grid of 8×8 tiles."""
    pixels = np.asarray(Image.open(picture).convert("L"))
    return pixels.reshape(rows, 8, -1, 8).transpose(0, 2, 1, 3)


def test_a_row_for_each_class_in_order(run: Path) -> None:
    assert json.loads((run / "samples" / "grid.json").read_text())["labels"] == list(NAMES)
    tiles = tiles_of(run / "samples" / "real.png", 3)
    for row, name in zip(tiles, NAMES, strict=True):
        own = {np.asarray(Image.open(path)).tobytes() for path in (run.parent / "data" / name).iterdir()}
        assert {tile.tobytes() for tile in row} <= own
        assert len({tile.tobytes() for tile in row}) == min(8, len(own)), "all there are, and as often as each other"


def test_generated_rows_are_of_those_classes(run: Path) -> None:
    model = load(run)
    assert isinstance(model, Model)
    assert model.classes == NAMES
    latents = Latents(**model.config["latent"]).rows(Randomness(0), "report", 0, 24)
    made = model.generate(latents, torch.tensor([0, 1, 2]).repeat_interleave(8))
    expected = np.rint((made.numpy() + 1) * 127.5).astype(np.uint8).reshape(3, 8, 8, 8)
    assert np.array_equal(tiles_of(run / "samples" / "000000064.png", 3), expected)


def test_records_have_a_table_of_classes(run: Path) -> None:
    records = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    assert len(records) == 2
    for record in records:
        assert list(record["classes"]) == list(NAMES)
        assert record["classes"]["7"].keys() == {"D(x)", "D(G(z))", "recognised"}, "one image has no diversity"
        assert record["classes"]["shoe"].keys() == {"D(x)", "D(G(z))", "recognised", "diversity"}
    real, made = tiles_of(run / "samples" / "real.png", 3), tiles_of(run / "samples" / "000000064.png", 3)
    found = [records[-1]["classes"][name]["diversity"] for name in NAMES[1:]]
    assert found == pytest.approx([made[row].std(0).mean() / real[row].std(0).mean() for row in (1, 2)], rel=1e-5)


def test_codes_are_shown_for_the_first_class(run: Path) -> None:
    model = load(run)
    assert isinstance(model, Model)
    latents = Latents(**model.config["latent"])
    sweep = latents.sweep(Randomness(0), "codes", 8)
    made = model.generate(sweep.latents, torch.zeros(len(sweep.latents), dtype=torch.int64))
    expected = np.rint((made.numpy() + 1) * 127.5).astype(np.uint8).reshape(6, 8, 8, 8)
    assert np.array_equal(tiles_of(run / "samples" / "codes.png", 6), expected)


class Opinionated(Game):
    """Says of each sample the number of its class."""

    def opinions(self, real: Tensor, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"D(x)": labels.float(), "recognised": torch.full((len(fake),), float("nan"))}


def test_of_many_classes_the_first_twenty_rows(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    labels = np.arange(23).repeat(5)
    np.savez(tmp_path / "many.npz", images=chance.integers(0, 256, (115, 8, 8, 1), dtype=np.uint8), labels=labels)
    store = open_data(tmp_path / "many.npz", labels=True)
    shown = Exhibits(tmp_path, store, None, Latents(4), store.classes, None, 0)
    shown.write_real()
    assert json.loads((tmp_path / "grid.json").read_text())["labels"] == [str(number) for number in range(20)]
    assert shown.labels is not None
    assert shown.labels.tolist() == [number for number in range(20) for _ in range(8)]
    table = shown.by_class(Opinionated(), shown.real)
    assert {name: row["D(x)"] for name, row in table.items()} == {str(number): number for number in range(20)}
    assert all(row == {"D(x)": row["D(x)"], "diversity": 1.0} for row in table.values())
    without_a_row = model_of(store.classes).labels(2, label="22")
    assert without_a_row is not None
    assert without_a_row.tolist() == [22, 22]


def test_points_are_shown_with_every_class(tmp_path: Path) -> None:
    """As they come, so that means and covariances are those of all."""
    chance = np.random.default_rng(0)
    labels = chance.choice([3, 5, 8, 9], 3000, p=[0.7, 0.1, 0.1, 0.1])
    np.savez(tmp_path / "points.npz", x=(labels[:, None] + chance.normal(size=(3000, 2))).astype("f4"), y=labels)
    store = open_data(tmp_path / "points.npz", labels=True)
    shown = Exhibits(tmp_path, store, None, Latents(4), store.classes, None, 0)
    assert shown.real.shape == (1000, 2)
    assert shown.labels is not None
    np.testing.assert_allclose(np.bincount(shown.labels) / 1000, [0.7, 0.1, 0.1, 0.1], atol=0.05)
    table = shown.by_class(Opinionated(), shown.real / 2)
    assert list(table) == ["3", "5", "8", "9"]
    for number, row in enumerate(table.values()):
        mine = shown.real[(shown.labels == number).numpy()]
        assert abs(mine.mean() - [3, 5, 8, 9][number]) < 0.3
        assert row["diversity"] == pytest.approx(spread(mine / 2) / spread(mine))


# what is refused before it begins


@pytest.mark.parametrize(
    ("data", "words", "code", "says"),
    [
        ("flat", ["--recipe", "cgan"], 3, "no subfolders to name the classes"),
        ("ring8", ["--recipe", "cgan"], 3, "labels are asked for, but it has none"),
        ("hollow", ["--recipe", "acgan"], 3, "1 class has no images: 'hat'"),
        ("clothes", ["--recipe", "cgan", "--data.labels", "false"], 2, "give --data.labels true too"),
        ("flat", ["--game.labels.generator", "concatenate"], 2, "give --data.labels true too"),
        ("clothes", ["--data.labels", "--game.labels.generator", "concatenate"], 2, "needs one that does too"),
        ("clothes", ["--data.labels", "--game.labels.discriminator", "projection"], 2, "needs one that does too"),
        ("clothes", ["--recipe", "cgan", "--game.remedies.pack", "2"], 2, "leave out pack and replay"),
        ("clothes", ["--recipe", "cgan-projection", "--generator.options.normalise", "false"], 2, "has no BatchNorm"),
        ("clothes", ["--recipe", "cgan", "--data.labelled", "4"], 2, "is for game.kind semi-supervised"),
        ("clothes", ["--data.labelled", "4"], 2, "is for game.kind semi-supervised"),
        ("clothes", ["--recipe", "sgan", "--data.labels", "false"], 2, "give --data.labels true and"),
        ("clothes", ["--recipe", "sgan", "--data.labelled", "0"], 2, "--data.labelled 100"),
        ("clothes", ["--recipe", "sgan", "--data.labelled", "1"], 2, "less than one for each of 2 classes"),
        ("clothes", ["--recipe", "sgan", "--data.labelled", "100", "--data.holdout", "0"], 3, "takes 50 of class"),
        ("ring8", ["--recipe", "sgan"], 3, "labels are asked for, but it has none"),
        ("clothes", ["--recipe", "cgan", "--ensemble", "2", "--data.labels", "false"], 2, "give --data.labels true"),
    ],
    ids=str,
)
def test_refused_before_it_begins(
    data: str, words: list[str], code: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {"flat": {".": 6}, "hollow": {"shirt": 6, "hat": 0}, "clothes": {"shirt": 6, "shoe": 6}}
    source = folder_of(tmp_path / data, sizes[data]) if data in sizes else data
    begun = tmp_path / "run"
    assert main(["train", *map(str, (source, *words, *SHORT)), "--out", str(begun)]) == code
    assert says in capsys.readouterr().err
    assert not begun.exists()


def test_a_class_that_is_held_out_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The only image of a class has its side by its content; the smallest share that takes it is refused."""
    source = folder_of(tmp_path / "data", {"hat": 1, "shirt": 40})
    store = open_data(source, labels=True)
    share = next(share for share in np.arange(0.1, 1, 0.05) if 0 in cast(Any, holdout(store, share)[1].labels))
    words = ["train", str(source), "--recipe", "cgan", *map(str, SHORT), "--out", str(tmp_path / "run")]
    assert main([*words, "--data.holdout", f"{share:.2f}"]) == 3
    said = capsys.readouterr().err
    assert f"give a smaller --data.holdout than {share:.2g}" in said
    assert "1 class has no images: 'hat'" in said
    assert not (tmp_path / "run").exists()


def test_refused_as_a_user_sees_it(shell: Shell) -> None:
    folder_of(shell.folder / "flat", {".": 6})
    assert "no subfolders to name the classes" in shell.run("train", "flat", "--recipe", "cgan", *SHORT, code=3)
    assert [path.name for path in shell.folder.iterdir()] in (["flat"], ["flat", "runs"], ["runs", "flat"])
    assert list(shell.folder.glob("runs/*")) == []
