"""`--format web`: a page that makes samples in the visitor's browser, of static files alone.

The network is `model.onnx`, run by onnxruntime-web, whose files come along: the page asks no other place for anything,
and its Content-Security-Policy forbids that it could. Seeds give the same latents as in Python.
"""

from __future__ import annotations

import json
import shlex
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

from zerosum.errors import UsageError
from zerosum.export.directions import closed_form_directions
from zerosum.export.folder import Exported, Progress, name_of, opened, place_for, write_export
from zerosum.export.onnx_folder import write_network
from zerosum.files import sha256, write_json
from zerosum.model import Model
from zerosum.translator import Translator

PAGE = ("index.html", "page.css", "page.js", "latents.js")
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")  # of onnxruntime-web: for CPUs, in one thread
KNOWN = "1.30.0"  # the version that the page was tested with
PLACES = (".", "dist", "package/dist", "node_modules/onnxruntime-web/dist", "onnxruntime-web/dist")
REMEDY = (
    f"the page runs on the npm package onnxruntime-web, and brings its files along so as to ask no other server. "
    f"Get them once: npm pack onnxruntime-web@{KNOWN} && tar -xzf onnxruntime-web-{KNOWN}.tgz, and give "
    "--assets package/dist"
)


def export_web(
    run: str | Path,
    out: str | Path | None = None,
    *,
    assets: str | Path | None = None,
    direction: str | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write a page that runs the generator of a run in the browser.

    Args:
        run: a run folder, or a model folder.
        out: the folder to be written; None: NAME-web.
        assets: the npm package onnxruntime-web, unpacked; two of its files are copied.
        direction, device, overwrite, progress: as of `export_onnx`.

    Raises as `export_onnx` does, and `UsageError` without `assets`, and for models that make no images of latents.
    """
    runtime = _runtime(assets)
    folder = place_for(run, out, "web", overwrite=overwrite)
    model = _drawing(run, opened(run, device))
    vectors, values = closed_form_directions(model)
    about: dict[str, Any] = {}

    def fill(inside: Path) -> None:
        """Network, page, runtime, and page.json last: it states the others."""
        about.update(write_network(model, inside, 255, direction, progress))
        for file in PAGE:
            (inside / file).write_bytes(files("zerosum.export").joinpath("page", file).read_bytes())
        (inside / "ort").mkdir()
        for file in RUNTIME:
            shutil.copyfile(runtime / file, inside / "ort" / file)
        copied = {f"ort/{file}": inside / "ort" / file for file in RUNTIME}
        page = {
            "name": name_of(run),
            "directions": [
                {"value": float(value), "vector": vector.tolist()}
                for value, vector in zip(values, vectors, strict=True)
            ],
            "runtime": _version(runtime),
            "files": {key: {"bytes": path.stat().st_size, "sha256": sha256(path)} for key, path in copied.items()},
        }
        write_json(inside / "page.json", page)

    written = write_export(folder, "web", fill)
    notes = (
        f"{sum(written.values()) / 1e6:.1f} MB in all, which a visitor loads once. It needs a web server, any one for "
        f"static files: python3 -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(folder))}",
    )
    return Exported(folder, about["max_error"], written, notes)


def _drawing(run: str | Path, model: Model | Translator) -> Model:
    """The model, if a page can draw what it makes. Raises `UsageError`."""
    if isinstance(model, Translator):
        raise UsageError(f"{run} translates pictures, and the page makes them of latents: take --format onnx or hub.")
    if len(model.shape) != 3 or model.shape[0] > 4:
        raise UsageError(f"{run} makes no pictures of one to four channels for a page to draw: take --format onnx.")
    if model.config["latent"]["distribution"] == "images":
        raise UsageError(f"{run} is fed with images, and the page makes them of latents: take --format onnx.")
    return model


def _runtime(assets: str | Path | None) -> Path:
    """The folder of onnxruntime-web's files. Raises `UsageError` where they are not there."""
    if assets is None:
        raise UsageError(f"--assets is missing: {REMEDY}.")
    found = (Path(assets) / place for place in PLACES)
    folder = next((path for path in found if all((path / file).is_file() for file in RUNTIME)), None)
    if folder is None:
        raise UsageError(f"--assets {assets}: there are no {' and '.join(RUNTIME)}; {REMEDY}.")
    return folder


def _version(runtime: Path) -> str:
    """What onnxruntime-web calls its version; "" where its package.json is not beside its files."""
    try:
        package = json.loads((runtime.parent / "package.json").read_text(encoding="utf-8"))
        return str(package["version"]) if package.get("name") == "onnxruntime-web" else ""
    except (OSError, ValueError, KeyError, AttributeError):
        return ""
