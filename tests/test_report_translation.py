"""The report of games that make pictures of pictures, from run folders built by the contract out of real digits."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from matplotlib import rc_context
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits

import zerosum
from pictures import write_pairs
from test_report import Page, record, write_json, write_records
from zerosum.errors import RunError
from zerosum.report import figures, write_report
from zerosum.report.card import card, inline
from zerosum.report.drawing import LOOK, Picture
from zerosum.report.page import commands, facts, key_numbers, page
from zerosum.report.row_kinds import ROW_KINDS
from zerosum.report.rows import labelled_rows
from zerosum.report.run_folder import read_run
from zerosum.report.sheet import label_width
from zerosum.report.translation import DEGRADATIONS, Side, Translation
from zerosum.translator import Translator

ROWS, COLUMNS, SIZE = 4, 4, 16
CONFIG = """
[recipe]
name = "{recipe}"
title = "Digits from their outlines"
source = "Isola et al. 2017"

[data]
holdout = {holdout}

[game]
kind = "{kind}"
loss = "non-saturating"

[game.reconstruction]
loss = "absolute"

[game.translation]
adversarial = {adversarial}

[generator]
network = "unet-generator"

[discriminator]
network = "patch-discriminator"

[training]
batch = 1
seed = 7
"""
PAIRED = ("source", "result", "target")
UNPAIRED = ("a", "a to b", "and back to a", "b", "b to a", "and back to b")


@dataclass(frozen=True)
class Sides:
    """Tiles (N, H, W, 3) of sources, as they are shown, and of targets."""

    given: np.ndarray
    wanted: np.ndarray


def digits() -> Sides:
    """Outlines of digits, and the digits in a colour each."""
    count = ROWS * COLUMNS
    large = [
        Image.fromarray((one * 15.9).astype(np.uint8)).resize((SIZE, SIZE)) for one in load_digits().images[:count]
    ]
    outlines = np.stack([np.asarray(one.filter(ImageFilter.FIND_EDGES).convert("RGB")) for one in large])
    colours = np.stack([np.roll([255, 160, 60], number) for number in range(count)])[:, None, None]
    painted = np.stack([np.asarray(one) for one in large])[..., None] * colours // 255
    return Sides(outlines, painted.astype(np.uint8))


def on_the_way(sides: Sides, done: float) -> np.ndarray:
    """Results between sources and targets."""
    return ((1 - done) * sides.given + done * sides.wanted).round().astype(np.uint8)


def sheet_of(tiles: np.ndarray, columns: int) -> Image.Image:
    count, height, width, channels = tiles.shape
    grid = tiles.reshape(count // columns, columns, height, width, channels).swapaxes(1, 2)
    return Image.fromarray(grid.reshape(count // columns * height, columns * width, channels))


def side(name: str, shape: list[int], dtype: str = "uint8", count: int = 1797) -> dict[str, object]:
    return {"name": name, "count": count, "shape": shape, "dtype": dtype, "low": 0, "high": 255}


def measured(kind: str, n: int, holes: bool = False) -> dict[str, float]:
    """Figures of report n, plausible ones, by the names that training gives them."""
    results = {"PSNR": 14.0 + n, "SSIM": 0.5 + n / 50, "L1": 0.3 - n / 50}
    if kind == "unpaired":
        return {f"{side} there and back {name}": value for side in "ab" for name, value in results.items()}
    results |= {"source PSNR": 12.0, "source SSIM": 0.45, "source L1": 0.4}
    return results | ({"hole L1": 0.8 - n / 10, "source hole L1": 0.9} if holes else {})


def translator_run(
    run: Path, sides: Sides, *, kind: str = "paired", degrade: str = "", holdout: float = 0.1, columns: int = COLUMNS,
    adversarial: float = 1.0, recipe: str = "pix2pix", data: dict[str, object] | None = None, reports: int = 3,
) -> Path:  # fmt: skip
    """A run folder of a translator, whose results come nearer to the targets at each report."""
    run.mkdir()
    text = CONFIG.format(kind=kind, holdout=holdout, adversarial=adversarial, recipe=recipe)
    (run / "config.toml").write_text(text)
    write_json(run / "environment.json", {"zerosum": "0.1.0"})
    height, width = sides.wanted.shape[1:3]
    about = {"given": side("outlines", [1, height, width], "uint16"), "degrade": degrade, "judged": 179}
    facts = side("digits", [3, height, width]) | about | (data or {})
    write_json(run / "data.json", facts | {"classes": [], "rejected": 0})
    write_json(run / "status.json", {"state": "done", "reason": "", "images": 1000 * reports, "seconds": 65.0})
    seen = [measured(kind, n, degrade.startswith("mask")) for n in range(reports)]
    write_records(run, [record(1000 * (n + 1), figures=figures) for n, figures in enumerate(seen)])
    rows = len(sides.wanted) // columns
    grid = {"rows": rows, "columns": columns, "height": height, "width": width, "channels": 3}
    write_json(run / "samples" / "grid.json", grid)
    sheet_of(sides.wanted, columns).save(run / "samples" / "real.png")
    for n in range(reports):
        sheet_of(on_the_way(sides, (n + 1) / (reports + 1)), columns).save(run / f"samples/{1000 * (n + 1):09d}.png")
    made, back = on_the_way(sides, reports / (reports + 1)), on_the_way(sides, 0.1)
    parts = (
        (sides.given, made, sides.wanted) if kind == "paired" else (sides.given, made, back, sides.wanted, back, made)
    )
    bands = range(2 if kind == "paired" else 1)
    tiles = [part[band * columns : (band + 1) * columns] for band in bands for part in parts]
    sheet_of(np.concatenate(tiles), columns).save(run / "samples" / "translations.png")
    labels = (PAIRED if kind == "paired" else UNPAIRED) * len(bands)
    sizes = {"columns": columns, "height": height, "width": width, "labels": labels}
    write_json(run / "samples" / "translations.json", sizes)
    write_json(run / "model" / "config.json", {"game": kind, "parameters": 54413955})
    return run


DATA = digits()
NOT_DRAWN = Picture("translations.png", "Translations", "not drawn")


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A paired run, reported. Not to be written to."""
    run = translator_run(tmp_path_factory.mktemp("runs") / "colours", DATA)
    write_report(run)
    return run


