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
class Rollback:
    """A training that collapsed, and went back from one count of images to an earlier one."""

    start: int
    end: int
    why: str


@dataclass(frozen=True)
class Record:
    """One report. `images` counts real images shown to the discriminator; NaN stands for JSON's null.

    `outputs` are probabilities, `gradients` norms; both may lack entries. `figures` are what was measured then, and
    `classes` the same for each class; `evaluation` are figures as in evaluation.json, and `evidence` is what the
    verdict `health` was judged by; most records may be without. `rollbacks` are all of the run until then. `points` is
    None for images.
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
    evaluation: dict[str, float]
    evidence: dict[str, float]
    health: str
    rollbacks: tuple[Rollback, ...]
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
        evaluation=fields.numbers(table, "evaluation", where),
        evidence=_read_evidence(table, where),
        health=fields.text(table, "health", where),
        rollbacks=_read_rollbacks(table, where),
        points=read_moments(fields.section(table, "points", where), where) if table.get("points") else None,
    )


def _read_evidence(table: fields.Table, where: str) -> dict[str, float]:
    """What is a number of it, and not yes or no."""
    if "evidence" not in table:
        return {}
    inner = fields.section(table, "evidence", where)
    return fields.numbers(
        {"evidence": {key: value for key, value in inner.items() if not isinstance(value, bool)}}, "evidence", where
    )


def _read_rollbacks(table: fields.Table, where: str) -> tuple[Rollback, ...]:
    """All of them in their order; none where the key is absent."""
    listed = table.get("rollbacks", [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise fields.wrong(where, "rollbacks", "a list of tables", listed)
    inside = f"{where}: rollbacks"
    return tuple(
        Rollback(fields.whole(each, "from", inside), fields.whole(each, "to", inside), fields.text(each, "why", inside))
        for each in listed
    )


def read_moments(table: fields.Table, where: str) -> Moments:
    """The `mean` and `covariance` of a table. Raises RunError unless they are (D) and (D, D)."""
    mean = fields.vector(table, "mean", where)
    covariance = fields.rows(table, "covariance", where)
    if {len(covariance), len(covariance[0])} != {len(mean)}:
        raise fields.wrong(where, "covariance", f"{len(mean)} rows of {len(mean)} numbers", covariance)
    return Moments(mean, covariance)
