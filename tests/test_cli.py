"""The command line: what each verb prints and writes, its exit codes, and that it answers without PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zerosum
from conftest import Shell
from zerosum.cli import divide, main, settings_from
from zerosum.errors import UsageError
from zerosum.settings import recipe_names

WATCHED = """
import sys
from zerosum.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
heavy = [name for name in ("torch", "matplotlib", "PIL", "scipy", "sklearn") if name in sys.modules]
print("HEAVY", code, heavy)
"""


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"], ["recipes"], ["recipes", "quick"]])
def test_help_is_answered_without_pytorch(words: list[str], shell: Shell) -> None:
    said = shell.finish(shell.python("-c", WATCHED, *words))
    assert "HEAVY 0 []" in said
    if words == ["--version"]:
        assert f"zerosum {zerosum.__version__}" in said


def test_help_names_all_verbs_and_settings(shell: Shell) -> None:
    said = shell.run("--help")
    assert all(verb in said for verb in ("train", "sample", "report", "recipes", "data"))
    said = shell.run("train", "--help")
    for key in ("--training.batch", "--data.size", "--generator.lr", "--latent.size", "--images", "--recipe"):
        assert key in said


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["sample"],
        ["sample", "run", "--nonsense", "3"],
        ["sample", "run", "--count", "many"],
        ["sample", "run", "--count", "0"],
        ["train", "digits", "--bach", "3"],
        ["train", "digits", "--training.bach", "3"],
        ["train", "digits", "extra"],
        ["train", "digits", "--images"],
        ["train", "digits", "--images", "3", "--minutes", "3"],
        ["train", "digits", "--recipe", "quik"],
        ["train", "digits", "--images", "64", "--device", "abacus"],
        ["train", "digits", "--images", "64", "--ensemble", "0"],
        ["train", "digits", "--images", "64", "--ensemble", "2", "--seed", str(2**63 - 1)],
        ["train", "digits", "--images", "64", "--game.loss", "wassertein"],
        ["train", "digits", "--images", "64", "--game.penalties.r7.gamma", "1"],
        ["train", "digits", "--images", "64", "--generator.network", "quick-generato"],
        ["train", "digits", "--images", "64", "--recipe", "dcgan-28", "--training.batch", "1"],
        ["train", "digits", "--images", "64", "--game.discriminator-turns", "2"],
        ["train", "gaussian", "--images", "64", "--recipe", "gan-gaussian", "--data.flip"],
        ["train", "gaussian", "--recipe", "quick", "--images", "64"],
        ["recipes", "quik"],
        ["data", "digits", "--data.fit", "squeeze"],
    ],
    ids=lambda words: " ".join(words) or "nothing",
)
def test_wrong_commands_end_with_2(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main(words)
    except SystemExit as end:  # argparse's way
        code = end.code
    assert code == 2
    assert len(capsys.readouterr().err) > 20
    assert not list(tmp_path.rglob("config.toml"))


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["train", "no/such/folder"], 3, "no/such/folder"),
        (["train", "mnist-6k"], 3, "did you mean 'mnist-5k'"),
        (["data", "no/such/folder"], 3, "no such file or folder"),
        (["train", "."], 3, ""),
        (["sample", "no/such/run"], 5, "is no run folder"),
        (["report", "no/such/run"], 5, "no/such/run"),
    ],
)
def test_what_is_not_there(
    words: list[str],
    code: int,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == code
    assert text in capsys.readouterr().err


def test_no_traceback_in_a_process_of_its_own(shell: Shell) -> None:
    said = shell.run("train", "no/such/folder", code=3)
    assert said.startswith("zerosum: ")
    assert "unrecognized" in said or "invalid choice" in (said := shell.run("fly", code=2))


@pytest.mark.parametrize(
    ("words", "kept", "settings"),
    [
        (["--training.batch", "32", "digits"], ["digits"], {"training.batch": 32}),
        (["digits", "--data.flip", "--images", "3"], ["digits", "--images", "3"], {"data.flip": True}),
        (["--game.loss=minimax", "digits"], ["digits"], {"game.loss": "minimax"}),
        (["--generator.betas", "[0.0, 0.9]"], [], {"generator.betas": [0.0, 0.9]}),
        (["--training.micro-batch", "4"], [], {"training.micro_batch": 4}),
        (["--data.size", "64x96", "--data.root", "a b/c"], [], {"data.size": "64x96", "data.root": "a b/c"}),
        (["--out", "a.b/c.d", "x.y"], ["--out", "a.b/c.d", "x.y"], {}),
        (["--training.images", "200k"], [], {"training.images": "200k"}),
    ],
)
def test_settings_stand_anywhere(words: list[str], kept: list[str], settings: dict[str, object]) -> None:
    """The value of a setting is never taken for DATA."""
    plain, apart = divide(["train", *words])
    assert plain == ["train", *kept]
    assert settings_from(apart) == settings


def test_settings_that_are_none() -> None:
    with pytest.raises(UsageError, match=r"did you mean '--training\.batch'"):
        settings_from(["--trainingbatch", "3"])
    with pytest.raises(UsageError, match=r"section\.key"):
        settings_from(["more"])


def test_training_prints_plain_lines_to_a_pipe(shell: Shell) -> None:
    words = [
        "train",
        "--training.batch",
        32,
        "digits",
        "--images",
        "0.128k",
        "--seed",
        3,
        "--training.report-every",
        64,
    ]
    said = shell.run(*words)
    assert "\x1b" not in said
    assert "\r" not in said
    assert said.count(" images (epoch ") == 2
    assert "D(G(z)) before" in said
    assert "data: digits, 1,797 images of 8×8×1" in said
    run = shell.folder / "runs" / "digits-auto"
    assert str(Path("runs/digits-auto/report.html")) in said
    assert (run / "report.html").stat().st_size > 10_000
    config = (run / "config.toml").read_text()
    assert "images = 128" in config
    assert "seed = 3" in config
    assert "batch = 32" in config


@pytest.mark.parametrize(
    ("name", "mode", "size"),
    [
        ("sheet.png", "L", (24, 24)),
        ("deep/er/sheet.PNG", "L", (24, 24)),
        ("sheet.jpg", "L", (24, 24)),
        ("sheet.webp", "RGB", (24, 24)),
        ("sheet.bmp", "L", (24, 24)),
        ("sheet.tiff", "L", (24, 24)),
    ],
)
def test_sample_to_one_picture(name: str, mode: str, size: tuple[int, int], finished_run: Path, tmp_path: Path) -> None:
    assert main(["sample", str(finished_run), "--count", "7", "--seed", "5", "--out", str(tmp_path / name)]) == 0
    with Image.open(tmp_path / name) as picture:
        assert (picture.mode, picture.size) == (mode, size)
        shown = np.asarray(picture.convert("L"), dtype=int)
    if Path(name).suffix.lower() in (".png", ".bmp", ".tiff"):
        samples = zerosum.load(finished_run).sample(7, seed=5)
        low, high = 0, 16  # of scikit-learn's digits
        tiles = shown.reshape(3, 8, 3, 8).swapaxes(1, 2).reshape(9, 8, 8)
        np.testing.assert_allclose(tiles[:7], (samples[..., 0].astype(float) - low) / (high - low) * 255, atol=0.51)


def test_sample_to_an_array_and_to_a_folder(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = zerosum.load(finished_run).sample(12, seed=5)
    words = ["sample", str(finished_run), "--count", "12", "--seed", "5"]
    assert main([*words, "--out", "samples.npy"]) == 0
    assert np.array_equal(np.load("samples.npy", allow_pickle=False), expected)
    assert main([*words, "--out", "folder"]) == 0
    files = sorted(Path("folder").iterdir())
    assert [file.name for file in files] == [f"{number:03d}.png" for number in range(12)]
    assert main(words) == 0
    assert "digits-quick-samples-5.png" in capsys.readouterr().out
    assert Path("digits-quick-samples-5.png").exists()
    assert main([*words, "--out", "samples.mp4"]) == 2
    assert main([*words, "--truncation", "0", "--out", "same.npy"]) == 0
    same = np.load("same.npy", allow_pickle=False)
    assert (same == same[0]).all()


def test_recipes_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in recipe_names())
    assert main(["recipes", "dcgan-64"]) == 0
    assert "https://arxiv.org/abs/1511.06434" in capsys.readouterr().out


def test_data_are_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "digits", "--data.size", "16", "--out", str(tmp_path / "sheet.png")]) == 0
    said = capsys.readouterr().out
    assert "1,797" in said
    assert "16" in said
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) >= 64
    assert main(["data", "gaussian"]) == 0


def test_report_again(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(finished_run)]) == 0
    assert capsys.readouterr().out.strip() == str(finished_run / "report.html")


def test_python_m_zerosum_is_the_command() -> None:
    said = subprocess.run([sys.executable, "-m", "zerosum", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == f"zerosum {zerosum.__version__}"
