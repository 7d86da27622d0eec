"""`report.html`: one page with everything embedded, that asks nothing of the network.

All that comes from files (names of data, reasons, the configuration) is escaped: it is not ours to trust.
"""

from __future__ import annotations

import base64
import json
import math
import shlex
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from string import Template

from zerosum.report.drawing import Picture, count_text, time_text
from zerosum.report.evaluations import FILE as EVALUATIONS
from zerosum.report.health import FILE as HEALTH
from zerosum.report.health import rollbacks
from zerosum.report.judged_page import Judging, judged_section, nearest_of
from zerosum.report.run_folder import RunFolder
from zerosum.report.translation import Translation

VERDICTS = {
    "running": "Still training; this page shows the run as of its last report.",
    "done": "Finished.",
    "stopped": "Stopped before its end; the same command goes on.",
    "collapsed": "Stopped, for the game had collapsed.",
    "diverged": "Diverged: a loss or a gradient was no longer a number.",
}
MOST_FILES = 200
CURVES = ("health.png", "figures.png", "classes.png", "losses.png")  # how a run was judged stands before these
HOLES = "holes are transparent pixels, as PNG files can have"


def page(folder: RunFolder, drawn: dict[str, Picture]) -> str:
    """The text of `report.html`, with the pictures `drawn` in their order; samples and their animation side by side."""
    return fill(
        folder,
        numbers=key_numbers(folder),
        reason=_reason(folder),
        body=_body(folder, drawn),
        commands=commands(folder),
        facts=facts(folder),
    )


def _body(folder: RunFolder, drawn: dict[str, Picture]) -> list[str]:
    """The sections of the pictures in their order, and how the run was judged before the first of the curves."""
    shown = [file for file in drawn if file != EVALUATIONS]
    body = [section_of(drawn[file], _backs(folder) if file == HEALTH else "") for file in shown]
    at = next((place for place, file in enumerate(shown) if file in CURVES), len(shown))
    body.insert(at, judged_section(folder.judged, of_judging(folder, drawn)))
    if "progress.webp" in shown:
        at = shown.index("progress.webp")
        body[at - 1 : at + 1] = [f'<div class="pair">{body[at - 1]}{body[at]}</div>']
    return [section for section in body if section]


def of_judging(folder: RunFolder, drawn: dict[str, Picture]) -> Judging:
    """The figures of the section on judging, HTML."""
    nearest = None if folder.judged is None else nearest_of(folder.judged)
    curves, near = ("" if picture is None else figure_of(picture) for picture in (drawn.get(EVALUATIONS), nearest))
    return Judging(curves, near)


def _backs(folder: RunFolder) -> str:
    """A list of the times that the training went back."""
    items = "".join(f"<li>{escape(words)}</li>" for words in rollbacks(folder))
    return f"<ul>{items}</ul>" if items else ""


def fill(
    folder: RunFolder,
    *,
    numbers: list[tuple[str, str]],
    reason: str,
    body: list[str],
    commands: list[tuple[str, str]],
    facts: list[tuple[str, str]],
) -> str:
    """The page about `folder` with `body`, HTML as it stands, in its middle; all else is escaped here."""
    parts = files("zerosum.report")
    return Template(parts.joinpath("page.html").read_text("utf-8")).substitute(
        style=parts.joinpath("page.css").read_text("utf-8"),
        heading=escape(folder.facts.title or folder.facts.name),
        data=escape(folder.trained_on),
        run=escape(folder.name),
        state=folder.status.state,
        verdict=VERDICTS[folder.status.state],
        reason=escape(reason),
        numbers="\n".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in numbers),
        pictures="\n".join(body),
        commands="\n".join(f"<p>{words}</p><pre>{escape(code)}</pre>" for words, code in commands),
        rejected=_rejected(folder) + _alone(folder),
        facts=table(facts),
        config=escape(folder.config_text),
        environment=table((name, str(value)) for name, value in folder.environment.items()),
    )


