"""Members that train stacked are what they are alone but for rounding, and go on exactly; which games do."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import zerosum
from conftest import Shell
from test_ensemble import fewer_pictures, poison  # noqa: F401 - a fixture
from test_resume import await_that, end_of, records_of, reports_in
from zerosum.assembly import resolve
from zerosum.at_once import groups, why_not
from zerosum.data import open_data
from zerosum.errors import DivergedError
from zerosum.files import load_tensors, save_tensors
from zerosum.making import make_game
from zerosum.networks.mlp import MLPGenerator
from zerosum.run import Material, Run
from zerosum.settings import make_config
from zerosum.training.checkpoint import existing

# Small games that train stacked. `points` has an average, a schedule, and frequencies of each member's own; its noise
# and penalties draw other numbers in a stack, so they are left out where members are compared with runs alone.
SMALL: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gaussian": ("gaussian", "gan-gaussian", {}),
    "points": (
        "ring8",
        "points",
        {
            "training.batch": 16,
            "training.ema": 100,
            "generator.options.hidden": [16],
            "discriminator.options.hidden": [16],
            "game.penalties": {},
            "game.remedies.noise.start": 0.0,
            "game.remedies.noise.end": 0.0,
        },
    ),
}


def train_small(name: str, out: Path, images: int, **changed: Any) -> Run:
    """Reports and checkpoints each 160 images."""
    source, recipe, settings = SMALL[name]
    settings = settings | {"training.report_every": 160, "training.checkpoint_every": 160} | changed.pop("settings", {})
    return zerosum.train(source, recipe=recipe, out=out, images=images, settings=settings, **changed)


def state_of(run: Path) -> dict[str, torch.Tensor]:
    return load_tensors(existing(run / "checkpoints")[-1], "state")[0]


def assert_close(run: Path, other: Path) -> None:
    """Checkpoints and records are those of another run but for rounding."""
    states = state_of(run), state_of(other)
    for name, value in states[0].items():
        if "discriminator.head.bias" in name:
            continue  # real and fake scores are compared: its gradient is rounding, which Adam takes for a direction
        torch.testing.assert_close(
            value, states[1][name], rtol=1e-4, atol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
        )
    assert states[0].keys() == states[1].keys()
    for ours, theirs in zip(records_of(run), records_of(other), strict=True):
        for kind in ("losses", "outputs", "gradients", "learning_rates"):
            assert ours[kind] == pytest.approx(theirs[kind], rel=1e-3, abs=1e-4)


@pytest.mark.usefixtures("fewer_pictures")
@pytest.mark.parametrize("name", SMALL)
def test_a_stacked_member_is_what_its_seed_alone_would_train(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # rounding grows by the step: 1e-7 after one of `points`, 1 after thirty
    images = 480 if name == "gaussian" else 48
    settings = {"training.report_every": images // 3, "training.checkpoint_every": images // 3}
    train_small(name, tmp_path / "stack", images, ensemble=4, seed=3, settings=settings)
    said = capsys.readouterr().out
    assert "members: stacked" in said
    assert "4 members at once" in said
    for number in (0, 3):
        train_small(name, tmp_path / "alone" / str(number), images, seed=3 + number, settings=settings)
        assert_close(tmp_path / "stack" / "members" / str(number), tmp_path / "alone" / str(number))
    sizes = [(tmp_path / run / "model" / "model.safetensors").stat().st_size for run in ("stack/members/3", "alone/3")]
    assert sizes[0] == sizes[1]  # a view's own bytes, and not its whole stack's


@pytest.mark.usefixtures("fewer_pictures")
def test_a_stack_that_is_cut_short_goes_on_exactly(tmp_path: Path) -> None:
    """A kill between two members' checkpoints leaves some one ahead; all go on from the newest that all have.

    With noise and penalties: what they draw is fixed by the image, not by when the process began.
    """
    settings = {"game.remedies.noise.start": 0.5, "game.penalties.r1_difference.gamma": 0.1}
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    for run in (whole, pieces):
        train_small("points", run, 320, ensemble=4, settings=settings)
    for number in "0123":
        checkpoints = existing(pieces / "members" / number / "checkpoints")
        assert [path.name for path in checkpoints] == ["000000160", "000000320"]
        if number in "23":
            shutil.rmtree(checkpoints[1])
    assert end_of(pieces / "members" / "0") == end_of(whole / "members" / "0")
    for number in "0123":
        status = pieces / "members" / number / "status.json"
        status.write_text(status.read_text().replace("done", "running"))
    train_small("points", pieces, 320, ensemble=4, settings=settings)
    for number in "0123":
        assert end_of(pieces / "members" / number) == end_of(whole / "members" / number)
        assert records_of(pieces / "members" / number) == records_of(whole / "members" / number)


@pytest.mark.usefixtures("fewer_pictures")
def test_a_stack_that_is_killed_goes_on(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    run = shell.folder / "run"
    words = ["train", "gaussian", "--recipe", "gan-gaussian", "--ensemble", 4, "--out", run, "--images", 3200]
    first = shell.start(*words, "--training.report-every", 160, "--training.checkpoint-every", 160)
    await_that(lambda: reports_in(run / "members" / "3") >= 4, first)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    train_small("gaussian", run, 3200, ensemble=4)
    assert "Going on from image" in capsys.readouterr().out
    ends = {tuple(record["images"] for record in records_of(run / "members" / number)) for number in "0123"}
    assert ends == {tuple(range(160, 3201, 160))}


@pytest.mark.usefixtures("fewer_pictures")
def test_a_stacked_member_that_diverges(tmp_path: Path) -> None:
    """It is left behind and trained alone, to say what it met; the others end as they would without it."""
    run = tmp_path / "run"
    train_small("gaussian", run, 160, ensemble=5)
    poison(run / "members" / "2")
    with pytest.raises(
        DivergedError, match=r"Member 3 of 5 \(members/2\) has diverged\. The game diverged at image 160"
    ):
        train_small("gaussian", run, 480, ensemble=5)
    train_small("gaussian", tmp_path / "alone", 480, seed=4)
    assert_close(run / "members" / "4", tmp_path / "alone")


def test_groups_stand_at_one_count_of_images(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(10)]
    for number, path in enumerate(paths):
        for images in ((64, 128), (128, 192))[number % 2] if number < 5 else ():
            folder = path / "checkpoints" / f"{images:09d}"
            folder.mkdir(parents=True)
            save_tensors(folder, "state", {"a": torch.ones(1)}, {"images": images})
    assert groups(paths) == [paths[5:], paths[:5]]
    assert [[item.name for item in existing(path / "checkpoints")] for path in paths[:2]] == [
        ["000000064", "000000128"],
        ["000000128"],
    ]
    (paths[0] / "checkpoints" / "000000128" / "state.safetensors").write_bytes(b"")
    assert groups(paths) == [paths[5:]]


@pytest.mark.parametrize(
    ("source", "recipe", "settings", "words"),
    [
        ("gaussian", "gan-gaussian", {}, ""),
        ("gaussian", "gan-gaussian", {"training.ensemble": 3}, "fewer than four"),
        ("gaussian", "gan-gaussian", {"training.minutes": 1}, "by the clock"),
        ("gaussian", "gan-gaussian", {"discriminator.spectral": True}, "spectral"),
        ("gaussian", "gan-gaussian", {"training.micro_batch": 4}, "micro-batches"),
        ("gaussian", "gan-gaussian", {"game.penalties.r1.gamma": 1}, "penalties"),
        ("gaussian", "gan-gaussian", {"game.remedies.replay.size": 8}, "remedies"),
        ("gaussian", "gan-gaussian", {"game.updates": "simultaneous"}, "one pass"),
        ("gaussian", "gan-gaussian", {"discriminator.minibatch": "deviation"}, "mix samples"),
        ("gaussian", "gan-gaussian", {"training.batch": 200_000}, "large enough"),
        ("digits", "quick", {"training.images": 640}, "large enough"),
    ],
)
def test_which_games_train_stacked(source: str, recipe: str, settings: dict[str, Any], words: str) -> None:
    why = asked(source, recipe, settings)
    assert words in why
    assert bool(words) == bool(why)


def asked(source: str, recipe: str, settings: dict[str, Any]) -> str:
    """`why_not` of eight members."""
    config = make_config(recipe, {"data.source": source, "training.ensemble": 8, "training.compile": False} | settings)
    store = open_data(source)
    material = Material(store, torch.device("cpu"), store.digest)
    game = make_game(config, material.store.shape)
    resolve(config, material.store, game, material.device)
    return why_not(config, material, game)


def test_what_pytorch_does_not_map_trains_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that looks at its numbers from the host, which no rule names."""
    forward = MLPGenerator.forward
    monkeypatch.setattr(MLPGenerator, "forward", lambda self, z: forward(self, z) * (1 + 0 * z.sum().item()))
    assert "PyTorch does not map their step (vmap" in asked("gaussian", "gan-gaussian", {})