@pytest.fixture(scope="module")
def unpaired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpaired run, reported. Not to be written to."""
    data = side("zebras", [3, SIZE, SIZE], count=1334) | {"given": side("horses", [3, SIZE, SIZE], count=1067)}
    run = translator_run(tmp_path_factory.mktemp("runs") / "cycle", DATA, kind="unpaired", holdout=0.0, data=data)
    write_report(run)
    return run


def table_of(shown: Page) -> dict[str, str]:
    """Each piece of text and the next: of a table's name its value."""
    return dict(zip(shown.words, shown.words[1:], strict=False))


# pictures


@pytest.mark.parametrize(("name", "labels", "bands"), [("paired", PAIRED * 2, (3,)), ("unpaired", UNPAIRED, (3,))])
def test_rows_of_translations(
    request: pytest.FixtureRequest, name: str, labels: tuple[str, ...], bands: tuple[int, ...]
) -> None:
    """Every tile stands where it should, and a band of rows apart from the one before it."""
    run: Path = request.getfixturevalue(name)
    rows = np.asarray(Image.open(run / "samples" / "translations.png"))
    picture = np.asarray(Image.open(run / "figures" / "translations.png").convert("RGB"))
    scale, top = 11, 46  # four tiles of 16 pixels to at least 700, by a whole number: 11 × 64
    for row in range(len(labels)):
        top += 8 if row in bands else 0
        for column in range(COLUMNS):
            tile = rows[row * SIZE : (row + 1) * SIZE, column * SIZE : (column + 1) * SIZE]
            left = label_width(labels) + column * (scale * SIZE + 2)
            found = picture[top : top + scale * SIZE, left : left + scale * SIZE]
            np.testing.assert_array_equal(found, tile.repeat(scale, 0).repeat(scale, 1))
        top += scale * SIZE + 2


@pytest.mark.parametrize("name", ["paired", "unpaired"])
def test_translations_come_first_and_stand_for_the_model(request: pytest.FixtureRequest, name: str) -> None:
    run: Path = request.getfixturevalue(name)
    shown = Page(run / "report.html")
    titles = re.findall(r"<h2>(.*?)</h2>", shown.source)
    assert titles[:3] == ["Translations", "Results" if name == "paired" else "Results, a to b", "Progress"]
    beside = shown.source.split('<div class="pair">')[1].split("</div>")[0]
    assert re.findall(r"<h2>(.*?)</h2>", beside) == titles[1:3]
    assert (run / "model" / "samples.png").read_bytes() == (run / "figures" / "translations.png").read_bytes()


