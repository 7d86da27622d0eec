"""What the studio knows of runs: found, read by cursor, their states, pictures, scenes; and what it starts."""

from __future__ import annotations

import io
import json
import math
import os
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from explorers import explorer
from studios import HOSTILE, holder, run_of, wait_for
from zerosum.cli import main
from zerosum.errors import RunError, UsageError
from zerosum.explore import directions, edit, interpolate, mix
from zerosum.files import write_whole
from zerosum.report.records import read_records
from zerosum.studio import curves, pictures, scene
from zerosum.studio.cursor import Cursor, Line
from zerosum.studio.markup import cards
from zerosum.studio.places import Place, find, place_of
from zerosum.studio.processes import process_of
from zerosum.studio.scene import Pick, Scene
from zerosum.studio.shelf import KEPT, Shelf
from zerosum.studio.states import best_of, state_of, time_left
from zerosum.studio.trainings import command_of, name_of, start, stop
from zerosum.studio.watch import Watch


def record(images: int, seconds: float = 1.0, **more: Any) -> str:
    """A line of records.jsonl."""
    base = {"images": images, "seconds": seconds, "images_per_second": 10.0, "health": "healthy", "losses": {"g": 1.5}}
    return json.dumps(base | more)


def line(images: int, seconds: float, **evaluation: float) -> Line:
    empty: dict[str, dict[str, float]] = {kind: {} for kind in ("losses", "outputs", "figures", "gradients")}
    return Line(images, seconds, 10.0, "healthy", empty | {"evaluation": evaluation})


def at(folder: Path) -> Place:
    return place_of(folder, folder.parent)


# ---------------------------------------------------------------- places


def test_runs_are_found_and_links_are_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "runs", tmp_path / "outside"
    for folder in (root / "a", root / "deep/er/b", root / "many/members/0", root / "many/members/1", root / ".hidden"):
        folder.mkdir(parents=True)
        (folder / "config.toml").touch()
    (root / "many" / "config.toml").touch()
    (root / "no-run").mkdir()
    outside.mkdir()
    (outside / "config.toml").touch()
    (root / "link").symlink_to(outside)
    assert {place.name for place in find(root)} == {"a", "deep/er/b", "many/members/0", "many/members/1"}
    assert [place.name for place in find(root / "a")] == ["a"]
    assert find(tmp_path / "nowhere") == []
    assert len({place.key for place in find(root)}) == 4


def test_a_link_out_of_a_run_is_no_file_of_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    secret = tmp_path / "secret.png"
    Image.new("L", (8, 8)).save(secret)
    (run / "samples" / "000000001.png").symlink_to(secret)
    (run / "samples" / "000000002.png").symlink_to("000000003.png")
    Image.new("L", (8, 8)).save(run / "samples" / "000000003.png")
    place = at(run)
    for parts in (("samples", "000000001.png"), ("..", "secret.png"), ("samples", "000000009.png")):
        with pytest.raises(FileNotFoundError):
            place.file(*parts)
    assert place.file("samples", "000000002.png").name == "000000003.png"  # a link within is as good as the file
    with pytest.raises(FileNotFoundError):
        pictures.sample_file(place, 1)


# ---------------------------------------------------------------- records by cursor


