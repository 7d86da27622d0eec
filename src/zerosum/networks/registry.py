"""Networks by name: one decorator registers, lists and feeds the test matrix.

A network is built from plain JSON-able keyword arguments and nothing else, so a `config.json` with its name
and arguments, and a `model.safetensors`, rebuild it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from torch import nn

from zerosum.errors import UsageError, nearest

Role = Literal["generator", "discriminator", "translator"]
Of = Literal["images", "points", "both"]
NetworkClass = TypeVar("NetworkClass", bound=type[nn.Module])

GIVEN = ("latent", "source", "shape")  # what the data and the game decide, as against the options of a network


@dataclass(frozen=True)
class Entry:
    """A registered network: its name, what it plays, what it is for, and its class."""

    name: str
    role: Role
    of: Of
    network: type[nn.Module]


_entries: dict[str, Entry] = {}


def register(name: str, *, role: Role, of: Of) -> Callable[[NetworkClass], NetworkClass]:
    """Class decorator: the network is known as `name` from now on.

    A generator is `__init__(self, latent, shape, *, options…)` and maps latents (N, latent) to images
    (N, C, H, W) in [-1, 1] or points (N, D); a discriminator is a `Discriminator`, with its body and its
    head, is `__init__(self, shape, *, options…)` and maps those to logits (N,); a translator is an `ImageToImage`,
    is `__init__(self, source, shape, *, options…)` and maps images (N, c, h, w) to images (N, C, scale·h, scale·w)
    in [-1, 1]. Every option is a keyword with a JSON-able default. Raises UsageError for a name that is taken.
    """

    def add(network: NetworkClass) -> NetworkClass:
        if name in _entries:
            raise UsageError(f"a network {name!r} is registered already, by {_entries[name].network.__name__}")
        _entries[name] = Entry(name, role, of, network)
        return network

    return add


def entry(name: str) -> Entry:
    """The registered network `name`; UsageError with the nearest name for an unknown one."""
    if name not in _entries:
        raise UsageError(f"there is no network {name!r}: {nearest(name, list(_entries))}")
    return _entries[name]


def names(role: str | None = None) -> list[str]:
    """The names of all networks, or of those that play `role` ("generator", "discriminator", "translator"), sorted."""
    return sorted(found.name for found in _entries.values() if role in (None, found.role))


def options(name: str) -> dict[str, Any]:
    """The keyword options of network `name` with their defaults, without `latent`, `source` and `shape`."""
    parameters = inspect.signature(entry(name).network).parameters
    return {key: deepcopy(value.default) for key, value in parameters.items() if key not in GIVEN}


def takes_points(network: nn.Module) -> bool:
    """Whether the class of `network` is registered for points (N, D), alone or beside images; False if unregistered."""
    return any(found.network is type(network) and found.of != "images" for found in _entries.values())


def build(name: str, **arguments: Any) -> nn.Module:
    """A new network `name` from JSON-able keyword arguments: `shape`, a generator's `latent`, a translator's
    `source`, and its options.

    The weights are drawn from torch's default generator. The same arguments build the same network again.

    Raises UsageError for an unknown name or keyword, a missing or a badly typed value, and for a shape that
    the network does not take.
    """
    network = entry(name).network
    known = list(inspect.signature(network).parameters)
    for key in arguments:
        if key not in known:
            raise UsageError(f"{name} has no option {key!r}: {nearest(key, list(options(name)) or known)}")
    for key in GIVEN:
        if key in known and key not in arguments:
            raise UsageError(f"{name} needs {key!r}")
    for key, default in options(name).items():
        if key in arguments and not _like(default, arguments[key]):
            raise UsageError(f"{name}: {key} is {arguments[key]!r}, it must be of the kind of {json.dumps(default)}")
    return network(**arguments)


def _like(default: Any, value: Any) -> bool:
    """Whether `value` may stand where `default` does: the same JSON type, a whole number for a float too.

    An empty list stands for numbers.
    """
    if isinstance(default, list):
        kind = default[0] if default else 0.0
        return isinstance(value, list | tuple) and all(_like(kind, item) for item in value)
    if isinstance(default, float):
        return type(value) in (int, float)
    return type(value) is type(default)
