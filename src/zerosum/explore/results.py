"""What a command leaves: pictures, and beside them a JSON that says the very command that makes them again.

explore/NAME.png     the picture
explore/NAME.webp    the animation, of a walk
explore/NAME/        what is more than a picture: directions, a projection
explore/NAME.json    the command, its options, the weights it was given for, versions, and figures
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zerosum.errors import RunError, UsageError
from zerosum.explore.space import fingerprint, image_generator
from zerosum.files import disk_errors, write_json, write_whole
from zerosum.model import Ensemble, Model, load, sound_members
from zerosum.translator import Translator
from zerosum.version import VERSION

MOST = 1000  # results of one name


@dataclass(frozen=True)
class Done:
    """What a command made: its files, what it found in words, and the command that makes it again."""

    files: tuple[Path, ...]
    words: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class Job:
    """One command about one run.

    Attributes:
        verb: of `zerosum explore`.
        run: as it was given.
        model: its generator.
        out: the folder of results; None: RUN/explore.
        given: words after the run, as an image.
        options: flags and their values, None for those that are left out.
    """

    verb: str
    run: Path
    model: Model
    out: Path | None
    given: tuple[str, ...]
    options: dict[str, Any]

    @property
    def command(self) -> str:
        """The very command, as it is written in a shell."""
        words = ["zerosum", "explore", self.verb, str(self.run), *self.given]
        options = self.options | ({"out": self.out} if self.out is not None else {})
        for name, value in options.items():
            words += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join(words)

    def place(self, stem: str) -> Path:
        """Where the results go, without an ending: `stem`, or with a number where another command has that name."""
        folder = self.run / "explore" if self.out is None else self.out
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, MOST):
            path = folder / (stem if number == 1 else f"{stem}-{number}")
            if command_at(path) in (None, self.command):
                return path
        raise UsageError(f"{folder} holds {MOST - 1} results called {stem}: give another folder with --out.")

    def about(self, path: Path, figures: dict[str, Any]) -> Path:
        """Write the JSON beside the results."""
        options = {name: value for name, value in self.options.items() if value is not None}
        content = {
            "command": self.command,
            "verb": self.verb,
            "options": {
                name: value if isinstance(value, int | float | bool) else str(value) for name, value in options.items()
            },
            "generator": fingerprint(self.model),
            "zerosum": VERSION,
            "torch": torch.__version__,
            "figures": figures,
        }
        file = beside(path, ".json")
        write_json(file, content)
        return file

    def done(
        self, path: Path, files: dict[str, bytes], figures: dict[str, Any], *words: str, more: tuple[Path, ...] = ()
    ) -> Done:
        """Write files, by their endings, and the JSON beside them."""
        written = []
        for suffix, data in files.items():
            written.append(beside(path, suffix))
            write_whole(written[-1], data)
        return Done((*written, *more, self.about(path, figures)), words, self.command)


def beside(path: Path, suffix: str) -> Path:
    """The path with one more ending: a name may have dots."""
    return path.with_name(path.name + suffix)


def command_at(path: Path) -> str | None:
    """The command that results of this name are of; None where there are none. Raises `RunError` for damage."""
    file = beside(path, ".json")
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["command"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{file} is damaged: {error}. Delete it, or give another folder with --out.") from error


def open_generator(run: Path, verb: str, device: str) -> Model:
    """The generator of a run. Raises `UsageError` for a run that has none to explore, and says what to do instead."""
    model = load(run, device)
    if isinstance(model, Translator):
        raise UsageError(
            f"{run}: this run makes pictures of pictures, and has no latents to explore: zerosum translate {run} "
            "IMAGE|FOLDER --out FOLDER."
        )
    if isinstance(model, Ensemble):
        member = sound_members(run)[0]
        raise UsageError(
            f"{run} is an ensemble, whose generators have latents of their own: explore one of them: zerosum explore "
            f"{verb} {member}."
        )
    return image_generator(model)
