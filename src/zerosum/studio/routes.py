"""The studio's own addresses: pictures and curves, each made anew from what a run holds; none names a path."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.responses import Response

from zerosum.errors import RunError
from zerosum.studio.curves import Panel, curve_of, draw, panels_of
from zerosum.studio.pages.common import Desk
from zerosum.studio.pages.runs import MOST
from zerosum.studio.pictures import ROWS, cover_of, picture_of, sample_file, thumbnail_of
from zerosum.studio.places import Place

KEPT = {"cache-control": "private, max-age=3600"}  # an address says what it is of: another moment, another address
KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


def add_routes(app: FastAPI, desk: Desk) -> None:
    """Answer the addresses below /studio."""

    @app.get("/studio/thumbnail/{key}.png")
    def thumbnail(key: str) -> Response:
        def made(place: Place) -> bytes:
            cover = cover_of(place)
            if cover is None:
                raise FileNotFoundError(key)
            return thumbnail_of(cover)

        return _answer(desk, key, made)

    @app.get("/studio/sample/{key}/{name}.png")
    def sample(key: str, name: str) -> Response:
        def made(place: Place) -> bytes:
            path = place.file("samples", f"{name}.png") if name in ROWS else sample_file(place, int(name))
            return picture_of(path)

        return _answer(desk, key, made)

    @app.get("/studio/curves.svg")
    def curves(request: Request) -> Response:
        query = request.query_params
        try:
            panels = _panels(desk, query.getlist("run")[:MOST], query.get("kind"), query.get("name", ""))
        except RunError:
            panels = []
        if not panels:
            return Response(status_code=404)
        drawn = draw(panels, dark=query.get("dark") == "1", narrow=query.get("narrow") == "1")
        return Response(drawn, media_type="image/svg+xml", headers=KEPT)

    @app.get("/studio/result/{name}")
    def result(name: str) -> Response:
        token, _, suffix = name.partition(".")
        found = desk.shelf.take(token)
        if found is None or found[1] != f".{suffix}":
            return Response(status_code=404)
        kind = KINDS.get(found[1], "application/octet-stream")
        return Response(found[0], media_type=kind, headers={"content-disposition": "attachment"})


def _panels(desk: Desk, keys: list[str], kind: str | None, name: str) -> list[Panel]:
    """Everything of one run, or one curve of several."""
    places = [desk.watch.place(key) for key in keys]
    if kind is None:
        return panels_of(desk.watch.lines(places[0])) if places else []
    found = [
        curve
        for place in places
        for lines in [desk.watch.lines(place)]
        if lines and kind in lines[0].curves
        if (curve := curve_of(lines, kind, name, place.name)) is not None
    ]
    return [Panel(f"{kind.capitalize()}: {name}", kind, tuple(found))] if found else []


def _answer(desk: Desk, key: str, made: Callable[[Place], bytes]) -> Response:
    """A PNG of a run; 404 where there is no such thing in it, or it is damaged."""
    try:
        content = made(desk.watch.place(key))
    except (RunError, OSError, ValueError):
        return Response(status_code=404)
    return Response(content, media_type="image/png", headers=KEPT)
