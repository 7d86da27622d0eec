"""Bytes of one image file to an array: the only place where Pillow's decoders run and modes are converted.

Only the decoders in `FORMATS` may run, whatever a file calls itself. `Unreadable` carries the reason a file is
rejected for; nothing else leaves this module for a damaged file.
"""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from zerosum.data.fitting import Array, Plan, fit_planes, pad, resize

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
# Pillow registers these two lazily, and then by importing every plugin it has, in whichever thread comes first.
EAGER_PLUGINS = (TiffImagePlugin, WebPImagePlugin)
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a GiB at 3 bytes a pixel
BIG_PIXELS = 16_777_216  # images above this are decoded one at a time, to keep memory flat
STRIP_ROWS = 256
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# What Pillow's parsers were seen to raise on damaged files (fuzzed in the tests): they index and unpack unchecked.
FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_one_big_image = threading.Lock()


class Unreadable(Exception):  # noqa: N818 - a verdict on a file, not a fault of the program
    """A file that cannot be used; its text is the reason, on one line."""


@dataclass(frozen=True)
class Header:
    """What a file's header tells before its pixels are decoded; sizes are those after EXIF orientation."""

    format: str
    mode: str
    height: int
    width: int
    grey: bool
    dtype: str
    animated: bool
    narrowed: bool
    """16-bit colour, of which Pillow keeps the upper 8 bits."""


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silences Pillow's own warnings (bombs, odd tags): what they say is judged here and listed as a reason or note.

    Warning filters belong to the process, not to a thread: enter it once around all workers.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        yield


def probe(data: bytes, half: str = "") -> Header:
    """Reads the header only; the size is that of `half` ("left", "right", "": all). Raises `Unreadable`."""
    try:
        with _open(data) as image:
            height, width = image.height, image.width
            if image.format != "TIFF" and _orientation(image, decoded=False) >= 5:  # TIFF swaps its size itself
                height, width = width, height
            if half:
                width = _half_width(width)
            rawmode = " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))
            deep = image.mode == "F" or image.mode.startswith("I")
            return Header(
                format="JPEG" if image.format == "MPO" else str(image.format),
                mode=image.mode,
                height=height,
                width=width,
                grey=_is_grey(image) or rawmode.startswith("LA;16"),  # which Pillow widens to RGBA
                dtype="uint8" if not deep else "float32" if image.mode == "F" else "uint16",
                animated=image.format != "MPO" and bool(getattr(image, "is_animated", False)),
                narrowed=not deep and ";16" in rawmode,
            )
    except FAULTS as fault:
        raise Unreadable(_reason(fault)) from fault


def decode(data: bytes, plan: Plan) -> Array:
    """Decodes, turns upright, converts and fits one image: an array of `plan.shape` and `plan.dtype`.

    Of an animation, the first frame. Raises `Unreadable`.
    """
    try:
        image = _open(data)
        lock: AbstractContextManager[object] = nullcontext()
        if image.width * image.height > BIG_PIXELS:
            lock = _one_big_image
        with lock:
            if not plan.half:  # libjpeg's reduced pixels lie across the middle
                _draft(image, plan)
            image.load()
            turn = TURNS.get(_orientation(image, decoded=True))
            if turn is not None:
                image = image.transpose(turn)
            if plan.half:
                width = _half_width(image.width)
                left = 0 if plan.half == "left" else image.width - width
                image = image.crop((left, 0, left + width, image.height))
            if image.mode == "F" or image.mode.startswith("I"):
                return _deep(image, plan)
            return _shallow(image, plan)
    except FAULTS as fault:
        raise Unreadable(_reason(fault)) from fault


def _open(data: bytes) -> Image.Image:
    if not data:
        raise Unreadable("empty file (0 bytes)")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
        if webp or data.startswith(SIGNATURES):
            raise Unreadable("truncated or damaged header") from None
        raise Unreadable("not a PNG, JPEG, WebP, BMP, GIF or TIFF image in spite of its name") from None
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(_bomb(f"{image.width} x {image.height}"))
    return image


def _half_width(width: int) -> int:
    """Raises `Unreadable` where there are no two halves."""
    if width < 2:
        raise Unreadable("a single pixel wide: it has no two halves")
    return width // 2


def _bomb(size: str) -> str:
    return f"decompression bomb: {size} is over {MAX_PIXELS:,} pixels"


