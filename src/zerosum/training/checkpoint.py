"""Everything the next image needs, as safetensors and JSON; the last two are kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zerosum.errors import RunError
from zerosum.files import disk_errors, load_tensors, read_about, recover_folders, save_tensors, write_folder
from zerosum.games import Game
from zerosum.training.ema import Ema
from zerosum.training.optim import Player

KEPT = 2
FORMAT = 1


@dataclass
class State:
    """What training changes."""

    game: Game
    players: list[Player]
    ema: Ema | None
    images: int = 0  # real images shown to the discriminator
    seconds: float = 0.0  # of training, over all the times the run was started
    rollbacks: list[dict[str, Any]] = field(default_factory=list)  # from and to which image, and why; see training.halt

    def tensors(self) -> dict[str, Tensor]:
        """Networks with buffers, the average, optimizer moments."""
        named = {f"game.{name}": value for name, value in self.game.state_dict().items()}
        if self.ema is not None:
            named |= {f"ema.{name}": value for name, value in self.ema.network.named_parameters()}
        for player in self.players:
            named |= {f"optimizer.{player.name}.{name}": value for name, value in player.state().items()}
        return named

    @torch.no_grad()
    def load(
        self, tensors: dict[str, Tensor], images: int, seconds: float, rollbacks: Sequence[dict[str, Any]] = ()
    ) -> None:
        """Put a checkpoint's content in place. Raises `RunError` where it is not this game's."""
        parts: dict[str, dict[str, Tensor]] = {"game": {}, "ema": {}, "optimizer": {}}
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            parts.setdefault(kind, {})[rest] = value
        try:
            self.game.load_state_dict(parts["game"])
            if self.ema is not None:
                for name, value in self.ema.network.named_parameters():
                    value.copy_(parts["ema"][name])
                for name, value in self.ema.network.named_buffers():
                    if name in parts["game"]:  # constants, or estimated anew: it has none of its own
                        value.copy_(parts["game"][name])
        except (RuntimeError, KeyError) as error:
            raise RunError(f"The checkpoint does not hold the networks of this run's config.toml: {error}") from error
        for player in self.players:
            start = f"{player.name}."
            moments = {
                name[len(start) :]: value for name, value in parts["optimizer"].items() if name.startswith(start)
            }
            try:
                player.load(moments)
            except (KeyError, RuntimeError) as error:
                raise RunError(f"The checkpoint does not hold the moments of the {player.name}: {error}") from error
        self.images, self.seconds, self.rollbacks = images, seconds, list(rollbacks)


def write(path: Path, state: State) -> None:
    """Write the state into the folder `path`, whole or not at all."""
    about = {
        "format": FORMAT,
        "images": state.images,
        "seconds": round(state.seconds, 3),
        "rollbacks": state.rollbacks,
    }
    write_folder(path, lambda inside: save_tensors(inside, "state", state.tensors(), about))


def save(folder: Path, state: State, healthy: int | None = None) -> Path:
    """Write `folder/000200000`; drop all but the newest two and, where that is given, the newest until `healthy`."""
    path = folder / f"{state.images:09d}"
    write(path, state)
    spared = None if healthy is None else last_until(folder, healthy)
    for old in existing(folder)[:-KEPT]:
        if old != spared:
            drop(old)
    return path


def drop(path: Path) -> None:
    """Delete a checkpoint: it, too, is there whole or under no such name."""
    with disk_errors(path):
        shutil.rmtree(path.rename(path.with_name(f".{path.name}.gone")), ignore_errors=True)


def last_until(folder: Path, images: int) -> Path | None:
    """The newest sound checkpoint of so many images or fewer; None where there is none."""
    for path in reversed(existing(folder)):
        with suppress(RunError):  # damaged: the one before, then
            if int(path.name) <= images and read_about(path, "state"):
                return path
    return None


def existing(folder: Path) -> list[Path]:
    """The checkpoints there are, the oldest first."""
    return sorted(path for path in folder.glob("[0-9]*") if path.is_dir()) if folder.is_dir() else []


def restore(folder: Path, state: State, note: Callable[[str], None]) -> bool:
    """Load the newest checkpoint that is sound; one that is not is named through `note` and the one before is used.

    Returns False where there is none at all. Raises `RunError` where there are some and none is sound.
    """
    recover_folders(folder)
    paths = existing(folder)
    for path in reversed(paths):
        try:
            tensors, about = read(path)
        except RunError as error:
            note(f"Checkpoint {path.name} is not used: {error}")
            continue
        state.load(tensors, about["images"], about["seconds"], about["rollbacks"])
        return True
    if paths:
        raise RunError(f"No checkpoint in {folder} is sound. Start anew with another --out, or delete that folder.")
    return False


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the numbers of a checkpoint. Raises `RunError` where it is not sound."""
    tensors, about = load_tensors(path, "state")
    about.setdefault("rollbacks", [])
    kinds: dict[str, type | tuple[type, ...]] = {"images": int, "seconds": (int, float), "rollbacks": list}
    if not all(isinstance(about.get(key), kind) for key, kind in kinds.items()):
        raise RunError("its state.json is not one that zerosum writes.")
    return tensors, about
