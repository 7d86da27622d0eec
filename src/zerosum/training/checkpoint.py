"""Everything the next image needs, as safetensors and JSON; the last two are kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from zerosum.errors import RunError
from zerosum.files import disk_errors, load_tensors, save_tensors, write_folder
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

    def tensors(self) -> dict[str, Tensor]:
        """Networks with buffers, the average, optimizer moments."""
        named = {f"game.{name}": value for name, value in self.game.state_dict().items()}
        if self.ema is not None:
            named |= {f"ema.{name}": value for name, value in self.ema.network.named_parameters()}
        for player in self.players:
            named |= {f"optimizer.{player.name}.{name}": value for name, value in player.state().items()}
        return named

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor], images: int, seconds: float) -> None:
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
        self.images, self.seconds = images, seconds


def save(folder: Path, state: State) -> Path:
    """Write `folder/000200000`, whole or not at all, and drop all but the newest two."""
    path = folder / f"{state.images:09d}"
    about = {"format": FORMAT, "images": state.images, "seconds": round(state.seconds, 3)}
    write_folder(path, lambda inside: save_tensors(inside, "state", state.tensors(), about))
    with disk_errors(folder):
        for old in existing(folder)[:-KEPT]:  # it, too, is there whole or under no such name
            shutil.rmtree(old.rename(old.with_name(f".{old.name}.old")), ignore_errors=True)
    return path


def existing(folder: Path) -> list[Path]:
    """The checkpoints there are, the oldest first."""
    return sorted(path for path in folder.glob("[0-9]*") if path.is_dir()) if folder.is_dir() else []


def restore(folder: Path, state: State, note: Callable[[str], None]) -> bool:
    """Load the newest checkpoint that is sound; one that is not is named through `note` and the one before is used.

    Returns False where there is none at all. Raises `RunError` where there are some and none is sound.
    """
    for left in (*folder.glob(".*.tmp"), *folder.glob(".*.old")):
        shutil.rmtree(left, ignore_errors=True)  # a kill in the middle of a write left it
    paths = existing(folder)
    for path in reversed(paths):
        try:
            tensors, about = load_tensors(path, "state")
            images, seconds = int(about["images"]), float(about["seconds"])
        except RunError as error:
            note(f"Checkpoint {path.name} is not used: {error}")
            continue
        except (KeyError, TypeError, ValueError):
            note(f"Checkpoint {path.name} is not used: its state.json is not one that zerosum writes.")
            continue
        state.load(tensors, images, seconds)
        return True
    if paths:
        raise RunError(f"No checkpoint in {folder} is sound. Start anew with another --out, or delete that folder.")
    return False
