"""Ship a generator: as an ONNX file, as a page that runs in the visitor's browser, as a Hugging Face repository.

>>> from zerosum.export import export_hub, export_onnx, export_web, load_onnx
>>> export_onnx("runs/digits", "digits-onnx").error < 1e-3  # doctest: +SKIP
True
>>> load_onnx("digits-onnx").sample(16, seed=7).shape  # as zerosum.load("runs/digits") gives  # doctest: +SKIP
(16, 28, 28, 1)

An exported folder is there whole or not at all, and holds no pickle. What is heavy is imported when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zerosum.export.hub import export_hub
    from zerosum.export.loading import load_onnx
    from zerosum.export.onnx_folder import export_onnx
    from zerosum.export.web import export_web

__all__ = ["export_hub", "export_onnx", "export_web", "load_onnx"]

HOMES = {"export_hub": "hub", "export_onnx": "onnx_folder", "export_web": "web", "load_onnx": "loading"}


def __getattr__(name: str) -> Any:
    """One of the four functions, imported when it is asked for."""
    from importlib import import_module

    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
