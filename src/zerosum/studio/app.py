"""The pages together, as an ASGI app: Gradio's below FastAPI, and the studio's own routes before them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.components.navbar import Navbar

from zerosum.studio.models import Models
from zerosum.studio.pages import explore, live, runs, start, translate
from zerosum.studio.pages.common import Desk
from zerosum.studio.routes import add_routes
from zerosum.studio.shelf import Shelf
from zerosum.studio.watch import Watch

TITLE = "zerosum studio"
STYLE, BAR = (Path(__file__).with_name(name) for name in ("studio.css", "bar.css"))
CLEANED = (600, 600)  # seconds: how often what was uploaded and not used is deleted, and how old it is then
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def build(root: Path) -> Any:
    """The app over the runs below `root`; not guarded yet, see `guard.Guard`."""
    desk = Desk(Watch(root.resolve()), Models(), Shelf())
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None)
    add_routes(app, desk)
    blocks = blocks_of(desk)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "SSR mode is not supported")  # said even where it is not asked for
        mounted = gr.mount_gradio_app(
            app,
            blocks,
            path="/",
            footer_links=[],
            run_history=False,
            allowed_paths=[],
            show_error=False,
            max_file_size="50mb",
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            theme=theme(),
            css_paths=[STYLE],
            head=f"<style>{BAR.read_text('utf-8')}</style>",  # the bar is not in what Gradio's css is narrowed to
        )
    # Until then Gradio takes any path that a visitor names for an upload, and mounting alone does not say so.
    blocks.has_launched = True
    return mounted


def theme() -> gr.themes.Base:
    """Gradio's own, with the system's fonts, so that none is fetched, and quiet words dark enough to be read."""
    made: gr.themes.Base = gr.themes.Default(primary_hue="blue", font=FONTS, font_mono=MONO)
    quiet, dark = "#52525b", "#b4b4bd"
    return made.set(
        body_text_color_subdued=quiet,
        body_text_color_subdued_dark=dark,
        block_info_text_color=quiet,
        block_info_text_color_dark=dark,
        block_label_text_color=quiet,
        block_label_text_color_dark=dark,
        block_title_text_color="#27272a",
        block_title_text_color_dark="#e4e4e7",
    )


def blocks_of(desk: Desk) -> gr.Blocks:
    """All pages."""
    blocks: gr.Blocks
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=CLEANED) as blocks:
        Navbar(main_page_name="Runs")
        runs.build(blocks, desk)
    for name, page in (("Live", live), ("Explore", explore), ("Start", start), ("Translate", translate)):
        with blocks.route(name, name.lower()) as inner:
            Navbar(main_page_name="Runs")
            page.build(inner, desk)
    return blocks
