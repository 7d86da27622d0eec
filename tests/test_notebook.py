"""In a notebook: a real kernel trains, and what shows itself is looked at; and arrays that stay arrays."""

from __future__ import annotations

import base64
import io
import os
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from PIL import Image

import zerosum
from zerosum.errors import UsageError
from zerosum.notebook import in_notebook
from zerosum.report import read_figure
from zerosum.run import Run
from zerosum.shown import Samples

CELLS = (
    "import zerosum\n"
    "settings = {'training.report_every': 128, 'training.threads': 1}\n"
    "run = zerosum.train('digits', recipe='quick', out='<b>run', images=640, settings=settings)",
    "run.figure('losses')",
    "run.samples()",
    "run.figure('progress')",
    "zerosum.load(run.path).sample(16)",
    "gauss = zerosum.train(recipe='gan-gaussian', out='gauss', epochs=2, settings={'training.threads': 1})",
    "zerosum.load(gauss.path).sample(300)",
    "zerosum.train('digits', recipe='gan-mlp', out='two', images=640, ensemble=2, settings=settings).samples()",
)


@pytest.fixture(scope="module")
def cells(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """The outputs of `CELLS`, run by a kernel."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(words) for words in CELLS])
    folder = tmp_path_factory.mktemp("notebook")
    environment = os.environ | {"ZEROSUM_CACHE": str(session_cache), "OMP_NUM_THREADS": "1"}
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}})
    client.execute(env=environment)
    return [cell.outputs for cell in notebook.cells]


def open_image(content: str) -> Image.Image:
    """A base64 picture."""
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    image.load()
    return image


def shades(image: Image.Image) -> int:
    """How many different colours a picture has."""
    return len(image.convert("RGB").getcolors(2**24) or ())


def embedded(html: str) -> list[Image.Image]:
    """The pictures within HTML."""
    return [open_image(found) for found in re.findall(r"data:image/\w+;base64,([A-Za-z0-9+/=]+)", html)]


@pytest.mark.parametrize("cell", [0, 5])
def test_training_is_drawn_in_one_output(cells: list[list[Any]], cell: int) -> None:
    """However many reports there were: the newest samples, the losses, the end of the bar, the notes."""
    (output,) = cells[cell]
    html = output["data"]["text/html"]
    assert '<progress value="1.0000"' in html
    assert "Done: " in html
    assert len(images := embedded(html)) == 2
    assert all(shades(image) > 10 for image in images)
    assert output["data"]["text/plain"].startswith("100% · ")
    assert "<b>run" not in html


@pytest.mark.parametrize("cell", [1, 2, 4, 6, 7])
def test_what_shows_itself(cells: list[list[Any]], cell: int) -> None:
    """As a PNG of more than a few colours: losses, newest samples, a model's samples, points, an ensemble."""
    image = open_image(cells[cell][-1]["data"]["image/png"])
    assert image.width >= 400
    assert shades(image) > 10


def test_the_animation_moves(cells: list[list[Any]]) -> None:
    """It is no PNG, and comes as HTML."""
    (image,) = embedded(cells[3][0]["data"]["text/html"])
    assert image.format == "WEBP"
    assert getattr(image, "n_frames", 1) > 1


def test_a_figure_by_another_name(finished_run: Path) -> None:
    """The error lists the names."""
    with pytest.raises(UsageError, match=r"no figure 'loss'; there are: .*losses, .*samples"):
        read_figure(finished_run, "loss")
    with pytest.raises(UsageError, match="no figure"):
        Run(finished_run, 640).figure("../samples/real")
    assert not in_notebook()


def test_an_interrupted_run_has_figures_too(finished_run: Path, tmp_path: Path) -> None:
    """It ended before its report, or went on since: the report is written first."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    shutil.rmtree(run / "figures")
    (run / "report.html").unlink()
    assert read_figure(run, "losses").data == (finished_run / "figures" / "losses.png").read_bytes()
    (run / "figures" / "losses.png").write_bytes(b"old")
    os.utime(run / "report.html", (0, 0))
    assert read_figure(run, "losses").data == (finished_run / "figures" / "losses.png").read_bytes()


def test_samples_are_arrays(finished_run: Path) -> None:
    """They calculate, index, pickle and become tensors as arrays do, and what is calculated is a plain array."""
    model = zerosum.load(finished_run)
    samples = model.sample(6, seed=3)
    assert isinstance(samples, Samples)
    for made in (samples / 2, samples + samples, -samples.astype(float), np.sqrt(samples), samples == samples):
        assert type(made) is np.ndarray
    assert isinstance(samples.mean(), float)
    assert type(samples.mean(axis=0)) is np.ndarray
    assert samples[0, 0, 0, 0].item() == np.asarray(samples)[0, 0, 0, 0]
    assert torch.equal(torch.from_numpy(samples), torch.from_numpy(np.asarray(samples)))
    again = pickle.loads(pickle.dumps(samples))
    assert np.array_equal(again, samples)
    assert again._repr_png_() is None
    plain = np.asarray(samples)
    samples[1] = 0
    assert not plain[1].any()
    assert np.array_equal(model.reconstruct(plain) if model.reconstructs else plain, plain)


def test_the_picture_holds_the_samples(finished_run: Path) -> None:
    """Digits of 0 to 16 as grey of 0 to 255, enlarged by a whole number, a part of them as well; a column is none."""
    samples = zerosum.load(finished_run).sample(6, seed=3)

    def shown(part: Any) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(part._repr_png_())))

    one = shown(samples[2])
    factor = one.shape[0] // 8
    np.testing.assert_array_equal(one[::factor, ::factor], np.rint(np.asarray(samples)[2, ..., 0] * (255 / 16)))
    sheet = shown(samples)
    factor = sheet.shape[1] // (2 * 8 + 2)  # 3 rows of 2, with 2 pixels between
    assert sheet.shape == (28 * factor, 18 * factor)
    small = sheet[::factor, ::factor]
    np.testing.assert_array_equal(small[:8, 10:], np.rint(np.asarray(samples)[1, ..., 0] * (255 / 16)))
    assert (small[8:10] == 255).all()
    assert samples[:, 0]._repr_png_() is None
    assert samples[:0]._repr_png_() is None


@pytest.mark.parametrize("shape", [(3, 20, 30, 3), (2, 1500, 900, 1), (300, 4, 4, 2), (2, 8, 8, 4), (50, 2), (50, 1)])
def test_any_samples_have_a_picture(shape: tuple[int, ...]) -> None:
    """Colour, alpha, large, many, points and numbers."""
    array = np.random.default_rng(0).random(shape, dtype=np.float32)
    picture = Samples.of(array, 0.0, 1.0)._repr_png_()
    assert picture is not None
    image = Image.open(io.BytesIO(picture))
    assert max(image.size) <= 1024
    assert shades(image) > 10
