"""Which class each image file is of: by `labels.csv` at the top of the folder or archive, else by its subfolder.

`labels.csv` has two columns, file name and label, in UTF-8; a first line whose first cell is no image's name is taken
for a header. Names are relative to the file, with `/`; a bare name does where only one image has it.
Nothing here trusts the file: it may be huge, torn, contradictory, or a link to somewhere else.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zerosum.data.sources import ARCHIVE_FAULTS, ArchiveSource, FolderSource, is_candidate
from zerosum.errors import DataError

NAME = "labels.csv"
MAX_BYTES = 256 * 2**20
CONTROL = re.compile(r"[\x00-\x1f]")
SEVERAL = ""
"""What a bare name stands for that more than one image has."""


@dataclass(frozen=True)
class Classes:
    """The classes of a source's images."""

    names: list[str]
    number_of: Callable[[str], int | None]
    """An image's name in its source -> the number of its class, None where it has none."""
    lack: str
    """The reason to reject an image that has none."""
    notes: tuple[str, ...] = ()
    from_file: bool = False
    """Whether labels.csv decided."""


@dataclass(frozen=True)
class LabelFile:
    """A labels.csv that was read but not yet believed."""

    where: str
    base: str
    """What to take off the front of an image's name in its source: '' or 'folder/'."""
    data: bytes


def find_classes(
    source: FolderSource | ArchiveSource, include: str | None, good: list[str], rejected: list[str]
) -> Classes:
    """The classes of `source`, whose images (those of `include`) have the names `good` and, of no use, `rejected`.

    Raises DataError where there is neither a labels.csv nor a subfolder, or labels.csv cannot be believed.
    """
    if isinstance(source, FolderSource):
        file = _folder_file(source.path)
    else:
        file = _archive_file(source, wrapping_folder(good))
    if file is not None:
        return _by_file(file, good + rejected)
    empty = _subfolders(source.path) if isinstance(source, FolderSource) and include is None else []
    return _by_folders(source, good, rejected, empty)


def labels_state(path: Path) -> object:
    """What tells whether the classes of the folder at `path` have changed, apart from its images. Raises DataError."""
    file = _folder_file(path)
    return [_subfolders(path), hashlib.sha256(file.data).hexdigest() if file is not None else ""]


# ── by subfolders ────────────────────────────────────────────────────────────────────────────────


def _by_folders(
    source: FolderSource | ArchiveSource, good: list[str], rejected: list[str], empty: list[str]
) -> Classes:
    """A class with nothing but rejected files, or none at all, is a class still: see `refuse_empty_classes`."""
    folders = {PurePosixPath(name).parts[:-1][:2] for name in good}
    # Archives mostly wrap all they hold in one folder of their own name; it is no class.
    wrapper = wrapping_folder(good) if source.kind != "folder" and all(len(folder) == 2 for folder in folders) else ""
    level = 1 if wrapper else 0
    if not any(len(folder) > level for folder in folders):
        raise DataError(
            f"{source.path}: labels are asked for, but there are no subfolders to name the classes, and no {NAME}; "
            f"put the images of each class into a folder of its own, or write a {NAME} of two columns, "
            "file name and label, or do without --data.labels"
        )
    lost = {PurePosixPath(name).parts[:-1][:2] for name in rejected}
    folders |= {folder for folder in lost if folder[:level] == (wrapper,)[:level] and not {"/", ".."} & {*folder}}
    names = sorted({folder[level] for folder in folders if len(folder) > level}.union(empty))
    numbers = {folder: number for number, folder in enumerate(names)}

    def number_of(name: str) -> int | None:
        parts = PurePosixPath(name).parts[:-1]
        return numbers.get(parts[level]) if len(parts) > level else None

    return Classes(names, number_of, "labels are asked for, but it lies in no class folder")


def wrapping_folder(names: list[str]) -> str:
    """The folder that all names begin with, '' where there is none."""
    tops = {name.partition("/")[0] if "/" in name else "" for name in names}
    return tops.pop() if len(tops) == 1 else ""


def _subfolders(path: Path) -> list[str]:
    """The folders right in `path`, hidden ones left out. What cannot be listed has been rejected as such."""
    try:
        entries = list(os.scandir(path))
    except OSError:
        return []
    return sorted(e.name for e in entries if not e.name.startswith(".") and os.path.isdir(e.path))  # noqa: PTH112 - never raises


# ── by labels.csv ────────────────────────────────────────────────────────────────────────────────


def _by_file(file: LabelFile, names: list[str]) -> Classes:
    find = _finder(file.base, names)
    given: dict[str, tuple[int, str]] = {}
    labels: set[str] = set()
    count, absent, first_absent = 0, 0, ""
    for position, (line, cell, label) in enumerate(_lines(file)):
        name = find(cell)
        if position == 0 and name is None and not is_candidate(cell, None):
            continue  # the header
        count += 1
        labels.add(label)
        if name is None:
            absent, first_absent = absent + 1, first_absent or f"line {line}, {_short(cell)}"
            continue
        if name == SEVERAL:
            raise DataError(
                f"{file.where}, line {line}: more than one image is called {_short(cell)}; "
                "write it with its folder, as in 'folder/name.png'"
            )
        before, other = given.setdefault(name, (line, label))
        if other != label:
            raise DataError(
                f"{file.where}, line {line}: {_short(cell)} is {_short(label)} here, but {_short(other)} in line "
                f"{before}; keep the line that is right"
            )
    if not given:
        _refuse_useless(file, names, first_absent)
    classes = in_order(labels)
    numbers = {label: number for number, label in enumerate(classes)}
    of_image = {name: numbers[label] for name, (_, label) in given.items()}
    notes = [f"the classes are those of {NAME}"]
    if absent:
        notes.append(f"{absent:,} of {count:,} lines of {NAME} name files that are not there (first: {first_absent})")
    return Classes(classes, of_image.get, f"labels are asked for, but {NAME} has no line for it", tuple(notes), True)


