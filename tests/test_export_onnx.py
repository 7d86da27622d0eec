"""ONNX files: every registered network, against PyTorch and against `sample` and `translate`; and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import zerosum
from conftest import rewrite
from released import CLASSES, CODED, generator_of, run_of
from translators import SHIPPED as TRANSLATORS
from translators import model_of
from zerosum.errors import RunError, UsageError, ZerosumError
from zerosum.export import export_onnx, load_onnx, onnx_folder
from zerosum.export.graphs import per_picture
from zerosum.export.loading import OnnxModel, OnnxTranslator
from zerosum.networks import names

Shelf = Callable[..., Path]
LABELLED = [
    ("quick-generator", "concatenate"),
    ("quick-generator", "normalise"),
    ("style-mlp-generator", "concatenate"),
]

pytestmark = pytest.mark.usefixtures("one_registry")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a small generator, and beside it `onnx`, the export of it. Not to be written to."""
    folder = tmp_path_factory.mktemp("exported")
    run_of(generator_of("mlp-generator"), folder / "run")
    export_onnx(folder / "run", folder / "onnx")
    return folder


@pytest.mark.parametrize(("name", "labels"), [(name, "none") for name in names("generator")] + LABELLED)
def test_every_generator_is_as_pytorch_has_it(name: str, labels: str, shelf: Shelf) -> None:
    latent = CODED if (name, labels) == LABELLED[0] else {}
    model = generator_of(name, labels=labels, latent=latent)
    folder = shelf(f"{name} {labels}", lambda: generator_of(name, labels=labels, latent=latent))
    assert json.loads((folder / "config.json").read_text())["max_error"] < 1e-4
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    takes = {one.name: one.shape for one in session.get_inputs()}
    styled = "style" in name
    assert set(takes) == {"latent", *(["label"] if labels != "none" else ["truncation"] if styled else [])}
    for count in (1, 3):
        latents = torch.rand(count, takes["latent"][1], generator=torch.Generator().manual_seed(count)) * 2 - 1
        classes = torch.arange(count) % len(CLASSES) if labels != "none" else None
        psi = 0.5 if "truncation" in takes else 1.0
        inputs = {"latent": latents.numpy(), "label": classes, "truncation": np.asarray(psi, np.float32)}
        (made,) = session.run(None, {key: np.asarray(inputs[key]) for key in takes})
        wanted = (model.generate(latents, classes, psi).clamp(-1, 1) + 1) * 127.5
        assert made.shape == (count, 3, 8, 8)
        assert 0 <= made.min() < made.max() <= 255
        assert np.abs(made - wanted.numpy()).max() < 0.02
    assert b"site-packages" not in (folder / "model.onnx").read_bytes(), "paths of this machine"
    loaded = load_onnx(folder)
    assert isinstance(loaded, OnnxModel)
    if model.config["latent"]["distribution"] == "images":
        return
    choice: dict[str, Any] = {"label": "10"} if labels != "none" else {"truncation": 0.5}
    ours, theirs = loaded.sample(3, seed=7, **choice), model.sample(3, seed=7, **choice)
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert (ours != theirs).mean() < 0.02


@pytest.mark.parametrize("high", [1, 255])
def test_ranges_codes_and_a_decoder(high: int, tmp_path: Path) -> None:
    """A decoder's fitted distribution of codes is inside; categorical codes are chosen as of the model."""
    latent = {"size": 5, "distribution": "uniform", "categorical": [3], "continuous": 1}
    model = generator_of("mlp-generator", latent=latent, codes=high == 1)
    export_onnx(run_of(model, tmp_path / "run"), tmp_path / "onnx", high=high)
    about = json.loads((tmp_path / "onnx" / "config.json").read_text())
    assert (about["output"]["low"], about["output"]["high"]) == ((-1, 1) if high == 1 else (0, 255))
    choice = {"seed": 3, "truncation": 0.7, "code": 2}
    made, wanted = load_onnx(tmp_path / "onnx").images(70, **choice), model.images(70, **choice)
    torch.testing.assert_close(made, wanted, rtol=0, atol=2e-5)


def test_points_are_in_the_units_of_the_data(tmp_path: Path) -> None:
    model = generator_of("mlp-generator", shape=(2,), options={"output": "linear"})
    export_onnx(run_of(model, tmp_path / "run"), tmp_path / "onnx")
    np.testing.assert_allclose(load_onnx(tmp_path / "onnx").sample(9, seed=1), model.sample(9, seed=1), atol=1e-4)
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    (made,) = session.run(["point"], {"latent": model.latents(9, seed=1).numpy()})
    np.testing.assert_allclose(made, model.sample(9, seed=1), atol=1e-4)


def test_every_translator_is_tried() -> None:
    assert {name for name, _, _ in TRANSLATORS} == set(names("translator"))


@pytest.mark.parametrize("place", range(len(TRANSLATORS)))
def test_translators_take_any_size(place: int, shelf: Shelf) -> None:
    name, options, facts = TRANSLATORS[place]
    model = model_of(name, **options, **facts)
    direction = "b-to-a" if "game" in facts else None
    folder = shelf(f"translator {place}", lambda: model_of(name, **options, **facts), direction=direction)
    loaded = load_onnx(folder)
    assert isinstance(loaded, OnnxTranslator)
    assert loaded.config["max_error"] < 1e-4
    random = np.random.default_rng(0)
    for size in ((3, 5), (33, 20)):
        array = random.integers(0, 256, (*size, model.way(direction).given["shape"][0]), dtype=np.uint8)
        made, wanted = loaded.translate(array), model.translate(array, direction)
        assert made.shape == wanted.shape
        assert np.abs(made.astype(int) - wanted).max() <= 1


