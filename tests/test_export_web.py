"""The page in a real browser: its picture against PyTorch's, its controls, its words, its requests; and directions."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from browsing import assets, browser, served, watched
from released import generator_of, run_of
from translators import model_of
from zerosum.errors import UsageError
from zerosum.export import export_web
from zerosum.export.directions import closed_form_directions
from zerosum.export.web import RUNTIME
from zerosum.games import Latents, Randomness
from zerosum.model import Model
from zerosum.networks import names

HOSTILE = "<img src=x onerror=alert(1)>"
CODES = {"size": 6, "distribution": "uniform", "categorical": [3], "continuous": 1}

pytestmark = pytest.mark.usefixtures("one_registry")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


def labelled() -> Model:
    """A generator of classes and codes; one class has a name made to harm."""
    model = generator_of("quick-generator", labels="concatenate", latent=CODES, shape=(1, 20, 28))
    model.config["classes"][0] = HOSTILE
    return model


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Model, Path]]:
    """Two models, each with its page: `labelled`, whose run has a name made to harm, and `styled`."""
    folder, made = tmp_path_factory.mktemp("pages"), {}
    for name, model in (("labelled", labelled()), ("styled", generator_of("style-28-generator"))):
        run = run_of(model, folder / f"{name} <script>alert(1)<")
        export_web(run, folder / name, assets=assets())
        made[name] = model, folder / name
    return made


def drawn(page: Any) -> np.ndarray:
    """(H, W, 4) of the canvas, once the newest picture is there."""
    page.wait_for_selector("#picture[data-state=ready]", timeout=30_000)
    numbers, height, width = page.evaluate(
        "() => { const c = document.querySelector('canvas');"
        "return [[...c.getContext('2d').getImageData(0, 0, c.width, c.height).data], c.height, c.width]; }"
    )
    return np.array(numbers, np.uint8).reshape(height, width, 4)


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    """The canvas shows these (1, H, W, C), grey or coloured, but for rounding."""
    assert np.abs(found[..., :3].astype(int) - wanted[0]).max() <= 1
    assert (found[..., 3] == 255).all()


def move(page: Any, control: str, key: str, times: int) -> None:
    """With the keyboard, as one who has no mouse."""
    page.focus(control)
    for _ in range(times):
        page.keyboard.press(key)


def test_a_page_of_classes_and_codes(chromium: Any, pages: dict[str, tuple[Model, Path]]) -> None:
    model, folder = pages["labelled"]
    with served(folder) as address, chromium.new_context(viewport={"width": 375, "height": 740}) as context:
        page, seen = watched(context)
        page.goto(address)
        first = drawn(page)
        same(first, model.sample(1, seed=0, label=0))
        page.fill("#seed", "-1")
        assert page.inner_text("#status.bad") == "A seed is a whole number from 0 to 2147483647"
        page.fill("#seed", "7")
        same(drawn(page), model.sample(1, seed=7, label=0))
        assert page.inner_text("#command").startswith("zerosum sample RUN --count 1 --seed 7 --label ")
        page.select_option("#label", "2")
        page.select_option("#code-0", "1")
        same(drawn(page), model.sample(1, seed=7, label=2, code=1))
        move(page, "#truncation", "ArrowLeft", 8)
        same(drawn(page), model.sample(1, seed=7, label=2, code=1, truncation=0.6))
        move(page, "#direction-1", "ArrowRight", 30)
        moved = drawn(page)
        latent = model.latents(1, seed=7, code=1, truncation=0.6) + 1.5 * closed_form_directions(model)[0][1]
        same(moved, model._pixels(model.generate(latent, torch.tensor([2]))))
        assert (moved != first).mean() > 0.2
        assert page.is_hidden("#command-line")
        page.click("#reset")
        same(drawn(page), model.sample(1, seed=7, label=2))
        page.click("summary")
        page.wait_for_selector("#number-9")
        assert page.locator("#numbers input").count() == 7, "six of noise, and the continuous code"
        move(page, "#number-9", "Home", 1)
        latent = model.latents(1, seed=7)
        latent[0, 9] = -4
        same(drawn(page), model._pixels(model.generate(latent, torch.tensor([2]))))
        with page.expect_download() as saved:
            page.click("#save")
        picture = np.asarray(Image.open(io.BytesIO(Path(saved.value.path()).read_bytes())).convert("RGBA"))
        np.testing.assert_array_equal(picture, drawn(page))
        assert page.locator("#label option").first.inner_text() == HOSTILE
        assert page.inner_text("h1") == "labelled <script>alert(1)<"
        assert page.locator("img, script:not([src])").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        assert seen.faults == []
        assert all(request.startswith((address, "blob:")) for request in seen.requests)
        assert {request.removeprefix(address) for request in seen.requests} >= {"model.onnx", f"ort/{RUNTIME[1]}"}


def test_a_page_of_styles_asks_nobody_else(chromium: Any, pages: dict[str, tuple[Model, Path]]) -> None:
    model, folder = pages["styled"]
    with served(folder) as address, chromium.new_context() as context:
        page, seen = watched(context)
        page.goto(address)
        same(drawn(page), model.sample(1, seed=0))
        move(page, "#truncation", "ArrowLeft", 12)
        same(drawn(page), model.sample(1, seed=0, truncation=0.4))
        for latent, seed in ((Latents(300), 2**31 - 1), (Latents(3, "uniform", (4, 2), 2), 12)):
            script = "([latent, seed]) => import('./latents.js').then((code) => [...code.firstLatent(latent, seed)])"
            fields = {"size": latent.size, "distribution": latent.distribution}
            fields |= {"categorical": list(latent.categorical), "continuous": latent.continuous}
            wanted = latent.rows(Randomness(seed), "sample", 0, 1)[0]
            np.testing.assert_allclose(page.evaluate(script, [fields, seed]), wanted, atol=1e-6)
        assert seen.faults == []
        with served(folder) as other:  # the same files at another origin: even if it wanted to, the page could not
            away = "(address) => fetch(address).then(() => 'answered', () => 'forbidden')"
            assert page.evaluate(away, f"{other}config.json") == "forbidden"
            assert page.evaluate(away, f"{address}config.json") == "answered"
        assert any("Content Security Policy" in fault for fault in seen.faults)


def test_a_page_whose_files_were_changed(chromium: Any, pages: dict[str, tuple[Model, Path]], tmp_path: Path) -> None:
    _, folder = pages["styled"]
    (tmp_path / "ort").mkdir()
    for path in folder.rglob("*.*"):
        content = path.read_bytes()
        if path.name == "model.onnx":
            content = content[:-1] + bytes([content[-1] ^ 1])
        (tmp_path / path.relative_to(folder)).write_bytes(content)
    with served(tmp_path) as address, chromium.new_context() as context:
        page, _ = watched(context)
        page.goto(address)
        page.wait_for_selector("#status.bad")
        assert page.inner_text("#status").endswith("model.onnx is not the file that was exported")
        assert page.is_hidden("#controls")


def test_what_no_page_is_made_of(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    run = run_of(generator_of("quick-generator"), tmp_path / "run")
    with pytest.raises(UsageError, match=r"--assets is missing: .*npm pack onnxruntime-web@"):
        export_web(run, tmp_path / "out")
    with pytest.raises(UsageError, match=r"there are no ort\.wasm"):
        export_web(run, tmp_path / "out", assets=tmp_path)
    for file in RUNTIME:
        (tmp_path / "dist" / file).write_bytes(b"")
    others = [model_of(depth=2, width=2), generator_of("encoder-generator"), generator_of("mlp-generator", shape=(2,))]
    for place, model in enumerate(others):
        model.save(tmp_path / str(place) / "model")
        with pytest.raises(UsageError, match="--format onnx"):
            export_web(tmp_path / str(place), tmp_path / "out", assets=tmp_path)
    assert not (tmp_path / "out").exists()


def test_the_page_names_no_other_place() -> None:
    from importlib.resources import files

    for file in files("zerosum.export").joinpath("page").iterdir():
        words = file.read_text("utf-8").replace("http://127.0.0.1", "")
        assert "://" not in words
        assert "innerHTML" not in words
        assert "eval(" not in words


@pytest.mark.parametrize("name", [name for name in names("generator") if name != "encoder-generator"])
def test_directions_are_those_the_first_layer_answers_to_most(name: str) -> None:
    """Against the eigenvectors of AᵀA, A taken from what the layer does to unit vectors."""
    model = generator_of(
        name, labels="concatenate" if name == "mlp-generator" else "none", codes=name == "mlp-generator"
    )
    vectors, values = closed_form_directions(model, 5)
    layer = next(layer for layer in model.generator.modules() if isinstance(layer, torch.nn.Linear))
    length = model.latents(1).shape[1]
    factor = model.networks["codes"].factor if "codes" in model.networks else torch.eye(length)
    matrix = layer.weight.detach()[:, :length].double().numpy() @ factor.double().numpy().T
    eigen, basis = np.linalg.eigh(matrix.T @ matrix)
    np.testing.assert_allclose(values.numpy() ** 2, eigen[::-1][:5], rtol=1e-4)
    np.testing.assert_allclose(np.abs(np.sum(vectors.numpy() * basis.T[::-1][:5], 1)), 1, atol=1e-4)
    assert (vectors.gather(1, vectors.abs().argmax(1, keepdim=True)) > 0).all()


def test_page_json_is_plain(pages: dict[str, tuple[Model, Path]]) -> None:
    model, folder = pages["labelled"]
    page = json.loads((folder / "page.json").read_text())
    assert [len(direction["vector"]) for direction in page["directions"]] == [10] * 8
    assert json.loads((folder / "config.json").read_text())["classes"] == list(model.classes)