def _reason(fault: BaseException) -> str:
    text = " ".join(str(fault).split())
    if isinstance(fault, Image.DecompressionBombError):
        return _bomb("its header's size")
    if isinstance(fault, EOFError) or "truncated" in text.lower():
        return "truncated"
    if isinstance(fault, MemoryError):
        return "needs more memory than there is"
    return f"cannot be decoded: {text or type(fault).__name__}"


def _orientation(image: Image.Image, *, decoded: bool) -> int:
    """EXIF orientation 1–8; 1 where there is none or EXIF is damaged, which says nothing against the pixels."""
    if image.format == "PNG" and not decoded and "exif" not in image.info:
        return 1  # getexif() would decode the whole file to look behind the pixels
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except FAULTS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P" and image.palette is not None:
        entry = len(image.palette.rawmode or image.palette.mode)
        table = np.frombuffer(bytes(image.palette.palette), dtype=np.uint8)
        table = table[: len(table) // entry * entry].reshape(-1, entry)
        return bool((table[:, :1] == table[:, 1:3]).all())
    return image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")


def _draft(image: Image.Image, plan: Plan) -> None:
    """Lets libjpeg decode a large photograph at a half, quarter or eighth, never under twice the target's size."""
    factor = min(image.size) / (2 * max(plan.height, plan.width))
    if factor >= 2:
        image.draft(None, (int(image.width / factor), int(image.height / factor)))


def _deep(image: Image.Image, plan: Plan) -> Array:
    """16-bit and float grey images; `I` holds 32 bits and must fit 16."""
    if image.mode == "I":
        low, high = image.getextrema()
        if low < 0 or high > 65535:  # type: ignore[operator]  # of one band: two numbers
            raise Unreadable("32-bit integers outside 0 to 65535")
    pixels = np.asarray(_converted(image, ("F",), plan))[..., None]
    if not np.isfinite(pixels).all():
        raise Unreadable("holds NaN or infinity")
    if image.mode == "F":
        return fit_planes(pixels, plan)
    if plan.dtype == "float32":
        return fit_planes(pixels / np.float32(65535), plan)
    return fit_planes(pixels.astype(np.uint16), plan)


def _converted(image: Image.Image, modes: tuple[str, ...], plan: Plan) -> Image.Image:
    """`image` through `modes`; a big one in strips that are averaged down at once, to no less than twice the target.

    So no second copy of it is made in full. What is left over from whole averages, less than a quarter of a target
    pixel at each edge, goes. Straight alpha is averaged without weights where alpha is kept.
    """
    factor = int(min(image.size) / (2 * max(plan.height, plan.width)))
    if image.width * image.height <= BIG_PIXELS or factor < 2:
        return _through(image, modes)
    small = Image.new(modes[-1], (image.width // factor, image.height // factor))
    left, above = image.width % factor // 2, image.height % factor // 2
    rows = max(1, STRIP_ROWS // factor)
    for top in range(0, small.height, rows):
        bottom = min(small.height, top + rows)
        box = (left, above + top * factor, left + small.width * factor, above + bottom * factor)
        small.paste(_through(image.crop(box), modes).reduce(factor), (0, top))
    return small


def _through(image: Image.Image, modes: tuple[str, ...]) -> Image.Image:
    for mode in modes:
        image = image if image.mode == mode else image.convert(mode)
    return image


def _shallow(image: Image.Image, plan: Plan) -> Array:
    """8-bit images of every mode, in Pillow; premultiplied while alpha is to go, so that nothing bleeds."""
    base = "L" if plan.channels in (1, 2) else "RGB"
    via = ("RGB",) if image.mode == "LAB" else ()  # the only way that Pillow has from LAB
    flatten = plan.channels in (1, 3) and image.has_transparency_data
    if flatten:
        modes = (*via, f"{base}A", f"{base}a")
    else:
        modes = (*via, base if plan.channels in (1, 3) else f"{base}A")
    image = resize(_converted(image, modes, plan), plan)
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    if flatten:  # premultiplied colour + white * (1 - alpha)
        colour, alpha = pixels[..., :-1].astype(np.uint16), pixels[..., -1:]
        pixels = np.minimum(colour + (255 - alpha), 255).astype(np.uint8)
    pixels = pad(pixels, plan, 0)
    if plan.dtype == "uint16":
        return pixels.astype(np.uint16) * np.uint16(257)
    if plan.dtype == "float32":
        return pixels.astype(np.float32) / np.float32(255)
    return pixels
