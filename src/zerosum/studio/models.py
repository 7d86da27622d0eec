"""Models that the page uses: loaded once, and anew when a training has released another."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zerosum.errors import RunError
from zerosum.explore import Directions, load_directions
from zerosum.model import load
from zerosum.studio.places import Place

KEPT = 2  # models in memory


@dataclass
class Models:
    """The models used last. One computes at a time: `busy` is held by whoever does."""

    busy: threading.RLock = field(default_factory=threading.RLock)
    _kept: OrderedDict[tuple[Path, int], Any] = field(default_factory=OrderedDict)

    def of(self, place: Place) -> Any:
        """The run's model, as `zerosum.load` gives it. Raises `RunError` where there is none, or it is damaged."""
        with self.busy:
            try:
                written = place.file("model", "config.json").stat().st_mtime_ns
                place.file("model", "model.safetensors")
            except OSError as error:
                raise RunError(f"{place.name} has no model yet: wait for its first checkpoint.") from error
            key = (place.path, written)
            if key not in self._kept:
                self._kept[key] = load(place.path)
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]


def direction_folders(place: Place) -> list[str]:
    """The names of the folders of directions beside a run, in order."""
    try:
        folders = sorted(place.file("explore").iterdir())
    except OSError:
        return []
    return [folder.name for folder in folders if place.has("explore", folder.name, "directions.json")]


def directions_of(place: Place, name: str) -> Directions:
    """The directions of one of `direction_folders`. Raises `RunError` where it is none, or damaged."""
    if name not in direction_folders(place):
        raise RunError(f"{place.name} has no directions {name!r}.")
    return load_directions(place.file("explore", name))
