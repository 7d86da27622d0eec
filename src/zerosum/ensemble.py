"""Several runs with different seeds as one: every member is an ordinary run folder, as its seed alone would fill it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zerosum.assembly import make_plan
from zerosum.at_once import FEWEST, groups, train_at_once, why_not
from zerosum.config import RunConfig
from zerosum.errors import DivergedError, RunError, UsageError, ZerosumError
from zerosum.material import Material, refuse_other_data
from zerosum.report import write_report
from zerosum.run import Run, make_training, play, prepare, settle, write_facts
from zerosum.training.display import Display, Several
from zerosum.training.interrupts import Interrupts
from zerosum.training.run_folder import EnsembleFolder, RunFolder

SEEDS = 2**63


def train_ensemble(folder: EnsembleFolder, config: RunConfig, material: Material, display: Display) -> Run:
    """Train the members of an ensemble's folder, which is held, to their end or an interrupt, and write its report.

    Members that are done, or diverged, are left as they are. Raises `DivergedError` where any has diverged, after the
    others are trained.
    """
    refuse_seeds(config)
    game, reasons = prepare(config, material)
    alone = why_not(config, material, game)
    how = f"one after another: {alone}" if alone else "stacked, for a step of theirs is launches and not work"
    for line in (*reasons, f"members: {how}"):
        display.note(line)
    write_facts(folder, config, material, game)
    ensemble = Members(folder, config, material, Several(display, config.training.ensemble))
    with Interrupts() as interrupts:
        try:
            if not alone:
                ensemble.train_stacked(interrupts)
            ensemble.train_each(interrupts)
        except ZerosumError as error:
            with suppress(RunError):  # the disk that is full for a member may be full for this too
                folder.status("stopped", str(error), *ensemble.sums())
            raise
    display.end()
    if interrupts.number is not None:
        images, seconds = ensemble.sums()
        folder.status("stopped", f"stopped by signal {interrupts.number}, saved", images, seconds)
        display.note(
            f"Stopped and saved. The same command goes on; 'zerosum report {folder.path}' shows what there is."
        )
        return Run(folder.path, images, interrupts.number, seconds)
    return _finish(ensemble, display)


def refuse_seeds(config: RunConfig) -> None:
    """Raise `UsageError` where the members' seeds would pass the largest there is."""
    if config.training.seed + config.training.ensemble > SEEDS:
        raise UsageError(f"The members' seeds count up from {config.training.seed}, beyond the largest, 2^63 - 1.")


def member_config(config: RunConfig, number: int) -> RunConfig:
    """The configuration of member `number`: the ensemble's own, of one run, with a seed of its own."""
    own = config.model_copy(deep=True)
    own.training.ensemble = 1
    own.training.seed += number
    return own


