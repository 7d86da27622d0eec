"""Translate: a picture is dropped, and what an image-to-image run makes of it is shown."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from zerosum.data.decode import Unreadable, decode, probe, quiet_pillow
from zerosum.data.fitting import Plan
from zerosum.errors import DataError, UsageError, ZerosumError
from zerosum.sampler import WRITABLE
from zerosum.studio import markup
from zerosum.studio.guard import MOST_UPLOAD
from zerosum.studio.models import Models
from zerosum.studio.pages.common import BUSY, PROGRESS, QUIET, Desk, chosen, in_words, run_choice
from zerosum.studio.places import Place
from zerosum.studio.progress import Reported
from zerosum.studio.states import settings_of
from zerosum.translate import translate_files
from zerosum.translator import GAMES, Translator

ENDINGS = [*WRITABLE, ".gif"]
SIDE = 1024  # pixels of a picture on the page


def build(page: gr.Blocks, desk: Desk) -> None:
    """Lay the page out."""
    with gr.Row():
        run = run_choice(desk, translates)
        way = gr.Dropdown(["a-to-b", "b-to-a"], label="Direction", visible=False)
    note = gr.HTML(padding=False, visible=False)
    given = gr.File(
        label=f"A picture, up to {MOST_UPLOAD // 2**20} MB",
        file_types=ENDINGS,
        type="filepath",
        height=150,
        elem_id="zs-given",
    )
    shown = gr.HTML(padding=False, elem_id="zs-result")

    def fill(request: gr.Request) -> tuple[Any, Any]:
        choice = chosen(desk, request, translates)
        words = (
            "There is no image-to-image run here yet: train one, as with the recipe pix2pix, inpainting or cyclegan."
        )
        return choice, gr.HTML(markup.notice(words), visible=not any(map(translates, desk.watch.places())))

    @in_words
    def ways(key: str | None) -> Any:
        model = opened(desk.models, desk.watch.place(key))
        # The choices stay: Gradio refuses a value that a page sends before it has heard that it is no choice any more.
        return gr.Dropdown(value=next(iter(model.directions), None), visible=bool(model.directions))

    @in_words
    def translate(key: str | None, file: str | None, direction: str | None, progress: gr.Progress = PROGRESS) -> Any:
        if file is None:
            return gr.skip(), gr.skip()
        path = Path(file)
        try:
            if not key:
                raise UsageError("Choose a run first.")
            return _translated(desk, desk.watch.place(key), path, direction, Reported(progress)), None
        except ZerosumError as error:
            return markup.notice(str(error)), None
        finally:
            path.unlink(missing_ok=True)

    page.load(fill, None, [run, note], **QUIET)
    run.change(ways, run, way, **QUIET)
    given.upload(translate, [run, given, way], [shown, given], concurrency_limit=1, show_progress_on=shown, **BUSY)


def translates(place: Place) -> bool:
    """Whether the run makes pictures of pictures and has a model, as far as its files say."""
    return settings_of(place).get("game", {}).get("kind") in GAMES and place.has("model", "config.json")


def opened(models: Models, place: Place) -> Translator:
    """The run's translator. Raises `UsageError` where it is none."""
    model = models.of(place)
    if not isinstance(model, Translator):
        raise UsageError(f"{place.name} makes samples of random numbers: see it on the page Explore.")
    return model


def _translated(desk: Desk, place: Place, path: Path, direction: str | None, display: Reported) -> str:
    """The page of a result. Raises `DataError` for what is no picture, or cannot be translated."""
    with desk.models.busy, tempfile.TemporaryDirectory(prefix="zerosum-result-") as folder:
        model = opened(desk.models, place)
        way = direction if direction in model.directions else None
        outcome = translate_files(model, path, Path(folder), direction=way, progress=display.loading)
        if outcome.failed:
            raise DataError(f"That picture cannot be translated: {outcome.failed[0].reason}.")
        result = next(Path(folder).iterdir())
        content = result.read_bytes()
        given, made = _preview(path.read_bytes()), _preview(content)
        suffix = result.suffix.lower()
    header = probe(content)
    token = desk.shelf.put(content, suffix)
    about = f"{header.width}×{header.height} pixels"
    return markup.pair(given, made, about, f"studio/result/{token}{suffix}", f"translated{suffix}")


def _preview(data: bytes) -> bytes:
    """Any picture that was read, small enough for a page, as a PNG of 8 bits."""
    try:
        with quiet_pillow():
            header = probe(data)
            shrink = min(1.0, SIDE / max(header.height, header.width))
            size = (max(1, round(header.height * shrink)), max(1, round(header.width * shrink)))
            array = decode(data, Plan(*size, 3, "stretch", "uint8"))
    except Unreadable as fault:
        raise DataError(f"That picture cannot be shown: {fault}.") from fault
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()
