"""Two drawings of emoji as folders of pictures: OpenMoji in black lines and in colour, and Google's.

    python benchmarks/emoji.py --cache FOLDER --size 64 --domains

`black/` and `color/` hold the same 4,495 glyphs under the same names, a pair each; `google/`, with --domains, holds
3,786 that another hand drew. All lie on white. The npm packages are fetched once by `npm pack` and known by their
SHA-256; nothing is unpacked from them but the bytes of pictures.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from zerosum.data.cache import cache_root

LARGEST = 2**20  # bytes of a picture in a package; the largest is far below
COLUMNS = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))


@dataclass(frozen=True)
class Package:
    """An npm package: its name and version, and the SHA-256 of its archive."""

    name: str
    version: str
    sha256: str

    @property
    def archive(self) -> str:
        """What `npm pack` calls it."""
        return f"{self.name}-{self.version}.tgz"


OPENMOJI = Package("openmoji", "17.0.0", "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68")
GOOGLE = Package(
    "emoji-datasource-google", "16.0.0", "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438"
)

FOLDERS = {
    "black": (OPENMOJI, "package/black/svg"),
    "color": (OPENMOJI, "package/color/svg"),
    "google": (GOOGLE, "package/img/google/64"),
}


def pictures(cache: Path | None, size: int, *, domains: bool = False) -> Path:
    """The folder that holds `black/` and `color/`, with `domains` also `google/`: made if they are not there."""
    cache = cache_root() / "emoji" if cache is None else cache
    folder = cache / str(size)
    if not (folder / "black").exists() or not (folder / "color").exists():
        make(folder, ("black", "color"), cache, size)
    if domains:
        google(cache, size)
    return folder


def google(cache: Path | None, size: int) -> Path:
    """The folder of Google's 3,786 pictures alone, which needs nothing that draws SVG: made if it is not there."""
    cache = cache_root() / "emoji" if cache is None else cache
    folder = cache / str(size)
    if not (folder / "google").exists():
        make(folder, ("google",), cache, size)
    return folder / "google"


def make(folder: Path, names: tuple[str, ...], cache: Path, size: int) -> None:
    """Draw `names` of FOLDERS into `folder`: only glyphs that can be drawn for each of them, whole or not at all."""
    package = FOLDERS[names[0]][0]
    archive = fetched(package, cache)
    glyphs = {name: dict(members(archive, FOLDERS[name][1])) for name in names}
    failed: dict[str, str] = {}
    parts = {name: folder / f"{name}.part" for name in names}
    with Progress(*COLUMNS, TimeRemainingColumn()) as progress:
        for name, part in parts.items():
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            for stem, content in progress.track(sorted(glyphs[name].items()), description=f"{name} {size}×{size}"):
                try:
                    drawn(content, size, "L" if name == "black" else "RGB").save(part / f"{stem}.png")
                except ValueError as error:  # of resvg: no SVG, or none that it can draw
                    failed[stem] = f"{name}: {error}"
    alone = set.union(*(set(of) for of in glyphs.values())) - set.intersection(*(set(of) for of in glyphs.values()))
    failed |= dict.fromkeys(alone, "has no partner")
    for name, part in parts.items():
        for stem in failed:
            (part / f"{stem}.png").unlink(missing_ok=True)
        shutil.rmtree(folder / name, ignore_errors=True)
        part.rename(folder / name)
    count = len(list((folder / names[0]).iterdir()))
    print(f"{folder}: {count:,} pictures each in {', '.join(names)}; {len(failed)} could not be drawn", flush=True)
    for stem, reason in sorted(failed.items()):
        print(f"  {stem}: {reason}")


def drawn(content: bytes, size: int, mode: str) -> Image.Image:
    """An SVG or PNG as a square picture of `size` pixels on white. Raises ValueError for what cannot be drawn."""
    if not content.startswith(b"\x89PNG"):
        import resvg_py

        content = resvg_py.svg_to_bytes(svg_string=content.decode(), background="white", width=size, height=size)
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    on_white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert(mode)
    return on_white if on_white.size == (size, size) else on_white.resize((size, size), Image.Resampling.LANCZOS)


def members(archive: Path, under: str) -> Iterator[tuple[str, bytes]]:
    """Name without ending, and content, of each picture right under a folder of an archive."""
    with tarfile.open(archive, "r:gz") as package:
        for member in package:
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts:
                sys.exit(f"{archive}: a member is called {member.name!r}, which leads out of it; it is not used.")
            if str(path.parent) != under or path.suffix not in (".svg", ".png"):
                continue
            file = package.extractfile(member) if member.isfile() and member.size <= LARGEST else None
            if file is None:
                sys.exit(f"{archive}: {member.name!r} is no file of at most {LARGEST:,} bytes; it is not used.")
            yield path.stem, file.read()


def fetched(package: Package, cache: Path) -> Path:
    """The package's archive, fetched if it is not there, and the one that is known."""
    path = cache / package.archive
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm")
        if npm is None:
            sys.exit(f"npm was not found: install Node.js, or put npm's {package.archive} into {cache}.")
        print(f"fetching {package.name} {package.version} …", flush=True)
        words = (npm, "pack", f"{package.name}@{package.version}", "--pack-destination", str(cache), "--silent")
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != package.sha256:
        sys.exit(f"{path} is not the {package.name} {package.version} that is known (SHA-256 {found}); remove it.")
    return path


def main() -> int:
    """Make what is missing, say where it lies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="where packages and pictures are kept (default: the user's cache)")
    parser.add_argument("--size", type=int, default=64, help="side of a picture in pixels (default: 64)")
    parser.add_argument("--domains", action="store_true", help="also Google's, a second domain")
    options = parser.parse_args()
    print(pictures(options.cache, options.size, domains=options.domains))
    return 0


if __name__ == "__main__":
    sys.exit(main())
