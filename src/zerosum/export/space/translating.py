"""Pictures of pictures, by a network in ONNX. Needs onnxruntime and NumPy; the page, Gradio."""

import os

import numpy as np
from opening import open_model

MOST = 1024 * 1024  # pixels: a picture is made whole, in memory that grows with its area


def mirrored(images, height, width):
    """(1, C, h, w) continued as in mirrors, to the right and downwards: the network takes sides in steps."""
    for axis, side in ((2, height), (3, width)):
        while (missing := side - images.shape[axis]) > 0:
            behind = np.flip(images, axis).take(range(min(missing, images.shape[axis])), axis)
            images = np.concatenate([images, behind], axis)
    return images


def translate(session, about, array):
    """What becomes of uint8 (H, W, c), where holes are to be filled with alpha behind: uint8 (scale·H, scale·W, C)."""
    height, width, _ = array.shape
    sides = about["sides"]
    given = array.astype(np.float32).transpose(2, 0, 1)[None]
    if about["mask"] != "none":
        given[:, -1:] = np.where(given[:, -1:] < 127.5, np.float32(255), np.float32(0))
    down, right = (max(sides["least"], -(-side // sides["stride"]) * sides["stride"]) for side in (height, width))
    (made,) = session.run(None, {"given": np.ascontiguousarray(mirrored(given, down, right))})
    made = made[0, :, : height * sides["scale"], : width * sides["scale"]]
    return np.rint(made).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)


def build(session, about):
    """The page."""
    import gradio as gr

    channels = about["given"]["shape"][0]
    holes = about["mask"] != "none"

    def make(array):
        if array is None:
            return None
        if array.shape[0] * array.shape[1] > MOST:
            raise gr.Error(f"The picture has more than {MOST:,} pixels: make it smaller.")
        array = array[..., None] if array.ndim == 2 else array
        if channels == 2:
            array = array[..., [0, -1]]
        made = translate(session, about, array)
        return made[..., 0] if made.shape[2] == 1 else made[..., [0, 0, 0, 1]] if made.shape[2] == 2 else made

    with gr.Blocks(title="A translator") as page:
        gr.Markdown("# Pictures of pictures, made with zerosum")
        if holes:
            gr.Markdown("Transparent pixels are filled.")
        with gr.Row():
            given = gr.Image(label="Given", type="numpy", image_mode={1: "L", 3: "RGB"}.get(channels, "RGBA"))
            made = gr.Image(label="Made", format="png", type="numpy", interactive=False)
        given.change(make, given, made)
    return page


if __name__ == "__main__":
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    build(*open_model()).launch()
