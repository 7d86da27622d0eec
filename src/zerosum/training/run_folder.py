"""The folder one training writes, or an ensemble of them: its lock, its records, its state in words."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from zerosum.errors import RunError
from zerosum.files import disk_errors, write_json, write_whole
from zerosum.model import member_folders

PATIENCE = 0.2  # seconds for a lock: who only looks whether it is held, as the studio does, has it for an instant


class HeldFolder:
    """A folder held by this process; a context manager.

    The lock is the operating system's (`flock`): it ends with the process that holds it, so a dead trainer leaves none.
    Raises `RunError` where another process trains in it.
    """

    inner: tuple[str, ...] = ()  # folders that are made with it

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            for name in self.inner:
                (path / name).mkdir(exist_ok=True)
        self._lock = FileLock(path / ".lock")

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(timeout=PATIENCE)
        except Timeout as error:
            raise RunError(
                f"Another process trains in {self.path}. Wait for its end, stop it, or give another --out."
            ) from error
        return self

    def abandon(self) -> None:
        """Take away what is empty: a start that was refused makes no run."""
        (self.path / ".lock").unlink(missing_ok=True)
        for folder in (*(self.path / name for name in self.inner), self.path):
            with suppress(OSError):  # it holds something: it stays
                folder.rmdir()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.toml"

    def status(self, state: str, reason: str, images: int, seconds: float) -> None:
        """Say in words how it stands: state is running, done, stopped, diverged or collapsed."""
        write_json(
            self.path / "status.json",
            {"state": state, "reason": reason, "images": images, "seconds": round(seconds, 3)},
        )


class EnsembleFolder(HeldFolder):
    """The folder of several runs with different seeds, `members/0` and so on, each an ordinary run folder."""

    def member(self, number: int, count: int) -> Path:
        """The folder of member `number` of `count`: the one that is there, whatever the count was, or a new one."""
        there = {int(path.name): path for path in member_folders(self.path)}
        return there.get(number, self.path / "members" / f"{number:0{len(str(count - 1))}d}")


class RunFolder(HeldFolder):
    """The folder of one training."""

    inner = ("samples", "checkpoints")

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The model that was judged best, where that is asked for."""
        return self.path / "best"

    @property
    def samples(self) -> Path:
        """The folder of the samples of each report."""
        return self.path / "samples"

    @property
    def records(self) -> Path:
        """One JSON object a line, one line a report."""
        return self.path / "records.jsonl"

    def append(self, record: dict[str, Any]) -> None:
        """Add one report's line; it is on the disk when this returns."""
        with disk_errors(self.records), self.records.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def rewind(self, images: int) -> list[dict[str, Any]]:
        """Forget what lies beyond `images` (a killed run wrote it after its last checkpoint); return what stays."""
        kept: list[dict[str, Any]] = []
        lines = self.records.read_text("utf-8", "replace").splitlines() if self.records.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
            except ValueError as error:
                if number == len(lines):
                    break  # torn by a kill in the middle of the write
                raise RunError(f"{self.records}, line {number} is no JSON: {error}. Delete that line.") from error
            if not _is_record(record):
                raise RunError(f"{self.records}, line {number} is no record of zerosum's. Delete that line.")
            if record["images"] <= images:
                kept.append(record)
        if lines:
            text = "".join(json.dumps(record) + "\n" for record in kept)
            write_whole(self.records, text)
        for sample in self.samples.glob("[0-9]*"):
            if sample.stem.isdigit() and int(sample.stem) > images:
                sample.unlink()
        return kept


def _is_record(record: Any) -> bool:
    """Whether a line is what `append` writes, as far as the next report reads it: tables of numbers, and words."""
    if not isinstance(record, dict) or not isinstance(record.get("images"), int):
        return False
    tables = [record.get(key, {}) for key in ("losses", "parts", "outputs", "gradients", "evidence", "evaluation")]
    if not all(isinstance(table, dict) for table in tables) or not isinstance(record.get("health"), str):
        return False
    return all(value is None or isinstance(value, int | float) for table in tables for value in table.values())
