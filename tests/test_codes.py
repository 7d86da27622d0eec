"""What codes mean, made visible: latents that sweep them, the picture in the report, and samples of one value."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zerosum
from players import CODES, LATENT, latents_of
from zerosum.cli import main
from zerosum.errors import RunError, UsageError
from zerosum.games import Latents, Randomness
from zerosum.model import Ensemble, Model
from zerosum.networks import build
from zerosum.report import write_report
from zerosum.report.run_folder import read_run
from zerosum.sampler import Sampler

SETTINGS = {
    "generator.network": "quick-generator",
    "discriminator.network": "quick-discriminator",
    "latent.size": 5,
    "latent.categorical": [4, 3],
    "latent.continuous": 2,
    "training.batch": 32,
    "training.threads": 1,
    "training.precision": "float32",
}
LABELS = [
    *(f"code 1 = {value}" for value in range(4)),
    *(f"code 2 = {value}" for value in range(3)),
    *(f"continuous {code}, -2 to 2" for code in (1, 2)),
]


@pytest.fixture(scope="module")
def coded(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps whose latents have codes of 4 and 3 values and two continuous ones. Not to be written to."""
    run = tmp_path_factory.mktemp("runs") / "coded"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROSUM_CACHE", str(session_cache))
        zerosum.train("digits", recipe="infogan", out=run, images=96, seed=7, settings=SETTINGS)
    return run


# latents


@pytest.mark.parametrize(
    ("categorical", "continuous", "labels"),
    [
        ((4, 3), 2, LABELS),
        ((2,), 0, ["code 1 = 0", "code 1 = 1"]),
        ((), 3, [f"continuous {code}, -2 to 2" for code in (1, 2, 3)]),
        ((25,), 0, [f"code 1 = {value}" for value in range(20)]),
        (
            (10,) * 4,
            4,
            [f"code {n // 10 + 1} = {n % 10}" for n in range(16)] + [f"continuous {n}" for n in (1, 2, 3, 4)],
        ),
        ((99,), 40, [f"code 1 = {value}" for value in range(10)] + [f"continuous {n}" for n in range(1, 11)]),
        ((), 40, [f"continuous {code}" for code in range(1, 21)]),
    ],
    ids=str,
)
def test_each_row_sets_one_code(categorical: tuple[int, ...], continuous: int, labels: list[str]) -> None:
    """Against the latents before they were set: all the rest of a row is theirs, or the first one's."""
    latents = Latents(3, "normal", categorical, continuous)
    swept = latents.sweep(Randomness(5), "latent", 5)
    assert [label.split(",")[0] for label in swept.labels] == [label.split(",")[0] for label in labels]
    assert (swept.columns, swept.latents.shape) == (5, (5 * len(labels), latents.length))
    start, rows = latents_of(5, latents), swept.latents.view(len(labels), 5, latents.length)
    firsts = [3 + sum(categorical[:code]) for code in range(len(categorical))]
    for label, row in zip(swept.labels, rows, strict=True):
        number = int(label.split()[1].rstrip(",")) - 1
        expected = start.clone()
        if label.startswith("code"):
            expected[:, firsts[number] : firsts[number] + categorical[number]] = 0
            expected[:, firsts[number] + int(label.split()[-1])] = 1
        else:
            expected = start[[0] * 5].clone()
            expected[:, 3 + sum(categorical) + number] = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-6)


# the picture


def test_the_newest_picture_is_the_sweep_of_the_released_model(coded: Path) -> None:
    (codes,) = read_run(coded).rows
    assert codes.name == "codes"
    assert (codes.grid.rows, codes.grid.columns, codes.grid.height, codes.grid.width) == (9, 8, 8, 8)
    assert list(codes.grid.labels) == LABELS
    model = zerosum.load(coded)
    assert isinstance(model, Model)
    swept = Latents(5, "uniform", (4, 3), 2).sweep(Randomness(7), "codes", 8)
    made = (model.generate(swept.latents)[:, 0] + 1) / 2 * 16  # digits go from 0 to 16, in whole steps
    with Image.open(codes.path) as picture:
        assert (picture.mode, picture.size) == ("L", (64, 72))
        tiles = np.asarray(picture).reshape(9, 8, 8, 8).swapaxes(1, 2).reshape(72, 8, 8)
    assert np.abs(tiles - np.rint(made.numpy()) * 255 / 16).max() <= 0.51
    assert len(np.unique(tiles, axis=0)) > 20, "codes change samples"


