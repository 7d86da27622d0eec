"""Where image files come from: a folder of any depth, a zip, a tar; each walked without trusting it.

A source gives `Item`s in an order that does not depend on the machine (folder and zip: sorted by name; tar: the
archive's own, as it can only be read forwards) and `Rejected` for what must not be touched. Nothing is unpacked.
"""

from __future__ import annotations

import errno
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from zerosum.errors import DataError

IMAGE_SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"}
)
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
MAX_FILE_BYTES = 512 * 2**20  # more than any image under the pixel limit needs
ARCHIVE_FAULTS = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class Rejected:
    """A file that was not used: its name in the source, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Item:
    """One candidate: its relative posix name, its size in bytes, and how to read it (raises OSError)."""

    name: str
    size: int
    read: Callable[[], bytes]


@dataclass
class Listing:
    """A folder's candidates, what was rejected on the way, and the suffixes of what was passed over."""

    files: list[tuple[str, str, int, int]] = field(default_factory=list)
    """(relative name, path, bytes, mtime in ns)"""
    rejected: list[Rejected] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def is_candidate(name: str, include: str | None) -> bool:
    """Whether a file is meant to be an image: by `include` (a glob whose * also crosses folders) or by its suffix."""
    if include is not None:
        return fnmatchcase(name, include)
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def is_hidden(name: str) -> bool:
    """Hidden files, and what macOS adds to zips."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def list_folder(root: Path, include: str | None) -> Listing:
    """Walks `root`, following links that stay inside it; every folder at most once along any one path."""
    listing = Listing()
    real = os.path.realpath(root)
    _walk(real, "", (real,), include, listing)
    listing.files.sort()
    listing.rejected.sort(key=lambda rejected: rejected.name)
    return listing


def _walk(folder: str, prefix: str, chain: tuple[str, ...], include: str | None, listing: Listing) -> None:
    """`chain`: the real paths of the folders that lead here, the root first."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        listing.rejected.append(Rejected(prefix or ".", f"cannot be listed: {error.strerror}"))
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        name = prefix + entry.name
        target = entry.path
        if entry.is_symlink():
            try:
                target = os.path.realpath(entry.path, strict=True)
            except OSError as error:
                looped = error.errno == errno.ELOOP
                reason = "symlink loop" if looped else f"broken link: {error.strerror}"
                listing.rejected.append(Rejected(name, reason))
                continue
            if os.path.commonpath((chain[0], target)) != chain[0]:
                listing.rejected.append(Rejected(name, "link leaves the folder"))
                continue
        try:
            status = Path(target).stat()
        except OSError as error:
            listing.rejected.append(Rejected(name, f"cannot be read: {error.strerror}"))
            continue
        if stat.S_ISDIR(status.st_mode):
            if target in chain:
                listing.rejected.append(Rejected(name, "symlink loop"))
            else:
                _walk(target, f"{name}/", (*chain, target), include, listing)
        elif not is_candidate(name, include):
            listing.ignored[PurePosixPath(name).suffix.lower() or "(no suffix)"] += 1
        elif not stat.S_ISREG(status.st_mode):
            listing.rejected.append(Rejected(name, "not a regular file"))
        else:
            listing.files.append((name, target, status.st_size, status.st_mtime_ns))


class FolderSource:
    """A folder of images, listed once."""

    kind = "folder"

    def __init__(self, path: Path, include: str | None) -> None:
        self.path = path
        self.listing = list_folder(path, include)
        self.total = len(self.listing.files) + len(self.listing.rejected)
        self.ignored = self.listing.ignored

    def fingerprint(self) -> object:
        """Names, sizes and times of all files, and the rejects: what tells whether the folder has changed."""
        files = [(name, size, mtime) for name, _, size, mtime in self.listing.files]
        return [str(self.path.resolve()), files, [(r.name, r.reason) for r in self.listing.rejected]]

    def items(self) -> Iterator[Item | Rejected]:
        """The rejected first, then the files by name; reading happens in whoever calls `read`."""
        yield from self.listing.rejected
        for name, path, size, _ in self.listing.files:
            if size > MAX_FILE_BYTES:
                yield Rejected(name, _too_large(size))
            else:
                yield Item(name, size, _reader(path, size))


def _reader(path: str, size: int) -> Callable[[], bytes]:
    def read() -> bytes:
        with open(path, "rb") as file:  # noqa: PTH123 - 100,000 Path objects are not free
            return file.read(size + 1)  # a bound on memory: as large as it was listed

    return read