def test_captions_of_pairs(paired: Path) -> None:
    text = Page(paired / "report.html").text
    for words in (
        "Source: what the network is given. Result: what it makes of the source alone. Target: what it should have",
        "The pairs are held out (10% of all): the training never saw them.",
        "What is made of the same sources at every report, here after 3k real images were shown.",
        "Results for the same sources. From 1k to 3k shown, 3 frames.",
        "Results for the same 10 sources after 1k, 2k, 3k real images shown.",
        "Left: the targets. Right: the newest results, each at the place of its own target",
        "Shares of pixel values in the grid of targets and the newest grid of results;",
    ):
        assert words in text
    assert not re.search("latent|generated|zerosum sample", text)


def test_captions_without_pairs(unpaired: Path) -> None:
    text = Page(unpaired / "report.html").text
    for words in (
        "In each band a column is one picture: of a (horses), made into one of b by one network, and brought back to a",
        "Then the same from b (zebras). The pictures are the training's own: the networks have seen them.",
        "Results for the same pictures of a. From 1k to 3k",
        "A tile has no counterpart at its place on the other side",
        "Shares of pixel values in the grid of real b and the newest grid made of a;",
    ):
        assert words in text
    assert not re.search("latent|generated|zerosum sample|target", text)


def test_other_runs_keep_their_words(tmp_path: Path) -> None:
    """A picture of translations in a run of no translator has its rows, and no side to name."""
    run = translator_run(tmp_path / "run", DATA, kind="generation", reports=1)
    about = json.loads((run / "data.json").read_text())
    write_json(
        run / "data.json", {key: value for key, value in about.items() if key not in ("given", "degrade", "dtype")}
    )
    text = Page(write_report(run)).text
    assert "The same 10 latents after" in text
    assert "Left: images of the data. Right: the newest samples." in text
    assert "never saw them" not in text
    assert read_run(run).translation is None


