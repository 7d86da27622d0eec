"""ONNX Runtime: brought by the extra `export`, and its ways of saying no."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zerosum.errors import RunError, UsageError
from zerosum.metrics.extractors.onnx_file import REFUSALS

Array = np.ndarray[Any, Any]
EXTRA = "pip install 'zerosum[export]'"


def installed(package: str, extra: str = EXTRA) -> Any:
    """The package. Raises `UsageError` with the line that brings it where it is not installed."""
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise UsageError(f"This needs the package {package}: {extra}") from error


class Session:
    """A network in an ONNX file, run on the CPU by as many threads as PyTorch takes.

    Raises `RunError` for a file that is none.
    """

    def __init__(self, file: Path) -> None:
        self.file, runtime = file, installed("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors alone
        with self._refusals():
            self._session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.inputs = {one.name: _kind(one) for one in self._session.get_inputs()}
        self.outputs = {one.name: _kind(one) for one in self._session.get_outputs()}

    def run(self, inputs: dict[str, Array]) -> Array:
        """The only output. Raises `RunError` for inputs that the network does not take."""
        with self._refusals():
            (made,) = self._session.run(None, inputs)
        return np.asarray(made)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        states = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
        try:
            yield
        except tuple(getattr(states, name) for name in REFUSALS) as fault:
            why = str(fault).partition("\n")[0]
            raise RunError(f"{self.file} cannot be run by ONNX Runtime: {why}. Export it again.") from fault


def _kind(one: Any) -> dict[str, Any]:
    """The dtype and the shape of an input or output, free sides by their names."""
    dtype = str(one.type).removeprefix("tensor(").removesuffix(")").replace("float", "float32")
    return {"dtype": dtype, "shape": list(one.shape)}
