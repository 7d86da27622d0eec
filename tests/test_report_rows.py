"""Pictures with a word a row, figures and classes in the records, and games without a discriminator, in the report."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from test_report import COLUMNS, CONFIG, ROWS, Page, image_run, point_run, record, write_json, write_records
from zerosum.errors import RunError
from zerosum.report import figures, write_report
from zerosum.report.row_kinds import ROW_KINDS
from zerosum.report.run_folder import read_run
from zerosum.report.sheet import label_width

CLASSES = ["zero", "one", "two", "T-shirt/top"]
AUTOENCODER = (
    CONFIG.replace("[discriminator]", "[encoder]")
    .replace("quick-discriminator", "quick-body")
    .replace("[game]", '[game.reconstruction]\nloss = "bernoulli"\n\n[game]\nkind = "reconstruction"')
)
DIGITS = (load_digits().images * 15.9).round().clip(0, 255).astype(np.uint8)


def add_rows(run: Path, name: str, labels: list[str], columns: int = 3) -> np.ndarray:
    """A picture of digits with a row for each label; returns its tiles (rows, columns, 8, 8)."""
    tiles = DIGITS[: len(labels) * columns].reshape(len(labels), columns, 8, 8)
    sheet = tiles.swapaxes(1, 2).reshape(len(labels) * 8, columns * 8)
    Image.fromarray(sheet).save(run / "samples" / f"{name}.png")
    write_json(run / "samples" / f"{name}.json", {"columns": columns, "height": 8, "width": 8, "labels": labels})
    return tiles


def with_labels(run: Path, labels: object) -> Path:
    grid = {"rows": ROWS, "columns": COLUMNS, "height": 8, "width": 8, "labels": labels}
    write_json(run / "samples" / "grid.json", grid)
    return run


def drawn(run: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(run / "figures" / f"{name}.png").convert("L"))


def enlarged(tile: np.ndarray, scale: int) -> np.ndarray:
    return tile.repeat(scale, 0).repeat(scale, 1)


# pictures with rows


@pytest.mark.parametrize(
    ("name", "labels", "words"),
    [
        ("reconstructions", ["real", "reconstructed"] * 2, "Real: images of the data. Reconstructed: what the decoder"),
        ("reconstructions", ["noisy", "restored", "clean"], "Noisy: images of the data with noise added"),
        ("plane", ["1.5", "0", "−1.5"], "what the decoder makes of one point of the latent plane"),
        ("codes", ["code 1 = 0", "continuous 1, -2 to 2"], "To draw with code 1 = 1"),
    ],
    ids=str,
)
def test_a_picture_with_rows(tmp_path: Path, name: str, labels: list[str], words: str) -> None:
    """Every tile stands where it should, each row's label beside it; rows that begin anew stand apart."""
    run = image_run(tmp_path / "run", reports=1)
    tiles = add_rows(run, name, labels)
    page = Page(write_report(run))
    assert page.source.count(f"<h2>{ROW_KINDS[name].title}</h2>") == 1
    assert words in page.text
    picture, scale = drawn(run, name), 30  # 24 pixels to 700, by a whole number
    step, left, top = 8 * scale + 2, label_width(labels), 46
    for row, label in enumerate(labels):
        top += 8 if row and label == labels[0] else 0
        for column in range(3):
            found = picture[top : top + 8 * scale, left + column * step :][:, : 8 * scale]
            np.testing.assert_array_equal(found, enlarged(tiles[row, column], scale))
        written = np.flatnonzero((picture[top : top + 8 * scale, :left] < 128).any(0))
        assert 6 <= written.min() < written.max() < left - 6
        top += step