@pytest.mark.parametrize(
    ("degrade", "channels", "small", "words"),
    [
        ("downsample:4", 3, 4, "the target made 4 times smaller each way, shown enlarged. Result"),
        ("mask:box", 4, 1, "the target with a box of pixels taken away, which are grey here; the result keeps all oth"),
        ("mask:strokes", 4, 1, "the target with strokes of pixels taken away, which are grey here; the result keeps"),
        ("gray", 1, 1, "the target without its colours. Result"),
        ("blur:1.5", 3, 1, "the target blurred by a Gaussian with a deviation of 1.5 pixels. Result"),
        ("noise:0.1", 3, 1, "the target with normal noise added, of deviation 0.1 where white less black is 2. Result"),
        ("jpeg:10", 3, 1, "the target after JPEG compression of quality 10. Result"),
        ("moths:3", 3, 1, "the target degraded by moths:3. Result"),
    ],
)
def test_what_was_done_to_the_sources(tmp_path: Path, degrade: str, channels: int, small: int, words: str) -> None:
    given = side("faces", [channels, SIZE // small, SIZE // small])
    data = side("faces", [3, SIZE, SIZE]) | {"given": given}
    run = translator_run(tmp_path / "run", DATA, degrade=degrade, data=data, reports=1)
    folder = read_run(run)
    assert f"Source: what the network is given, {words}" in ROW_KINDS["translations"].words(PAIRED, folder.translation)
    assert dict(key_numbers(folder))["given → made"] == f"{SIZE // small}×{SIZE // small}×{channels} → 16×16×3"
    assert dict(facts(folder))["degradation"] == degrade
    text = card(folder, NOT_DRAWN)
    assert f"trained on {inline(f'faces ({degrade})')}" in text
    assert "A network that restores images: given one " in text
    said = degrade.startswith("mask")
    assert ("Its last channel is alpha, 0 where a pixel is missing and 255 where it is known." in text) == said
    assert ("A folder of images, from the shell; holes are transparent pixels, as PNG files can have:" in text) == said
    words, python = commands(folder)[2][0], commands(folder)[3][0]
    assert words.startswith("Fill the holes" if said else "Translate the pictures in a folder, of any size:")
    assert ("holes are transparent pixels" in words) == ("alpha, 0 where a pixel is missing" in python) == said


def test_every_degradation_has_words() -> None:
    """Those of the table that the data's room keeps, by its own examples."""
    degradations = pytest.importorskip("zerosum.data.degradations")
    assert {kind.partition(":")[0] for kind in DEGRADATIONS} == set(degradations.PARSERS)
    assert {kind.partition(":")[2] for kind in DEGRADATIONS if ":" in kind} == set(degradations.MASKS)


# figures


@pytest.mark.parametrize("degrade", ["", "mask:box"])
def test_figures_of_one_unit_share_a_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, degrade: str) -> None:
    panels = {}
    real_panel = figures._panel

    def spy(axes: figures.Axes, *rest: object) -> None:
        real_panel(axes, *rest)  # type: ignore[arg-type]
        panels[axes.get_title(loc="left"), axes.get_ylabel()] = [str(line.get_label()) for line in axes.get_lines()]

    monkeypatch.setattr(figures, "_panel", spy)
    with rc_context(LOOK):
        text = figures.trends(read_run(translator_run(tmp_path / "run", DATA, degrade=degrade))).text
    holes = ["result in holes", "source in holes"] if degrade else []
    assert panels == {
        ("PSNR", "dB, more is nearer"): ["result", "source"],
        ("SSIM", "1 is the same"): ["result", "source"],
        ("L1", "less is nearer"): ["result", "source", *holes],
    }
    assert "source L1 0.4 → 0.4" in text
    assert "Means over 179 pairs. The pairs are held out (10% of all): the training never saw them. What begins" in text
    assert ("What ends in holes is of the pixels taken away alone" in text) == bool(degrade)


def test_figures_there_and_back(unpaired: Path) -> None:
    shown = Page(unpaired / "report.html")
    assert "Means over at most 179 pictures of each side. The pictures are the training's own" in shown.text
    assert "There and back compares pictures with what comes back of them." in shown.text
    assert "What begins with source" not in shown.text
    assert table_of(shown)["last figure, b there and back PSNR"] == "16"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Real runs, just begun: one that fills holes, and one without pairs."""
    folder = tmp_path_factory.mktemp("trained")
    outlines, filled = map(str, write_pairs(folder, 24))
    tiny = {"generator.options.width": 4, "training.threads": 1, "training.report_every": 32}
    asked = {
        "inpainting": ({"discriminator.options.width": 4}, filled),
        "cyclegan": ({"discriminator.options.field": 16, "data.a": outlines, "data.b": filled}, None),
    }
    for recipe, (settings, source) in asked.items():
        zerosum.train(source, recipe=recipe, out=folder / recipe, images=32, settings=tiny | settings)
    return {recipe: folder / recipe for recipe in asked}


def test_the_names_here_are_those_of_real_runs(trained: dict[str, Path]) -> None:
    for recipe, expected in (("inpainting", measured("paired", 0, holes=True)), ("cyclegan", measured("unpaired", 0))):
        assert set(read_run(trained[recipe]).records[-1].figures) == set(expected)
        text = Page(trained[recipe] / "report.html").text
        assert ("There and back compares" in text) == (recipe == "cyclegan")
        assert ("What ends in holes" in text) == (recipe == "inpainting")


def test_holes_are_given_as_the_card_says(trained: dict[str, Path]) -> None:
    run = trained["inpainting"]
    said = re.search(
        r"`array` is \(height, width, (\d)\) of (\w+), .* Its last channel is alpha, (\d+) where a pixel is missing "
        r"and (\d+) where it is known",
        (run / "model" / "README.md").read_text(),
    )
    assert said is not None
    channels, missing, known = (int(said[group]) for group in (1, 3, 4))
    array = np.full((20, 24, channels), 77, said[2])
    array[..., -1] = known
    array[4:9, 5:12, -1] = missing
    model = zerosum.load(run)
    assert isinstance(model, Translator)
    changed = (model.translate(array) != array[..., :-1]).any(axis=-1)
    assert changed[4:9, 5:12].mean() > 0.9
    assert not changed[array[..., -1] == known].any()


# page and card


def test_facts_and_commands_of_pairs(paired: Path) -> None:
    shown = Page(paired / "report.html")
    told = table_of(shown)
    assert told["source pictures"] == "outlines: 1,797 images of 16×16 pixels, 1 channel, 16-bit"
    assert told["target pictures"] == "digits: 1,797 images of 16×16 pixels, 3 channels, 8-bit"
    assert told["held out"] == "10% of all"
    assert told["given → made"] == "16×16×1 → 16×16×3"
    assert (told["loss"], told["discriminator"]) == ("non-saturating", "patch-discriminator")
    assert told["parameters of the generator"] == "54,413,955"
    assert "outlines → digits" in shown.words
    assert "zerosum translate colours FOLDER --out results" in shown.words
    assert 'import zerosum\nzerosum.load("colours").translate(array)' in shown.words
    assert "--direction" not in shown.text


def test_facts_and_commands_without_pairs(unpaired: Path) -> None:
    shown = Page(unpaired / "report.html")
    told = table_of(shown)
    assert told["pictures of a"] == "horses: 1,067 images of 16×16 pixels, 3 channels, 8-bit"
    assert told["pictures of b"] == "zebras: 1,334 images of 16×16 pixels, 3 channels, 8-bit"
    assert told["held out"].startswith("nothing")
    assert told["both generators"] == "unet-generator"
    assert "parameters of both generators" in told
    assert "horses ↔ zebras" in shown.words
    for direction in ("a-to-b", "b-to-a"):
        assert f"zerosum translate cycle FOLDER --out results --direction {direction}" in shown.words
    assert 'zerosum.load("cycle").translate(array, direction="a-to-b")' in shown.text


def test_model_cards(paired: Path, unpaired: Path) -> None:
    of_pairs, of_heaps = ((run / "model" / "README.md").read_text() for run in (paired, unpaired))
    for text in (of_pairs, of_heaps):
        assert "tags:\n- gan\n- image-to-image\n-" in text
        assert "unconditional" not in text
        assert "![Translations of this model](samples.png)" in text
    assert (
        "translates images: given one of outlines, it makes the one of digits that belongs to it. It is of pix2pix's"
        in of_pairs
    )
    assert "`array` is (height, width, 1) of uint16" in of_pairs
    assert "- source pictures: outlines: 1,797 images of 16×16 pixels, 1 channel, 16-bit\n" in of_pairs
    assert "never trained on: 10% of all." in of_pairs
    assert "from horses (a) to zebras (b) and from b to a, of CycleGAN's kind" in of_heaps
    assert 'The other way is `direction="b-to-a"`.' in of_heaps
    assert "- pictures of b: zebras: 1,334 images" in of_heaps
    assert "never trained on" not in of_heaps
    assert (
        "L1 is the mean absolute difference of values from -1 to 1. Means over 179 pairs. The pairs are held"
        in of_pairs
    )
    assert "Means over at most 179 pictures of each side. The pictures are the training's own" in of_heaps


def test_the_card_has_the_newest_figures(tmp_path: Path) -> None:
    run = translator_run(tmp_path / "run", DATA, degrade="mask:box")
    with (run / "records.jsonl").open("a") as file:
        file.write(json.dumps(record(4000)) + "\n")  # a report without figures
    text = card(read_run(run), NOT_DRAWN)
    found = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert found == [
        ["", "result", "source", "result in holes", "source in holes"],
        ["---"] * 5,
        ["PSNR (dB, more is nearer)", "16", "12", "–", "–"],
        ["SSIM (1 is the same)", "0.54", "0.45", "–", "–"],
        ["L1 (less is nearer)", "0.26", "0.4", "0.6", "0.9"],
    ]
    assert "Measured when 3,000 real images had been shown" in text
    assert "the figures above are all that is claimed" in text
    about = json.loads((run / "data.json").read_text())
    write_json(run / "data.json", {key: value for key, value in about.items() if key != "judged"})
    assert "values from -1 to 1. The pairs are held out" in card(read_run(run), NOT_DRAWN)  # as older runs have it
    write_records(run, [record(1000)])
    text = card(read_run(run), NOT_DRAWN)
    assert "## Figures" not in text
    assert "no measure of quality is claimed here" in text


def test_files_without_a_partner(tmp_path: Path) -> None:
    run = translator_run(tmp_path / "run", DATA, reports=1)
    assert "without a partner" not in page(read_run(run), {})
    lines = ["source: <b>.png (its partner a: b was rejected: empty file)", *(f"target: {n}.png" for n in range(204))]
    (run / "alone.txt").write_text("".join(f"{line}\n" for line in lines))
    (run / "report.html").write_text(page(read_run(run), {}))
    shown = Page(run / "report.html")
    assert "Files without a partner, left out: 205" in shown.text
    assert "and 5 more: see alone.txt." in shown.text
    at = shown.words.index("<b>.png (its partner a: b was rejected: empty file)")
    assert shown.words[at - 1 : at + 3] == ["source", shown.words[at], "target", "0.png"]
    assert "198.png" in shown.words
    assert "199.png" not in shown.words


def test_pairs_without_an_adversary(tmp_path: Path) -> None:
    """The baseline of distance alone: the recipe's discriminator does not play, so it is not told of."""
    run = translator_run(tmp_path / "run", DATA, adversarial=0.0, reports=1)
    folder = read_run(run)
    assert dict(facts(folder))["loss"] == "absolute"
    assert "discriminator" not in dict(facts(folder))
    text = card(folder, NOT_DRAWN)
    assert "trained on pairs of a source and its target, without an adversary." in text
    assert "- gan\n" not in text


def test_before_the_first_report(tmp_path: Path) -> None:
    run = translator_run(tmp_path / "run", DATA, reports=0)
    for path in (run / "samples").iterdir():
        path.unlink()
    assert "No results have been drawn yet" in Page(write_report(run)).text
    (run / "samples").rmdir()
    assert "No results have been drawn yet" in Page(write_report(run)).text


@pytest.mark.parametrize("kind", ["paired", "unpaired"])
def test_hostile_names(tmp_path: Path, kind: str) -> None:
    name, run = "<b>{x}</b> `$1$`", tmp_path / "run"
    data = {"given": side(name, [3, SIZE, SIZE], "<i>"), "name": name}
    translator_run(run, DATA, kind=kind, data=data, degrade="<u>{0}", reports=1)
    folder = read_run(run)
    drawn = labelled_rows(folder.rows[0], folder.translation)
    (run / "report.html").write_text(page(folder, {drawn.file: drawn}))
    shown = Page(run / "report.html")
    assert not {"b", "i", "u"} & set(shown.tags)
    assert name in shown.text
    assert "<b>" not in card(folder, drawn).replace(r"\<", "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"given": None}, r"data\.json: 'given' should be a table, and is nothing"),
        ({"given": ["outlines"]}, r"data\.json: 'given' should be a table"),
        ({"given": {**side("a", [1, 8, 8]), "name": 3}}, r"data\.json: given: 'name' should be a string, and is 3"),
        ({"given": side("a", [8, 8])}, r"data\.json: given: 'shape' should be \[channels, height, width\]"),
        ({"given": side("a", [1, 8, 0])}, r"data\.json: given: 'shape' should be"),
        ({"given": {**side("a", [1, 8, 8]), "count": -1}}, r"data\.json: given: 'count' should be a whole number"),
        ({"given": {**side("a", [1, 8, 8]), "dtype": None}}, r"data\.json: given: 'dtype' should be a string"),
        ({"given": {**side("a", [1, 8, 8]), "high": "1"}}, r"data\.json: given: 'high' should be a number"),
        ({"degrade": None}, r"data\.json: 'degrade' should be a string"),
        ({"judged": 0.5}, r"data\.json: 'judged' should be a whole number from 1"),
        ({"shape": [2]}, r"data\.json: 'shape' should be \[channels, height, width\]"),
    ],
)
def test_damage_is_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    run = translator_run(tmp_path / "run", DATA, reports=1)
    about = json.loads((run / "data.json").read_text())
    write_json(run / "data.json", {**about, **changes})
    with pytest.raises(RunError, match=words):
        read_run(run)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("holdout = 0.1", 'holdout = "some"', r"config\.toml \[data\]: 'holdout' should be a number"),
        ("adversarial = 1.0", 'adversarial = "no"', r"\[game\.translation\]: 'adversarial' should be a number"),
    ],
)
def test_settings_that_are_damaged(tmp_path: Path, old: str, new: str, words: str) -> None:
    run = translator_run(tmp_path / "run", DATA, reports=1)
    (run / "config.toml").write_text((run / "config.toml").read_text().replace(old, new))
    with pytest.raises(RunError, match=words):
        read_run(run)


@pytest.mark.parametrize(
    ("paired", "degrade", "given", "words"),
    [
        (True, "", "lines", "lines → colours"),
        (False, "", "lines", "lines ↔ colours"),
        (True, "", "colours", "colours"),
        (True, "gray", "colours", "colours (gray)"),
    ],
)
def test_names_of_both_sides(paired: bool, degrade: str, given: str, words: str) -> None:
    one, other = (Side(name, 2, (1, 8, 8), "uint8", 0, 255) for name in (given, "colours"))
    assert Translation(paired, one, other, degrade, 0.0, None).names == words