def key_numbers(folder: RunFolder) -> list[tuple[str, str]]:
    """The figures at the head of the page: name, value in words."""
    status, last = folder.status, folder.records[-1] if folder.records else None
    found = [(f"{folder.things} shown", count_text(status.images))]
    if last and math.isfinite(last.epoch):
        found.append(("epochs", f"{last.epoch:.3g}"))
    found.append(("training time", time_text(status.seconds)))
    if last and math.isfinite(last.images_per_second):
        found.append((f"{folder.things}/s, last report", f"{last.images_per_second:,.0f}"))
    parameters = (folder.model or {}).get("parameters")
    if isinstance(parameters, int):
        both = folder.translation is not None and not folder.translation.paired
        found.append((f"parameters of {'both generators' if both else 'the generator'}", f"{parameters:,}"))
    if folder.translation is not None:
        found.append(("given → made", " → ".join(one.size for _, one in folder.translation.ends)))
    return found


def facts(folder: RunFolder) -> list[tuple[str, str]]:
    """The table of the recipe, the data and the last record: name, value in words."""
    known = folder.facts
    found = [
        ("recipe", known.name),
        ("source", known.source),
        ("game", known.kind),
        ("loss", known.loss),
        *players(folder),
        ("batch", str(known.batch)),
        ("seed", str(known.seed)),
        *of_data(folder),
    ]
    if folder.records:
        last = folder.records[-1]
        kinds = {"loss": last.losses, "part": last.parts, "output": last.outputs}
        kinds |= {"gradient norm": last.gradients, "learning rate": last.learning_rates}
        # Not every report measures every figure: the newest of each.
        kinds["figure"] = {name: value for record in folder.records for name, value in record.figures.items()}
        found += [
            (f"last {kind}, {name}", f"{value:.4g}" if math.isfinite(value) else "not a finite number")
            for kind, table in kinds.items()
            for name, value in table.items()
        ]
    return [(name, value) for name, value in found if value]


def of_data(folder: RunFolder) -> list[tuple[str, str]]:
    """What was trained on: name, value in words. Of a translation both sides, and what was held out."""
    data, translation = folder.data, folder.translation
    if translation is None:
        return [("examples", f"{data.count:,}"), ("each", data.shape_words)]
    held = f"{translation.share} of all" if translation.holdout > 0 else "nothing (see --data.holdout)"
    return [*translation.sides, ("degradation", translation.degrade), ("held out", held)]


def players(folder: RunFolder) -> list[tuple[str, str]]:
    """The networks that there are: what each is, its name."""
    known = folder.facts
    made = ("decoder (generator)" if folder.reconstructs else "generator", known.generator)
    judge = ("discriminator", known.discriminator)
    if folder.translation is not None and not folder.translation.paired:
        made, judge = ("both generators", known.generator), ("both discriminators", known.discriminator)
    found = [("encoder", known.encoder), made, judge]
    return [(player, network) for player, network in found if network]


def commands(folder: RunFolder) -> list[tuple[str, str]]:
    """What to type next, from the folder that holds the run: words, command."""
    name = f"./{folder.name}" if folder.name.startswith("-") else folder.name
    run, recipe = shlex.quote(name), shlex.quote(f"{name}/config.toml")
    train = [
        ("Go on with this run:", f"zerosum train --recipe {recipe} --out {run}"),
        ("Do it again, elsewhere:", f"zerosum train --recipe {recipe} --out {shlex.quote(name + '-again')}"),
    ]
    of_class = [("Of one class alone:", f"zerosum sample {run} --count 8 --label 0")] if folder.conditional else []
    if folder.translation is not None:
        alpha = f"; the last channel is {alpha_words(folder.translation)}" if folder.translation.masks else ""
        python = (f"The same in Python{alpha}:", in_python(folder, name))
        return [*train, *translating(folder.translation, run), python]
    sample = f"zerosum sample {run} --count 64 --seed 7"
    python = (
        "Restore images with it, in Python:" if folder.reconstructs else "The same in Python:",
        in_python(folder, name),
    )
    codes = f"import zerosum\nmodel = zerosum.load({json.dumps(name)})\nmodel.encode(images), model.reconstruct(images)"
    encoder = [("Codes of images, and images of codes, in Python:", codes)] if folder.encodes else []
    return [*train, ("Sample from it:", sample), *of_class, python, *encoder]


