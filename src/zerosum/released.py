"""What every released model has in common: a folder of `config.json` and `model.safetensors`, read without trust.

And the device it is used on, and what its lack of memory is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from zerosum.errors import RunError, UsageError
from zerosum.files import load_tensors, save_tensors, write_folder
from zerosum.networks import Blueprint

FORMAT = 2
DTYPES = ("uint8", "uint16", "float32")
TENSORS = 1000  # that building may make and drop, over those kept
LACKING = ("can't allocate memory", "out of memory", "bad_alloc", "ALLOC_FAILED")  # CPU, GPUs, C++, cuBLAS and cuDNN


def choose_device(wanted: str) -> torch.device:
    """The device called `wanted`; "auto": the first GPU there is, else the CPU. Raises `UsageError`."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.zeros(1, device=device).item()  # there and back: "meta" holds no numbers
    except (RuntimeError, AssertionError, ImportError) as error:
        why = str(error).splitlines()[0].split(". ")[0].rstrip(".")
        raise UsageError(f"The device {wanted!r} cannot be used here: {why}. Take --device cpu.") from error
    return device


@contextmanager
def memory_errors() -> Iterator[None]:
    """Inside, a lack of memory is a `MemoryError`, whatever PyTorch calls it; all else that it raises passes.

    On a CPU that is a plain `RuntimeError`, as is a mistake in a network: only its text tells.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not any(words in str(error) for words in LACKING):
            raise
        raise MemoryError("needs more memory than there is") from error


class Released:
    """The networks of a training, in eval mode, and the `config` that says how to use them."""

    def __init__(self, networks: Mapping[str, nn.Module], config: dict[str, Any]) -> None:
        self.networks = nn.ModuleDict(dict(networks)).eval()
        self.config = config

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.networks.parameters()).device

    def save(self, folder: Path) -> None:
        """Write the model folder, whole or not at all."""
        tensors = dict(self.networks.state_dict())
        write_folder(folder, lambda inside: save_tensors(inside, "model", tensors, self.config | {"format": FORMAT}))


def read_released(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the config of a model folder, sizes and hashes verified first. Raises `RunError`."""
    tensors, config = load_tensors(folder, "model")
    if config.get("format") != FORMAT:
        raise RunError(f"{folder} has format {config.get('format')}; this version of zerosum reads {FORMAT}.")
    return tensors, config


def rebuild(
    folder: Path,
    tensors: dict[str, Tensor],
    config: dict[str, Any],
    build: Callable[[dict[str, Any]], nn.ModuleDict],
    check: Callable[[dict[str, Any]], None],
) -> dict[str, nn.Module]:
    """The networks that `build` makes of `config`, with the weights `tensors`; built without memory first, to compare.

    `check`: raises ValueError where what `config` says does not fit together. Raises `RunError` where anything in
    `config` is not what zerosum writes.
    """
    try:
        if not isinstance(config["networks"], dict):
            raise ValueError("its networks are no table")
        with torch.device("meta"), _at_most(TENSORS + 10 * len(tensors)):
            declared = build(config).state_dict()
        for name in sorted(declared.keys() | tensors.keys()):
            kept, wanted = tensors.get(name), declared.get(name)
            if kept is None or wanted is None or kept.shape != wanted.shape or kept.dtype != wanted.dtype:
                raise ValueError(f"{name!r} is not of the kind and size that it declares")
        check(config)
        networks = build(config)
        networks.load_state_dict(tensors)
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError, UsageError) as error:
        raise RunError(f"{folder} does not hold the networks its config.json names: {error}") from error
    return dict(networks.named_children())


@contextmanager
def _at_most(count: int) -> Iterator[None]:
    """Inside, a network of more than `count` parameters is not built to its end: a config can ask for a billion."""
    seen = 0

    def counted(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen > count:
            raise ValueError("it asks for far more layers than there are weights for")

    handle = register_module_parameter_registration_hook(counted)
    try:
        yield
    finally:
        handle.remove()


def build_networks(config: dict[str, Any]) -> nn.ModuleDict:
    """The networks that `config` names, with new weights."""
    return nn.ModuleDict({name: Blueprint(**fields).build() for name, fields in config["networks"].items()})


def check_range(data: dict[str, Any]) -> None:
    """Raises ValueError where `data` have no dtype and range that zerosum writes."""
    sound = data["dtype"] in DTYPES and data["low"] < data["high"]
    if not sound or not (math.isfinite(data["low"]) and math.isfinite(data["high"])):
        raise ValueError("data have no dtype and range that zerosum writes")
