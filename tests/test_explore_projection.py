"""Projection: a generator's own sample is found again, a kill changes no bit, and pictures come in as the data did."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

import zerosum
from conftest import Shell, rewrite_about
from explorers import explorer
from zerosum.cli import main
from zerosum.errors import DataError, RunError, UsageError
from zerosum.explore import load_points, project, read_target, space_of
from zerosum.explore.projection import Descent
from zerosum.explore.target import FEATURES, judge_of
from zerosum.metrics.extractors import extractor
from zerosum.model import Model

PLAIN: dict[str, Any] = {"features": "none"}


def test_a_sample_of_its_own_is_found_again(finished_run: Path) -> None:
    """Sample 300, which is none of the candidates, of a generator that was trained."""
    model = zerosum.load(finished_run)
    target = model.images(301)[300]  # type: ignore[union-attr]
    before = project(model, target, steps=0, **PLAIN)
    after = project(model, target, **PLAIN)
    assert before.psnrs[0] < 25
    assert after.psnrs[0] > 30
    assert after.losses[0] < before.losses[0] / 5
    assert list(after.losses) == sorted(after.losses)
    mse = float((after.images[0] - target).square().mean())
    assert after.losses[0] == pytest.approx(mse, rel=1e-3)
    assert after.psnrs[0] == pytest.approx(10 * np.log10(4 / mse), rel=1e-3)
    torch.testing.assert_close(space_of(model).images(after.points), after.images)


class Isometry(nn.Module):
    """Codes (N, 6) to images (N, 1, 8, 8) by orthonormal rows, or back."""

    def __init__(self, rows: Tensor, *, back: bool) -> None:
        super().__init__()
        self.rows, self.back = nn.Parameter(rows), back

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.rows.T if self.back else (x @ self.rows).view(-1, 1, 8, 8)


@pytest.mark.parametrize("fitted", [False, True])
def test_an_encoder_says_where_to_start(fitted: bool) -> None:
    rows = torch.linalg.qr(torch.randn(64, 6, generator=torch.Generator().manual_seed(0))).Q.T.contiguous()
    model = explorer("mlp-generator", codes=fitted)
    networks = {name: part for name, part in model.networks.items() if name == "codes"}
    networks |= {"generator": Isometry(rows, back=False), "encoder": Isometry(rows, back=True)}
    model = Model(networks, model.config)
    found = project(model, model.images(301)[300], steps=0, **PLAIN)
    assert found.psnrs[0] > 80
    torch.testing.assert_close(found.points.rows[0], model.latents(301)[300], atol=1e-4, rtol=1e-3)
    assert found.psnrs[1] < 40, "the others are samples"


@pytest.mark.parametrize("name", ["style-28-generator", "mlp-generator"])
def test_every_space_is_projected_into(name: str) -> None:
    model = explorer(name, latent={"distribution": "uniform", "continuous": 1})
    found = project(model, model.images(301)[300], steps=200, **PLAIN)
    assert found.psnrs[0] > 25
    assert found.space == ("w" if name.startswith("style") else "z")
    if found.space == "z":
        assert float(found.points.rows.abs().max()) <= 1


def test_the_class_is_found_and_codes_stay() -> None:
    model = explorer("quick-generator", classes=3, labels="concatenate")
    own = model.labels(301)
    assert own is not None
    found = project(model, model.images(301)[300], steps=100, **PLAIN)
    assert found.points.labels is not None
    assert int(found.points.labels[0]) == int(own[300])
    asked = project(model, model.images(301)[300], steps=1, label="class 2", **PLAIN)
    assert asked.points.labels is not None
    assert asked.points.labels.tolist() == [2] * 4
    coded = explorer("quick-generator", latent={"categorical": [3]})
    rows = project(coded, coded.images(1)[0], steps=20, **PLAIN).points.rows[:, 6:]
    assert bool(((rows == 0) | (rows == 1)).all())
    assert rows.sum(1).tolist() == [1] * 4


def test_features_are_compared_where_they_are_there() -> None:
    model = explorer("quick-generator", shape=(2, 16, 16))
    target = model.images(9)[8]
    said: list[str] = []
    judge = judge_of(target, "random", torch.device("cpu"), said.append)
    assert said == ["By pixels and the features of random."]
    images = model.images(3)
    maps, wanted = (extractor("random").maps(part[:, :1]) for part in (images, target[None]))
    distance = (maps - wanted).square().flatten(1).sum(1) / wanted.square().sum()
    torch.testing.assert_close(judge.distance(images), distance)
    pixels = (images - target).square().mean((1, 2, 3))
    torch.testing.assert_close(judge.loss(images), pixels + FEATURES * distance)
    found = project(model, target, steps=3, features="random")
    assert len(found.distances) == 4
    assert "distance of features" in found.words()
    with pytest.raises(UsageError, match="makes features of whole images only"):
        project(model, target, features="pixels")
    with pytest.raises(UsageError, match="no extractor"):
        project(model, target, features="vgg")


def test_without_learnt_features_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerosum.explore.target.best_installed", lambda: "random")
    said: list[str] = []
    model = explorer("quick-generator")
    assert project(model, model.images(1)[0], steps=1, tell=said.append).distances == ()
    assert "pip install 'zerosum[features]'" in said[0]


# ---------------------------------------------------------------- going on


def test_an_interrupted_descent_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = explorer("quick-generator", classes=2, labels="concatenate")
    target = model.images(301)[300]
    whole = project(model, target, steps=130, **PLAIN)
    inner = Descent.advanced

    def broken(self: Descent, step: Any) -> Any:
        if step.done == 77:
            raise KeyboardInterrupt
        return inner(self, step)

    checkpoint = tmp_path / "it" / "checkpoint"
    with monkeypatch.context() as patch:
        patch.setattr(Descent, "advanced", broken)
        with pytest.raises(KeyboardInterrupt):
            project(model, target, steps=130, checkpoint=checkpoint, **PLAIN)
    done: list[int] = []

    def counted(self: Descent, step: Any) -> Any:
        done.append(step.done)
        return inner(self, step)

    monkeypatch.setattr(Descent, "advanced", counted)
    again = project(model, target, steps=130, checkpoint=checkpoint, **PLAIN)
    assert done == list(range(50, 130))
    assert torch.equal(again.points.rows, whole.points.rows)
    assert again.losses == whole.losses
    assert project(model, target, steps=130, checkpoint=checkpoint, **PLAIN).losses == whole.losses
    assert len(done) == 80, "what is done is not done again"


def test_checkpoints_of_others_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    model = explorer("quick-generator")
    checkpoint = tmp_path / "it" / "checkpoint"
    target = model.images(1)[0]
    project(model, target, steps=2, checkpoint=checkpoint, **PLAIN)
    with pytest.raises(UsageError, match=r"another projection \(steps, target differ\)"):
        project(model, -target, steps=3, checkpoint=checkpoint, **PLAIN)
    rewrite_about(checkpoint / "state.json", lambda about: about.update(done=-1))
    with pytest.raises(RunError, match="delete it to begin anew"):
        project(model, target, steps=2, checkpoint=checkpoint, **PLAIN)
    state = checkpoint / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"state\.safetensors is damaged"):
        project(model, target, steps=2, checkpoint=checkpoint, **PLAIN)


def test_a_killed_command_goes_on_to_the_same_bytes(
    finished_run: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save(shell.folder / "ramp.png")
    picture, steps = str(shell.folder / "ramp.png"), ("--features", "none", "--steps", "1500")
    words = ["explore", "project", str(finished_run), picture, *steps, "--out"]
    killed = shell.start(*words, "killed")
    state = shell.folder / "killed/project-ramp/checkpoint/state.json"
    deadline = time.monotonic() + 60
    while not state.exists():
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.kill()
    killed.communicate()
    found = Path("project-ramp/projection/projection.safetensors")
    assert not (shell.folder / "killed" / found).exists(), "it was too fast to be killed"
    for out in ("killed", "whole"):
        monkeypatch.chdir(shell.folder)  # for the command is to be the same, --out and all
        assert main([*words, out]) == 0
    one, other = (load_file(shell.folder / out / found)["points"] for out in ("killed", "whole"))
    assert torch.equal(one, other)


# ---------------------------------------------------------------- files


def test_a_projection_is_kept_and_edited(tmp_path: Path) -> None:
    model = explorer("quick-generator", classes=2, labels="concatenate")
    space = space_of(model)
    found = project(model, model.images(1)[0], steps=1, **PLAIN)
    found.save(tmp_path / "projection")
    points, generator = load_points(tmp_path, space)
    assert torch.equal(points.rows, found.points.rows)
    assert points.labels is not None
    assert torch.equal(points.labels, found.points.labels)  # type: ignore[arg-type]
    assert generator == found.generator
    for other in (explorer("quick-generator"), explorer("style-28-generator")):
        with pytest.raises(UsageError, match="another generator's space"):
            load_points(tmp_path, space_of(other))
    rewrite_about(tmp_path / "projection/projection.json", lambda about: about.update(format=7))
    with pytest.raises(RunError, match="project again"):
        load_points(tmp_path, space)
    with pytest.raises(RunError, match="holds no projection"):
        load_points(tmp_path / "none", space)


def test_any_picture_is_fitted_as_the_data_were(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    model = explorer("quick-generator", shape=(3, 8, 8))
    model.config["data"] |= {"high": 16}  # a picture's white is white whatever the data's is
    exact = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(exact).save(tmp_path / "exact.png")
    target = read_target(tmp_path / "exact.png", model)
    np.testing.assert_allclose(target.permute(1, 2, 0), exact / 127.5 - 1, atol=1e-6)
    wide = np.zeros((20, 60), np.uint8)
    wide[:, 20:40] = 255
    Image.fromarray(wide).save(tmp_path / "wide.jpg", quality=95)
    assert float(read_target(tmp_path / "wide.jpg", model).min()) > 0.8, "the middle that has the aspect"
    padded = read_target(tmp_path / "wide.jpg", model, "pad")
    assert float(padded[:, 0].max()) < -0.9
    for name, content in (("text.png", b"no picture"), ("empty.png", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            read_target(tmp_path / name, model)
    with pytest.raises(DataError, match="cannot be read"):
        read_target(tmp_path / "missing.png", model)
    for image in (exact[:4], exact.astype(np.int64), torch.full((3, 8, 8), torch.nan), exact[..., :1]):
        with pytest.raises(UsageError, match="picture"):
            project(model, image)
    with Image.open(tmp_path / "exact.png") as picture:
        same = [project(model, image, steps=0, **PLAIN).losses for image in (picture, exact, target)]
    assert same[0] == same[1] == same[2]
