"""From a PyTorch module to an ONNX file, by `torch.export`: nothing of this machine goes into it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zerosum.errors import RunError, UsageError
from zerosum.export.runtime import installed

LARGEST = 2**31 - 2**24  # bytes of weights: a file of ONNX, a protocol buffer, ends before 2 GiB


def write_onnx(graph: nn.Module, inputs: dict[str, Tensor], output: str, file: Path, stride: int = 1) -> None:
    """Trace a graph with those inputs, by name, into one file.

    Free are the batch, and height and width of images in multiples of `stride`. Raises `UsageError` where packages are
    not installed or the weights are too large for a file, `RunError` where the exporter has no way to write a layer.
    """
    installed("onnxscript")
    size = sum(value.numel() * value.element_size() for value in graph.state_dict().values())
    if size > LARGEST:
        raise UsageError(f"Its weights have {size:,} bytes, and an ONNX file ends before 2 GiB: it cannot be exported.")
    with _quietly():
        try:
            program = torch.onnx.export(
                graph,
                kwargs=inputs,
                dynamo=True,
                dynamic_shapes=_free(inputs, stride),
                input_names=list(inputs),
                output_names=[output],
                external_data=False,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            why = str(error.__cause__ or error).strip().partition("\n")[0]
            raise RunError(f"torch {torch.__version__} cannot write this network as ONNX: {why}.") from error
    if program is None:
        raise RunError(f"torch {torch.__version__} wrote no ONNX.")
    proto = program.model_proto
    _forget(proto)
    file.write_bytes(proto.SerializeToString(deterministic=True))


def _free(inputs: dict[str, Tensor], stride: int) -> dict[str, dict[int, Any]]:
    from torch.export import Dim

    batch, sides = Dim("batch"), {2: stride * Dim("rows"), 3: stride * Dim("columns")}
    return {
        name: ({0: batch} if value.ndim else {}) | (sides if value.ndim == 4 else {}) for name, value in inputs.items()
    }


def _forget(proto: Any) -> None:
    """Take out what the exporter tells of itself: lines of source with the paths of this machine."""
    graph = proto.graph
    for part in (proto, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
    for function in proto.functions:
        for part in (function, *function.node, *function.value_info):
            part.ClearField("metadata_props")


@contextmanager
def _quietly() -> Iterator[None]:
    """Inside, the exporter keeps its own concerns (operators of torchvision, its deprecations) to itself."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
