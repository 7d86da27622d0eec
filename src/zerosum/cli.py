"""The command line: each verb parses, calls one library function, prints.

Nothing heavy is imported before a verb needs it. Exit codes: 0 done, 2 the command or config, 3 the data, 4 the
training diverged, 5 the run folder, 130 or 143 stopped by a signal after saving.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from zerosum.errors import UsageError, ZerosumError
from zerosum.version import VERSION

SHORT = (
    "images",
    "minutes",
    "epochs",
    "seed",
    "ensemble",
    "device",
)  # flags of [training] that need no section before them


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
        print(f"zerosum: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("zerosum: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0  # whoever read our output has seen enough


Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def parser() -> argparse.ArgumentParser:
    """All verbs and their flags."""
    top = argparse.ArgumentParser(prog="zerosum", description="From a folder of images to a working generator.")
    top.add_argument("--version", action="version", version=f"zerosum {VERSION}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    _train_flags(verbs)
    _sample_flags(verbs)
    _translate_flags(verbs)
    report = verbs.add_parser("report", help="write a run's figures and report.html")
    report.add_argument("run", metavar="RUN")

    recipes = verbs.add_parser("recipes", help="list the recipes, or show one")
    recipes.add_argument("name", metavar="NAME", nargs="?")

    _data_flags(verbs)
    return top


def _train_flags(verbs: Verbs) -> None:
    """`zerosum train`; the settings of a recipe are read by `settings_from`."""
    train = verbs.add_parser(
        "train",
        help="train a generator, or go on with a run",
        description="Train a generator on DATA. The same command again goes on where it stopped.",
        epilog=_settings_help(arguments_ask_for_help()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument(
        "source",
        metavar="DATA",
        nargs="?",
        help="folder of images, archive, .npy/.npz, built-in name (default: the recipe's; mnist-5k)",
    )
    train.add_argument(
        "--recipe", default="quick", metavar="NAME|FILE", help="'zerosum recipes' lists them (default: quick)"
    )
    train.add_argument("--out", metavar="RUN", help="the run folder (default: runs/DATA-RECIPE)")
    train.add_argument("--images", metavar="N", help="end after so many real images shown, as 200k or 2M")
    train.add_argument("--minutes", metavar="M", help="end after so many minutes of training")
    train.add_argument("--epochs", metavar="E", help="end after so many passes over the data")
    train.add_argument("--seed", metavar="S", help="everything random follows from it (default: 0)")
    train.add_argument("--ensemble", metavar="N", help="train N runs, of the seeds S, S + 1 …, as one (default: 1)")
    train.add_argument("--device", metavar="D", help="cpu, cuda, mps (default: the best there is)")


def _sample_flags(verbs: Verbs) -> None:
    """`zerosum sample`."""
    sample = verbs.add_parser("sample", help="draw from a trained generator")
    sample.add_argument("run", metavar="RUN", help="a run folder, an ensemble's, or a model folder")
    sample.add_argument("--count", type=int, default=16, metavar="N", help="how many (default: 16)")
    sample.add_argument("--seed", type=int, default=0, metavar="S", help="which ones (default: 0)")
    sample.add_argument(
        "--truncation",
        type=float,
        default=1.0,
        metavar="PSI",
        help="below 1: safer and more alike (default: 1)",
    )
    sample.add_argument(
        "--code", type=int, metavar="K", help="value of the first categorical code, from 0 (default: as drawn)"
    )
    sample.add_argument(
        "--label", metavar="K", help="class of the samples: its name, or else its number from 0 (default: as drawn)"
    )
    sample.add_argument(
        "--out", metavar="FILE|FOLDER", help="an image file: one sheet; .npy: an array; a folder: a file each"
    )


def _translate_flags(verbs: Verbs) -> None:
    """`zerosum translate`."""
    translate = verbs.add_parser("translate", help="make pictures of pictures, with an image-to-image run")
    translate.add_argument("run", metavar="RUN", help="a run folder, or a model folder")
    translate.add_argument("source", metavar="IMAGE|FOLDER", help="a picture of any size, or a folder of them")
    translate.add_argument(
        "--out", required=True, metavar="FOLDER", help="where the results go, under the names of the pictures given"
    )
    translate.add_argument(
        "--overwrite", action="store_true", help="write over files of those names (default: refuse, and say which)"
    )
    translate.add_argument(
        "--direction",
        metavar="a-to-b|b-to-a",
        help="which way, of a run between two domains as cyclegan: what it was trained on as --data.a into "
        "--data.b, or back (default: a-to-b); a run of pairs has one way, and takes no direction",
    )
    translate.add_argument(
        "--seed",
        type=int,
        metavar="S",
        help="let dropout draw, as in training, and S choose what: other seeds, other results of one picture "
        "(default: no dropout, and one result); only for a network that has dropout, as pix2pix's",
    )
    translate.add_argument(
        "--device", default="cpu", metavar="D", help="cpu, cuda, mps, or auto for the best there is (default: cpu)"
    )


def _data_flags(verbs: Verbs) -> None:
    """`zerosum data`."""
    data = verbs.add_parser(
        "data",
        help="look at data without training",
        epilog="The --data.KEY flags of 'zerosum train' that say how data are read work here too.",
    )
    data.add_argument("source", metavar="DATA")
    data.add_argument("--out", metavar="FILE", help="where the contact sheet goes (default: NAME-contact-sheet.png)")
    for key in ("size", "fit", "channels", "include", "root", "labels", "max-rejected"):
        data.add_argument(
            f"--data.{key}",
            f"--data.{key.replace('-', '_')}",
            dest=key.replace("-", "_"),
            metavar=key.upper(),
        )


def arguments_ask_for_help() -> bool:
    """Whether this process was asked for a help page: only then are the settings gathered for it."""
    return "-h" in sys.argv or "--help" in sys.argv


def _settings_help(wanted: bool) -> str:
    if not wanted:
        return ""
    from zerosum.settings import describe_keys

    rows = describe_keys()
    width = max(len(key) for key, _, _ in rows) + 2
    lines = [f"  --{key:<{width}}{text}{f' (default: {default})' if default else ''}" for key, default, text in rows]
    return "every setting of a recipe is a flag too (a recipe's own value is the default):\n" + "\n".join(lines)


def _train(options: argparse.Namespace, rest: list[str]) -> int:
    settings = settings_from(rest)
    from rich.console import Console

    from zerosum.train import train
    from zerosum.training.display import make_display

    short = {f"training.{name}": getattr(options, name) for name in SHORT if getattr(options, name) is not None}
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


def _report(options: argparse.Namespace, rest: list[str]) -> int:
    from zerosum.report import write_report

    print(write_report(Path(options.run)))
    return 0


def _recipes(options: argparse.Namespace, rest: list[str]) -> int:
    from rich.console import Console
    from rich.table import Table

    from zerosum.settings import make_config, read_recipe, recipe_names

    console = Console()
    if options.name is None:
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column("recipe", style="bold")
        table.add_column("what it is")
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
    keys = ("size", "fit", "channels", "include", "root", "labels", "max_rejected")
    given = {key: _value(getattr(options, key)) for key in keys if getattr(options, key) is not None}
    from rich.console import Console

    from zerosum.config import DataConfig
    from zerosum.data import contact_sheet, describe, open_data
    from zerosum.settings import validate_section
    from zerosum.training.display import make_display

    config = validate_section(DataConfig, given | {"source": options.source}, "data")
    display = make_display(Console())
    try:
        store = open_data(config.source, **config.reading(), progress=display.loading)
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
    "report": _report,
    "recipes": _recipes,
    "data": _data,
}