def test_the_cursor_reads_what_the_report_reads(finished_run: Path) -> None:
    cursor = Cursor(finished_run / "records.jsonl")
    assert cursor.read()
    known = read_records(finished_run / "records.jsonl")
    assert [(seen.images, seen.health) for seen in cursor.lines] == [(other.images, other.health) for other in known]
    assert [seen.curves["losses"] for seen in cursor.lines] == [other.losses for other in known]
    assert not cursor.read()


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), max_size=8))
def test_any_pieces_come_to_the_same_lines(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    path = tmp_path_factory.mktemp("cursor") / "records.jsonl"
    whole = "".join(f"{record(number, health='ä€')}\n" for number in (1, 2, 3)).encode()
    cursor = Cursor(path)
    for end in sorted({min(cut, len(whole)) for cut in cuts}):
        path.write_bytes(whole[:end])
        cursor.read()
        assert len(cursor.lines) == whole[:end].count(b"\n")  # whole lines only
    path.write_bytes(whole)
    cursor.read()
    assert [seen.images for seen in cursor.lines] == [1, 2, 3]


def test_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text("".join(f"{record(number)}\n" for number in range(1, 2000)))
    cursor = Cursor(path)
    cursor.read()
    taken: list[bytes] = []
    monkeypatch.setattr(Cursor, "_take", lambda _, raw: bool(taken.append(raw)))
    with path.open("a") as file:
        file.write(f"{record(5000)}\n")
    cursor.read()
    assert taken == [record(5000).encode()]


def test_a_run_that_went_back_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    cursor = Cursor(path)
    assert not cursor.read()
    path.write_text("".join(f"{record(number)}\n" for number in (10, 20, 30)))
    cursor.read()
    write_whole(path, "".join(f"{record(number, seconds=2.0)}\n" for number in (10, 25, 40)))  # longer than before
    assert cursor.read()
    assert [(seen.images, seen.seconds) for seen in cursor.lines] == [(10, 2.0), (25, 2.0), (40, 2.0)]
    path.write_text("")
    assert cursor.read()
    assert cursor.lines == []


@pytest.mark.parametrize("bad", ["[1]", "{}", "null", "1e999", '{"images": "x"}', "[" * 100_000, "\x00\xff"])
def test_what_is_no_record_is_passed_over(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(f"{record(1)}\n{bad}\n{record(2, losses={'g': None})}\n", encoding="latin-1")
    cursor = Cursor(path)
    cursor.read()
    assert [seen.images for seen in cursor.lines] == [1, 2]
    assert math.isnan(cursor.lines[1].curves["losses"]["g"])


# ---------------------------------------------------------------- states


def test_a_killed_trainer_is_dead(tmp_path: Path) -> None:
    place, process = at(tmp_path / "run"), holder(tmp_path / "run")
    assert state_of(place).word == "running"
    assert state_of(place).images == 128
    (place.path / "status.json").write_text('{"state": "done", "reason": "the end", "images": 128, "seconds": 2.0}')
    assert state_of(place).word == "busy"  # it begins again, or writes its report
    (place.path / "status.json").write_text('{"state": "running", "reason": "", "images": 128, "seconds": 2.0}')
    process.kill()
    process.communicate()
    assert state_of(place).word == "dead"
    assert "its process is gone" in state_of(place).reason


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"status.json": '{"state": "done", "reason": "the end", "images": 5, "seconds": 1}'}, "done"),
        ({"status.json": '{"state": "running", "reason": "", "images": 5, "seconds": 1}'}, "dead"),
        ({"status.json": '{"state": "<b>", "reason": "", "images": 5, "seconds": 1}'}, "dead"),
        ({"status.json": "not JSON"}, "dead"),
        ({"studio.json": "{}", "studio.log": "Reading\nzerosum: photos: there is no such folder.\n\n"}, "failed"),
        ({}, "dead"),
    ],
)
def test_states(tmp_path: Path, files: dict[str, str], word: str) -> None:
    for name, text in {"config.toml": "", **files}.items():
        (tmp_path / name).write_text(text)
    state = state_of(at(tmp_path))
    assert state.word == word
    if word == "failed":
        assert state.reason == "zerosum: photos: there is no such folder."


def test_time_left_follows_from_the_pace(tmp_path: Path) -> None:
    place, lines = at(tmp_path), [line(100, 10.0), line(300, 20.0), line(500, 30.0)]  # 20 a second
    status = {"state": "running", "reason": "", "images": 500, "seconds": 30.0}
    (tmp_path / "status.json").write_text(json.dumps(status))
    (tmp_path / "data.json").write_text('{"count": 250}')
    state = state_of(place)
    for ends, expected in (("images = 2500", 100), ("minutes = 2", 90), ("epochs = 4.0", 25), ("", None)):
        (tmp_path / "config.toml").write_text(f"[training]\n{ends}\n")
        left = time_left(place, lines, state)
        assert left == expected if expected is None else left == pytest.approx(expected, abs=2)