def test_the_report_shows_it_with_a_label_a_row(coded: Path) -> None:
    newest = np.asarray(Image.open(coded / "samples" / "codes.png"))
    picture = np.asarray(Image.open(coded / "figures" / "codes.png").convert("L"))
    scale, edge = 11, 12  # 64 pixels enlarged by whole numbers to at least 700
    across, down = 8 * scale + 2, 8 * scale + 2
    left = picture.shape[1] - edge - 8 * across
    for row in range(9):
        top = 46 + row * down
        tile = newest[8 * row : 8 * row + 8, :8].repeat(scale, 0).repeat(scale, 1)
        np.testing.assert_array_equal(picture[top : top + 8 * scale, left : left + 8 * scale], tile)
        beside = picture[top : top + 8 * scale, :left]
        written = np.flatnonzero((beside < 128).any(0))
        assert 6 <= written.min() < written.max() < left - 6, "the label is whole, and off the tiles"
    page = (coded / "report.html").read_text()
    assert page.count("<h2>Codes</h2>") == 1
    assert "To draw with code 1 = 1" in page
    assert "In a row of a continuous code only that code moves" in page


def test_where_there_is_nothing_to_show(finished_run: Path, tmp_path: Path) -> None:
    """No codes; or codes of points, which are no pictures."""
    settings = {"latent.categorical": [2], "training.report_every": 200, "training.threads": 1}
    points = zerosum.train(recipe="gan-gaussian", out=tmp_path / "points", images=200, settings=settings)
    for run in (finished_run, points.path):
        assert not list((run / "samples").glob("codes*"))
        assert "<h2>Codes</h2>" not in (run / "report.html").read_text()
    assert points.model.sample(3, code=1).shape == (3, 2)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("[]", "'labels' should be a list of strings"),
        ('["code 1 = 0", 3]', "'labels' should be a list of strings"),
        (str(["x"] * 10).replace("'", '"'), "72 tiles, and codes.json beside it says 10×8"),
        ('["x"]', "64×72 L; .*up to 8×1 tiles"),
    ],
)
def test_damage_is_named(labels: str, words: str, coded: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(coded, tmp_path / "run"))
    (run / "samples" / "codes.json").write_text(f'{{"columns": 8, "height": 8, "width": 8, "labels": {labels}}}')
    with pytest.raises(RunError, match=words):
        write_report(run)


# samples of one value


def test_samples_of_one_value(coded: Path, tmp_path: Path) -> None:
    """70 of them: more than are made at once. The second code and the noise stay as they were drawn."""
    model = zerosum.load(coded)
    assert isinstance(model, Model)
    by_hand = model.latents(70, seed=3, truncation=0.5)
    by_hand[:, 5:9] = torch.tensor([0.0, 0.0, 1.0, 0.0])
    expected = np.rint((model.generate(by_hand).permute(0, 2, 3, 1).numpy() + 1) * 8).astype(np.uint8)
    assert np.array_equal(model.sample(70, seed=3, truncation=0.5, code=2), expected)
    words = ["sample", str(coded), "--count", "70", "--seed", "3", "--truncation", "0.5", "--code", "2"]
    assert main([*words, "--out", str(tmp_path / "samples.npy")]) == 0
    assert np.array_equal(np.load(tmp_path / "samples.npy", allow_pickle=False), expected)
    assert not np.array_equal(model.sample(70, seed=3, truncation=0.5, code=1), expected)


def test_an_ensemble_of_one_value() -> None:
    torch.manual_seed(0)
    latent = {"size": LATENT, "categorical": [3, 4], "continuous": 2}
    data = {"shape": [2], "dtype": "float32", "low": -1.0, "high": 1.0}
    about = {"latent": latent, "data": data}
    members = [Model({"generator": build("mlp-generator", latent=CODES.length, shape=(2,))}, about) for _ in range(2)]
    both = Ensemble(members)
    own = np.stack([member.sample(90, seed=1, code=2) for member in members])
    made = both.sample(90, seed=1, code=2)
    np.testing.assert_allclose(made, own[both.chosen(90, seed=1).numpy(), np.arange(90)], atol=1e-6)
    assert not np.allclose(made, both.sample(90, seed=1))
    refused(both, 3, "values 0 to 2")


def refused(model: Sampler, code: int, words: str) -> None:
    for count in (0, 3):
        with pytest.raises(UsageError, match=words):
            model.sample(count, code=code)


def test_codes_that_there_are_not(
    coded: Path, finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(zerosum.load(coded), 4, "values 0 to 3, and 4 is none of them")
    refused(zerosum.load(coded), -1, "values 0 to 3, and -1 is none")
    refused(zerosum.load(finished_run), 0, "without a categorical code")
    for run, code in ((coded, "4"), (finished_run, "0")):
        assert main(["sample", str(run), "--code", code, "--out", str(tmp_path / "out.png")]) == 2
        assert "code" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