def translating(translation: Translation, run: str) -> list[tuple[str, str]]:
    """How pictures are translated with `run`, a word of the shell, each way that there is."""
    command = f"zerosum translate {run} FOLDER --out results"
    if translation.masks:
        return [(f"Fill the holes of the pictures in a folder, of any size; {HOLES}:", command)]
    if translation.paired:
        return [("Translate the pictures in a folder, of any size:", command)]
    return [
        ("Translate the pictures in a folder, of any size, from a to b:", f"{command} --direction a-to-b"),
        ("And from b to a:", f"{command} --direction b-to-a"),
    ]


def alpha_words(translation: Translation) -> str:
    """What the last channel of a picture with holes is, in Python."""
    low, high = translation.given.low, translation.given.high
    return f"alpha, {low:g} where a pixel is missing and {high:g} where it is known"


def in_python(folder: RunFolder, name: str) -> str:
    """What the model is for, in Python, from the folder that holds the run, there called `name`."""
    does = "reconstruct(images)" if folder.reconstructs else "sample(16, seed=7)"
    if folder.translation is not None:
        does = "translate(array)" if folder.translation.paired else 'translate(array, direction="a-to-b")'
    return f"import zerosum\nzerosum.load({json.dumps(name)}).{does}"


def _reason(folder: RunFolder) -> str:
    """Why the run stands as it does, and the health in its last report: sentences, or nothing."""
    health = f"Health: {folder.records[-1].health}" if folder.records else "No report has been made yet"
    sentences = [words.strip().rstrip(".") for words in (folder.status.reason, health)]
    return " ".join(f"{words[0].upper()}{words[1:]}." for words in sentences if words)


def section_of(picture: Picture, more: str = "") -> str:
    """The picture with its title and what is seen on it, and `more`, HTML as it stands, below."""
    return f"<section><h2>{escape(picture.title)}</h2>{figure_of(picture)}{more}</section>"


def figure_of(picture: Picture) -> str:
    """The picture and what is seen on it; where it cannot exist yet, why."""
    title, text = escape(picture.title), escape(picture.text)
    if picture.data is None:
        return f'<p class="missing">{text}</p>'
    kind = "webp" if picture.file.endswith(".webp") else "png"
    data = base64.b64encode(picture.data).decode("ascii")
    source = f"data:image/{kind};base64,{data}"
    return (
        f'<figure><img src="{source}" width="{picture.width}" alt="{title}. {text}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values in two columns."""
    lines = (f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    return f"<table>{''.join(lines)}</table>"


def _rejected(folder: RunFolder) -> str:
    """The files that could not be used; nothing when there are none."""
    total = max(folder.data.rejected, len(folder.rejected))
    return _listed("Rejected files", total, folder.rejected, "name and reason", "rejected.txt")


def _alone(folder: RunFolder) -> str:
    """The files of pairs that have no partner, so that they are not used; nothing when there are none."""
    total = len(folder.alone)
    return _listed("Files without a partner, left out", total, folder.alone, "side and name", "alone.txt")


def _listed(title: str, total: int, rows: tuple[tuple[str, str], ...], columns: str, file: str) -> str:
    """The first `rows` of so many in all, and where the others are told; nothing when there are none."""
    if not total:
        return ""
    shown = rows[:MOST_FILES]
    more = f"<p>and {total - len(shown)} more: see {file}.</p>" if total > len(shown) else ""
    return (
        f"<section><h2>{title}: {total}</h2><details open><summary>{columns}</summary>{table(shown)}{more}"
        "</details></section>"
    )
