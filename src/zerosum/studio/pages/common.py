"""What the pages have in common: what they work on, the choice of a run, and errors as words on the page."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from zerosum.errors import ZerosumError
from zerosum.studio.models import Models
from zerosum.studio.places import Place
from zerosum.studio.shelf import Shelf
from zerosum.studio.watch import Watch

P = ParamSpec("P")
R = TypeVar("R")
Fits = Callable[[Place], bool]

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
NEWEST: dict[str, Any] = QUIET | {"trigger_mode": "always_last"}  # of moves that wait, only the last is computed
BUSY: dict[str, Any] = {"api_visibility": "private"}
PROGRESS = gr.Progress()  # as a default, by which Gradio knows that a function wants it


@dataclass(frozen=True)
class Desk:
    """What the pages work on."""

    watch: Watch
    models: Models
    shelf: Shelf


def any_run(place: Place) -> bool:
    """Every run fits."""
    return True


def in_words(function: Callable[P, R]) -> Callable[P, R]:
    """The same, whose errors that are the user's to mend are shown on the page; markup in them is text."""

    @functools.wraps(function)
    def safe(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ZerosumError as error:
            raise gr.Error(escape(str(error)), title="zerosum", print_exception=False) from error

    return safe


def run_choice(desk: Desk, fits: Fits = any_run) -> gr.Dropdown:
    """Where a run is chosen; `chosen` fills it when a page is opened."""
    return gr.Dropdown(choices=_choices(desk, fits), value=None, label="Run", elem_classes="zs-run")


def chosen(desk: Desk, request: gr.Request, fits: Fits = any_run) -> Any:
    """The choice with the runs that there are now, at the one that the address names, or the first."""
    choices = _choices(desk, fits)
    keys: list[str | None] = [key for _, key in choices]
    wanted = request.query_params.get("run")
    return gr.Dropdown(choices=choices, value=wanted if wanted in keys else next(iter(keys), None))


def _choices(desk: Desk, fits: Fits) -> list[tuple[str, str]]:
    return [(place.name, place.key) for place in desk.watch.places() if fits(place)]