def _refuse_useless(file: LabelFile, names: list[str], first: str) -> None:
    if not first:
        raise DataError(f"{file.where}: holds no line of a file name and a label; write one for each image")
    example = names[0].removeprefix(file.base)
    raise DataError(
        f"{file.where}: not one of its lines names an image that is there (first: {first}); "
        f"write the names as they are in the folder, such as {_short(example)}"
    )


def in_order(labels: set[str]) -> list[str]:
    """Label texts sorted: by value where all are whole numbers, else as texts."""
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}", label) for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


def _finder(base: str, names: list[str]) -> Callable[[str], str | None]:
    """Cell -> the image's name in its source, SEVERAL, or None where there is no such image."""
    there: dict[str, str] = {}
    bare: dict[str, str] = {}
    for name in names:
        relative = _plain(name.removeprefix("./").removeprefix(base))
        there[relative] = name
        last = relative.rpartition("/")[2]
        bare[last] = SEVERAL if last in bare else name

    def find(cell: str) -> str | None:
        wanted = _plain(cell)
        return there[wanted] if wanted in there else bare.get(wanted)

    return find


def _plain(name: str) -> str:
    """One spelling for what spreadsheets and systems spell in several: './a', 'a' and, composed or not, 'ä'."""
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/").removeprefix("./"))


def _lines(file: LabelFile) -> Iterator[tuple[int, str, str]]:
    """(line number from 1, first cell, second cell), both trimmed; blank lines are passed over. Raises DataError."""
    try:
        text = file.data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = file.data.count(b"\n", 0, fault.start) + 1
        raise DataError(f"{file.where}, line {line}: not UTF-8; save it again as 'CSV UTF-8'") from fault
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1  # a cell in quotes may go on over several
        try:
            row = next(reader, None)
        except csv.Error as fault:
            raise DataError(
                f"{file.where}, line {line}: torn or not CSV ({fault}); mend the line, above all its quotes"
            ) from fault
        if row is None:
            return
        cells = [cell.strip() for cell in row]
        if any(cells):
            _check(file, line, cells)
            yield line, cells[0], cells[1]


def _check(file: LabelFile, line: int, cells: list[str]) -> None:
    where = f"{file.where}, line {line}"
    if len(cells) != 2:
        raise DataError(
            f"{where}: {len(cells)} {'column' if len(cells) == 1 else 'columns'}, not 2 ({_short(','.join(cells))}); "
            "write file name, comma, label, and quotes around what holds a comma"
        )
    if not all(cells):
        raise DataError(f"{where}: the {'label' if cells[0] else 'file name'} is empty; fill it in or delete the line")
    if any(CONTROL.search(cell) for cell in cells):
        raise DataError(f"{where}: torn: holds a control character ({_short(','.join(cells))}); mend the line")


def _short(text: str) -> str:
    """In quotes, on one line, of a length to be read."""
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


# ── where it lies ────────────────────────────────────────────────────────────────────────────────


def _folder_file(folder: Path) -> LabelFile | None:
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(folder.resolve()):
            raise DataError(f"{path}: link leaves the folder; put a copy in its place")
        if not real.is_file():  # opening a pipe would wait for ever
            raise DataError(f"{path}: not a regular file; rename it, or put the labels there")
        with real.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: how a loop of links shows in Python 3.11
        raise DataError(f"{path}: cannot be read ({error}); mend or remove it") from error
    return LabelFile(str(path), "", _bounded(str(path), data))


def _bounded(where: str, data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise DataError(f"{where}: over {MAX_BYTES:,} bytes, too many for two short columns; is it what it should be?")
    return data


def _archive_file(source: ArchiveSource, wrapper: str) -> LabelFile | None:
    """The labels.csv at the archive's top, else that in the one folder all images lie in."""
    bases = ["", f"{wrapper}/"] if wrapper else [""]
    read = _from_zip if source.kind == "zip" else _from_tar
    try:
        found = read(source.path, [f"{base}{NAME}" for base in bases])
    except (*ARCHIVE_FAULTS,) as fault:
        raise DataError(f"{source.path}: {NAME} cannot be read from it ({fault}); pack it again") from fault
    for base in bases:
        name = f"{base}{NAME}"
        if name in found:
            return LabelFile(f"{source.path}:{name}", base, _bounded(f"{source.path}:{name}", found[name]))
    return None


def _from_zip(path: Path, wanted: list[str]) -> dict[str, bytes]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in {*wanted} & {*archive.namelist()}:
            if stat.S_ISLNK(archive.getinfo(name).external_attr >> 16):
                raise ValueError("it is a link")
            with archive.open(name) as member:
                found[name] = member.read(MAX_BYTES + 1)
    return found


def _from_tar(path: Path, wanted: list[str]) -> dict[str, bytes]:
    """As everywhere with tar, the last of a name counts."""
    found = {}
    with tarfile.open(path) as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # or it remembers every member passed
            name = member.name.removeprefix("./")
            if name not in wanted:
                continue
            file = archive.extractfile(member) if member.isreg() else None
            if file is None:
                raise ValueError("it is not a regular file")
            found[name] = file.read(MAX_BYTES + 1)
    return found
