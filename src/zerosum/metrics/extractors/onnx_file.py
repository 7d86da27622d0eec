"""One's own network as an extractor: a file in ONNX, run by ONNX Runtime on the CPU. The extra `export` brings both.

The file has one input, float32 (N, 3, H, W), images in [-1, 1], and its first output is features (N, D), or as many
numbers an image in another shape. N, H and W may be free; where H and W are fixed, images are resized to them, and
where N is fixed it must be 1. There is no gradient through it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zerosum.errors import UsageError
from zerosum.metrics.extractors.base import Extractor, resized

PREFIX = "onnx:"
INSTALL = "pip install 'zerosum[export]'"
ANY_SIDE = 224  # of the image that tells the width of a network that takes any size
REFUSALS = (  # by which ONNX Runtime says no to a file or to what it is given
    *("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "ModelRequiresCompilation", "NoModel"),
    *("NoSuchFile", "NotFound", "NotImplemented", "EngineError", "EPFail", "RuntimeException"),
)


class OnnxFile(Extractor):
    """The network in the file at PATH, for the name "onnx:PATH".

    sha256: of the file; where its weights lie in files beside it, of the file and those in the order of their names,
    one behind the other. Raises UsageError for a file that is none, or does not fit, and for packages not installed.
    """

    at_once = 8

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, path = name, Path(name.removeprefix(PREFIX))
        if not path.is_file():
            raise UsageError(f"{path}: there is no such file; give an extractor of your own as onnx:PATH")
        runtime, onnx = _installed("onnxruntime"), _installed("onnx")
        self.path, self.refusals = path, _refusals()
        self.sha256 = _sha256(onnx, path)
        self.session = self._session(runtime)
        batch, self.sides = self._input()
        self.one_by_one = batch == 1
        if None not in self.sides:
            self.resize = "bicubic, antialiased, to {}×{}".format(*self.sides)
        self.width = self._run(torch.zeros(1, 3, *(side or ANY_SIDE for side in self.sides))).shape[1]

    def _features(self, images: Tensor) -> Tensor:
        height, width = (own or side for own, side in zip(self.sides, images.shape[2:], strict=True))
        fitting = resized(images.detach(), height, width).cpu().contiguous()
        parts = [self._run(part) for part in fitting.split(1 if self.one_by_one else len(fitting))]
        features = torch.cat(parts)
        if features.shape[1] != self.width:
            raise UsageError(
                f"{self.path}: makes {features.shape[1]} numbers of an image of {height}×{width} and {self.width} of "
                "another size; let it average over places, or fix the size of its input"
            )
        return features.to(images.device)

    def _session(self, runtime: Any) -> Any:
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors alone: warnings of a graph's optimisation are nobody's here
        try:
            return runtime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except self.refusals as fault:
            raise UsageError(f"{self.path}: cannot be read as an ONNX network ({_first_line(fault)})") from fault

    def _input(self) -> tuple[int | None, tuple[int | None, int | None]]:
        """The fixed number of images and the fixed sides, None where they are free. Raises UsageError."""
        inputs = self.session.get_inputs()
        shape = [size if isinstance(size, int) else None for size in inputs[0].shape]
        fits = len(inputs) == 1 and inputs[0].type == "tensor(float)" and len(shape) == 4
        if not fits or shape[1] not in (3, None) or shape[0] not in (1, None):
            found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
            raise UsageError(
                f"{self.path}: an extractor has one input, float32 (N, 3, H, W), N free or 1, and this has {found}"
            )
        return shape[0], (shape[2], shape[3])

    def _run(self, images: Tensor) -> Tensor:
        """Features (N, D) of images on the CPU that have the input's size."""
        source, answer = self.session.get_inputs()[0].name, self.session.get_outputs()[0].name
        try:
            (made,) = self.session.run([answer], {source: images.numpy()})
        except self.refusals as fault:
            raise UsageError(
                f"{self.path}: the network refuses images {tuple(images.shape)} ({_first_line(fault)})"
            ) from fault
        features = torch.from_numpy(made)
        if not features.is_floating_point() or features.ndim < 2 or len(features) != len(images):
            raise UsageError(
                f"{self.path}: its first output must be features float32 (N, D), and for images "
                f"{tuple(images.shape)} it is {features.dtype} {tuple(features.shape)}"
            )
        return features.float().flatten(1)


def _sha256(onnx: Any, path: Path) -> str:
    digest = hashlib.sha256()
    try:
        model = onnx.load(path, load_external_data=False)
    except import_module("google.protobuf.message").DecodeError as fault:
        raise UsageError(f"{path}: cannot be read as an ONNX network ({_first_line(fault)})") from fault
    beside = {
        entry.value for tensor in _tensors(model.graph) for entry in tensor.external_data if entry.key == "location"
    }
    for file in (path, *(path.parent / name for name in sorted(beside))):
        try:
            digest.update(file.read_bytes())
        except OSError as fault:
            raise UsageError(f"{file}: cannot be read ({fault.strerror or fault}); it belongs to {path}") from fault
    return digest.hexdigest()


def _tensors(graph: Any) -> Iterator[Any]:
    """All constants of a graph and of the graphs inside of it."""
    yield from graph.initializer
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for inner in (attribute.g, *attribute.graphs):
            yield from _tensors(inner)


def _installed(package: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise UsageError(f"An extractor onnx:PATH needs the package {package}: {INSTALL}") from error


def _refusals() -> tuple[type[Exception], ...]:
    states = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return tuple(getattr(states, name) for name in REFUSALS)


def _first_line(fault: Exception) -> str:
    return str(fault).partition("\n")[0]
