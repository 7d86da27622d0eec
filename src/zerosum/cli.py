"""The command line: each verb parses, calls one library function, prints.

Nothing heavy is imported before a verb needs it. Exit codes: 0 done, 2 the command or config, 3 the data, 4 the
training diverged, 5 the run folder, 6 another process of the training, 130 or 143 stopped by a signal after saving.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zerosum.errors import UsageError, ZerosumError
from zerosum.flags import parser
from zerosum.flags_explore import COMMON, POSITIONS

SHORT = {  # flags of `train` that need no section before them
    **{
        name: f"training.{name}"
        for name in ("images", "minutes", "epochs", "size", "seed", "ensemble", "device", "on_collapse")
    },
    "evaluate_every": "evaluation.every",
    **{name: f"evaluation.{name}" for name in ("metrics", "best", "patience")},
}
EXPORT_FLAGS = {"onnx": "--range", "web": "--assets", "hub": "--license, --push and --show-data"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    try:
        words, settings = divide(sys.argv[1:] if arguments is None else arguments)
        options, rest = parser().parse_known_args(words)
        rest += settings
        if rest and options.verb != "train":
            raise UsageError(f"Unknown argument {rest[0]!r}; 'zerosum {options.verb} --help' lists what there is.")
        return VERBS[options.verb](options, rest)
    except ZerosumError as error:
        if not error.quiet:
            print(f"zerosum: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("zerosum: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0  # whoever read our output has seen enough


def _train(options: argparse.Namespace, rest: list[str]) -> int:
    settings = settings_from(rest)
    from rich.console import Console

    from zerosum.train import train
    from zerosum.training.display import make_display

    given = {key: getattr(options, name) for name, key in SHORT.items()}
    short = {key: value for key, value in given.items() if value is not None}
    run = train(
        options.source,
        recipe=options.recipe,
        out=options.out,
        settings=short | settings,
        display=make_display(Console()),
    )
    return 0 if run.signal is None else 128 + run.signal


def divide(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words for argparse, and apart from them each `--section.key` of `train` with its value.

    Argparse does not know the settings: it would take the value of the first for DATA.
    """
    words, settings = list(arguments), []
    position = 0
    while words[:1] == ["train"] and position < len(words):
        if not words[position].startswith("--") or "." not in words[position].partition("=")[0]:
            position += 1
            continue
        follows = words[position + 1 : position + 2]
        valued = "=" not in words[position] and follows and not follows[0].startswith("--")
        end = position + (2 if valued else 1)
        settings += words[position:end]
        del words[position:end]
    return words, settings


def settings_from(rest: Sequence[str]) -> dict[str, Any]:
    """`["--training.batch", "64", "--data.flip"]` as `{"training.batch": 64, "data.flip": True}`.

    A value is read as TOML where it is TOML (64, true, [0.0, 0.99]), else as a text. Dashes and underscores are alike.
    """
    settings: dict[str, Any] = {}
    position = 0
    while position < len(rest):
        flag, equals, value = rest[position].partition("=")
        position += 1
        if not flag.startswith("--"):
            raise UsageError(f"Unexpected argument {flag!r}: a setting is written --section.key VALUE.")
        key = flag[2:].replace("-", "_")
        if "." not in key:
            from zerosum.settings import closest_flag

            close = closest_flag(key)
            raise UsageError(
                f"Unknown flag {flag!r}"
                + (f"; did you mean {close!r}?" if close else ".")
                + " 'zerosum train --help' lists all."
            )
        if not equals:
            if position < len(rest) and not rest[position].startswith("--"):
                value = rest[position]
                position += 1
            else:
                value = "true"
        settings[key] = _value(value)
    return settings


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _sample(options: argparse.Namespace, rest: list[str]) -> int:
    if options.count < 1:
        raise UsageError(f"--count must be 1 or more, not {options.count}.")
    out = Path(options.out) if options.out else None
    from zerosum.model import load
    from zerosum.sampler import Sampler
    from zerosum.training.samples import save_samples

    model = load(options.run)
    if not isinstance(model, Sampler):
        raise UsageError(
            f"{options.run}: this run translates pictures: zerosum translate {options.run} IMAGE|FOLDER --out FOLDER."
        )
    if out is None:
        name = Path(options.run).resolve().name
        out = Path(f"{name}-samples-{options.seed}" + (".png" if len(model.shape) == 3 else ".npy"))
    choice = {"truncation": options.truncation, "code": options.code, "label": options.label}
    save_samples(model, out, options.count, seed=options.seed, **choice)
    print(f"{options.count} samples of seed {options.seed}: {out}")
    return 0


def _translate(options: argparse.Namespace, rest: list[str]) -> int:
    from rich.console import Console

    from zerosum.errors import DataError
    from zerosum.model import load
    from zerosum.training.display import make_display
    from zerosum.translate import translate_files, words_of
    from zerosum.translator import Translator

    model = load(options.run, options.device)
    if not isinstance(model, Translator):
        raise UsageError(
            f"{options.run}: this run makes samples of random numbers, and translates no pictures: "
            f"zerosum sample {options.run}."
        )
    display = make_display(Console())
    try:
        outcome = translate_files(
            model,
            Path(options.source),
            Path(options.out),
            direction=options.direction,
            seed=options.seed,
            overwrite=options.overwrite,
            progress=display.loading,
        )
    finally:
        display.end()
    for lost in outcome.failed:
        print(f"zerosum: {lost.name}: {lost.reason}", file=sys.stderr)
    pictures = "picture" if outcome.done == 1 else "pictures"
    print(f"{outcome.done:,} {pictures} translated: {options.out}")
    if outcome.passed_over:
        print(words_of(outcome.passed_over))
    if outcome.failed:
        print(
            f"zerosum: {len(outcome.failed):,} of {outcome.done + len(outcome.failed):,} could not be translated.",
            file=sys.stderr,
        )
    return DataError.exit_code if outcome.failed else 0


