"""The verbs of `zerosum explore`: each opens a run, calls one function, and writes what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from zerosum.config import RunConfig
from zerosum.data import Store, open_data
from zerosum.errors import UsageError
from zerosum.explore.artefact import Directions, load_directions
from zerosum.explore.attributes import attribute_directions, read_labels
from zerosum.explore.classes import Guess, labels_by_data, labels_of_own
from zerosum.explore.editing import edit, overview
from zerosum.explore.finding import directions
from zerosum.explore.layers import numbers_text
from zerosum.explore.mixing import mix
from zerosum.explore.projected import NAME as PROJECTED
from zerosum.explore.projected import load_points
from zerosum.explore.projection import project
from zerosum.explore.results import Done, Job, open_generator
from zerosum.explore.sheet import Sheet, animated
from zerosum.explore.space import fingerprint, space_of
from zerosum.explore.sums import arithmetic
from zerosum.explore.target import read_target
from zerosum.explore.walks import chosen_way, interpolate, truncation_sweep, walk
from zerosum.files import write_folder, write_whole
from zerosum.settings import read_recipe, validate
from zerosum.training.display import Display

TRUSTED = 0.6  # balanced accuracy, from which a direction of an attribute is one
MOST_STEM = 80  # letters of a picture's name that its results take over
OWN_DATA = "data"  # in the place of a CSV: the classes of the run's own data


def explore(
    verb: str,
    run: str | Path,
    *given: str,
    out: str | Path | None = None,
    device: str = "cpu",
    display: Display,
    **options: Any,
) -> Done:
    """One verb of `zerosum explore` on one run.

    Args:
        verb: a key of VERBS.
        run: a run folder, or a model folder.
        given: what stands after the run: an image to project, a sum of samples.
        out: the folder of results; None: RUN/explore.
        device: as PyTorch names it, or "auto".
        display: where progress is shown.
        options: those of the verb's function.

    Raises `UsageError` for what makes no sense, `DataError` for a picture or labels that cannot be read, `RunError` for
    a run that has no model, or a result that is damaged or cannot be written.
    """
    model = open_generator(Path(run), verb, device)
    written = options | ({} if device == "cpu" else {"device": device})
    job = Job(verb, Path(run), model, None if out is None else Path(out), given, written)
    return VERBS[verb](job, options, display)


def _walk(job: Job, options: dict[str, Any], display: Display) -> Done:
    sheet = interpolate(job.model, **options, progress=display.loading)
    path = job.place(f"interpolate-{chosen_way(job.model, options['way'])}-seed-{options['seed']}")
    return job.done(path, {".png": sheet.png(), ".webp": animated(walk(sheet))}, {})


def _truncation(job: Job, options: dict[str, Any], display: Display) -> Done:
    try:
        values = [float(text) for text in options["values"].split(",")]
    except ValueError as error:
        raise UsageError(f"--values {options['values']}: give numbers, as 0,0.5,1.") from error
    sheet = truncation_sweep(job.model, **options | {"values": values}, progress=display.loading)
    return _drawn(job, sheet, f"truncation-seed-{options['seed']}")


def _mix(job: Job, options: dict[str, Any], display: Display) -> Done:
    return _drawn(job, mix(job.model, **options, progress=display.loading), f"mix-seed-{options['seed']}")


def _sum(job: Job, options: dict[str, Any], display: Display) -> Done:
    sheet = arithmetic(job.model, *job.given, **options, progress=display.loading)
    return _drawn(job, sheet, f"arithmetic-seed-{options['seed']}")


def _drawn(job: Job, sheet: Sheet, stem: str) -> Done:
    return job.done(job.place(stem), {".png": sheet.png()}, {})


def _directions(job: Job, options: dict[str, Any], display: Display) -> Done:
    shown = {key: options[key] for key in ("reach", "steps")}
    drawn = {key: options[key] for key in ("seed", "label")}
    method, words, figures = options["method"], [], {}
    if options["labels"] is not None:
        guess = _labels(job, options, display)
        found = attribute_directions(job.model, guess.labels, **drawn, progress=display.loading)
        method = "labels"
        if guess.features:
            words.append(
                f"Labels by a classifier of {guess.features}, right about {guess.accuracy:.1%} of real images."
            )
            figures["classifier"] = {"accuracy": guess.accuracy, "features": guess.features}
    else:
        own = {key: options[key] for key in ("count", "layers", "samples")}
        found = directions(job.model, method, **own, **drawn, progress=display.loading)
    layers = f"-layers-{numbers_text(found.layers)}" if found.layers else ""
    path = job.place(f"directions-{method}{layers}")
    sheet = overview(job.model, found, **shown, **drawn, progress=display.loading)
    strips = [
        edit(job.model, found, number, **shown, **drawn, progress=display.loading)
        for number in range(1, len(found) + 1)
    ]

    def fill(inside: Path) -> None:
        found.fill(inside)
        for number, strip in enumerate(strips, start=1):
            write_whole(inside / f"{number:02d}.png", strip.png())

    write_folder(path, fill)
    words += directions_words(found)
    return job.done(path, {".png": sheet.png()}, figures | found.content(), *words, more=(path,))


def directions_words(found: Directions) -> list[str]:
    """A line for each direction: its effect, and how far labels can be trusted."""
    lines = []
    for number, (name, effect) in enumerate(zip(found.names, found.effects, strict=True), start=1):
        facts = found.facts[number - 1] if found.facts else {}
        trust = ""
        if "accuracy" in facts:
            doubt = "" if facts["accuracy"] > TRUSTED else ": hardly better than a guess, so do not trust it"
            trust = f", right about {facts['accuracy']:.0%} of samples it was not fitted to (a guess: 50%){doubt}"
        lines.append(f"{number}. {name}: a step changes a pixel by {effect:.1%}{trust}")
    return lines


def _labels(job: Job, options: dict[str, Any], display: Display) -> Guess:
    """The labels of a CSV, or those that follow from the run's own classes."""
    if options["labels"] != OWN_DATA:
        return Guess(read_labels(options["labels"]), 1.0)
    if job.model.classes:
        return labels_of_own(job.model, options["samples"], options["seed"])
    store = _own_data(job, display)
    return labels_by_data(job.model, store, options["samples"], options["seed"], display.loading)


