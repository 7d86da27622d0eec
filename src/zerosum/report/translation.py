"""What the report knows of a run that makes pictures of pictures: both sides, what was held out, what was degraded.

A *source* is what the network starts from (`given` in data.json), a *target* what it should make (data.json itself).
In a paired game each source has its target; in an unpaired one the sides are two heaps of pictures, a and b.
"""

from __future__ import annotations

from dataclasses import dataclass

from zerosum.report import fields

KINDS = ("paired", "unpaired")  # of games
DEPTHS = {"uint8": "8-bit", "uint16": "16-bit", "float32": "32-bit floats"}
DEGRADATIONS = {
    "downsample": "made {} times smaller each way",
    "mask:box": "with a box of pixels taken away",
    "mask:strokes": "with strokes of pixels taken away",
    "gray": "without its colours",
    "blur": "blurred by a Gaussian with a deviation of {} pixels",
    "noise": "with normal noise added, of deviation {} where white less black is 2",
    "jpeg": "after JPEG compression of quality {}",
}


@dataclass(frozen=True)
class Side:
    """The pictures of one side: `shape` is (C, H, W) of one of them, `low` the value of black and `high` of white."""

    name: str
    count: int
    shape: tuple[int, int, int]
    dtype: str
    low: float
    high: float

    @property
    def words(self) -> str:
        """All of it: "lines: 4,495 images of 64×64 pixels, 1 channel, 8-bit"."""
        return f"{self.name}: {self.count:,} images of {self.each}"

    @property
    def size(self) -> str:
        """Its width, height and number of channels: "64×64×1"."""
        channels, height, width = self.shape
        return f"{width}×{height}×{channels}"

    @property
    def each(self) -> str:
        """One picture: "64×64 pixels, 1 channel, 8-bit"."""
        return f"{shape_words(self.shape)}, {DEPTHS.get(self.dtype, self.dtype)}"


@dataclass(frozen=True)
class Translation:
    """A translator's two sides. `degrade` is the setting that made sources of targets, "" where they were given.

    `judged` is the number of pictures that figures are of, None where the run does not say.
    """

    paired: bool
    given: Side
    wanted: Side
    degrade: str
    holdout: float
    judged: int | None

    @property
    def names(self) -> str:
        """Both sides in a few words: "lines → colours", "horses ↔ zebras", "faces (blur:2)"."""
        if self.degrade:
            return f"{self.wanted.name} ({self.degrade})"
        if self.given.name == self.wanted.name:
            return self.wanted.name
        return f"{self.given.name} {'→' if self.paired else '↔'} {self.wanted.name}"

    @property
    def masks(self) -> bool:
        """Whether pixels were taken away; the last channel of a source then says where."""
        return self.degrade.startswith("mask")

    @property
    def degraded(self) -> str:
        """What was done to a target to make its source, to follow the word "target"; "" where nothing was."""
        if not self.degrade:
            return ""
        kind, _, value = self.degrade.partition(":")
        words = DEGRADATIONS.get(self.degrade) or DEGRADATIONS.get(kind)
        return words.format(value) if words else f"degraded by {self.degrade}"

    @property
    def ends(self) -> list[tuple[str, Side]]:
        """Both sides, and what each is called."""
        words = ("source pictures", "target pictures") if self.paired else ("pictures of a", "pictures of b")
        return list(zip(words, (self.given, self.wanted), strict=True))

    @property
    def sides(self) -> list[tuple[str, str]]:
        """Both sides in words, as rows of a table: what a side is called, all of it."""
        (first, given), (second, wanted) = self.ends
        source = f"{given.each}: the target {self.degraded}" if self.degrade else given.words
        return [(first, source), (second, wanted.words)]

    @property
    def seen(self) -> str:
        """On which data results are shown and measured: a sentence."""
        things = "pairs" if self.paired else "pictures"
        if self.holdout > 0:
            return f"The {things} are held out ({self.share} of all): the training never saw them."
        return f"The {things} are the training's own: the networks have seen them."

    @property
    def judged_words(self) -> str:
        """Of how many pictures figures are: a sentence; "" where that is not known."""
        if self.judged is None:
            return ""
        of = f"{self.judged:,} pairs" if self.paired else f"at most {self.judged:,} pictures of each side"
        return f"Means over {of}."

    @property
    def share(self) -> str:
        """The share held out, in words."""
        return f"{100 * self.holdout:.3g}%"


def read_translation(about: fields.Table, where: str, kind: str, holdout: float) -> Translation | None:
    """The translation of a run of game `kind` whose data.json, the file `where`, holds `about`; None of other games.

    Raises RunError when `given`, `degrade`, `judged` or a field of either side is missing or damaged.
    """
    if kind not in KINDS:
        return None
    return Translation(
        paired=kind == "paired",
        given=_read_side(fields.section(about, "given", where), f"{where}: given"),
        wanted=_read_side(about, where),
        degrade=fields.text(about, "degrade", where),
        holdout=holdout,
        judged=fields.whole(about, "judged", where, least=1) if "judged" in about else None,
    )


def _read_side(table: fields.Table, where: str) -> Side:
    sizes = [int(size) for size in fields.vector(table, "shape", where) if size >= 1]
    if len(sizes) != 3:
        raise fields.wrong(where, "shape", "[channels, height, width]", table.get("shape"))
    return Side(
        name=fields.text(table, "name", where),
        count=fields.whole(table, "count", where),
        shape=(sizes[0], sizes[1], sizes[2]),
        dtype=fields.text(table, "dtype", where),
        low=fields.number(table, "low", where),
        high=fields.number(table, "high", where),
    )


def shape_words(shape: tuple[int, int, int]) -> str:
    """The shape (C, H, W) of a picture in words: "28×28 pixels, 1 channel" (width first, as photographers do)."""
    channels, height, width = shape
    return f"{width}×{height} pixels, {channels} channel{'s' if channels > 1 else ''}"