def _evaluate(options: argparse.Namespace, rest: list[str]) -> int:
    metrics = None
    if options.metrics is not None:
        metrics = [name.strip() for name in options.metrics.split(",") if name.strip()]
    from rich.console import Console

    from zerosum.evaluate import evaluate
    from zerosum.training.display import make_display

    outcome = evaluate(
        options.first,
        options.second,
        metrics=metrics,
        features=options.features,
        count=options.count,
        seed=options.seed,
        out=options.out,
        device=options.device,
        display=make_display(Console()),
    )
    print(outcome.evaluation.words())
    for path in (outcome.file, *outcome.pictures):
        if path is not None:
            print(path)
    return 0


def _explore(options: argparse.Namespace, rest: list[str]) -> int:
    from rich.console import Console

    from zerosum.explore import explore
    from zerosum.training.display import make_display

    chosen = vars(options)
    given = [chosen[name] for name in POSITIONS if name in chosen]
    flags = {name: value for name, value in chosen.items() if name not in COMMON}
    display = make_display(Console())
    try:
        done = explore(
            options.action, options.run, *given, out=options.out, device=options.device, display=display, **flags
        )
    finally:
        display.end()
    for line in (*done.words, *done.files, f"again: {done.command}"):
        print(line)
    return 0


def _export(options: argparse.Namespace, rest: list[str]) -> int:
    own = {
        "onnx": {"high": options.range},
        "web": {"assets": options.assets},
        "hub": {"license": options.license, "push": options.push, "show_data": options.show_data},
    }
    if options.format not in own:
        raise UsageError(f"--format is onnx, web or hub, not {options.format!r}.")
    for name, flags in own.items():
        if name != options.format and any(value is not None for value in flags.values()):
            raise UsageError(f"{EXPORT_FLAGS[name]}: only with --format {name}.")
    chosen = {key: value for key, value in own[options.format].items() if value is not None}
    from rich.console import Console

    from zerosum import export
    from zerosum.training.display import make_display

    display = make_display(Console())
    try:
        exported = getattr(export, f"export_{options.format}")(
            options.run,
            options.out,
            direction=options.direction,
            device=options.device,
            overwrite=options.overwrite,
            progress=display.loading,
            **chosen,
        )
    finally:
        display.end()
    print(f"ONNX Runtime differs from PyTorch by {exported.error:.1e} at most, on a scale from -1 to 1.")
    for line in (*exported.files_in_words(), *exported.notes):
        print(line)
    return 0


def _studio(options: argparse.Namespace, rest: list[str]) -> int:
    from zerosum.studio import serve

    serve(options.runs, host=options.host, port=options.port, token=options.token)
    return 0


def _report(options: argparse.Namespace, rest: list[str]) -> int:
    from zerosum.report import write_report

    print(write_report(Path(options.run)))
    return 0


def _recipes(options: argparse.Namespace, rest: list[str]) -> int:
    from rich.console import Console
    from rich.table import Table

    from zerosum.settings import AUTO, make_config, read_recipe, recipe_names

    console = Console()
    if options.name in (None, AUTO):
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column("recipe", style="bold")
        table.add_column("what it is")
        table.add_row(AUTO, "the default: one of these, by data, device and time")
        for name in recipe_names():
            table.add_row(name, read_recipe(name)["recipe"]["title"])
        console.print(table)
        console.print(
            "'zerosum recipes NAME' shows one with its source; 'zerosum train --recipe NAME' trains it.",
            markup=False,
        )
        return 0
    console.print(make_config(options.name).to_toml(), markup=False, highlight=False, soft_wrap=True)
    return 0


def _data(options: argparse.Namespace, rest: list[str]) -> int:
    keys = ("size", "fit", "channels", "include", "root", "stream", "labels", "max_rejected")
    given = {key: _value(getattr(options, key)) for key in keys if getattr(options, key) is not None}
    from rich.console import Console

    from zerosum.config import DataConfig
    from zerosum.data import contact_sheet, describe, open_data
    from zerosum.settings import validate_section
    from zerosum.training.display import make_display

    config = validate_section(DataConfig, given | {"source": options.source}, "data")
    display = make_display(Console())
    try:
        store = open_data(config.source, stream=config.stream, **config.reading(), progress=display.loading)
    finally:
        display.end()
    print(describe(store))
    if not store.is_points:
        out = Path(options.out or f"{store.name}-contact-sheet.png")
        print(f"contact sheet: {contact_sheet(store, out)}")
    return 0


VERBS = {
    "train": _train,
    "sample": _sample,
    "translate": _translate,
    "evaluate": _evaluate,
    "explore": _explore,
    "export": _export,
    "studio": _studio,
    "report": _report,
    "recipes": _recipes,
    "data": _data,
}