def _known(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _too_large(size: int) -> str:
    return f"{size:,} bytes, over {MAX_FILE_BYTES:,}"


def _unsafe_name(name: str) -> str | None:
    """Why a member's name must not be trusted, if so."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":"):
        return "absolute name in an archive"
    return "name with '..' in an archive" if ".." in parts else None


class ArchiveSource:
    """A zip or tar of images, read in place. `total` is 0 until it has been read once."""

    def __init__(self, path: Path, include: str | None) -> None:
        self.path = path
        self.include = include
        self.kind = "zip" if zipfile.is_zipfile(path) else "tar"
        self.total = 0
        self.ignored: Counter[str] = Counter()

    def fingerprint(self) -> object:
        """Path, size and time of the archive."""
        status = self.path.stat()
        return [str(self.path.resolve()), status.st_size, status.st_mtime_ns]

    def items(self) -> Iterator[Item | Rejected]:
        """Members that are or should be images. Raises DataError if the archive itself is damaged."""
        self.ignored.clear()
        count = 0
        last = ""
        try:
            for found in self._zip() if self.kind == "zip" else self._tar():
                yield found
                count, last = count + 1, found.name
        except (*ARCHIVE_FAULTS,) as fault:
            if isinstance(fault, DataError):
                raise
            after = f" after {last!r}" if last else ""
            raise DataError(
                f"{self.path}: the archive is truncated or damaged{after} ({fault}); "
                "get it again, or unpack what can be saved and give the folder"
            ) from fault
        self.total = count

    def _wanted(self, name: str) -> bool:
        if is_hidden(name):
            return False
        if is_candidate(name, self.include):
            return True
        self.ignored[PurePosixPath(name).suffix.lower() or "(no suffix)"] += 1
        return False

    def _check_end(self, offset: int) -> None:
        """Raises ReadError if a plain tar does not end in a block of zeros: tarfile takes any odd block for the end.

        Compressed ones say so themselves when they are cut.
        """
        with self.path.open("rb") as file:
            if not file.read(6).startswith(COMPRESSED):
                file.seek(offset)
                if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    raise tarfile.ReadError("it has no end mark")

    def _zip(self) -> Iterator[Item | Rejected]:
        with zipfile.ZipFile(self.path) as archive:
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                if info.is_dir():
                    continue
                reason = _unsafe_name(info.filename)
                if reason is None and not self._wanted(info.filename):
                    continue
                if stat.S_ISLNK(info.external_attr >> 16):
                    reason = reason or "link inside an archive"
                elif info.flag_bits & 1:
                    reason = reason or "encrypted"
                elif info.file_size > MAX_FILE_BYTES:
                    reason = reason or _too_large(info.file_size)
                yield Rejected(info.filename, reason) if reason else _zip_item(archive, info)

    def _tar(self) -> Iterator[Item | Rejected]:
        with tarfile.open(self.path) as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # or it remembers every member passed
                if member.isdir():
                    continue
                reason = _unsafe_name(member.name)
                if reason is None and not self._wanted(member.name.removeprefix("./")):
                    continue
                if member.issym() or member.islnk():
                    reason = reason or "link inside an archive"
                elif not member.isreg():
                    reason = reason or "not a regular file"
                elif member.size > MAX_FILE_BYTES:
                    reason = reason or _too_large(member.size)
                if reason:
                    yield Rejected(member.name, reason)
                    continue
                file = archive.extractfile(member)
                data = file.read() if file is not None else b""
                yield Item(member.name.removeprefix("./"), len(data), _known(data))
            self._check_end(archive.offset)


def _zip_item(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Item | Rejected:
    """One member; a lie about its size is caught by zipfile, which reads no more than was declared."""
    try:
        with archive.open(info) as member:
            data = member.read()
    except (*ARCHIVE_FAULTS,) as fault:
        return Rejected(info.filename, f"cannot be unpacked: {fault}")
    return Item(info.filename, len(data), _known(data))


def open_images(path: Path, include: str | None) -> FolderSource | ArchiveSource:
    """The source at `path`. Raises DataError if it is none."""
    if path.is_dir():
        return FolderSource(path, include)
    if zipfile.is_zipfile(path) or path.name.lower().endswith(TAR_ENDINGS):
        return ArchiveSource(path, include)
    raise DataError(
        f"{path}: neither a folder nor a .zip, .tar, .tar.gz, .npy or .npz file; give the folder that holds the images"
    )
