"""Samples of a generator in ONNX. Needs onnxruntime and NumPy; the page, Gradio.

A seed gives the samples that zerosum gives for it: the noise is NumPy's, of Philox generators whose keys are a hash of
the seed and of what is drawn.
"""

import hashlib
import math
import os

import numpy as np
from opening import open_model

MOST = 64  # samples at a time
TILE = 96  # pixels at least that a sample is shown with


def numbers(seed, stream, draw):
    """What `draw` makes of the generator of a seed and a stream."""
    key = int.from_bytes(hashlib.blake2b(f"{seed}/{stream}/0".encode(), digest_size=8).digest(), "big")
    return draw(np.random.Generator(np.random.Philox(key=key)))


def latents(about, count, seed):
    """The first latents of a seed, float32 (count, length): noise, one-hot codes, continuous codes."""
    latent = about["latent"]
    size = latent["size"]
    if latent["distribution"] == "normal":

        def draw(generator):
            return generator.standard_normal((1024, size), dtype=np.float32)
    else:

        def draw(generator):
            return generator.random((1024, size), dtype=np.float32) * np.float32(2) - np.float32(1)

    parts = [numbers(seed, f"sample/{size}/{latent['distribution']}", draw)[:count]]
    columns = len(latent["categorical"]) + latent["continuous"]
    if columns:
        shares = numbers(
            seed, f"sample/codes/{columns}", lambda generator: generator.random((1024, columns), dtype=np.float32)
        )[:count]
        for column, values in enumerate(latent["categorical"]):
            chosen = (shares[:, column] * np.float32(values)).astype(int)
            parts.append(np.eye(values, dtype=np.float32)[chosen])
        parts.append(shares[:, len(latent["categorical"]) :] * np.float32(2) - np.float32(1))
    return np.concatenate(parts, axis=1)


def samples(session, about, count, seed, truncation=1.0, label=None):
    """Images uint8 (count, H, W, C). `label`: the place of a class, or None for each in turn."""
    rows = latents(about, count, seed)
    if about["truncation"]["by"] == "latent":
        rows[:, : about["truncation"]["numbers"]] *= np.float32(truncation)
    inputs = {"latent": rows}
    if about["classes"]:
        places = np.arange(count) % len(about["classes"]) if label is None else np.full(count, label)
        inputs["label"] = places.astype(np.int64)
    if about["truncation"]["by"] == "styles":
        inputs["truncation"] = np.asarray(truncation, dtype=np.float32)
    (made,) = session.run(None, inputs)
    return np.rint(made).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def sheet(images):
    """(N, H, W, C) as the tiles of one picture, small ones enlarged: (H', W') of grey, or (H', W', 3 or 4)."""
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count))
    missing = columns * -(-count // columns) - count
    tiles = np.concatenate([images, np.full((missing, height, width, channels), 255, np.uint8)])
    times = max(1, -(-TILE // min(height, width)))
    tiles = tiles.repeat(times, 1).repeat(times, 2)
    rows = [np.concatenate(list(tiles[first : first + columns]), 1) for first in range(0, len(tiles), columns)]
    whole = np.concatenate(rows)
    if channels == 1:
        return whole[..., 0]
    return whole[..., [0, 0, 0, 1]] if channels == 2 else whole


def build(session, about):
    """The page."""
    import gradio as gr

    classes = about["classes"]

    def make(count, seed, truncation, label):
        return sheet(samples(session, about, int(count), int(seed or 0), truncation, label))

    with gr.Blocks(title="A generator") as page:
        gr.Markdown("# A generator, made with zerosum")
        with gr.Row():
            with gr.Column():
                seed = gr.Number(0, label="Seed", precision=0, minimum=0)
                count = gr.Slider(1, MOST, 16, step=1, label="Samples")
                truncation = gr.Slider(
                    0,
                    1.5,
                    1,
                    step=0.05,
                    label="Truncation",
                    info="Below 1: safer, and more alike.",
                    visible=about["truncation"]["by"] != "none",
                )
                label = gr.Dropdown(
                    [("each in turn", None), *((name, place) for place, name in enumerate(classes))],
                    value=None,
                    label="Class",
                    visible=bool(classes),
                )
            picture = gr.Image(label="Samples", show_label=False, format="png", type="numpy", interactive=False)
        given = [count, seed, truncation, label]
        gr.on([page.load, *(one.change for one in given)], make, given, picture, show_progress="hidden")
    return page


if __name__ == "__main__":
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    build(*open_model()).launch()
