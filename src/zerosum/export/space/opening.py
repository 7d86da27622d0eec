"""The network of this Space, checked before it is read."""

import hashlib
import json
from pathlib import Path

import onnxruntime

HERE = Path(__file__).resolve().parent


def open_model(folder=HERE):
    """The session of model.onnx, and config.json, whose size and SHA-256 of it are checked first."""
    about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    file = folder / "model.onnx"
    if file.stat().st_size != about["file"]["bytes"]:
        raise SystemExit("model.onnx has not the size that config.json states.")
    with file.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != about["file"]["sha256"]:
            raise SystemExit("model.onnx has not the SHA-256 that config.json states.")
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]), about
