"""Trainings that the page starts: processes of their own, which outlive it.

RUN/studio.json   the process: its number, when it began (numbers are used again), and its command
RUN/studio.log    what it says
"""

from __future__ import annotations

import math
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil

from zerosum.errors import RunError, UsageError, nearest
from zerosum.files import disk_errors, write_json
from zerosum.settings import AUTO, recipe_names
from zerosum.studio.places import LOG, STARTED, Place, place_of
from zerosum.studio.processes import process_of

NAME = re.compile(r"[\w][\w .+-]{0,99}")
LONGEST = 7 * 24 * 60  # minutes


def start(root: Path, source: str, recipe: str, minutes: float, name: str) -> Place:
    """Start `zerosum train` as a process of its own, in the folder `name` below `root`; its run.

    Raises `UsageError` for a name, a recipe or a time that is none, a name that is taken, and no data; `RunError` where
    the disk refuses.
    """
    command = command_of(source, recipe, minutes)
    folder = root / (name.strip() or name_of(source, recipe))
    if not NAME.fullmatch(folder.name) or folder.parent != root:
        raise UsageError(f"{name!r} is no name for a run: letters, digits, spaces and . + - _, a letter first.")
    with disk_errors(folder):
        root.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileExistsError as error:
            raise UsageError(f"There is a run called {folder.name!r} already: give this one another name.") from error
        with (folder / LOG).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - a list of checked words, and no shell
                [sys.executable, "-m", "zerosum", *command, "--out", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # neither a signal to the page nor a closed terminal reaches it
            )
    threading.Thread(target=process.wait, daemon=True).start()  # so that it does not stay as a zombie
    began = psutil.Process(process.pid).create_time()
    shown = shlex.join(["zerosum", *command, "--out", str(folder)])
    write_json(folder / STARTED, {"process": process.pid, "began": began, "command": shown})
    return place_of(folder, root)


def command_of(source: str, recipe: str, minutes: float) -> list[str]:
    """The words after `zerosum`, all checked. Raises `UsageError`."""
    source = source.strip()
    if not source or "\0" in source:
        raise UsageError("Give the folder of your pictures, an archive, or the name of built-in data, as mnist-5k.")
    known = [AUTO, *recipe_names()]
    if recipe not in known:
        raise UsageError(f"There is no recipe {recipe!r}: {nearest(str(recipe), known)}")
    if not isinstance(minutes, int | float) or not math.isfinite(minutes) or not 0 < minutes <= LONGEST:
        raise UsageError(f"Give a time above 0 and up to {LONGEST:,} minutes, a week.")
    safe = f"./{source}" if source.startswith("-") else source  # a folder, and no flag
    return ["train", safe, "--recipe", recipe, "--minutes", f"{minutes:g}"]


def name_of(source: str, recipe: str) -> str:
    """A name for a run of these data."""
    stem = re.sub(r"[^\w.+]+", "-", Path(source.strip()).name).strip("-.+") or "data"
    return f"{stem[:60]}-{recipe}"


def stop(place: Place) -> None:
    """Ask a training that the studio started to save and end (SIGTERM).

    Raises `RunError` where it does not train, or was started elsewhere.
    """
    process = process_of(place)
    if process is None:
        raise RunError(
            f"{place.name} was not started here, or has ended: stop it where it runs, with Ctrl-C; it saves then."
        )
    process.send_signal(signal.SIGTERM)