def test_the_best_figure(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    lines = [line(1, 1, frechet=9.0, density=1.2), line(2, 2, frechet=4.0), line(3, 3, frechet=5.0, precision=0.5)]
    assert best_of(at(tmp_path), lines) == ("frechet", 4.0, 2)
    (tmp_path / "config.toml").write_text('[evaluation]\nbest = "precision"\n')
    assert best_of(at(tmp_path), lines) == ("precision", 0.5, 3)
    assert best_of(at(tmp_path), [line(1, 1, density=1.2)]) is None


# ---------------------------------------------------------------- pictures and curves


def test_pictures_are_made_anew(tmp_path: Path, finished_run: Path) -> None:
    place = at(finished_run)
    moments = pictures.moments_of(place)
    assert moments[-1] == 640
    made = Image.open(io.BytesIO(pictures.picture_of(pictures.sample_file(place, 640))))
    original = Image.open(finished_run / "samples" / "000000640.png")
    scale = made.width // original.width
    assert np.array_equal(np.asarray(made.convert("L"))[::scale, ::scale], np.asarray(original.convert("L")))
    assert Image.open(io.BytesIO(pictures.thumbnail_of(place.file("samples", "000000640.png")))).size == (160, 160)
    for content in (b"GIF89a", b"<svg onload=alert(1)>", b""):
        (tmp_path / "000000001.png").write_bytes(content)
        with pytest.raises(RunError):
            pictures.picture_of(tmp_path / "000000001.png")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("narrow", [False, True])
def test_curves_are_svg_that_asks_for_nothing(dark: bool, narrow: bool) -> None:
    lines = [
        Line(n, n, 1.0, "", {kind: {HOSTILE: 1.0 / n, "b$x": math.nan if n < 3 else n} for kind in curves.TITLES})
        for n in range(1, 2000)
    ]
    panels = curves.panels_of(lines)
    drawn = curves.draw(panels, dark=dark, narrow=narrow)
    assert drawn.startswith(b"<?xml")
    assert b"<img" not in drawn
    assert b"<text" not in drawn  # letters are outlines
    assert b"url(http" not in drawn
    assert max(len(curve.values) for panel in panels for curve in panel.curves) == curves.MOST_POINTS


def test_names_are_text_on_the_page(tmp_path: Path) -> None:
    (tmp_path / HOSTILE).mkdir()
    (tmp_path / HOSTILE / "config.toml").write_text("")
    (tmp_path / HOSTILE / "status.json").write_text(
        json.dumps({"state": "done", "reason": f"{HOSTILE}\u202e", "images": 1, "seconds": 1})
    )
    watch = Watch(tmp_path)
    page = cards([watch.view(place) for place in watch.places()])
    assert "<img src=x" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") == 2
    assert "\u202e" not in page


def test_the_shelf_forgets_the_oldest() -> None:
    shelf = Shelf()
    tokens = [shelf.put(bytes([number]), ".png") for number in range(KEPT + 1)]
    assert shelf.take(tokens[0]) is None
    assert shelf.take(tokens[-1]) == (bytes([KEPT]), ".png")
    assert shelf.take("../../etc/passwd") is None


# ---------------------------------------------------------------- scenes


@pytest.fixture(scope="module", params=["style-28-generator", "dcgan-generator"])
def model(request: pytest.FixtureRequest) -> Any:
    return explorer(request.param, shape=(1, 28, 28))


def test_a_pick_is_what_sample_makes(model: Any) -> None:
    for psi in (1.0, 0.5):
        made = scene.image_of(model, Scene((Pick(seed=7, truncation=psi),)))
        assert torch.equal(made, model.images(1, seed=7, truncation=psi)[0])


def test_moves_are_those_of_edit(model: Any) -> None:
    found = directions(model, "sefa", count=3, samples=50)
    strip = edit(model, found, 2, count=1, reach=2.0, steps=2, seed=3)
    made = scene.image_of(model, Scene((Pick(seed=3, moves=(0.0, 2.0, 0.0)),)), found)
    assert torch.allclose(made, strip.images[0, 1], atol=1e-5)
    both = scene.image_of(model, Scene((Pick(seed=3, moves=(1.0, 2.0)),)), found)
    assert not torch.allclose(made, both, atol=1e-4)
    assert torch.equal(scene.image_of(model, Scene((Pick(seed=3),)), found), model.images(1, seed=3)[0])


def test_between_goes_from_end_to_end(model: Any) -> None:
    picks = (Pick(1), Pick(2), Pick(3))
    ends = [scene.image_of(model, Scene((pick,))) for pick in picks]
    for place, end in enumerate(ends):
        assert torch.equal(scene.image_of(model, Scene(picks, at=float(place))), end)
    space = scene.space_of(model)
    first, second = (space.points([0], seed=seed).rows[0].double() for seed in (2, 3))
    if space.name == "w":
        middle = (first + second) / 2
    else:  # Shoemake's formula of unit vectors, and the mean of both lengths
        omega = torch.arccos(first @ second / first.norm() / second.norm())
        turned = torch.sin(omega / 2) / torch.sin(omega) * (first / first.norm() + second / second.norm())
        middle = turned * (first.norm() + second.norm()) / 2
    expected = space.images(scene.Points(middle[None].float()))[0]
    assert torch.allclose(scene.image_of(model, Scene(picks, at=1.5)), expected, atol=1e-5)


def test_between_is_the_walk_of_interpolate() -> None:
    model = explorer("dcgan-generator", shape=(1, 28, 28))
    sheet = interpolate(model, 1, steps=3, seed=1)
    assert torch.equal(scene.image_of(model, Scene((Pick(1), Pick(1)), at=0.5)), sheet.images[0, 1])


def test_mixing_is_that_of_mix() -> None:
    model = explorer("style-28-generator", shape=(1, 28, 28))
    sheet = mix(model, 1, layers="2-3", seed=5)
    space = scene.space_of(model)
    rows = [space.layered(space.points([number], seed=5).rows) for number in (0, 1)]
    mixed = scene._mixed(space, [scene.Points(row) for row in rows], "2-3")
    assert torch.allclose(space.images(mixed)[0], sheet.images[1, 1], atol=1e-6)
    with pytest.raises(UsageError, match="has no styles"):
        scene.image_of(explorer("dcgan-generator", shape=(1, 28, 28)), Scene((Pick(1), Pick(2)), layers="0"))


def test_classes_of_pins() -> None:
    model = explorer("dcgan-generator", shape=(1, 28, 28), classes=3, labels="concatenate")
    a, b = Pick(1, label="class 0"), Pick(2, label="class 2")
    assert torch.equal(scene.image_of(model, Scene((a, b), at=1.0)), scene.image_of(model, Scene((b,))))
    with pytest.raises(UsageError, match="There is no label"):
        scene.image_of(model, Scene((Pick(1, label=HOSTILE),)))


def test_the_command_makes_the_picture_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = explorer("style-28-generator", shape=(1, 28, 28))
    run = run_of(tmp_path / 'a run\'s "name"', model, "generation")
    found = directions(model, "sefa", count=2, samples=50)
    found.save(tmp_path / "found")
    scenes = [
        Scene((Pick(4, truncation=0.7),)),
        Scene((Pick(4, truncation=0.7, moves=(1.5, -2.0)), Pick(5)), at=0.25),
        Scene((Pick(4), Pick(5)), layers="0,2"),
    ]
    for number, each in enumerate(scenes):
        words = shlex.split(scene.command_of(run, f"{number}.png", each, tmp_path / "found"))
        if number:
            assert words[:2] == ["python", "-c"]
            exec(words[2], {})  # what the shell would hand to Python
        else:
            assert words[0] == "zerosum"
            assert main(words[1:]) == 0
        expected = np.asarray(Image.open(io.BytesIO(scene.png_of(model, scene.image_of(model, each, found)))))
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"{number}.png")), expected)


