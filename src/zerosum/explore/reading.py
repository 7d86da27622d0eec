"""How a generator reads its points: the matrices of its first layers, and what comes after them.

What is found is found by watching: points go through the generator, and each linear or convolutional layer is heard.
So it holds for any network, whatever stands before its first layer (a reshape, a label beside the latent).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.explore.space import Points, Space
from zerosum.sampler import chunks

LARGEST = 4096  # numbers of a point of which a matrix of all pairs is made
EXACT = 1e-3  # by how much a layer may depart from what is linear: rounding

Heard = Callable[[nn.Module, Tensor, Tensor], None]


@dataclass(frozen=True)
class Reader:
    """A layer that reads the points.

    Attributes:
        module: the layer.
        place: the number of the style's layer that it is in; 0 in z.
        matrix: float64 (features, length): what it makes of a point, but for a constant.
    """

    module: nn.Module
    place: int
    matrix: Tensor


def readers(space: Space) -> list[Reader]:
    """The layers that read a style, in their order; in z the first layer that reads the latent.

    Raises `UsageError` for points of too many numbers, and where the first layer does not read them linearly.
    """
    if space.length > LARGEST:
        raise UsageError(
            f"A point of this generator has {space.length:,} numbers, and directions are found among {LARGEST:,} at "
            "most: use 'zerosum explore interpolate' or 'arithmetic'."
        )
    found = _of_styles(space) if space.name == "w" else [(first_layer(space), 0)]
    matrices = _matrices(space, [module for module, _ in found])
    return [Reader(module, place, matrix) for (module, place), matrix in zip(found, matrices, strict=True)]


def first_layer(space: Space) -> nn.Module:
    """In z, the first layer whose answers differ where latents do. Raises `UsageError` where there is none."""
    return _order(space)[0]


def second_layer(space: Space) -> nn.Module | None:
    """In z, the layer after the first that reads the latent; None where there is none."""
    order = _order(space)
    return order[1] if len(order) > 1 else None


def _order(space: Space) -> list[nn.Module]:
    """The layers in the order they are called in, from the first that depends on the latent."""
    said: list[tuple[nn.Module, bool]] = []
    with hearing(space, list(layers_of(space)), lambda module, _, made: said.append((module, _differs(made)))):
        space.images(_with_labels(space, torch.stack((torch.zeros(space.length), torch.ones(space.length)))))
    first = next((place for place, (_, differs) in enumerate(said) if differs), None)
    if first is None:
        raise UsageError("No linear or convolutional layer of this generator reads its latents: none has directions.")
    return [module for module, _ in said[first:]]


def _differs(made: Tensor) -> bool:
    return len(made) == 2 and not torch.equal(made[0], made[1])


def _of_styles(space: Space) -> list[tuple[nn.Module, int]]:
    """The layers that are given a style as it is, each with the number of the style's layer that it is in."""
    points = space.points(range(2))
    found: list[nn.Module] = []

    def heard(module: nn.Module, given: Tensor, _: Tensor) -> None:
        if given.shape == points.rows.shape and torch.equal(given.cpu(), points.rows):
            found.append(module)

    with hearing(space, list(layers_of(space)), heard):
        space.images(points)
    layers = list(space.styled.layers) if space.styled is not None else []
    places = {module: number for number, layer in enumerate(layers) for module in layer.modules()}
    return [(module, places[module]) for module in found if module in places]


def _matrices(space: Space, modules: list[nn.Module]) -> list[Tensor]:
    """A of each layer, whose answer to a point p is A p + b: from its answers to 0 and to each unit vector."""
    probe = torch.ones(1, space.length) * space.moments[1]  # an answer that A and b must foretell
    rows = torch.cat((torch.zeros(1, space.length), probe, torch.eye(space.length)))
    answers: dict[nn.Module, list[Tensor]] = {module: [] for module in modules}
    with hearing(space, modules, lambda module, _, made: answers[module].append(made.flatten(1).cpu().double())):
        for first, count in chunks(len(rows)):
            space.images(_with_labels(space, rows[first : first + count]))
    made = []
    for module in modules:
        said = torch.cat(answers[module])
        matrix = (said[2:] - said[0]).T
        foretold = said[0] + matrix @ probe[0].double()
        if float((foretold - said[1]).abs().max()) > EXACT * max(float(said[1].abs().max()), 1e-6):
            raise UsageError(
                "The first layer of this generator does not read its latents linearly: none has directions."
            )
        made.append(matrix)
    return made


def _with_labels(space: Space, rows: Tensor) -> Points:
    """Points of the first class, where there are classes: what is linear in a latent is so whatever the class."""
    labelled = bool(space.model.classes) and space.name == "z"
    return Points(rows, torch.zeros(len(rows), dtype=torch.int64) if labelled else None)


def layers_of(space: Space) -> Iterator[nn.Module]:
    """The linear and convolutional layers of the generator."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    return (module for module in space.model.generator.modules() if isinstance(module, kinds))


@contextmanager
def hearing(space: Space, modules: list[nn.Module], heard: Heard) -> Iterator[None]:
    """Inside, `heard(layer, what it was given, what it made)` is called for each call of one of these layers.

    Both are copies: what comes after may write over them.
    """

    def hook(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        heard(module, given[0].detach().clone(), made.detach().clone())

    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