def test_tiles_of_a_file_are_those_of_the_model(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerosum.tiles.SIDE", 96)
    name, options, _ = TRANSLATORS[0]
    folder, model = shelf("translator 0", lambda: model_of(name, **options)), model_of(name, **options)
    array = np.random.default_rng(1).integers(0, 256, (120, 150, 3), dtype=np.uint8)
    assert np.abs(load_onnx(folder).translate(array).astype(int) - model.translate(array)).max() <= 1
    assert not load_onnx(folder).config["sides"]["per_picture"]
    assert per_picture(model_of(depth=2, width=2, norm="instance").networks["generator"])
    shutil.copytree(folder, tmp_path / "each")
    rewrite(tmp_path / "each", lambda about: about["sides"].update(per_picture=True))
    with pytest.raises(UsageError, match="zerosum translate"):
        load_onnx(tmp_path / "each").translate(array)


def test_the_same_bytes_again(exported: Path, tmp_path: Path) -> None:
    export_onnx(exported / "run", tmp_path / "again")
    for file in ("model.onnx", "config.json"):
        assert (tmp_path / "again" / file).read_bytes() == (exported / "onnx" / file).read_bytes()


# ---------------------------------------------------------------- what is refused, and leaves nothing


def test_too_large_a_difference_leaves_nothing(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = onnx_folder.Session.run
    monkeypatch.setattr(onnx_folder.Session, "run", lambda self, inputs: run(self, inputs) + np.float32(0.2))
    with pytest.raises(RunError, match=r"by 0\.0016, more than 0\.001"):
        export_onnx(exported / "run", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_export_leaves_what_was_there(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(exported / "onnx", tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def stopped(graph: Any, inputs: Any, output: str, file: Path, stride: int) -> None:
        file.write_bytes(b"half of")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(onnx_folder, "write_onnx", stopped)
        with pytest.raises(KeyboardInterrupt):
            export_onnx(exported / "run", tmp_path / "out", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    export_onnx(exported / "run", tmp_path / "out", high=1, overwrite=True)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["output"]["high"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nothing_is_written_over(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--overwrite"):
        export_onnx(exported / "run", exported / "onnx")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "link").symlink_to(exported / "onnx")
    for folder in (tmp_path / "mine", exported / "run", tmp_path / "link"):
        with pytest.raises(UsageError, match="stays as it is"):
            export_onnx(exported / "run", folder, overwrite=True)


def test_what_cannot_be_exported(exported: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        run_of(generator_of("quick-generator"), tmp_path / "many" / "members" / str(seed))
        (tmp_path / "many" / "members" / str(seed) / "status.json").write_text('{"state": "done"}')
    with pytest.raises(UsageError, match="members/0"):
        export_onnx(tmp_path / "many", tmp_path / "out")
    with pytest.raises(UsageError, match="leave the direction out"):
        export_onnx(exported / "run", tmp_path / "out", direction="a-to-b")
    with pytest.raises(UsageError, match="255"):
        export_onnx(exported / "run", tmp_path / "out", high=7)
    assert not (tmp_path / "out").exists()


CHANGES: list[tuple[str, Any]] = [
    ("inputs", lambda about: about["inputs"]["latent"]["shape"].__setitem__(1, 9)),
    ("inputs", lambda about: about["latent"].update(size=10**12)),
    ("sample", lambda about: about.pop("latent")),
    ("takes", lambda about: about.update(classes=["a", "b"])),
    ("shape", lambda about: about["data"].update(shape=[3, 10**6, 10**6])),
    ("makes", lambda about: about["output"].update(name="x")),
    ("format", lambda about: about.update(format=9)),
    ("kind", lambda about: about.update(kind="translate")),
]


@pytest.mark.parametrize(("word", "change"), CHANGES)
def test_a_config_that_does_not_fit_is_refused(exported: Path, tmp_path: Path, word: str, change: Any) -> None:
    for file in ("model.onnx", "config.json"):
        (tmp_path / file).write_bytes((exported / "onnx" / file).read_bytes())
    rewrite(tmp_path, change)
    with pytest.raises(RunError, match=str(tmp_path)):
        load_onnx(tmp_path)


def test_damage_is_found_before_the_file_is_read(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerosum.export.loading.Session", None)  # whoever opens the file fails otherwise
    whole = {file: (exported / "onnx" / file).read_bytes() for file in ("model.onnx", "config.json")}
    broken = whole["model.onnx"][:-1] + bytes([whole["model.onnx"][-1] ^ 1])
    cases = [
        {"model.onnx": broken},
        {"model.onnx": whole["model.onnx"] + b"\0"},
        {"config.json": whole["config.json"].replace(b'"quick"', b'"slow"')},
        {"config.json": b"[" * 100_000},
        {"config.json": b"\x80\x04K\x01."},
    ]
    for case in cases:
        for file, content in (whole | case).items():
            (tmp_path / file).write_bytes(content)
        with pytest.raises(RunError, match=r"damaged|cannot be read"):
            load_onnx(tmp_path)
    with pytest.raises(ZerosumError, match="cannot be read"):
        load_onnx(tmp_path / "nowhere")


def test_loading_needs_no_seed_of_its_own(exported: Path) -> None:
    model, loaded = zerosum.load(exported / "run"), load_onnx(exported / "onnx")
    np.testing.assert_array_equal(loaded.latents(5, seed=4, first=1020).numpy(), model.latents(5, seed=4, first=1020))
    with pytest.raises(UsageError, match="trained without labels"):
        loaded.sample(1, label=3)
