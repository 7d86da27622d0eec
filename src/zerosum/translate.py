"""Picture files in, picture files out: each keeps its name, its size times the model's scale, and its depth."""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from zerosum.data.decode import FAULTS, Unreadable, decode, probe, quiet_pillow
from zerosum.data.fitting import Array, Plan, recolour
from zerosum.data.sources import MAX_FILE_BYTES, FolderSource, Item, Rejected
from zerosum.data.ticker import Ticker
from zerosum.errors import DataError, RunError, UsageError
from zerosum.files import disk_errors, write_whole
from zerosum.sampler import WRITABLE
from zerosum.translator import FULL, Translator, Values

OPTIONS: dict[str, dict[str, int | bool]] = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}
DEEP = ("PNG", "TIFF")  # formats that hold 16 bits
PATIENCE = 2.0  # seconds before progress is shown
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
# What an operating system says against one name: too long, of letters it does not take, a file and a folder at once.
NAMELY = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Outcome:
    """How many pictures were translated, those that were not, with the reasons, and what was taken for no picture.

    Attributes:
        done: how many results were written.
        failed: the others.
        passed_over: suffixes that are not those of images, and how many files have them.
    """

    done: int
    failed: tuple[Rejected, ...]
    passed_over: Mapping[str, int]


def translate_files(
    model: Translator,
    source: Path,
    out: Path,
    *,
    direction: str | None = None,
    seed: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Translate one picture, or every picture of a folder, into the folder `out`.

    Args:
        model: what translates.
        source: a picture, or a folder of any depth.
        out: where the results go, under the same names; those whose format is not written (GIF) become .png.
        direction: as `Translator.translate` has it.
        seed: likewise; each picture begins anew with it.
        overwrite: whether results may take the place of files that exist, but never of the pictures given.
        progress: called with what is done, how much of it and of how much (pictures; of one picture, tiles), from two
            seconds on.

    A picture that cannot be read, translated or written under its name, or that takes more memory than there is, is
    left out, and named with its reason in what is returned. Raises `DataError` where there is no picture at all,
    `UsageError` for an `out` that would write over the pictures given or, unless asked to, over anything, and for a
    direction or seed that the model does not take, `RunError` where `out` cannot be written.
    """
    channels = channels_of(model, direction)
    model.check_seed(seed, direction)
    items, failed, passed_over = _listed(source)
    targets = target_names([item.name for item in items])
    _check_out(source, out, list(targets.values()), overwrite)
    alone = len(items) + len(failed) == 1
    ticker = _ticker(progress, "tiles" if alone else "pictures", len(items))

    def counted(done: int, total: int) -> None:
        ticker.total = total
        ticker.advance()

    def one(item: Item) -> None:  # whose arrays are let go before the next picture's are made
        array = _read(item, channels, model.fills_holes)
        made = model.translate(array, direction, seed, counted if alone else None)
        values = model.values(array, direction)[1]
        _write(out, targets[item.name], encode(made, values, PurePosixPath(targets[item.name]).suffix))

    done = 0
    with quiet_pillow():
        for item in items:
            try:
                one(item)
            except (Unreadable, UsageError, MemoryError) as fault:
                failed.append(Rejected(item.name, str(fault) or "needs more memory than there is"))
            else:
                done += 1
            if not alone:
                ticker.advance()
    return Outcome(done, tuple(failed), passed_over)


def channels_of(model: Translator, direction: str | None = None) -> int:
    """How many channels a picture file is decoded to. Raises `UsageError` where no picture file has so many."""
    channels = int(model.way(direction).given["shape"][0])
    made = int(model.way(direction).wanted["shape"][0])
    if channels not in MODES or made not in MODES or (model.fills_holes and channels not in (2, 4)):
        raise UsageError(
            f"This model makes {made} channels of {channels}, and picture files have one to four, alpha among them: "
            "translate arrays with it, in Python: zerosum.load(run).translate(array)."
        )
    return channels


def target_names(names: list[str]) -> dict[str, str]:
    """Of each name, relative and with slashes, the result's: the same, or with .png where the format is not written.

    Where two results would have one name, those renamed keep their old ending too: a.gif beside a.png → a.gif.png.
    """
    kept = {name for name in names if PurePosixPath(name).suffix.lower() in WRITABLE}
    short = {name: str(PurePosixPath(name).with_suffix(".png")) for name in names if name not in kept}
    often = Counter(short.values())
    taken, targets = set(kept), {name: name for name in kept}
    for name, target in short.items():
        if often[target] > 1 or target in kept:
            target = f"{name}.png"
            while target in taken or target in often:
                target += ".png"
        taken.add(target)
        targets[name] = target
    return {name: targets[name] for name in names}


def encode(pixels: Array, values: Values, suffix: str) -> bytes:
    """(H, W, C) as a file of that suffix: in its own depth where the format and Pillow hold it, else in 8 bits.

    Where the format has no alpha, the picture is laid on white. Raises `Unreadable` where Pillow refuses, as a WebP of
    more than 16383 pixels a side.
    """
    kind = WRITABLE[suffix.lower()]
    grey = pixels.shape[-1] == 1
    deep = grey and ((values.dtype == "uint16" and kind in DEEP) or (values.dtype == "float32" and kind == "TIFF"))
    if deep:
        picture = Image.fromarray(pixels[..., 0])
    else:
        pixels = _eight_bits(pixels, values)
        if kind in ("JPEG", "BMP") and pixels.shape[-1] in (2, 4):
            pixels = np.rint(recolour(pixels, pixels.shape[-1] - 1, 255.0)).astype(np.uint8)
        picture = Image.fromarray(pixels[..., 0] if grey or pixels.shape[-1] == 1 else pixels, MODES[pixels.shape[-1]])
    buffer = BytesIO()
    try:
        picture.save(buffer, kind, **OPTIONS.get(kind, {}))
    except FAULTS as fault:
        raise Unreadable(f"the result cannot be written as {kind}: {fault}") from fault
    return buffer.getvalue()


def _eight_bits(pixels: Array, values: Values) -> Array:
    """A band of rows at a time: floats of the whole picture would take four times its memory."""
    if values.dtype == "uint8":
        return pixels
    result = np.empty(pixels.shape, dtype=np.uint8)
    for first in range(0, len(pixels), 256):
        part = (pixels[first : first + 256].astype(np.float32) - values.low) * (255 / (values.high - values.low))
        result[first : first + 256] = np.rint(part).clip(0, 255)
    return result


def _listed(source: Path) -> tuple[list[Item], list[Rejected], Counter[str]]:
    """The pictures at `source`, what cannot be one, and the suffixes of what is none.

    Raises `DataError` where there is nothing.
    """
    if source.is_file():
        return [Item(source.name, source.stat().st_size, lambda: source.read_bytes())], [], Counter()
    if not source.is_dir():
        raise DataError(f"{source}: there is no such picture or folder.")
    folder = FolderSource(source, None)
    found = list(folder.items())
    items = [item for item in found if isinstance(item, Item)]
    failed = [item for item in found if isinstance(item, Rejected)]
    if not found:
        also = f" {words_of(folder.ignored)}" if folder.ignored else ""
        raise DataError(f"{source}: no PNG, JPEG, WebP, BMP, GIF or TIFF in it.{also}")
    return items, failed, folder.ignored


def words_of(passed_over: Mapping[str, int]) -> str:
    """A sentence on the files that were taken for no pictures, the five most common suffixes first."""
    common = Counter(passed_over).most_common()
    more = sum(count for _, count in common[5:])
    seen = [*(f"{count:,} {suffix}" for suffix, count in common[:5]), *([f"{more:,} others"] if more else [])]
    return f"Passed over, as their names are not those of images: {', '.join(seen)}."


def _check_out(source: Path, out: Path, targets: list[str], overwrite: bool) -> None:
    """Raises `UsageError` where a result would be written over a picture given, or among them; or over a file."""
    given, folder = source.resolve(), out.resolve()
    blocking = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)
    if not blocking.is_dir():
        raise UsageError(f"--out {out}: {blocking} is a file; give a folder for the results.")
    if any((folder / target).is_relative_to(given) for target in targets):
        where = (
            "the folder of the pictures given, or inside it" if source.is_dir() else "the folder of the picture given"
        )
        raise UsageError(f"--out {out} is {where}: give another one, so that none is written over.")
    there = [] if overwrite else [target for target in targets if os.path.lexists(folder / target)]
    if there:
        first = (
            f"{there[0]} exists" if len(there) == 1 else f"{there[0]} and {len(there) - 1:,} more of the results exist"
        )
        raise UsageError(f"--out {out}: {first} there already. Give another folder, or --overwrite to write over them.")


def _read(item: Item, channels: int, holes: bool) -> Array:
    """One picture, upright, (H, W, channels) in its own size and depth. Raises `Unreadable`."""
    if item.size > MAX_FILE_BYTES:
        raise Unreadable(f"{item.size:,} bytes, over {MAX_FILE_BYTES:,}")
    try:
        data = item.read()
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error
    header = probe(data)
    array = decode(data, Plan(header.height, header.width, channels, "stretch", header.dtype))
    if holes and not (array[..., -1] < FULL[header.dtype].high / 2).any():
        raise Unreadable("has no transparent pixels: make those transparent that are to be filled in")
    return array


def _write(out: Path, target: str, content: bytes) -> None:
    """Raises `Unreadable` for a name that the file system does not take, `RunError` where nothing can be written."""
    path = out / target
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except RunError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in NAMELY:
            raise RunError(f"{error} What is written by now needs --overwrite then.") from cause
        raise Unreadable(f"the result cannot be written as {target}: {cause.strerror}") from error


def _ticker(progress: Progress | None, what: str, total: int) -> Ticker:
    """Passes progress on with the time that is left."""
    begun = time.monotonic()

    def timed(what: str, done: int, total: int) -> None:
        left = timedelta(seconds=round((time.monotonic() - begun) * (total - done) / done))
        if progress is not None:
            progress(f"{what}, {left} left", done, total)

    return Ticker(None if progress is None else timed, f"translating {what}", total, PATIENCE)
