"""Explore: one sample and what can be done with it; only the newest position of a slider is computed."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from zerosum.errors import UsageError, ZerosumError
from zerosum.explore import Directions, explore, space_of
from zerosum.explore.layers import layer_count, numbers_text
from zerosum.explore.sheet import tile_of
from zerosum.report.grids import scaled
from zerosum.studio import markup
from zerosum.studio.models import direction_folders, directions_of
from zerosum.studio.pages.common import BUSY, NEWEST, PROGRESS, QUIET, Desk, chosen, in_words, run_choice
from zerosum.studio.places import Place, shown
from zerosum.studio.progress import Reported
from zerosum.studio.scene import REACH, Pick, Scene, command_of, image_of, png_of
from zerosum.studio.states import settings_of
from zerosum.translator import GAMES

SLIDERS = 8
MOST_PINS = 12
ONE, THROUGH, MIXED = "this sample", "between the pins", "two pins mixed"
NONE = "none"
SMALL = 92  # pixels of a pinned picture


@dataclass(frozen=True)
class Parts:
    """The things of the page that others speak of."""

    run: gr.Dropdown
    seed: gr.Number
    truncation: gr.Slider
    label: gr.Dropdown
    folder: gr.Dropdown
    sliders: list[gr.Slider]
    mode: gr.Radio
    at: gr.Slider
    layers: gr.Dropdown
    picture: gr.HTML
    command: gr.Code
    strip: gr.HTML
    pins: gr.State
    find: gr.Button = field(repr=False)

    @property
    def shown(self) -> list[Any]:
        """What a picture is drawn of."""
        return [self.run, self.seed, self.truncation, self.label, self.folder, *self.sliders]

    @property
    def all(self) -> list[Any]:
        """And what is done with the pins."""
        return [*self.shown, self.mode, self.at, self.layers, self.pins]


def build(page: gr.Blocks, desk: Desk) -> None:
    """Lay the page out."""
    run = run_choice(desk, explorable)
    with gr.Row():
        with gr.Column(min_width=320):
            with gr.Row(elem_classes="zs-row"):
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=110)
                another = gr.Button("Next seed", min_width=110)
            truncation = gr.Slider(0, 1.5, 1, step=0.05, label="Truncation ψ", info="below 1: nearer to the common")
            label = gr.Dropdown(label="Class", visible=False)
            with gr.Row(elem_classes="zs-row"):
                folder = gr.Dropdown([NONE], value=NONE, label="Directions", min_width=150)
                find = gr.Button("Find directions", min_width=130, elem_id="zs-find")
            sliders = [gr.Slider(-REACH, REACH, 0, step=0.1, visible=False) for _ in range(SLIDERS)]
            with gr.Row():
                pin = gr.Button("Pin this sample", min_width=110, elem_id="zs-pin")
                forget = gr.Button("Forget pins", min_width=110)
            strip = gr.HTML(padding=False)
            mode = gr.Radio([ONE, THROUGH], value=ONE, label="Show", visible=False)
            at = gr.Slider(0, 1, 0.5, step=0.02, label="Place between the pins", visible=False)
            layers = gr.Dropdown(
                multiselect=True, label="Layers of the last pin, the others of the first", visible=False
            )
        with gr.Column(min_width=320):
            picture = gr.HTML(padding=False, elem_id="zs-picture")
            command = gr.Code(
                language="shell",
                label="The command that makes it",
                interactive=False,
                wrap_lines=True,
                lines=1,
                max_lines=12,
                visible=False,
            )
    parts = Parts(
        run, seed, truncation, label, folder, sliders, mode, at, layers, picture, command, strip, gr.State([]), find
    )
    _connect(page, desk, parts)
    another.click(lambda value: int(value or 0) + 1, seed, seed, **QUIET)
    _connect_pins(desk, parts, pin, forget)


def explorable(place: Place) -> bool:
    """Whether the run has a model that makes images of random numbers, as far as its files say."""
    kind = settings_of(place).get("game", {}).get("kind", "generation")
    return place.has("model", "config.json") and place.has("samples", "grid.json") and kind not in GAMES


def _connect(page: gr.Blocks, desk: Desk, parts: Parts) -> None:
    """A run brings its controls; a control draws."""
    moved: list[Any] = [parts.seed, parts.truncation, parts.label, *parts.sliders, parts.at, parts.layers]

    def fill(request: gr.Request) -> Any:
        return chosen(desk, request, explorable)

    @in_words
    def draw(*values: Any) -> tuple[str, Any]:
        return _draw(desk, *values)

    @in_words
    def open_run(key: str | None) -> list[Any]:
        return _controls(desk, key)

    @in_words
    def take(key: str | None, name: str) -> list[Any]:
        found = directions_of(desk.watch.place(key), name) if name != NONE else None
        return [*_sliders(found), *_pinned([], 0)]  # what is pinned was moved along others

    @in_words
    def search(key: str | None, progress: gr.Progress = PROGRESS) -> Any:
        return _found(desk, key, progress)

    @in_words
    def switch(key: str | None, mode: str, pins: list[Any]) -> tuple[Any, Any]:
        many = _layers(desk, desk.watch.place(key)) if key else 0
        between = gr.Slider(visible=mode == THROUGH, maximum=max(len(pins) - 1, 1))
        return between, gr.Dropdown(visible=mode == MIXED and many > 0)

    one: dict[str, Any] = {"concurrency_id": "draw", "concurrency_limit": 1} | NEWEST  # in order: the newest is last
    page.load(fill, None, parts.run, **QUIET)
    parts.run.change(
        open_run,
        parts.run,
        [
            parts.truncation,
            parts.label,
            parts.folder,
            parts.mode,
            parts.layers,
            parts.pins,
            parts.strip,
            *parts.sliders,
        ],
        **QUIET,
    ).then(draw, parts.all, [parts.picture, parts.command], **one)
    taken = [*parts.sliders, parts.pins, parts.strip, parts.mode, parts.at, parts.layers]
    parts.folder.change(take, [parts.run, parts.folder], taken, **QUIET).then(
        draw, parts.all, [parts.picture, parts.command], **one
    )
    parts.find.click(search, parts.run, parts.folder, **BUSY).then(take, [parts.run, parts.folder], taken, **QUIET)
    gr.on([thing.change for thing in moved], draw, parts.all, [parts.picture, parts.command], **one)
    # Its controls first: they move when they come, and a picture of the mode before could be drawn last.
    parts.mode.change(switch, [parts.run, parts.mode, parts.pins], [parts.at, parts.layers], **QUIET).then(
        draw, parts.all, [parts.picture, parts.command], **one
    )


def _found(desk: Desk, key: str | None, progress: gr.Progress) -> Any:
    """Find directions, leave them beside the run, and choose them."""
    place = desk.watch.place(key)
    model = desk.models.of(place)
    options: dict[str, Any] = {
        "method": "sefa",
        "labels": None,
        "count": SLIDERS,
        "layers": None,
        "samples": 2000,
        "seed": 0,
    }
    with desk.models.busy:
        space_of(model)
        more: dict[str, Any] = {"label": None, "reach": 3.0, "steps": 7}
        explore("directions", place.path, display=Reported(progress), **options, **more)
    names = direction_folders(place)
    return gr.Dropdown(choices=[NONE, *names], value="directions-sefa")


def _connect_pins(desk: Desk, parts: Parts, pin: gr.Button, forget: gr.Button) -> None:
    outputs = [parts.pins, parts.strip, parts.mode, parts.at, parts.layers]

    @in_words
    def add(*values: Any) -> list[Any]:
        *shown, pins = values
        place, pick, found = _picked(desk, shown)
        if len(pins) >= MOST_PINS:
            raise UsageError(f"{MOST_PINS} samples are pinned already: forget them first.")
        with desk.models.busy:
            model = desk.models.of(place)
            png = _small(image_of(model, Scene((pick,)), found))
        return _pinned([*pins, (pick, png)], _layers(desk, place))

    def clear() -> list[Any]:
        return _pinned([], 0)

    pin.click(add, [*parts.shown, parts.pins], outputs, **BUSY)
    forget.click(clear, None, outputs, **QUIET)


def _pinned(pins: list[Any], layers: int) -> list[Any]:
    """The pins, their pictures, and what can be done with so many."""
    modes = [ONE] + ([THROUGH] if len(pins) > 1 else []) + ([MIXED] if len(pins) > 1 and layers else [])
    strip = markup.strip([(png, pick.words) for pick, png in pins])
    last = max(len(pins) - 1, 1)
    mode = (
        gr.Radio(choices=modes, visible=len(pins) > 1) if len(pins) > 1 else gr.Radio([ONE], value=ONE, visible=False)
    )
    return [pins, strip, mode, gr.Slider(0, last), gr.skip()]


def _controls(desk: Desk, key: str | None) -> list[Any]:
    """What a run's generator can be asked for; nothing pinned."""
    hidden = [gr.Slider(visible=False, value=0) for _ in range(SLIDERS)]
    mode = gr.Radio([ONE], value=ONE, visible=False)
    none = [gr.Slider(visible=False, value=1), gr.Dropdown(visible=False, value=None)]
    rest = [mode, gr.Dropdown(visible=False, choices=[], value=[]), [], ""]
    if not key:
        return [*none, gr.Dropdown([NONE], value=NONE), *rest, *hidden]
    place = desk.watch.place(key)
    folder = gr.Dropdown(choices=[NONE, *direction_folders(place)], value=NONE)
    try:
        model = desk.models.of(place)
        space = space_of(model)
    except ZerosumError:
        return [*none, folder, *rest, *hidden]  # the picture says why
    truncated = not (model.styled and model.classes)
    classes = [("as drawn", ""), *((shown(name), name) for name in model.classes)]
    many = layer_count(model) if space.styled is not None else 0
    mixed = gr.Dropdown(
        choices=list(map(str, range(many))), value=list(map(str, range(many // 2, many))), visible=False
    )
    return [
        gr.Slider(visible=truncated, value=1),
        gr.Dropdown(choices=classes, value="", visible=bool(model.classes)),
        folder,
        mode,
        mixed,
        [],
        "",
        *hidden,
    ]


def _sliders(found: Directions | None) -> list[Any]:
    """A slider for each of the first directions, named and with its effect."""
    made = []
    for number in range(SLIDERS):
        if found is None or number >= len(found):
            made.append(gr.Slider(visible=False, value=0))
            continue
        effect = f"a step changes a pixel by {found.effects[number]:.1%}"
        made.append(gr.Slider(visible=True, value=0, label=f"{number + 1}: {found.names[number]}", info=effect))
    return made


def _layers(desk: Desk, place: Place) -> int:
    space = space_of(desk.models.of(place))
    return 0 if space.styled is None else len(space.styled.layers)


def _picked(desk: Desk, controls: list[Any]) -> tuple[Place, Pick, Directions | None]:
    """The run, the sample that the controls ask for, and the directions it is moved along."""
    key, seed, truncation, label, folder, *moves = controls
    place = desk.watch.place(key)
    if seed is None or not 0 <= seed < 2**63:
        raise UsageError("A seed is a whole number from 0.")
    found = None if folder in (None, NONE) else directions_of(place, folder)
    steps = () if found is None else tuple(round(float(move), 4) for move in moves[: len(found)])
    return place, Pick(int(seed), round(float(truncation), 4), label or None, steps if any(steps) else ()), found


def _draw(desk: Desk, *values: Any) -> tuple[str, Any]:
    """The picture with its link, and its command."""
    *shown, mode, at, layers, pins = values
    if not shown[0]:
        return markup.notice("There is no run yet: begin one on the page Start."), gr.Code(visible=False)
    try:
        place, pick, found = _picked(desk, shown)
        scene = Scene((pick,))
        if mode == THROUGH and len(pins) > 1:
            scene = Scene(tuple(pinned for pinned, _ in pins), round(float(at), 4))
        elif mode == MIXED and len(pins) > 1:
            scene = Scene((pins[0][0], pins[-1][0]), layers=numbers_text([int(layer) for layer in layers or []]))
        with desk.models.busy:
            model = desk.models.of(place)
            png = png_of(model, image_of(model, scene, found))
    except ZerosumError as error:
        return markup.notice(str(error)), gr.Code(visible=False)
    words = {THROUGH: f"at {at:g} between the pins", MIXED: "two pins mixed"}.get(mode, pick.words)
    file = "picture.png"
    where = place.path / "explore" / str(shown[4]) if found is not None else None
    return markup.drawn(png, words, file), gr.Code(command_of(place.path, file, scene, where), visible=True)


def _small(image: Any) -> bytes:
    """A PNG of about `SMALL` pixels."""
    tile = tile_of(image)
    tile = scaled(tile, SMALL / max(tile.size) if max(tile.size) > SMALL else max(1, SMALL // max(tile.size)))
    buffer = io.BytesIO()
    tile.save(buffer, "PNG")
    return buffer.getvalue()