def _own_data(job: Job, display: Display) -> Store:
    """The data that the run was trained on, with their labels."""
    config = _config(job)
    if config is None:
        raise UsageError(f"{job.run} is no run folder, so nobody knows its data: give --labels FILE.csv.")
    reading = config.data.reading() | {"labels": True, "progress": display.loading}
    return open_data(config.data.source, stream=config.data.stream, **reading)


def _config(job: Job) -> RunConfig | None:
    """The run's configuration; None of a model folder."""
    path = job.run / "config.toml"
    return validate(read_recipe(path)) if path.is_file() else None


def _project(job: Job, options: dict[str, Any], display: Display) -> Done:
    source = Path(job.given[0])
    config = _config(job)
    target = read_target(source, job.model, "crop" if config is None else config.data.fit)
    path = job.place(f"project-{source.stem[:MOST_STEM]}")
    job.about(path, {})  # the name is taken, so that the same command finds its checkpoint
    checkpoint = path / "checkpoint"
    found = project(job.model, target, **options, checkpoint=checkpoint, progress=display.loading, tell=display.note)
    found.save(path / PROJECTED)
    figures = {"losses": found.losses, "psnr": found.psnrs, "distances": found.distances}
    return job.done(path, {".png": found.sheet(job.model).png()}, figures, found.words(), more=(path,))


def _edit(job: Job, options: dict[str, Any], display: Display) -> Done:
    folder = options["directions"] or job.run / "explore" / "directions-sefa"
    job = replace(job, options=job.options | {"directions": folder})  # for the command that repeats it
    found, projected = load_directions(folder), options["projection"]
    own = fingerprint(job.model)
    if found.generator != own:
        display.note("These directions were found in other weights than the model has now: find them anew to be sure.")
    points = None
    if projected is not None:
        points, of = load_points(projected, space_of(job.model))
        points = points[slice(0, 1)]
        if of != own:
            display.note("This projection is into other weights than the model has now: project again to be sure.")
    moving = {key: value for key, value in options.items() if key not in ("directions", "projection")}
    sheet = edit(job.model, found, **moving, points=points, progress=display.loading)
    return _drawn(job, sheet, f"edit-{found.method}-{options['direction']}")


VERBS: dict[str, Callable[[Job, dict[str, Any], Display], Done]] = {
    "interpolate": _walk,
    "truncation": _truncation,
    "mix": _mix,
    "arithmetic": _sum,
    "directions": _directions,
    "project": _project,
    "edit": _edit,
}
