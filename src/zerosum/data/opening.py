"""`open_data`: from what a user names to an opened store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zerosum.data.arrays import Arrays, find_idx, idx_set, read_npy, read_npz
from zerosum.data.builtin import BUILTIN, open_builtin
from zerosum.data.images import Source, build_images
from zerosum.data.labels import labels_state
from zerosum.data.options import Options, make_options
from zerosum.data.parquet import REMOTE, open_hub, open_tables
from zerosum.data.shards import Shards, shard_files
from zerosum.data.sources import FolderSource, Rejected, open_images
from zerosum.data.store import FORMAT, Store, Writer, open_or_build
from zerosum.data.streaming import open_streamed
from zerosum.data.tables import build_arrays
from zerosum.data.tars import open_tars
from zerosum.data.ticker import Progress
from zerosum.errors import DataError, RunError, UsageError, nearest

TAB = "\t"  # no name on a printable line holds one


def open_data(
    source: str | Path,
    *,
    size: str | None = None,
    fit: str = "crop",
    channels: int | None = None,
    include: str | None = None,
    root: Path | None = None,
    labels: bool = False,
    half: str = "",
    stream: bool = False,
    max_rejected: float = 0.01,
    largest: int = 64,
    rejects_to: Path | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> Store:
    """Opens a data set, decoding it first if that was not done before.

    source: a folder of images, a .zip or .tar(.gz, .bz2, .xz) of one, a folder of IDX files, a .npy or .npz file,
        a built-in name (`BUILTIN`), shards (a folder or pattern of tars, as train-{0000..0012}.tar, or of Parquet
        files), or a dataset on Hugging Face, hf://USER/NAME. A name given as `str` means the built-in set; write
        './mnist' for a folder.
    size: '64', or '64x96' (height x width). None: the images' own if they share one and no side passes `largest`,
        else the power of two under the median short side, at most `largest`.
    fit: 'crop' (the centre), 'pad' (with black) or 'stretch'.
    channels: 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha. None: 1 if every image is grey, else 3; arrays keep theirs.
        Where alpha is dropped, the image is laid on white.
    include: a glob on the relative name, whose * also crosses folders; it decides alone what is meant to be an image.
    root: one more folder to look in for a named set before it is downloaded.
    labels: a `labels.csv` at the top (see `zerosum.data.labels`) names each image's class, else subfolders are the
        classes; arrays and named sets bring their labels.
    half: "left" or "right": that half of each picture alone, for side-by-side pictures (see `open_halves`).
    stream: of shards, decode pictures each time they are asked for, and keep none: for more than a disk holds. Needs
        `size`; without `channels` pictures are RGB; all are uint8. One that cannot be read is found out when it is
        shown first: the next stands in for it.
    max_rejected: the share of files, 0 to 1, that may be unusable.
    rejects_to: where to list them, if there are any; written also when there are too many.
    progress: called with (what, done, total) a few times a second; total 0 means not known.
    note: called with a sentence where the first streamed picture cannot be read.
    Raises DataError (nothing there, unreadable, too much rejected), UsageError (options), RunError (disk).
    """
    options = make_options(
        size=size, fit=fit, channels=channels, include=include, labels=labels, largest=largest, half=half
    )
    check_share(max_rejected)
    if stream:
        return open_streamed(_locate(source, options, root, progress), options, max_rejected, _teller(rejects_to, note))
    store = read_data(source, options, root, progress)
    if store.rejected and rejects_to is not None:
        write_rejected(rejects_to, store.rejected)
    judge(store, source, max_rejected, rejects_to)
    return store


def check_share(max_rejected: float) -> None:
    """Raises UsageError where it is no share of the files."""
    if not 0 <= max_rejected <= 1:
        raise UsageError(f"data.max-rejected: {max_rejected} is not a share from 0 to 1")


def read_data(source: str | Path, options: Options, root: Path | None, progress: Progress | None) -> Store:
    """The store of `source`, whatever was rejected of it. Raises as `open_data` does."""
    found = _locate(source, options, root, progress)
    name = found.name if isinstance(found, Arrays) else _name_of(found.path)

    def build(writer: Writer) -> dict[str, Any]:
        if isinstance(found, Arrays):
            return build_arrays(found, options, progress, writer)
        return build_images(found, options, name, progress, writer)

    if options.half and isinstance(found, Arrays):
        raise UsageError(
            f"{source}: side-by-side pictures are image files in a folder or an archive, and these are arrays; cut "
            "them in two, and give both as --data.source and --data.target"
        )
    return open_or_build(options.key(_state(found, options), FORMAT), build)


def _locate(source: str | Path, options: Options, root: Path | None, progress: Progress | None) -> Arrays | Source:
    if isinstance(source, str) and source in BUILTIN:
        return open_builtin(source, root, progress)
    if str(source).startswith(REMOTE):
        return open_hub(str(source), options.labels, progress)
    path = Path(source).expanduser()
    if (files := shard_files(path)) and files[0].endswith(".parquet"):
        return open_tables(path, files, options.labels, progress)
    if files:
        return open_tars(path, files, options.include, options.labels, progress)
    try:
        path.stat()
    except PermissionError as error:
        raise DataError(f"{path}: cannot be read: permission denied") from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"{source}: there is no such file or folder, nor a built-in set of that name; "
            f"{nearest(str(source), BUILTIN)}"
        ) from error
    if path.is_dir():
        pair = find_idx(path)
        if pair is not None:
            return idx_set(_name_of(path), *pair)
    elif path.suffix.lower() == ".npy":
        return read_npy(path)
    elif path.suffix.lower() == ".npz":
        return read_npz(path)
    return open_images(path, options.include)


def _state(found: Arrays | Source, options: Options) -> object:
    """What tells whether the set has changed. Arrays and archives hold their labels in the same files."""
    if isinstance(found, Arrays | Shards) or not options.labels:
        return found.fingerprint()
    return [found.fingerprint(), labels_state(found.path) if isinstance(found, FolderSource) else "labels.csv counts"]


def _name_of(path: Path) -> str:
    name = Path(os.path.abspath(path)).name or str(path)  # noqa: PTH100 - '..' goes, links stay
    for ending in (".zip", ".gz", ".bz2", ".xz", ".tgz", ".tbz2", ".txz", ".tar"):
        name = name.removesuffix(ending) if path.is_file() else name
    return name


def judge(store: Store, source: str | Path, max_rejected: float, rejects_to: Path | None) -> None:
    """Raises DataError if too much was rejected; all of it is listed in `rejects_to`."""
    rejected = store.rejected
    total = len(store) + len(rejected)
    if len(rejected) <= max_rejected * total:
        return
    first = "".join(f"\n  {line(r)}" for r in rejected[:5])
    more = f"\n  … and {len(rejected) - 5} more" if len(rejected) > 5 else ""
    where = f" (all are listed in {rejects_to})" if rejects_to is not None else ""
    share = len(rejected) / total
    raise DataError(
        f"{source}: {len(rejected)} of {total} were rejected, {share:.1%}, and {max_rejected:.1%} are allowed{where}:"
        f"{first}{more}\nMend or remove them, or allow it: --data.max-rejected {min(1.0, share + 0.005):.2f}"
    )


def line(rejected: Rejected, between: str = ": ") -> str:
    """'name: reason' on one printable line, whatever the name holds."""
    return f"{printable(rejected.name)}{between}{rejected.reason}"


def printable(name: str) -> str:
    """A file's name on one line that any terminal and encoding takes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in name)


def write_rejected(path: Path, rejected: tuple[Rejected, ...]) -> None:
    """The name, a tab and the reason a line, as the report reads them. Raises RunError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line(r, TAB)}\n" for r in rejected), encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error


def _teller(path: Path | None, note: Callable[[str], None] | None) -> Callable[[Rejected], None]:
    """Adds what is found to be unusable to the list in `path`, each once, and notes the first."""
    told: list[str] = []

    def tell(fault: Rejected) -> None:
        try:
            words = line(fault, TAB)
            if path is not None and not (path.exists() and words in path.read_text(encoding="utf-8").splitlines()):
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a", encoding="utf-8") as file:
                    file.write(f"{words}\n")
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from error
        if not told and note is not None:
            where = "" if path is None else f"; all that are found are listed in {path}"
            note(f"{line(fault)}: the next picture is shown in its place{where}")
        told.append(words)

    return tell
