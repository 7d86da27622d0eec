"""An exported folder: there whole or not at all, and never in the place of anything but an older export."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zerosum.errors import UsageError
from zerosum.files import write_folder, write_json
from zerosum.model import Ensemble, Model, load
from zerosum.translator import Translator
from zerosum.version import VERSION

MARK = "export.json"  # by which an export is known for one

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done, and how many there are."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        error: the largest difference between ONNX Runtime and PyTorch, images taken to be in [-1, 1].
        files: of each file, by its name within the folder, its bytes.
        notes: sentences for the user.
    """

    folder: Path
    error: float
    files: dict[str, int]
    notes: tuple[str, ...] = ()

    def files_in_words(self) -> list[str]:
        """A line for each file, with its size."""
        return [f"{size / 1e6:10,.3f} MB  {self.folder / name}" for name, size in self.files.items()]


def opened(run: str | Path, device: str = "cpu") -> Model | Translator:
    """The model of a run folder, or of a model folder. Raises `UsageError` for an ensemble, else as `load` does."""
    model = load(run, device)
    if isinstance(model, Ensemble):
        raise UsageError(f"{run} is an ensemble, and one generator is exported at a time: {run}/members/0, for one.")
    return model


def place_for(run: str | Path, out: str | Path | None, kind: str, *, overwrite: bool) -> Path:
    """Where an export of `run` goes: `out`, or NAME-KIND in the folder one is in.

    Raises `UsageError` where something is there already, unless it is an export, or nothing, and may be overwritten.
    """
    folder = Path(f"{name_of(run)}-{kind}") if out is None else Path(out)
    if not os.path.lexists(folder):
        return folder
    if not overwrite:
        raise UsageError(f"--out {folder} exists already. Give another folder, or --overwrite to replace it.")
    if not folder.is_dir() or folder.is_symlink() or not ((folder / MARK).is_file() or not any(folder.iterdir())):
        raise UsageError(f"--out {folder} is no export of zerosum's, and stays as it is: give another folder.")
    return folder


def name_of(run: str | Path) -> str:
    """What an export is called: as the run folder, also where its model folder was given; RUN/best is RUN-best."""
    path = Path(run).resolve()
    own = {"model": path.parent.name, "best": f"{path.parent.name}-best"}
    return own.get(path.name, path.name)


def write_export(folder: Path, kind: str, fill: Callable[[Path], None]) -> dict[str, int]:
    """Let `fill` write the folder under a temporary name, then give it its own. Returns each file's bytes.

    Whatever ends `fill`, nothing is left of what it wrote, and what was there before is still there.
    """

    def marked(inside: Path) -> None:
        fill(inside)
        write_json(inside / MARK, {"export": kind, "zerosum": VERSION})

    write_folder(folder, marked)
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
