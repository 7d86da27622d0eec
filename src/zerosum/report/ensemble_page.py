"""`report.html` of an ensemble: what `page.py` fills for one run, with members and spreads in its middle."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from zerosum.report.bands import in_words, number
from zerosum.report.drawing import Picture, count_text, time_text
from zerosum.report.ensemble_folder import EnsembleFolder, Member
from zerosum.report.judged_page import judged_section
from zerosum.report.page import facts, fill, of_judging, section_of
from zerosum.report.spread import spread_of

KINDS = {
    "losses": "loss",
    "parts": "part",
    "outputs": "output",
    "gradients": "gradient norm",
    "figures": "figure",
    "evaluation": "evaluation",
    "pace": "pace",
    "points": "points'",
}


def page(folder: EnsembleFolder, drawn: Sequence[Picture]) -> str:
    """The text of `report.html`: pictures, the spread of the last figures, the members with links to their pages."""
    whole, pictures = folder.whole, [section_of(picture) for picture in drawn]
    judged = judged_section(whole.judged, of_judging(whole, {}))
    first = 1 if whole.data.is_points else 2  # samples before the tables, curves after them
    return fill(
        whole,
        numbers=_numbers(folder),
        reason=_reason(folder),
        body=[*pictures[:first], *([judged] if judged else []), _finals(folder), _members(folder), *pictures[first:]],
        commands=_commands(folder),
        facts=[(name, value) for name, value in facts(whole) if name != "seed"],
    )


def _numbers(folder: EnsembleFolder) -> list[tuple[str, str]]:
    """The figures at the head of the page."""
    seconds = sum(member.run.status.seconds for member in folder.members)
    images = sum(member.run.status.images for member in folder.members)
    found = [
        ("members", str(len(folder.members))),
        (f"{folder.whole.things} shown to all", count_text(images)),
        ("training time of all", time_text(seconds)),
    ]
    ends = [member.run.records[-1] for member in folder.counted if member.run.records]
    pace = spread_of(np.array([end.images / end.seconds if end.seconds > 0 else np.nan for end in ends]))
    if pace.count:
        found.append((f"{folder.whole.things}/s of each", in_words(float(pace.mean), float(pace.deviation))))
    return found


def _reason(folder: EnsembleFolder) -> str:
    """Why the ensemble stands as it does."""
    left_out = [str(member.number) for member in folder.members if not member.counts]
    words = [folder.whole.status.reason.strip().rstrip(".")]
    if left_out:
        words.append(f"means, pictures and samples go without what diverged: member {', '.join(left_out)}")
    return " ".join(f"{word[0].upper()}{word[1:]}." for word in words if word)


def _finals(folder: EnsembleFolder) -> str:
    """The table of the members' last figures."""
    rows = [
        (
            f"{KINDS.get(kind, kind)} {name}".replace("pace images_per_second", f"{folder.whole.things} a second"),
            in_words(float(spread.mean), float(spread.deviation)),
            f"{number(float(spread.lowest))} to {number(float(spread.highest))}",
            str(int(spread.count)),
        )
        for kind, named in folder.final.items()
        for name, spread in named.items()
        if spread.count
    ]
    if not rows:
        return '<section><h2>Last figures</h2><p class="missing">No member has made a report yet.</p></section>'
    head = ("figure", "mean ± standard deviation", "lowest to highest", "members")
    return f"<section><h2>Last figures</h2>{_columns(head, (map(escape, row) for row in rows))}</section>"


def _members(folder: EnsembleFolder) -> str:
    """The table of the members: their own page, seed, state, count and health."""
    head = ("member", "seed", "state", f"{folder.whole.things} shown", "health in the last report")
    rows = (
        (
            _link(member),
            str(member.run.facts.seed),
            member.run.status.state,
            count_text(member.run.status.images),
            escape(member.run.records[-1].health if member.run.records else "no report yet"),
        )
        for member in folder.members
    )
    return f"<section><h2>Members</h2>{_columns(head, rows)}</section>"


def _link(member: Member) -> str:
    """The member's name, leading to its page where there is one."""
    name = member.run.path.name
    if not (member.run.path / "report.html").exists():
        return escape(name)
    return f'<a href="members/{escape(name)}/report.html">{escape(name)}</a>'


def _columns(head: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML as they stand."""
    lines = ["".join(f'<th scope="col">{escape(name)}</th>' for name in head)]
    lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    return f'<table class="wide">{"".join(f"<tr>{line}</tr>" for line in lines)}</table>'


def _commands(folder: EnsembleFolder) -> list[tuple[str, str]]:
    """What to type next, from the folder that holds the ensemble."""
    whole = folder.whole
    name = f"./{whole.name}" if whole.name.startswith("-") else whole.name
    run = shlex.quote(name)
    return [
        ("Go on with this ensemble:", f"zerosum train --recipe {shlex.quote(f'{name}/config.toml')} --out {run}"),
        ("Sample from all members:", f"zerosum sample {run} --count 64 --seed 7"),
        ("From one of them:", f"zerosum sample {shlex.quote(f'{name}/members/0')} --count 64 --seed 7"),
        ("The same in Python:", f"import zerosum\nzerosum.load({json.dumps(name)}).sample(16, seed=7)"),
    ]
