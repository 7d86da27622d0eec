"""`evaluation.json` as the report sees it: what `zerosum evaluate` found of a run, and how it came by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zerosum.report import fields

DIGITS = 12  # of a SHA-256 that are shown
REMEDY = "Delete it, or write it anew with `zerosum evaluate`, and run `zerosum report` again."


@dataclass(frozen=True)
class Figure:
    """One figure; `mean` and `deviation` are those over the members of an ensemble, None where there are none."""

    name: str
    value: float
    meaning: str
    mean: float | None = None
    deviation: float | None = None


@dataclass(frozen=True)
class Judged:
    """What was found: figures in their order, and what they share.

    `made` and `real` are both sides in words, `features` those by which images were compared, `seed` that of the
    samples; `members` says of how many runs an ensemble is, 0 of none. `nearest` is a picture beside the file.
    """

    figures: tuple[Figure, ...]
    made: str
    real: str
    features: str
    seed: int
    time: str
    indicative: bool
    members: int
    nearest: Path | None


def read_judged(path: Path) -> Judged | None:
    """What the file `path` holds; None where there is none. Raises RunError when it is damaged."""
    if not path.exists():
        return None
    where = str(path)
    content = fields.parse_object(fields.read_bytes(path), where, REMEDY)
    protocol = fields.section(content, "protocol", where)
    members = fields.section(content, "members", where) if "members" in content else {}
    listed = protocol.get("members", [])
    figures = fields.section(content, "figures", where)
    nearest = path.with_suffix("") / "nearest.png"
    shown = any(isinstance(about, dict) and about.get("measure") == "nearest" for about in figures.values())
    sides = (fields.section(protocol, side, f"{where}: protocol") for side in ("made", "real"))
    made, real = (_side(side, f"{where}: protocol") for side in sides)
    return Judged(
        figures=tuple(_figure(name, figures, members, where) for name in figures),
        made=made,
        real=real,
        features=_features(fields.section(protocol, "features", f"{where}: protocol"), f"{where}: features"),
        seed=fields.whole(protocol, "seed", f"{where}: protocol"),
        time=fields.text(protocol, "time", f"{where}: protocol"),
        indicative=protocol.get("indicative") is True,
        members=len(listed) if isinstance(listed, list) else 0,
        nearest=nearest if shown and nearest.exists() else None,
    )


def _figure(name: str, figures: fields.Table, members: fields.Table, where: str) -> Figure:
    about = fields.section(figures, name, f"{where}: figures")
    value, meaning = (
        fields.number(about, "value", f"{where}: {name}"),
        fields.text(about, "meaning", f"{where}: {name}"),
    )
    if name not in members:
        return Figure(name, value, meaning)
    spread = fields.section(members, name, f"{where}: members")
    mean, deviation = (fields.number(spread, key, f"{where}: members: {name}") for key in ("mean", "deviation"))
    return Figure(name, value, meaning, mean, deviation)


def _side(side: fields.Table, where: str) -> str:
    """`5 of 60 translations, held out, of p2p`, `600 of 4,018 of mnist-5k`."""
    count, of = fields.whole(side, "count", where), side.get("of")
    many = f"{count:,} of {of:,}" if isinstance(of, int) and of != count else f"{count:,}"
    kind, part = fields.text(side, "kind", where), side.get("part") or ""
    what = {"data": "", "samples": " samples"}.get(kind, f" {kind}")
    return f"{many}{what}{f' ({part})' if part else ''} of {fields.text(side, 'name', where)}"


def _features(table: fields.Table, where: str) -> str:
    """`efficientnet-lite0 (weights 0a1b2c3d4e5f…; bilinear, antialiased, to 224×224)`."""
    name, digest = fields.text(table, "name", where), fields.text(table, "sha256", where)
    resize = fields.text(table, "resize", where)
    about = [f"SHA-256 of its weights {digest[:DIGITS]}…"] if digest else []
    about += [f"resized {resize}"] if resize != "none" else []
    return f"{name} ({'; '.join(about)})" if about else name
