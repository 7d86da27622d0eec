"""`records.jsonl`: one JSON object a line, one line a report of the trainer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zerosum.errors import RunError
from zerosum.report import fields


@dataclass(frozen=True)
class Moments:
    """Mean (D) and covariance (D, D) of a distribution of points."""

    mean: list[float]
    covariance: list[list[float]]


@dataclass(frozen=True)
class Record:
    """One report. `images` counts real images shown to the discriminator; NaN stands for JSON's null.

    `outputs` are probabilities, `gradients` norms; both may lack entries. `figures` are what was measured then, and
    `classes` the same for each class; most records may be without. `points` is None for images.
    """

    images: int
    epoch: float
    seconds: float
    images_per_second: float
    losses: dict[str, float]
    parts: dict[str, float]
    outputs: dict[str, float]
    gradients: dict[str, float]
    learning_rates: dict[str, float]
    figures: dict[str, float]
    classes: dict[str, dict[str, float]]
    health: str
    points: Moments | None


def read_records(path: Path) -> tuple[Record, ...]:
    """All records in order of images shown; none when the run has not made its first report.

    A last line that a killed process left torn is ignored; any other broken line raises RunError with its
    number. Where a run was resumed from before its last report, the later record of a moment counts.
    """
    if not path.exists():
        return ()
    lines = fields.read_bytes(path).split(b"\n")
    last = max((number for number, line in enumerate(lines) if line.strip()), default=-1)
    records: list[Record] = []
    for number, line in enumerate(lines[: last + 1], start=1):
        where = f"{path}, line {number}"
        remedy = f"Delete line {number} and run `zerosum report` again."
        try:
            table = fields.parse_object(line, where, remedy)
        except RunError:
            if number == last + 1:
                break
            raise
        record = _read_record(table, where)
        while records and records[-1].images >= record.images:
            records.pop()
        records.append(record)
    return tuple(records)


def _read_record(table: fields.Table, where: str) -> Record:
    return Record(
        images=fields.whole(table, "images", where),
        epoch=fields.number(table, "epoch", where),
        seconds=fields.number(table, "seconds", where),
        images_per_second=fields.number(table, "images_per_second", where),
        losses=fields.numbers(table, "losses", where),
        parts=fields.numbers(table, "parts", where),
        outputs=fields.numbers(table, "outputs", where),
        gradients=fields.numbers(table, "gradients", where),
        learning_rates=fields.numbers(table, "learning_rates", where),
        figures=fields.numbers(table, "figures", where),
        classes=fields.tables(table, "classes", where),
        health=fields.text(table, "health", where),
        points=read_moments(fields.section(table, "points", where), where) if table.get("points") else None,
    )


def read_moments(table: fields.Table, where: str) -> Moments:
    """The `mean` and `covariance` of a table. Raises RunError unless they are (D) and (D, D)."""
    mean = fields.vector(table, "mean", where)
    covariance = fields.rows(table, "covariance", where)
    if {len(covariance), len(covariance[0])} != {len(mean)}:
        raise fields.wrong(where, "covariance", f"{len(mean)} rows of {len(mean)} numbers", covariance)
    return Moments(mean, covariance)
