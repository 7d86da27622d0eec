"""Start: a folder, a recipe, a time: a training as a process of its own."""

from __future__ import annotations

from typing import Any

import gradio as gr

from zerosum.settings import AUTO, read_recipe, recipe_names
from zerosum.studio import markup
from zerosum.studio.pages.common import BUSY, Desk, in_words
from zerosum.studio.trainings import LONGEST, start


def build(page: gr.Blocks, desk: Desk) -> None:
    """Lay the page out."""
    source = gr.Textbox(
        label="Data",
        info="a folder of pictures on this machine, an archive, or built-in data: mnist-5k, digits, ring8",
        placeholder="/home/me/photos",
        max_length=4000,
    )
    recipe = gr.Dropdown(
        [(f"{AUTO}: chosen by data, device and time", AUTO), *((_titled(name), name) for name in recipe_names())],
        value=AUTO,
        label="Recipe",
    )
    with gr.Row():
        minutes = gr.Number(10, label="Minutes", info="of training", minimum=0.01, maximum=LONGEST, min_width=120)
        name = gr.Textbox(label="Name", info="of the run; left out: of data and recipe", max_length=100, min_width=200)
    begin = gr.Button("Start training", variant="primary", elem_id="zs-start")
    said = gr.HTML(padding=False)

    @in_words
    def go(data: str, chosen: str, time: float, called: str) -> Any:
        place = start(desk.watch.root, data, chosen, time, called)
        return markup.started(place)

    begin.click(go, [source, recipe, minutes, name], said, **BUSY)


def _titled(name: str) -> str:
    return f"{name}: {read_recipe(name)['recipe']['title']}"
