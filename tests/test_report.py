"""The report, from small run folders built by the contract out of scikit-learn's real 8×8 digits."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from zerosum.errors import RunError
from zerosum.report import write_report
from zerosum.report.animation import MOST_FRAMES, evenly
from zerosum.report.drawing import count_text, plain, time_text
from zerosum.report.grids import milestones_of, scale_for, tiles_of
from zerosum.report.points import moments_of
from zerosum.report.run_folder import Grid, Sample, read_run

ROWS, COLUMNS = 4, 5
CONFIG = """
[recipe]
name = "quick"
title = "A small GAN"
source = "Some Author, 2024"

[game]
loss = "relativistic"

[generator]
network = "quick-generator"

[discriminator]
network = "quick-discriminator"

[training]
batch = 64
seed = 7
"""


def record(images: int, **changes: object) -> dict[str, object]:
    """A record as the trainer writes it, with plausible numbers."""
    return {
        "images": images,
        "epoch": images / 1797,
        "seconds": images / 1000,
        "images_per_second": 1000.0,
        "losses": {"discriminator": 0.5 + 100 / images, "generator": 1 + 300 / images},
        "parts": {"r1": 0.02},
        "outputs": {"D(x)": 0.6, "D(G(z)) before": 0.3, "D(G(z)) after": 0.25},
        "gradients": {"discriminator": 0.3, "generator": 1.5},
        "learning_rates": {"discriminator": 1e-3, "generator": 1e-3},
        "health": "healthy",
        **changes,
    }


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_records(run: Path, records: list[dict[str, object]]) -> None:
    (run / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in records))


def make_run(
    run: Path, shape: list[int], reports: int, name: str = "digits", state: str = "done", **data: object
) -> Path:
    """What every run folder has; the samples are for the two below."""
    run.mkdir()
    (run / "config.toml").write_text(CONFIG)
    write_json(run / "environment.json", {"zerosum": "0.1.0", "threads": 2, "device": "cpu"})
    facts = {"name": name, "count": 1797, "shape": shape, "dtype": "uint8", "low": 0, "high": 255}
    write_json(run / "data.json", {**facts, "classes": [], "rejected": 0, "key": "k", **data})
    images = 1000 * reports
    write_json(run / "status.json", {"state": state, "reason": "", "images": images, "seconds": 65.0})
    write_records(run, [record(1000 * (i + 1)) for i in range(reports)])
    return run


def grid_of(digits: np.ndarray, mode: str) -> Image.Image:
    """Touching tiles of digits (ROWS × COLUMNS, 8, 8) in 0..16."""
    tiles = digits.reshape(ROWS, COLUMNS, 8, 8).swapaxes(1, 2).reshape(ROWS * 8, COLUMNS * 8)
    return Image.fromarray((tiles * 15.9).round().clip(0, 255).astype(np.uint8)).convert(mode)


def image_run(run: Path, reports: int = 3, mode: str = "L", **facts: object) -> Path:
    """A run over images: real digits, and others that come out of noise as "samples"."""
    channels = len(mode)
    make_run(run, [channels, 8, 8], reports, **facts)  # type: ignore[arg-type]
    digits, count = load_digits().images, ROWS * COLUMNS
    write_json(
        run / "samples" / "grid.json",
        {"rows": ROWS, "columns": COLUMNS, "height": 8, "width": 8, "channels": channels},
    )
    grid_of(digits[:count], mode).save(run / "samples" / "real.png")
    noise = np.random.default_rng(0).normal(8, 4, (count, 8, 8))
    for i in range(reports):
        done = (i + 1) / reports
        mixed = done * digits[count : 2 * count] + (1 - done) * noise
        grid_of(mixed, mode).save(run / "samples" / f"{1000 * (i + 1):09d}.png")
    return run


def point_run(run: Path, dimensions: int, reports: int = 3, truth: bool = True) -> Path:
    """A run over points of a Gaussian with mean 1 and covariance 4 (the identity times four)."""
    mean, covariance = [1.0] * dimensions, (4 * np.eye(dimensions)).tolist()
    known = {"mean": mean, "covariance": covariance} if truth else {}
    make_run(run, [dimensions], reports, name="gaussian", **known)
    rng = np.random.default_rng(0)
    write_json(run / "samples" / "real.json", {"points": rng.normal(1, 2, (200, dimensions)).tolist()})
    for i in range(reports):
        points = rng.normal((i + 1) / reports, 2, (200, dimensions))
        write_json(run / "samples" / f"{1000 * (i + 1):09d}.json", {"points": points.tolist()})
    return run


class Page(HTMLParser):
    """Collects what a browser would fetch or run, and the text it would show."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.source = path.read_text()
        self.feed(self.source)
        self.text = " ".join(self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a released model, reported."""
    run = image_run(tmp_path_factory.mktemp("runs") / "digits run", reports=8)
    write_json(run / "model" / "config.json", {"network": "quick-generator", "parameters": 12345})
    (run / "rejected.txt").write_text("a/broken.jpg\ttruncated\n")
    assert write_report(run) == run / "report.html"
    return run


FIGURES = ("losses", "outputs", "milestones", "real-and-generated", "histogram", "samples")


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_drawn(finished: Path, name: str) -> None:
    with Image.open(finished / "figures" / f"{name}.png") as image:
        assert 500 <= image.width <= 1300
        assert 100 <= image.height <= 1300
        assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 8  # something is on it


def test_no_temporary_file_is_left(finished: Path) -> None:
    assert not [path for path in finished.rglob("*") if path.name.endswith(".tmp")]


def test_pictures_show_the_pixels_of_the_grid(finished: Path) -> None:
    """The last row of the milestones is the newest grid's first tiles, each pixel a flat square."""
    newest = np.asarray(Image.open(finished / "samples" / "000008000.png"))
    picture = np.asarray(Image.open(finished / "figures" / "milestones.png").convert("L"))
    scale = 9  # ten tiles of 8 pixels, enlarged by whole numbers to at least 700
    for column in range(10):
        down, across = divmod(column, COLUMNS)
        tile = newest[8 * down : 8 * down + 8, 8 * across : 8 * across + 8].repeat(scale, 0).repeat(scale, 1)
        left = 90 + column * (8 * scale + 2)
        bottom = picture.shape[0] - 12 - 2
        np.testing.assert_array_equal(picture[bottom - 8 * scale : bottom, left : left + 8 * scale], tile)


def test_animation_has_a_frame_a_report(finished: Path) -> None:
    with Image.open(finished / "figures" / "progress.webp") as animation:
        assert animation.n_frames == 8
        assert 448 <= animation.width <= 1024
        durations = []
        for frame in range(8):
            animation.seek(frame)
            animation.load()
            durations.append(animation.info["duration"])
    assert all(120 <= duration <= 200 for duration in durations[:-1])
    assert durations[-1] > 1000


def test_page_is_self_contained(finished: Path) -> None:
    page = Page(finished / "report.html")
    assert len(page.addresses) == len(FIGURES) + 1  # and the animation
    assert all(re.match(r"data:image/(png|webp);base64,", address) for address in page.addresses)
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert "default-src 'none'" in page.source
    assert "url(" not in page.source
    assert "@import" not in page.source


def test_page_says_what_was_done(finished: Path) -> None:
    page = Page(finished / "report.html")
    for words in ("A small GAN", "Finished.", "8k", "1 min 5 s", "12,345", "Health: healthy.", "a/broken.jpg"):
        assert words in page.text
    assert "zerosum sample 'digits run' --count 64 --seed 7" in page.text
    assert "zerosum train --recipe 'digits run/config.toml' --out 'digits run'" in page.text
    assert page.source.index("Samples</h2>") < page.source.index("Losses</h2>") < page.source.index("<table>")


def test_model_card(finished: Path) -> None:
    card = (finished / "model" / "README.md").read_text()
    front, body = card.split("---\n")[1:]
    assert front == 'library_name: zerosum\ntags:\n- gan\n- unconditional-image-generation\n- "quick"\n'
    assert "digits: 1,797 images of 8×8 pixels, 1 channel." in body
    assert 'zerosum.load("digits run").sample(16, seed=7)' in body
    pictures = re.findall(r"!\[.*\]\((.*)\)", body)
    assert pictures == ["samples.png"]
    assert (finished / "model" / "samples.png").read_bytes() == (finished / "figures/samples.png").read_bytes()


HOSTILE = "<script>alert(1)</script>\"' onload=x $x_1$ \u202e漢"


def test_hostile_words_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    run = image_run(tmp_path / "-x; rm <b>", reports=2, name=HOSTILE, rejected=1)
    write_json(run / "model" / "config.json", {})
    (run / "config.toml").write_text(CONFIG.replace("A small GAN", "<img src=//a.example/x>") + '\nx="</pre>"')
    (run / "rejected.txt").write_bytes(b"<i>\xff</i>.png\t<b>bad</b>\n")
    write_records(
        run, [record(1000, losses={HOSTILE: 1.0, "_hidden": 2.0, r"$\frac{1}$": 3.0}, health="</p><script>\ud800")]
    )
    write_json(run / "environment.json", {"<u>": "</td>"})
    page = Page(write_report(run))
    assert not {"script", "b", "i", "u"} & set(page.tags)
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert HOSTILE in page.text
    assert "zerosum sample './-x; rm <b>' --count" in page.text
    assert "<script>" not in (run / "model" / "README.md").read_text().replace(r"\<", "")


@pytest.mark.parametrize("tail", ['{"images": 40', "{", "\x00\x00\x00", '{"images": 4}\n{"ima'])
def test_torn_last_line_is_ignored(tmp_path: Path, tail: str) -> None:
    run = image_run(tmp_path / "run")
    whole = tail.count("\n")
    if whole:
        tail = json.dumps(record(3500)) + tail[tail.index("\n") :]
    with (run / "records.jsonl").open("a") as file:
        file.write(tail)
    assert len(read_run(run).records) == 3 + whole


def test_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run")
    lines = (run / "records.jsonl").read_text().splitlines()
    (run / "records.jsonl").write_text("\n".join([lines[0], lines[1][:30], lines[2]]) + "\n")
    with pytest.raises(RunError, match=r"records\.jsonl, line 2 is not valid JSON.*Delete line 2"):
        write_report(run)


def test_records_of_a_resumed_run_replace_the_older_ones(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run")
    write_records(run, [record(1000), record(2000, epoch=9.0), record(3000), record(2000, epoch=7.0)])
    assert [(found.images, found.epoch) for found in read_run(run).records][1:] == [(2000, 7.0)]


@pytest.mark.parametrize("reports", [0, 1])
def test_run_that_has_hardly_begun(tmp_path: Path, reports: int) -> None:
    """What cannot exist yet is left out, and the page says so; an older file does not stay behind."""
    run = image_run(tmp_path / "run", reports=reports, state="running")
    (run / "figures").mkdir()
    (run / "figures" / "progress.webp").write_bytes(b"of another time")
    page = Page(write_report(run))
    assert "Still training" in page.text
    assert "An animation needs two reports" in page.text
    assert not (run / "figures" / "progress.webp").exists()
    assert (run / "figures" / "losses.png").exists() == bool(reports)
    assert ("No loss has been recorded yet" in page.text) == (not reports)


def test_run_before_its_first_sample(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [1, 8, 8], reports=0, state="running")
    (run / "records.jsonl").unlink()
    assert "No samples have been drawn yet" in Page(write_report(run)).text


@pytest.mark.parametrize("before", [1.0, 1e6, -1e308])
def test_diverged_run(tmp_path: Path, before: float) -> None:
    run = image_run(tmp_path / "run", state="diverged")
    nothing = {"discriminator": None, "generator": None}
    broken = record(3000, losses=nothing, gradients=nothing, outputs={"D(x)": None}, health="the loss is NaN")
    losses = {"discriminator": 0.5, "generator": before}
    write_records(run, [record(1000), record(1500), record(2000, losses=losses), broken])
    page = Page(write_report(run))
    assert "Diverged" in page.text
    assert "Health: the loss is NaN." in page.text
    assert "not a finite number" in page.text
    assert (run / "figures" / "losses.png").exists()


@pytest.mark.parametrize(("dimensions", "truth"), [(1, True), (2, True), (2, False), (3, True)])
def test_points(tmp_path: Path, dimensions: int, truth: bool) -> None:
    run = point_run(tmp_path / "run", dimensions, truth=truth)
    write_json(run / "model" / "config.json", {})
    page = Page(write_report(run))
    figures = {path.name for path in (run / "figures").iterdir()}
    assert figures == {"scatter.png", "progress.webp", "losses.png", "outputs.png"}
    assert ("Mean (true): 1" in page.text) == truth
    assert "points shown" in page.text
    assert "unconditional-image-generation" not in (run / "model" / "README.md").read_text()
    with Image.open(run / "figures" / "progress.webp") as animation:
        assert animation.n_frames == 3


def test_learned_moments_are_the_trainers_where_it_gives_them(tmp_path: Path) -> None:
    run = point_run(tmp_path / "run", 2)
    learned = {"mean": [0.125, -3.5], "covariance": [[1, 0], [0, 1]]}
    write_records(run, [record(3000, points=learned)])
    assert "learned: 0.125, -3.5." in Page(write_report(run)).text


@pytest.mark.parametrize("points", [[[None, 1.0]], [[1e308, -1e308], [1e300, 1.0], [0.0, 0.0]], [[1.0, 2.0]]])
def test_points_that_flew_away(tmp_path: Path, points: list[list[float | None]]) -> None:
    run = point_run(tmp_path / "run", 2)
    write_json(run / "samples" / "000003000.json", {"points": points})
    write_report(run)
    assert (run / "figures" / "scatter.png").exists()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colour(tmp_path: Path, mode: str) -> None:
    run = image_run(tmp_path / "run", reports=2, mode=mode)
    write_report(run)
    with Image.open(run / "figures" / "histogram.png") as image:
        assert image.height > 200 * len(mode)  # a panel a channel


DAMAGE = [
    ("config.toml", b"[recipe", r"config\.toml is not valid TOML"),
    ("config.toml", b"[recipe]\nname = 3", r"config\.toml: 'training' should be a table"),
    ("data.json", b"[]", r"data\.json holds a list"),
    ("data.json", b'{"shape": [1, 8]}', r"data\.json: 'shape' should be"),
    ("status.json", b'{"state": "asleep"}', r"status\.json: 'state' should be one of running"),
    ("environment.json", None, r"environment\.json is missing"),
    ("samples/grid.json", None, r"grid\.json is missing"),
    ("samples/grid.json", b'{"rows": 0}', r"grid\.json: 'rows' should be a whole number from 1"),
    ("samples/000003000.png", b"\x89PNG\r\n\x1a\n", r"000003000\.png cannot be read as a PNG"),
    ("samples/000003000.png", b"GIF89a", r"000003000\.png cannot be read as a PNG"),
    ("samples/real.png", "small", r"real\.png is 7×8 L; .*grid\.json says"),
    ("samples/000002000.png", "cut", r"000002000\.png cannot be read as a PNG"),
    ("records.jsonl", b'{"images": -1}\n', r"records\.jsonl, line 1: 'images' should be a whole number"),
]


@pytest.mark.parametrize(("file", "content", "words"), DAMAGE, ids=[f"{d[0]}-{i}" for i, d in enumerate(DAMAGE)])
def test_damage_is_named(tmp_path: Path, file: str, content: bytes | str | None, words: str) -> None:
    run = image_run(tmp_path / "run")
    path = run / file
    if content is None:
        path.unlink()
    elif content == "small":
        Image.new("L", (7, 8)).save(path)
    elif content == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(RunError, match=words):
        write_report(run)


def test_a_disk_that_refuses(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run")
    (run / "figures").write_text("a file where the folder should be")
    with pytest.raises(RunError, match=r"cannot be written"):
        write_report(run)


def test_milestones_are_even_in_the_logarithm() -> None:
    def chosen(counts: list[int]) -> list[int]:
        return [found.images for found in milestones_of([Sample(count, Path()) for count in counts])]

    fives = [5000 * i for i in range(1, 41)]
    # 5 × 40^(k/5) = 5, 10.46, 21.87, 45.73, 95.64, 200 thousand
    assert chosen(fives) == [5000, 10000, 20000, 45000, 95000, 200000]
    assert chosen([0, *fives])[0] == 0
    assert chosen([0, *fives])[-1] == 200000
    assert chosen([1, 2, 3]) == [1, 2, 3]
    assert chosen([1, 1000, 1001, 1002, 1003, 1004, 1005]) == [1, 1000, 1001, 1002, 1003, 1005]


@pytest.mark.parametrize("count", [2, 60, 61, 1000])
def test_frames_are_few_and_even(count: int) -> None:
    frames = [frame.images for frame in evenly([Sample(i, Path()) for i in range(count)])]
    assert len(frames) == min(count, MOST_FRAMES)
    assert (frames[0], frames[-1]) == (0, count - 1)
    steps = np.diff(frames)
    assert steps.min() >= 1
    assert steps.max() - steps.min() <= 1


@pytest.mark.parametrize(
    ("size", "scale"), [((40, 32), 12), ((224, 224), 2), ((448, 448), 1), ((2048, 1024), 0.5), ((8, 1000), 1)]
)
def test_scale_for(size: tuple[int, int], scale: float) -> None:
    assert scale_for(size, 448, 1024) == scale


def test_tiles_are_cut_in_reading_order() -> None:
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
    tiles = tiles_of(image, Grid(rows=2, columns=2, height=2, width=3))
    assert tiles.shape == (4, 2, 3, 1)
    assert tiles[1, :, :, 0].tolist() == [[3, 4, 5], [9, 10, 11]]
    assert tiles[2, 0, :, 0].tolist() == [12, 13, 14]


def test_moments_worked_by_hand() -> None:
    found = moments_of(np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]))
    assert found.mean == [1, 1]
    assert found.covariance == [[1, 0], [0, 3]]
    assert math.isnan(moments_of(np.array([[1.0]])).mean[0])


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0"), (999, "999"), (12800, "12.8k"), (200_000, "200k"), (999_999, "1M"), (2_000_000, "2M")],
)
def test_count_text(count: int, words: str) -> None:
    assert count_text(count) == words


def test_words_for_numbers_and_names() -> None:
    assert [time_text(seconds) for seconds in (45, 200, 7500.4)] == ["45 s", "3 min 20 s", "2 h 5 min"]
    assert time_text(math.nan) == "unknown"
    assert plain("__$a$é−1…") == r"\$a\$é−1…"
    assert plain("\u202e漢\n\ud800") == "????"
    assert plain("") == "?"


def test_package_is_cheap_to_import() -> None:
    code = "import zerosum.report, sys; print(any(m in sys.modules for m in ('matplotlib', 'numpy', 'PIL')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_forty_reports_are_quick(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run", reports=40)
    began = time.perf_counter()
    write_report(run)
    assert time.perf_counter() - began < 10  # about 1.3 s on an idle core
