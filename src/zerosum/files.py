"""Files that exist whole or not at all, and the one way tensors are kept: safetensors beside JSON, hashed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zerosum.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """An `OSError` while writing below `path` becomes a `RunError` that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(
                f"The disk is full: {path} could not be written. Free some space and give the same command again."
            ) from error
        raise RunError(
            f"{path} could not be written: {error.strerror or error}. Mend that and give the same command again."
        ) from error


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name, flush it to the disk, and give it its name."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.tmp")
    with disk_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def write_json(path: Path, value: Any) -> None:
    """`write_whole` of JSON; NaN and infinity are refused, for JSON has neither."""
    write_whole(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a folder under a temporary name, then swap it for what `path` was."""
    temporary = path.with_name(f".{path.name}.tmp")
    old = path.with_name(f".{path.name}.old")
    with disk_errors(path):
        try:
            for left in (temporary, old):
                shutil.rmtree(left, ignore_errors=True)
            temporary.mkdir(parents=True)
            fill(temporary)
            for file in temporary.rglob("*"):
                _sync(file)
            _sync(temporary)
            if path.exists():
                path.rename(old)
            temporary.rename(path)
            _sync(path.parent)
            shutil.rmtree(old, ignore_errors=True)
        finally:  # whatever ended `fill`, a refusal or Ctrl-C as well
            shutil.rmtree(temporary, ignore_errors=True)


def recover_folders(parent: Path) -> None:
    """Mend what a kill within `write_folder` left in `parent`: what was is there again, unless what came is, whole.

    What was on its way out, under another name, is deleted.
    """
    for old in parent.glob(".*.old"):
        path = old.with_name(old.name.removeprefix(".").removesuffix(".old"))
        with disk_errors(path):
            if not path.exists():
                old.rename(path)
    for kind in ("tmp", "old", "gone"):
        for left in parent.glob(f".*.{kind}"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)


def _sync(path: Path) -> None:
    if os.name != "posix" and path.is_dir():
        return  # only POSIX lets one flush a folder
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_tensors(folder: Path, name: str, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write `NAME.safetensors`, and as `about_name(NAME)` a JSON of `about` with the tensors' size and SHA-256."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    file = folder / f"{name}.safetensors"
    try:
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, file)
    except SafetensorError as error:  # the library hides the operating system's number in its text
        full = "No space left" in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error
    seal(folder / about_name(name), file, about)


def seal(path: Path, file: Path, about: dict[str, Any]) -> None:
    """Write `path`, a JSON of `about` with the name, size and SHA-256 of the `file` beside it and a check of itself."""
    content = {**about, "file": {"name": file.name, "bytes": file.stat().st_size, "sha256": sha256(file)}}
    content["check"] = _check(content)
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def about_name(name: str) -> str:
    """The JSON beside `NAME.safetensors`: `config.json` for a model, as the field has it, else `NAME.json`."""
    return "config.json" if name == "model" else f"{name}.json"


def read_about(folder: Path, name: str) -> dict[str, Any]:
    """The JSON beside the tensors, its own check and the tensors' size and hash verified. Raises `RunError`."""
    return read_sealed(folder / about_name(name), folder / f"{name}.safetensors")


def read_sealed(path: Path, file: Path) -> dict[str, Any]:
    """What `seal` wrote to `path`, its own check and the size and hash of `file` verified. Raises `RunError`."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(about, dict) or about.get("check") != _check(about):
            raise RunError(f"{path} was changed after it was written, or is damaged.")
        if file.stat().st_size != about["file"]["bytes"] or sha256(file) != about["file"]["sha256"]:
            raise RunError(f"{file} is damaged: its size or SHA-256 is not the one {path.name} states.")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path} cannot be read: {error}.") from error
    return about


def load_tensors(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_tensors` wrote, verified before memory is taken. Raises `RunError` naming the damaged file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    about = read_about(folder, name)
    file = folder / f"{name}.safetensors"
    try:
        return load_file(file), about
    except (OSError, SafetensorError) as error:
        raise RunError(f"{file} is no safetensors file: {error}.") from error


def _check(about: dict[str, Any]) -> str:
    content = {key: value for key, value in about.items() if key != "check"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()
