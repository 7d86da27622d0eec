"""An ensemble's folder as the report sees it: its own facts, its members' run folders, the spread of every figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zerosum.report.run_folder import RunFolder, read_run
from zerosum.report.spread import Band, Spread, bands, last_figures


@dataclass(frozen=True)
class Member:
    """One run of the ensemble."""

    number: int
    run: RunFolder

    @property
    def counts(self) -> bool:
        """Whether it takes part in means and samples: one that diverged, or collapsed, does not."""
        return self.run.status.state not in ("diverged", "collapsed")


@dataclass(frozen=True)
class EnsembleFolder:
    """What the ensemble's own folder says, and its members, as far as they have begun."""

    whole: RunFolder
    members: tuple[Member, ...]
    final: dict[str, dict[str, Spread]]
    curves: dict[str, dict[str, Band]]

    @property
    def counted(self) -> tuple[Member, ...]:
        """The members that take part in means and samples."""
        return tuple(member for member in self.members if member.counts)


def read_ensemble(path: Path) -> EnsembleFolder:
    """Read an ensemble's folder and those of its members that have begun. Raises RunError as `read_run` does."""
    whole = read_run(path)
    paths = [inner for inner in (path / "members").iterdir() if inner.name.isdecimal()]
    begun = [inner for inner in paths if (inner / "data.json").exists() and (inner / "status.json").exists()]
    members = tuple(Member(int(inner.name), read_run(inner)) for inner in sorted(begun, key=lambda p: int(p.name)))
    records = [member.run.records for member in members if member.counts]
    return EnsembleFolder(whole, members, last_figures(records), bands(records))
