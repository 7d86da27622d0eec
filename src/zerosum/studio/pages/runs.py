"""Runs: all of them, with state, health and best figure, and the curves of several together."""

from __future__ import annotations

from typing import Any

import gradio as gr

from zerosum.studio import markup
from zerosum.studio.cursor import KINDS, Line
from zerosum.studio.pages.common import QUIET, Desk, in_words

SECONDS = 2.0
MOST = 8  # runs that are compared


def build(page: gr.Blocks, desk: Desk) -> None:
    """Lay the page out."""
    cards = gr.HTML(padding=False)
    compared = gr.Dropdown(multiselect=True, max_choices=MOST, label="Compare", info="the curves of several runs")
    kind = gr.Dropdown(label="Curve", visible=False)
    curves = gr.HTML(padding=False)
    seen, drawn = gr.State(None), gr.State(None)

    @in_words
    def refresh(before: Any) -> tuple[Any, Any, Any]:
        views = [desk.watch.view(place) for place in desk.watch.places()]
        mark = [view.mark for view in views]
        if mark == before:
            return gr.skip(), gr.skip(), gr.skip()
        choices = [(view.place.name, view.place.key) for view in views]
        return mark, markup.cards(views), gr.Dropdown(choices=choices)

    @in_words
    def offer(keys: list[str], now: str | None) -> Any:
        kinds = kinds_of([desk.watch.lines(place) for place in desk.watch.places() if place.key in keys])
        return gr.Dropdown(choices=kinds, value=now if now in kinds else next(iter(kinds), None), visible=bool(kinds))

    @in_words
    def compare(keys: list[str], name: str | None, before: Any) -> tuple[Any, Any]:
        places = [place for place in desk.watch.places() if place.key in keys]
        if not places or not name:
            return None, ""
        newest = sum(len(desk.watch.lines(place)) for place in places)
        mark = [*keys, name, newest]
        if mark == before:
            return gr.skip(), gr.skip()
        kind, _, figure = name.partition(": ")
        query = [("run", place.key) for place in places] + [("kind", kind), ("name", figure), ("at", str(newest))]
        return mark, markup.curves(query, 1, f"{name} of {len(places)} runs")

    page.load(refresh, seen, [seen, cards, compared], **QUIET)
    timer = gr.Timer(SECONDS)
    timer.tick(refresh, seen, [seen, cards, compared], **QUIET)
    timer.tick(compare, [compared, kind, drawn], [drawn, curves], **QUIET)
    compared.change(offer, [compared, kind], kind, **QUIET).then(
        compare, [compared, kind, drawn], [drawn, curves], **QUIET
    )
    kind.input(compare, [compared, kind, drawn], [drawn, curves], **QUIET)


def kinds_of(runs: list[tuple[Line, ...]]) -> list[str]:
    """What can be compared: "losses: generator" and so on, of any of the runs."""
    names = dict.fromkeys(
        f"{kind}: {name}" for kind in KINDS for lines in runs for line in lines for name in line.curves[kind]
    )
    return list(names)