class Members:
    """The members of an ensemble's folder, which is held, as they are trained. `trained`: whether any was, by now."""

    def __init__(self, folder: EnsembleFolder, config: RunConfig, material: Material, display: Several) -> None:
        self.folder, self.material, self.display = folder, material, display
        self.count, self.on_collapse = config.training.ensemble, config.training.on_collapse
        self.plan = make_plan(config, material.store, material.device)
        self.configs = {
            folder.member(number, self.count): member_config(config, number) for number in range(self.count)
        }
        self.trained = False

    def pending(self) -> list[Path]:
        """The folders of those that are neither done nor diverged."""
        return [path for path in self.configs if not self._has_ended(path, standing(path))]

    def _has_ended(self, path: Path, stands: Standing | None) -> bool:
        if stands is None or stands.state == "diverged":
            return stands is not None
        if stands.state == "collapsed":
            return self.on_collapse != "continue"
        ended = stands.state == "done" and self.plan.progress(stands.images, stands.seconds) >= 1
        return ended and (path / "report.html").exists()

    def sums(self, without: Collection[Path] = ()) -> tuple[int, float]:
        """Images shown to all, and seconds of training, but for some."""
        found = [standing(path) for path in self.configs if path not in without]
        begun = [stands for stands in found if stands is not None]
        return sum(stands.images for stands in begun), sum(stands.seconds for stands in begun)

    def diverged(self) -> dict[Path, str]:
        """Which have diverged, and why."""
        found = {path: standing(path) for path in self.configs}
        return {
            path: stands.reason
            for path, stands in found.items()
            if stands and stands.state in ("diverged", "collapsed")
        }

    def train_stacked(self, interrupts: Interrupts) -> None:
        """Train at once those that can; who meets NaN is left behind, to be trained alone."""
        for group in groups(self.pending()):
            while len(group) >= FEWEST and interrupts.number is None:
                self._begin(f"{len(group)} members at once", group)
                for path in group:
                    self._begin_member(path)
                ill = train_at_once(
                    {path: self.configs[path] for path in group}, self.material, self.display, interrupts
                )
                if not ill:
                    break
                group = [path for path in group if path not in ill]

    def train_each(self, interrupts: Interrupts) -> None:
        """Train those that are left, one after another, until an interrupt."""
        for path in self.configs:
            if interrupts.number is not None:
                return
            if self._has_ended(path, standing(path)):
                continue
            label = self.name(path)
            self._begin(label, [path])
            try:
                self._train_member(path, interrupts)
            except DivergedError:
                self.display.note(f"M{label[1:]} diverged.")

    def name(self, path: Path) -> str:
        """`member 3 of 8 (members/2)`."""
        return f"member {list(self.configs).index(path) + 1} of {self.count} (members/{path.name})"

    def _begin(self, label: str, paths: list[Path]) -> None:
        """Say who trains now."""
        images, seconds = self.sums(without=paths)
        self.display.at(label, self.count - len(self.pending()), images, seconds, share=len(paths))
        self.folder.status("running", f"training {label}", *self.sums())
        self.trained = True

    def _begin_member(self, path: Path) -> None:
        refuse_other_data(path, self.material.digest)
        rejected = self.folder.path / "rejected.txt"
        if rejected.exists():
            path.mkdir(parents=True, exist_ok=True)
            shutil.copy(rejected, path)

    def _train_member(self, path: Path, interrupts: Interrupts) -> None:
        """Train, or go on with, one member, to the end or an interrupt, and write its report."""
        with RunFolder(path) as folder:
            config = settle(folder, self.configs[path])
            self._begin_member(path)
            game, _ = prepare(config, self.material)
            training = make_training(folder, config, self.material, game, self.display)
            if training.done:
                folder.status("done", "the end that was asked for", training.state.images, training.state.seconds)
            elif play(training, interrupts).signal is not None:
                return
            write_report(path)


@dataclass(frozen=True)
class Standing:
    """What status.json of a member says."""

    state: str
    reason: str
    images: int
    seconds: float


def standing(path: Path) -> Standing | None:
    """How a member stands; None where it has not begun. Raises `RunError` where status.json is damaged."""
    file = path / "status.json"
    if not file.exists():
        return None
    try:
        stands = json.loads(file.read_text(encoding="utf-8"))
        return Standing(str(stands["state"]), str(stands["reason"]), int(stands["images"]), float(stands["seconds"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} is damaged: {error}. Delete it to go on.") from error


def _finish(ensemble: Members, display: Display) -> Run:
    """Every member has come to its end: say so, and write the report. Raises `DivergedError` where some diverged."""
    folder, count, diverged = ensemble.folder, ensemble.count, ensemble.diverged()
    images, seconds = ensemble.sums()
    words = "\n".join(f"M{ensemble.name(path)[1:]} has diverged. {why}" for path, why in diverged.items())
    folder.status("diverged" if words else "done", words or "the end that was asked for", images, seconds)
    page = folder.path / "report.html"
    if len(diverged) < count and (ensemble.trained or not page.exists()):
        display.note("Writing the report …")
        write_report(folder.path)
    if words:
        raise DivergedError(
            f"{words}\nThe other {count - len(diverged)} of {count} members are trained: report and samples of "
            f"{folder.path} go without what diverged. The same command leaves it so, for on the same machine it would "
            f"end so again; --ensemble {count + len(diverged)} trains as many more."
        )
    display.note(
        f"Done: {count} members, {images:,} images in {seconds / 60:.1f} minutes.\n"
        f"  everything      {page}\n"
        f"  more samples    zerosum sample {folder.path} --count 16"
    )
    return Run(folder.path, images, seconds=seconds)
