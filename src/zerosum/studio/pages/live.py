"""Live: one run while it trains: how it stands, its curves, its samples through time; and its stop."""

from __future__ import annotations

from typing import Any

import gradio as gr

from zerosum.errors import RunError
from zerosum.report.drawing import count_text
from zerosum.studio import markup
from zerosum.studio.curves import panels_of
from zerosum.studio.pages.common import BUSY, NEWEST, QUIET, Desk, chosen, in_words, run_choice
from zerosum.studio.pictures import moments_of, rows_of
from zerosum.studio.places import Place
from zerosum.studio.processes import process_of
from zerosum.studio.trainings import stop

SECONDS = 2.0
TITLES = {
    "translations": "source, result and target",
    "reconstructions": "images, and what became of them",
    "codes": "what each code does",
    "plane": "a walk over two latents",
}


def build(page: gr.Blocks, desk: Desk) -> None:
    """Lay the page out."""
    run = run_choice(desk)
    standing = gr.HTML(padding=False)
    end = gr.Button("Stop: save and end", variant="stop", visible=False, elem_id="zs-stop")
    with gr.Row():
        with gr.Column(min_width=320):
            moment = gr.Slider(0, 1, 0, step=1, label="Samples through time", visible=False, buttons=[])
            samples = gr.HTML(padding=False)
        with gr.Column(min_width=320):
            curves = gr.HTML(padding=False)
    seen = gr.State(None)
    outputs = [seen, standing, end, curves, moment, samples]

    @in_words
    def look(key: str | None, before: Any, at: float, request: gr.Request) -> list[Any]:
        """What has changed of a run since `before`, the mark of the last look; the newest samples if `at` was there."""
        if not key:
            return [None, markup.notice("There is no run yet: begin one on the page Start."), *_nothing(4)]
        try:
            place = desk.watch.place(key)
        except RunError as error:
            return [None, markup.notice(str(error)), gr.Button(visible=False), "", gr.Slider(visible=False), ""]
        view, moments, rows = desk.watch.view(place), moments_of(place), rows_of(place)
        mark = [view.mark, len(moments)]
        same = before is not None and before[0][0] == key
        facts = [markup.standing(view), gr.Button(visible=view.state.lives and process_of(place) is not None)]
        if same and before == mark:
            return [gr.skip(), *facts, *_nothing(3)]
        panels = len(panels_of(view.lines))
        query = [("run", key), ("at", str(len(view.lines)))]
        drawn = markup.curves(query, panels, f"Curves of {place.name}", beside=True) if panels else ""
        follows = not same or at >= before[1] - 1
        newest = max(len(moments) - 1, 0)
        slider = gr.Slider(0, max(newest, 1), newest if follows else at, visible=len(moments) > 1)
        shown = _pictures(place, moments, newest, rows) if follows else gr.skip()
        return [mark, *facts, drawn, slider, shown]

    @in_words
    def turn(key: str | None, at: float) -> Any:
        place = desk.watch.place(key)
        return _pictures(place, moments_of(place), round(at), rows_of(place))

    @in_words
    def ask(key: str | None) -> None:
        stop(desk.watch.place(key))
        gr.Info("It saves, and ends.", title="Stop")

    def fill(request: gr.Request) -> Any:
        return chosen(desk, request)

    page.load(fill, None, run, **QUIET)
    run.change(look, [run, seen, moment], outputs, **QUIET)
    gr.Timer(SECONDS).tick(look, [run, seen, moment], outputs, **QUIET)
    moment.input(turn, [run, moment], samples, **NEWEST)
    end.click(ask, run, None, **BUSY)


def _pictures(place: Place, moments: list[int], at: int, rows: list[str]) -> str:
    """The samples of one moment; with the newest, what else the run draws."""
    if not moments:
        return markup.notice("No samples yet: they come with the first report.")
    at = min(max(at, 0), len(moments) - 1)
    given = "pictures given" if "translations" in rows else "latents"
    words = f"the same {given} after {count_text(moments[at])} images shown ({at + 1} of {len(moments)})"
    shown = markup.sample(place, f"{moments[at]:09d}", str(len(moments)), words)
    if at == len(moments) - 1:
        pictures = [markup.sample(place, name, str(moments[at]), TITLES[name]) for name in rows]
        shown = "".join([*pictures, shown]) if "translations" in rows else "".join([shown, *pictures])
    return shown


def _nothing(count: int) -> list[Any]:
    return [gr.skip() for _ in range(count)]
