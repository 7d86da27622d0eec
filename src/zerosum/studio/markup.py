"""Pieces of HTML. Whatever comes from a file, its name among it, is escaped here and nowhere else."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import urlencode

from zerosum.studio.pictures import cover_of
from zerosum.studio.places import Place
from zerosum.studio.states import State
from zerosum.studio.watch import View


def notice(words: str) -> str:
    """A sentence in the place of what cannot be shown."""
    return f'<p class="zs-notice" role="status">{escape(words)}</p>'


def badge(state: State) -> str:
    """The state, as a coloured word."""
    return f'<span class="zs-state zs-{escape(state.word)}">{escape(state.word)}</span>'


def cards(views: Sequence[View]) -> str:
    """A card for each run, a link to its Live page."""
    if not views:
        return notice("There is no run yet: begin one on the page Start.")
    return f'<ul class="zs-cards">{"".join(_card(view) for view in views)}</ul>'


def _card(view: View) -> str:
    picture = '<span class="zs-blank"></span>'
    cover = cover_of(view.place)
    if cover is not None:
        address = f"studio/thumbnail/{view.place.key}.png?{urlencode({'at': cover.stem + str(view.state.images)})}"
        picture = f'<img src="{escape(address)}" alt="" width="96" height="96" loading="lazy">'
    rows = [view.health or view.state.reason, view.best]
    words = "".join(f"<span>{escape(row)}</span>" for row in rows if row)
    return (
        f'<li><a class="zs-card" href="{link("live", view.place)}">'
        f'{picture}<span class="zs-words"><strong>{escape(view.place.name)}</strong>{badge(view.state)}{words}</span>'
        "</a></li>"
    )


def link(page: str, place: Place) -> str:
    """The address of a page about a run."""
    return f"{page}?{urlencode({'run': place.key})}"


def standing(view: View) -> str:
    """The state with its reason, and all that is known, on the Live page."""
    why = view.state.reason if view.state.reason != view.health else ""  # of a run that goes on they are the same
    reason = f'<span class="zs-reason">{escape(why)}</span>' if why else ""
    return f'<div class="zs-standing" aria-live="polite">{badge(view.state)}{reason}</div>{facts(view.facts())}'


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows)
    return f'<dl class="zs-facts">{items}</dl>' if items else ""


def curves(query: Sequence[tuple[str, str]], panels: int, words: str, *, beside: bool = False) -> str:
    """Curves, drawn for the page's own brightness and width; a browser fetches the one that is seen.

    `panels`: how many there are, so that nothing moves when they come. `beside`: they share the
    width with other things.
    """
    pictures = []
    for dark in (False, True):
        narrow, wide = (
            "studio/curves.svg?" + urlencode([*query, ("dark", str(int(dark))), ("narrow", str(side))])
            for side in (1, 0)
        )
        size = f'width="430" height="{300 * panels}"' if beside else f'width="1000" height="{340 * panels}"'
        pictures.append(
            f'<picture class="zs-{"dark" if dark else "light"}">'
            f'<source media="(max-width: 640px)" srcset="{escape(narrow)}" width="430" height="{300 * panels}">'
            f'<img src="{escape(narrow if beside else wide)}" {size} loading="lazy" alt="{escape(words)}">'
            "</picture>"
        )
    return f'<div class="zs-curves">{"".join(pictures)}</div>'


def sample(place: Place, name: str, mark: str, words: str) -> str:
    """A picture of the run's samples."""
    address = f"studio/sample/{place.key}/{name}.png?{urlencode({'at': mark})}"
    return (
        f'<figure class="zs-sample"><img src="{escape(address)}" alt="{escape(words)}">'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


def data_address(png: bytes) -> str:
    """A PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def drawn(png: bytes, words: str, file: str) -> str:
    """A picture that was made just now, and a link that saves it."""
    address = data_address(png)
    return (
        f'<figure class="zs-drawn"><img src="{address}" alt="{escape(words)}">'
        f'<figcaption>{escape(words)} <a class="zs-button" href="{address}" download="{escape(file)}">Download PNG</a>'
        "</figcaption></figure>"
    )


def strip(pictures: Sequence[tuple[bytes, str]]) -> str:
    """Small pictures in a row, numbered from 1."""
    items = "".join(
        f'<li><img src="{data_address(png)}" alt=""><span>{number}: {escape(words)}</span></li>'
        for number, (png, words) in enumerate(pictures, start=1)
    )
    return f'<ol class="zs-strip">{items}</ol>' if items else ""


def pair(given: bytes, made: bytes, about: str, address: str, file: str) -> str:
    """A picture and what became of it, beside each other, and a link that saves the result."""
    return (
        f'<div class="zs-pair"><figure><img src="{data_address(given)}" alt="the picture given">'
        f'<figcaption>given</figcaption></figure><figure><img src="{data_address(made)}" alt="the result">'
        f'<figcaption>result, {escape(about)} <a class="zs-button" href="{escape(address)}" download="{escape(file)}">'
        "Download</a></figcaption></figure></div>"
    )


def started(place: Place) -> str:
    """That a training has begun, and where to watch it."""
    return (
        f'<p class="zs-notice" role="status"><strong>{escape(place.name)}</strong> trains, and goes on when this '
        f'page is closed. <a class="zs-button" href="{link("live", place)}">Watch it</a></p>'
    )