# ---------------------------------------------------------------- trainings


def test_commands_hold_nothing_that_was_not_asked_for() -> None:
    assert command_of("photos", "quick", 1.5) == ["train", "photos", "--recipe", "quick", "--minutes", "1.5"]
    assert command_of("--data.include=x", "auto", 1)[1] == "./--data.include=x"  # a folder, and no flag
    assert name_of("/home/me/my photos;rm -rf/", "quick") == "my-photos-rm-rf-quick"
    for source, recipe, minutes in (
        ("", "quick", 1),
        ("a\0b", "quick", 1),
        ("photos", "/etc/passwd", 1),
        ("photos", "quik", 1),
        ("photos", "quick", 0),
        ("photos", "quick", math.nan),
        ("photos", "quick", 1e9),
        ("photos", "quick", None),
    ):
        with pytest.raises(UsageError):
            command_of(source, recipe, minutes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/b", ".hidden", "-flag", "..", "a\0", "a\nb"])
def test_names_stay_in_the_folder_of_runs(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name for a run"):
        start(tmp_path / "runs", "digits", "quick", 1, name)
    assert not (tmp_path / "runs").exists()


def test_a_stranger_is_not_stopped(tmp_path: Path) -> None:
    """A number that another process has by now, or a folder that someone else wrote."""
    (tmp_path / "config.toml").touch()
    for about in ({"process": os.getpid(), "began": 1.0}, {"process": -1, "began": 1}, {"process": "x"}, {}, []):
        (tmp_path / "studio.json").write_text(json.dumps(about))
        assert process_of(at(tmp_path)) is None
        with pytest.raises(RunError, match="was not started here"):
            stop(at(tmp_path))


def test_a_training_is_started_and_stopped(tmp_path: Path) -> None:
    place = start(tmp_path / "runs", "digits", "quick", 5, "one")
    assert state_of(place).word == "starting"
    with pytest.raises(UsageError, match="already"):
        start(tmp_path / "runs", "digits", "quick", 5, "one")
    process = process_of(place)
    assert process is not None
    assert os.getsid(process.pid) == process.pid != os.getsid(0)  # a session of its own
    wait_for(lambda: place.has("checkpoints") and state_of(place).word == "running", 60)
    stop(place)
    wait_for(lambda: not state_of(place).lives, 30)
    state = state_of(place)
    assert state.word == "stopped"
    assert place.has("model", "model.safetensors")  # saved
    wait_for(lambda: process_of(place) is None, 20)
    assert "images/s" in place.file("studio.log").read_text()  # what it said
