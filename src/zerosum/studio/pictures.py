"""The pictures of a run as PNGs, each decoded and encoded anew: nothing else of a file reaches the page."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

from matplotlib import rc_context
from PIL import Image

from zerosum.data.decode import FAULTS
from zerosum.errors import RunError
from zerosum.report.drawing import LOOK, new_figure, rendered
from zerosum.report.grids import on_white, scaled
from zerosum.report.points import draw_points, frame_of, read_points
from zerosum.report.run_folder import SAMPLE_NAME
from zerosum.studio.curves import drawing
from zerosum.studio.places import Place

THUMB = 160  # pixels a side
LARGEST = 1280  # pixels a side of a picture on the page
ENLARGED = 640  # pixels that small ones are enlarged to, with crisp pixels
MOST_PIXELS = 2**26
ROWS = ("translations", "reconstructions", "codes", "plane")  # further pictures of the newest state


def moments_of(place: Place) -> list[int]:
    """After how many images there are samples, in order; no run holds links."""
    try:
        files = [path for path in place.file("samples").iterdir() if path.suffix in (".png", ".json")]
    except OSError:
        return []
    return sorted({int(path.stem) for path in files if SAMPLE_NAME.fullmatch(path.stem) and not path.is_symlink()})


def cover_of(place: Place) -> Path | None:
    """The file whose picture stands for the run; None where there is none yet."""
    if place.has("samples", "translations.png"):
        return place.file("samples", "translations.png")
    moments = moments_of(place)
    return sample_file(place, moments[-1]) if moments else None


def rows_of(place: Place) -> list[str]:
    """Which of `ROWS` the run has."""
    return [name for name in ROWS if place.has("samples", f"{name}.png")]


def sample_file(place: Place, images: int) -> Path:
    """The file of the samples at a moment. Raises `FileNotFoundError`."""
    for stem in (f"{images:09d}", str(images)):
        for suffix in (".png", ".json"):
            if SAMPLE_NAME.fullmatch(stem) and place.has("samples", stem + suffix):
                return place.file("samples", stem + suffix)
    raise FileNotFoundError(images)


def picture_of(path: Path) -> bytes:
    """A sample file, of images or of points, as a PNG for the page. Raises `RunError` for what is neither."""
    return _drawn(path, path.stat().st_mtime_ns, False)


def thumbnail_of(path: Path) -> bytes:
    """Its upper left part, small. Raises `RunError`."""
    return _drawn(path, path.stat().st_mtime_ns, True)


@lru_cache(maxsize=64)
def _drawn(path: Path, _written: int, small: bool) -> bytes:
    image = _points(path) if path.suffix == ".json" else _opened(path)
    buffer = io.BytesIO()
    if small:
        image = image.resize((THUMB, THUMB), Image.Resampling.LANCZOS) if path.suffix == ".json" else _cut(image)
    else:
        image = _fitted(image)
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise RunError(f"{path} has {image.width}×{image.height} pixels, more than a page can show.")
            image.load()
            return on_white(image.convert("RGBA") if image.mode in ("LA", "P") else image)
    except FAULTS as fault:
        raise RunError(f"{path} cannot be read as a PNG: {fault}") from fault


def _points(path: Path) -> Image.Image:
    """Generated points over the real ones, where these are known."""
    points, real = read_points(path), path.with_name("real.json")
    with drawing, rc_context(LOOK):
        figure = new_figure(640, 640)
        axes = figure.subplots()
        shown = read_points(real) if real.is_file() and not real.is_symlink() else points
        if not len(shown):
            raise RunError(f"{path} holds no points that are finite.")
        frame = frame_of(shown)
        if shown is not points:
            draw_points(axes, shown, frame, "real")
        draw_points(axes, points, frame, "generated")
        axes.set_aspect("equal")
        axes.legend(loc="upper right")
        return rendered(figure)


def _cut(image: Image.Image) -> Image.Image:
    """A square of the upper left, half of a grid's side: whole tiles, of a grid of an even number."""
    side = min(image.size)
    part = image.crop((0, 0, side, side)) if side <= THUMB else image.crop((0, 0, side // 2, side // 2))
    return part.resize((THUMB, THUMB), Image.Resampling.NEAREST if part.width < THUMB else Image.Resampling.LANCZOS)


def _fitted(image: Image.Image) -> Image.Image:
    longest = max(image.size)
    if longest > LARGEST:
        return scaled(image, LARGEST / longest)
    return scaled(image, max(1, -(-ENLARGED // longest)))