def test_all_kinds_together_in_the_tables_order(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run", reports=1)
    for name in reversed(ROW_KINDS):
        add_rows(run, name, ["a", "b"])
    add_rows(run, "unknown", ["a", "b"])
    assert [rows.name for rows in read_run(run).rows] == list(ROW_KINDS)
    source = Page(write_report(run)).source
    places = [source.index(f"<h2>{kind.title}</h2>") for kind in ROW_KINDS.values()]
    assert places == sorted(places)


@pytest.mark.parametrize("name", ["plane", "reconstructions"])
def test_damage_is_named(tmp_path: Path, name: str) -> None:
    run = image_run(tmp_path / "run", reports=1)
    add_rows(run, name, ["a", "b"])
    about = json.loads((run / "samples" / f"{name}.json").read_text())
    write_json(run / "samples" / f"{name}.json", {**about, "labels": ["a", "b", "c"]})
    with pytest.raises(RunError, match=rf"{name}\.png has 6 tiles, and {name}\.json beside it says 3×3"):
        write_report(run)
    write_json(run / "samples" / f"{name}.json", {**about, "labels": "ab"})
    with pytest.raises(RunError, match=rf"{name}\.json: 'labels' should be a list of strings"):
        read_run(run)
    (run / "samples" / f"{name}.json").unlink()
    with pytest.raises(RunError, match=rf"{name}\.json is missing"):
        read_run(run)


# classes of rows


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose samples have a class a row. Not to be written to."""
    run = with_labels(image_run(tmp_path_factory.mktemp("runs") / "cgan"), CLASSES)
    write_json(run / "model" / "config.json", {})
    write_report(run)
    return run


def test_the_newest_samples_have_the_class_of_each_row(conditional: Path) -> None:
    newest, picture = np.asarray(Image.open(conditional / "samples" / "000003000.png")), drawn(conditional, "samples")
    left, scale = label_width(CLASSES), 16
    np.testing.assert_array_equal(picture[12 : 12 + 32 * scale, left : left + 40 * scale], enlarged(newest, scale))
    for row in range(ROWS):
        beside = picture[12 + row * 8 * scale : 12 + (row + 1) * 8 * scale, :left] < 128
        assert 6 <= np.flatnonzero(beside.any(0)).min() < np.flatnonzero(beside.any(0)).max() < left - 6
        middle = np.flatnonzero(beside.any(1)).mean()
        assert abs(middle - 4 * scale) < scale, "in the middle of its row"


def test_milestones_have_a_column_a_class(conditional: Path) -> None:
    newest, picture = (
        np.asarray(Image.open(conditional / "samples" / "000003000.png")),
        drawn(conditional, "milestones"),
    )
    scale, bottom = 22, picture.shape[0] - 12 - 2
    for column in range(ROWS):
        tile = enlarged(newest[8 * column : 8 * column + 8, :8], scale)  # the first of each row
        left = 90 + column * (8 * scale + 2)
        np.testing.assert_array_equal(picture[bottom - 8 * scale : bottom, left : left + 8 * scale], tile)
        assert (picture[46:68, left : left + 8 * scale] < 128).any(), "its class above it"
    text = Page(conditional / "report.html").text
    assert "A latent of each of 4 classes after 1k, 2k, 3k" in text


def test_real_beside_generated_has_them_too(conditional: Path) -> None:
    real, picture = np.asarray(Image.open(conditional / "samples/real.png")), drawn(conditional, "real-and-generated")
    left, scale = label_width(CLASSES), 12
    np.testing.assert_array_equal(picture[46 : 46 + 32 * scale, left : left + 40 * scale], enlarged(real, scale))
    assert (picture[46 : 46 + 32 * scale, : left - 6] < 128).any()


def test_a_run_with_classes_says_how_to_ask_for_one(conditional: Path) -> None:
    assert "zerosum sample cgan --count 8 --label 0" in Page(conditional / "report.html").text
    assert "unconditional" not in (conditional / "model" / "README.md").read_text()


def test_words_that_could_not_be_read_are_left_out(tmp_path: Path) -> None:
    """A hundred rows, which the picture of two grids must make small: the newest samples keep their labels."""
    run = image_run(tmp_path / "run", reports=1)
    grid = {"rows": 100, "columns": 8, "height": 8, "width": 8, "labels": [f"class {n}" for n in range(100)]}
    write_json(run / "samples" / "grid.json", grid)
    tall = Image.fromarray(DIGITS[:800].reshape(100, 8, 8, 8).swapaxes(1, 2).reshape(800, 64))
    for name in ("real", "000001000"):
        tall.save(run / "samples" / f"{name}.png")
    write_report(run)
    assert not (drawn(run, "real-and-generated")[46:, :12] < 250).any()
    assert (drawn(run, "samples")[:, : label_width(["class 10"]) - 6] < 128).any()


@pytest.mark.parametrize(
    ("labels", "words"),
    [(["a", "b"], r"'labels' should be 4 strings, one a row"), ([1, 2, 3, 4], "a list of strings"), ({}, "a list of")],
)
def test_labels_that_do_not_fit(tmp_path: Path, labels: object, words: str) -> None:
    with pytest.raises(RunError, match=words):
        read_run(with_labels(image_run(tmp_path / "run", reports=1), labels))


# figures and classes


def test_figures_are_drawn_by_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that end alike share a panel; what is measured now and then is joined, and its newest value told."""
    panels = {}
    real_panel = figures._panel

    def spy(axes: figures.Axes, *rest: object) -> None:
        real_panel(axes, *rest)  # type: ignore[arg-type]
        lines = {str(line.get_label()): np.column_stack(line.get_data()).tolist() for line in axes.get_lines()}
        panels[axes.get_title(loc="left")] = lines

    monkeypatch.setattr(figures, "_panel", spy)
    run = image_run(tmp_path / "run")
    found: list[dict[str, float | None]] = [
        {"test accuracy": 0.5, "baseline accuracy": 0.4, "PSNR": 12.0},
        {"PSNR": None, "nothing": None},
        {"test accuracy": 0.9, "PSNR": 15.5},
    ]
    write_records(run, [record(1000 * (n + 1), figures=one) for n, one in enumerate(found)])
    page = Page(write_report(run))
    assert panels == {
        "accuracy": {"test accuracy": [[1000, 0.5], [3000, 0.9]], "baseline accuracy": [[1000, 0.4]]},
        "PSNR": {"PSNR": [[1000, 12.0], [3000, 15.5]]},
    }
    assert "test accuracy 0.5 → 0.9; baseline accuracy 0.4 → 0.4; PSNR 12 → 15.5." in page.text
    told = dict(zip(page.words, page.words[1:], strict=False))
    assert told["last figure, baseline accuracy"] == "0.4"
    assert told["last figure, test accuracy"] == "0.9"


def test_classes_as_recorded_last(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run")
    table = {name: {"recognised": 0.9, "D(x)": None} for name in CLASSES}
    write_records(run, [record(1000, classes=table), record(2000, classes=table), record(3000)])
    assert "The figures of each class after 2,000 real images shown." in Page(write_report(run)).text
    assert read_run(run).records[0].classes["one"]["recognised"] == 0.9
    assert math.isnan(read_run(run).records[0].classes["one"]["D(x)"])
    assert drawn(run, "classes").shape[1] == 1000


def test_of_many_classes_the_best_and_the_worst(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run", reports=1)
    shares = {f"class {n}": n * 37 % 40 / 40 for n in range(40)}  # each share once, in no order
    table = {name: {"D(x)": 0.5, "recognised": share} for name, share in shares.items()}
    table["class 3"] = {"D(x)": 0.5}
    write_records(run, [record(1000, classes=table)])
    names, by = figures._chosen(read_run(run).records[0], ["D(x)", "recognised"])
    ranked = sorted((name for name in shares if name != "class 3"), key=lambda name: -shares[name])
    assert by == "recognised"
    assert names == [*ranked[:15], *ranked[-14:], "class 3"]
    assert "Of 40 classes the best 15 and, below the line, the worst 15 by recognised." in Page(write_report(run)).text


def test_without_figures_there_are_no_such_pictures(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run", reports=1)
    write_report(run)
    assert not {"figures.png", "classes.png"} & {path.name for path in (run / "figures").iterdir()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"figures": [1]}, "'figures' should be a table"),
        ({"figures": {"PSNR": "12"}}, "figures: 'PSNR' should be a number or null"),
        ({"classes": {"one": 3}}, "classes: 'one' should be a table"),
        ({"classes": {"one": {"D(x)": []}}}, "'D.x.' should be a number or null"),
    ],
)
def test_records_that_are_wrong(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    run = image_run(tmp_path / "run", reports=1)
    write_records(run, [record(1000, **changes)])
    with pytest.raises(RunError, match=words):
        read_run(run)


# games without a discriminator


@pytest.mark.parametrize("points", [False, True])
def test_an_autoencoder(tmp_path: Path, points: bool) -> None:
    run = point_run(tmp_path / "run", 2) if points else image_run(tmp_path / "run")
    (run / "config.toml").write_text(AUTOENCODER)
    losses = {"outputs": {}, "losses": {"autoencoder": 0.5}}
    write_records(run, [record(1000 * (n + 1), **losses) for n in range(3)])
    write_json(run / "model" / "config.json", {})
    if not points:
        add_rows(run, "reconstructions", ["real", "reconstructed"])
    page = Page(write_report(run))
    told = dict(zip(page.words, page.words[1:], strict=False))
    assert (told["game"], told["loss"], told["encoder"]) == ("reconstruction", "bernoulli", "quick-body")
    assert told["decoder (generator)"] == "quick-generator"
    assert "discriminator" not in page.text.lower().replace("learning rate, discriminator", "").replace(
        "gradient norm, discriminator", ""
    )
    assert not (run / "figures" / "outputs.png").exists()
    card = (run / "model" / "README.md").read_text()
    assert f"An autoencoder of {'points' if points else 'images'}: an encoder and a decoder." in card
    assert "- networks: encoder quick-body, decoder (generator) quick-generator" in card
    assert "adversarial" not in card
    assert "- autoencoder\n" in card
    shown = "scatter.png" if points else "reconstructions.png"
    assert (run / "model" / "samples.png").read_bytes() == (run / "figures" / shown).read_bytes()


def test_an_autoencoder_without_a_loss_of_its_own(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run", reports=1)
    (run / "config.toml").write_text(AUTOENCODER.replace('loss = "bernoulli"', ""))
    assert read_run(run).facts.loss == "relativistic"
    (run / "config.toml").write_text(AUTOENCODER.replace('"bernoulli"', "3"))
    with pytest.raises(RunError, match=r"\[game\.reconstruction\]: 'loss' should be a string, and is 3"):
        read_run(run)


def test_a_game_with_all_three(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run", reports=1)
    more = '[game]\nkind = "bigan"'
    (run / "config.toml").write_text(CONFIG.replace("[game]", more) + '[encoder]\nnetwork = "quick-body"\n')
    write_json(run / "model" / "config.json", {})
    write_report(run)
    card = (run / "model" / "README.md").read_text()
    assert "- networks: encoder quick-body, generator quick-generator, discriminator quick-discriminator" in card
    assert "A generator of images, the released half" in card
