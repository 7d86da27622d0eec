"""Exploring: walks, truncation, mixing and sums are what closed forms say, and every generator takes every verb."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from explorers import explorer
from translators import model_of
from zerosum.errors import RunError, UsageError
from zerosum.explore import (
    animated,
    arithmetic,
    attribute_directions,
    directions,
    edit,
    interpolate,
    mix,
    overview,
    project,
    space_of,
    truncation_sweep,
    walk,
)
from zerosum.explore.layers import numbers_text, parse_layers
from zerosum.explore.sheet import Sheet
from zerosum.explore.sums import parse
from zerosum.explore.walks import between
from zerosum.model import Ensemble
from zerosum.networks import names

STYLED = ["style-28-generator", "style-mlp-generator", "stylegan2-generator"]
CODES = {"size": 4, "categorical": [3], "continuous": 2}
KINDS: dict[str, dict[str, Any]] = {name: {"name": name} for name in names("generator")} | {
    "labels beside": {"name": "quick-generator", "classes": 3, "labels": "concatenate"},
    "labels in norms": {"name": "dcgan-28-generator", "classes": 3, "labels": "normalise"},
    "labels in styles": {"name": "style-28-generator", "classes": 3, "labels": "concatenate"},
    "labels embedded": {
        "name": "r3gan-generator",
        "classes": 3,
        "labels": "concatenate",
        "options": {"embedding": 4, "classes": 3},
    },
    "codes": {"name": "quick-generator", "latent": CODES},
    "uniform": {"name": "dcgan-dense-generator", "latent": {"distribution": "uniform"}},
    "fitted codes": {"name": "mlp-generator", "codes": True},
    "linear": {"name": "mlp-generator", "options": {"hidden": []}},
    "colours and alpha": {"name": "quick-generator", "shape": (4, 8, 12)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_generator_takes_every_verb(kind: str) -> None:
    model = explorer(**KINDS[kind])
    channels, height, width = model.shape
    found = directions(model, "sefa", count=2)
    sheets: dict[str, tuple[Sheet, tuple[int, int]]] = {
        "interpolate": (interpolate(model, 2, steps=3), (2, 3)),
        "linear": (interpolate(model, 2, steps=3, way="linear"), (2, 3)),
        "arithmetic": (arithmetic(model, "3 - 1,2 + 0"), (1, 4)),
        "sefa": (overview(model, found, steps=3), (2, 3)),
        "pca": (edit(model, directions(model, "pca", count=1, samples=40), count=2, steps=3), (2, 3)),
        "labels": (edit(model, attribute_directions(model, {n: "ab"[n % 2] for n in range(20)}), count=1), (1, 7)),
        "project": (project(model, model.images(1)[0], starts=2, steps=2, features="none").sheet(model), (1, 3)),
    }
    if kind == "labels in styles":
        with pytest.raises(UsageError, match="a label goes into"):
            truncation_sweep(model)
    else:
        sheets["truncation"] = truncation_sweep(model, 2, values=(0.5, 1)), (2, 2)
    if space_of(model).name == "w":
        sheets["mix"] = (mix(model, 2), (3, 3))
    else:
        with pytest.raises(UsageError, match=r"has no styles.*--recipe style-28"):
            mix(model)
    for verb, (sheet, tiles) in sheets.items():
        assert sheet.array.shape == (*tiles, height, width, channels), verb
        assert sheet.array.dtype == np.uint8
        assert bool(sheet.images.isfinite().all())
    different = sheets["interpolate"][0].images
    assert float((different[0, 0] - different[1, 0]).abs().max()) > 1e-4, "these generators make different images"


# ---------------------------------------------------------------- walks


def test_a_spherical_walk_is_shoemakes() -> None:
    """slerp(a, b; t) = sin((1 − t)θ)/sin θ a + sin(tθ)/sin θ b of unit vectors; lengths go from one to the other."""
    space = space_of(explorer("quick-generator"))
    random = np.random.default_rng(0)
    a, b = (random.normal(size=(9, 6)).astype(np.float32) for _ in "ab")
    times = np.linspace(0, 1, 9)[:, None]
    found = between(space, torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(times), "spherical").numpy()
    lengths = [np.linalg.norm(each, axis=1, keepdims=True) for each in (a, b)]
    one, other = a / lengths[0], b / lengths[1]
    angle = np.arccos((one * other).sum(1, keepdims=True))
    unit = np.sin((1 - times) * angle) / np.sin(angle) * one + np.sin(times * angle) / np.sin(angle) * other
    np.testing.assert_allclose(found, unit * ((1 - times) * lengths[0] + times * lengths[1]), atol=1e-5)
    assert np.array_equal(found[0], a[0])
    assert np.array_equal(found[-1], b[-1])


@pytest.mark.parametrize("way", ["linear", "spherical", "w"])
@pytest.mark.parametrize("name", ["quick-generator", "style-28-generator"])
def test_a_walk_goes_from_sample_to_sample_and_back(name: str, way: str) -> None:
    model = explorer(name)
    if way == "w" and name == "quick-generator":
        with pytest.raises(UsageError, match="no W"):
            interpolate(model, way=way)
        return
    sheet = interpolate(model, 3, steps=5, way=way, seed=7)
    samples = model.sample(3, seed=7)
    assert np.array_equal(sheet.array[:, 0], samples)
    assert np.array_equal(sheet.array[:, -1], np.roll(samples, -1, axis=0))
    images = walk(sheet)
    assert len(images) == 12
    with Image.open(BytesIO(animated(images))) as animation:
        assert (animation.n_frames, animation.info["loop"], animation.size) == (12, 0, (448, 448))  # type: ignore[attr-defined]
    if way == "w":
        space = space_of(model)
        ends = space.points(range(2), seed=7).rows
        middle = space.styled.synthesise(ends.mean(0, keepdim=True))  # type: ignore[union-attr]
        torch.testing.assert_close(sheet.images[0, 2:3], middle.detach())


def test_codes_and_classes_are_not_gone_through() -> None:
    model = explorer("quick-generator", latent=CODES)
    space = space_of(model)
    a, b = space.points([0]).rows, space.points([5]).rows
    rows = between(space, a.expand(5, -1), b.expand(5, -1), torch.linspace(0, 1, 5).double()[:, None], "spherical")
    assert torch.equal(rows[:2, 4:7], a[:, 4:7].expand(2, -1))
    assert torch.equal(rows[2:, 4:7], b[:, 4:7].expand(3, -1))
    torch.testing.assert_close(rows[2, 7:], (a[0, 7:] + b[0, 7:]) / 2)
    labelled = explorer("quick-generator", classes=3, labels="concatenate")
    points = space_of(labelled).points(range(9), seed=1, alike=True)
    own = labelled.labels(9, seed=1)
    assert own is not None
    assert points.labels is not None
    assert points.labels.tolist() == [int(own[0])] * 9
    assert len(set(own.tolist())) == 3


@pytest.mark.parametrize("name", ["quick-generator", "stylegan2-generator"])
def test_truncation_is_that_of_samples(name: str) -> None:
    model = explorer(name)
    sheet = truncation_sweep(model, 5, values=(0, 0.5, 1), seed=3)
    for row, psi in zip(sheet.array, (0, 0.5, 1), strict=True):
        assert np.array_equal(row, model.sample(5, seed=3, truncation=psi))
    assert len({tile.tobytes() for tile in sheet.array[0]}) == 1
    assert sheet.rows == ("ψ = 0", "ψ = 0.5", "ψ = 1")


# ---------------------------------------------------------------- styles


@pytest.mark.parametrize("name", STYLED)
def test_mixing_all_layers_from_one_side_is_that_sides_sample(name: str) -> None:
    model = explorer(name)
    samples = model.sample(6, seed=2)
    styled = space_of(model).styled
    assert styled is not None
    count = len(styled.layers)
    every = mix(model, 3, layers=range(count), seed=2)
    for column in range(3):
        for row in range(4):
            assert np.array_equal(every.array[row, column + 1], samples[3 + column])
    assert np.array_equal(every.array[1:, 0], samples[:3])
    assert every.blank == {(0, 0)}
    part = mix(model, 3, layers="0", seed=2).images
    styles = styled.styles(model.latents(6, seed=2))[:, None].repeat(1, count, 1)
    styles[1, 0] = styles[5, 0]
    torch.testing.assert_close(part[2, 3], styled.synthesise(styles[1:2])[0].detach(), atol=1e-5, rtol=1e-4)


def test_layers_in_words() -> None:
    assert parse_layers("0-2, 5", 6) == (0, 1, 2, 5)
    assert parse_layers([3, 1, 1], 4) == (1, 3)
    assert parse_layers(None, 4) == ()
    assert numbers_text((5, 0, 1, 2)) == "0-2,5"
    for text in ("", "a", "1-", "-1", "0-6", "2-1", "1,,2", "٣"):
        with pytest.raises(UsageError, match="--layers"):
            parse_layers(text, 6)
    for numbers in ([], [-1], [6]):
        with pytest.raises(UsageError, match="layers 0 to 5"):
            parse_layers(numbers, 6)


# ---------------------------------------------------------------- sums


def test_sums_are_read() -> None:
    assert [(term.sign, term.numbers) for term in parse(" 7,9 , 21- 3 +12")] == [
        (1, (7, 9, 21)),
        (-1, (3,)),
        (1, (12,)),
    ]
    assert [(term.sign, term.numbers) for term in parse("-3 − 4")] == [(-1, (3,)), (-1, (4,))]
    for text in ("", " ", "7 3", "7 -", "+", "7 * 3", "7,", "a", "7--3", "1" * 13, "٣", "+".join("1" * 17)):
        with pytest.raises(UsageError, match=r"sum"):
            parse(text)


@settings(deadline=None, max_examples=100)
@given(st.text("0123456789+-, −", max_size=12))
def test_no_text_is_read_as_another_sum(text: str) -> None:
    try:
        terms = parse(text)
    except UsageError:
        return
    assert parse("".join(term.words().replace("(", "").replace(")", "") for term in terms)) == terms


@pytest.mark.parametrize("name", ["quick-generator", "style-28-generator"])
def test_sums_are_of_points(name: str) -> None:
    model = explorer(name)
    sheet = arithmetic(model, "2 - 5 + 5", seed=4)
    samples = model.images(6, seed=4)
    torch.testing.assert_close(sheet.images[0, :3], samples[[2, 5, 5]])
    assert sheet.columns == ("2", "− 5", "+ 5", "=")
    rows = model.latents(6, seed=4)
    if name == "quick-generator":  # brought to the mean length of 2, 5 and 5
        lengths = rows.norm(dim=1)
        scaled = rows[2:3] * (lengths[2] + 2 * lengths[5]) / 3 / lengths[2]
        torch.testing.assert_close(sheet.images[0, 3:], model.generate(scaled))
    else:
        torch.testing.assert_close(sheet.images[0, 3:], samples[2:3], atol=1e-5, rtol=1e-4)
    codes = explorer("quick-generator", latent=CODES)
    space = space_of(codes)
    torch.testing.assert_close(arithmetic(codes, "3").images[0, 1:], codes.images(4)[3:], atol=1e-5, rtol=1e-4)
    assert space.free.tolist() == [True] * 4 + [False] * 3 + [True] * 2


# ---------------------------------------------------------------- sheets


def test_a_sheet_shows_itself() -> None:
    model = explorer("quick-generator", shape=(4, 8, 12))
    model.config["data"] |= {"dtype": "uint16", "high": 4095}
    sheet = interpolate(model, 2, steps=2)
    assert sheet.array.dtype == np.uint16
    assert np.array_equal(sheet.array[:, 0], model.sample(2))
    with Image.open(BytesIO(sheet._repr_png_())) as picture:
        assert picture.mode == "RGB"
        assert np.asarray(picture)[0, 0].tolist() == [255, 255, 255]
    alpha = sheet.images.clone()
    alpha[0, 0, 3] = -1
    clear = Sheet(alpha, sheet.data, "").tiles()[0][0]
    assert np.asarray(clear).min() == 255, "what is transparent lies on white"


def test_sheets_of_one_tile_keep_their_words() -> None:
    """The heading is not cut where tiles are few, nor heads where they are narrow."""
    sheet = interpolate(explorer("quick-generator"), 1, steps=2)
    picture = sheet.picture()
    assert picture.width > 10 * len(sheet.title)
    ink = np.asarray(picture.convert("L")) < 128
    assert not ink[:, -4:].any()


# ---------------------------------------------------------------- refusals


def test_what_cannot_be_explored_is_told_what_to_do_instead() -> None:
    points = explorer("mlp-generator", shape=(2,), options={"output": "linear"})
    fed = explorer("encoder-generator", latent={"distribution": "images"})
    for model, text in (
        (model_of(depth=2, width=2), "zerosum translate RUN"),
        (Ensemble([explorer("quick-generator")]), "RUN/members/0"),
        (points, "makes points.*zerosum report RUN"),
        (fed, r"reconstruct\(array\)"),
        (torch.nn.Linear(1, 1), "Linear is no model"),
    ):
        for call in (interpolate, truncation_sweep, mix, directions, lambda it: arithmetic(it, "1")):
            with pytest.raises(UsageError, match=text):
                call(model)


def test_a_generator_that_diverged_is_named() -> None:
    model = explorer("quick-generator")
    with torch.no_grad():
        next(model.generator.parameters()).fill_(torch.nan)
    for call in (interpolate, directions, lambda it: project(it, torch.zeros(1, 8, 8), features="none")):
        with pytest.raises(RunError, match="not finite"):
            call(model)


def test_questions_that_make_no_sense() -> None:
    model, styled = explorer("quick-generator"), explorer("style-28-generator", classes=2, labels="concatenate")
    wide = explorer("encoder-generator", shape=(3, 40, 40), latent={"size": 4800})
    for call, text in (
        (lambda: interpolate(model, 0), "--count must be 1 to 1,000, not 0"),
        (lambda: interpolate(model, steps=1), "--steps must be 2"),
        (lambda: interpolate(model, way="round"), "no way 'round': linear, spherical, w"),
        (lambda: interpolate(model, label=3), "trained without labels"),
        (lambda: interpolate(model, code=3), "without a categorical code"),
        (lambda: truncation_sweep(model, values=()), "--values"),
        (lambda: truncation_sweep(styled), "cannot be truncated"),
        (lambda: mix(styled, truncation=0.5), "cannot be truncated"),
        (lambda: directions(model, "seefa"), "did you mean 'sefa'"),
        (lambda: directions(model, layers="0"), "no styles"),
        (lambda: directions(wide), "4,096 at most"),
        (lambda: directions(wide, "pca", samples=2), "4,096 at most"),
        (lambda: space_of(model, "x"), "no space 'x'"),
        (lambda: space_of(model).points([-1]), "numbered from 0"),
        (lambda: animated(torch.zeros(1, 1, 8, 8)), "two images or more"),
    ):
        with pytest.raises(UsageError, match=text):
            call()
