"""Exploring a generator: walks between samples, truncation, style mixing, directions, projection, latent arithmetic.

>>> import zerosum
>>> from zerosum.explore import directions, edit, interpolate, project
>>> model = zerosum.load("runs/faces")  # doctest: +SKIP
>>> interpolate(model, 4, seed=7).picture().show()  # doctest: +SKIP
>>> found = directions(model, "sefa")  # doctest: +SKIP
>>> edit(model, found, 1).array.shape  # uint8, (rows, columns, H, W, C)  # doctest: +SKIP
(4, 7, 64, 64, 3)

Each function takes a loaded model and gives a `Sheet` (arrays, a picture, words), `Directions` or a `Projection`.
"""

from zerosum.explore.artefact import Directions, load_directions
from zerosum.explore.attributes import attribute_directions, read_labels
from zerosum.explore.classes import labels_by_data
from zerosum.explore.editing import edit, overview
from zerosum.explore.finding import directions
from zerosum.explore.mixing import mix
from zerosum.explore.projected import Projection, load_points
from zerosum.explore.projection import project
from zerosum.explore.sheet import Sheet, animated
from zerosum.explore.space import Points, Space, space_of
from zerosum.explore.sums import arithmetic
from zerosum.explore.target import read_target
from zerosum.explore.verbs import explore
from zerosum.explore.walks import interpolate, truncation_sweep, walk

__all__ = [
    "Directions",
    "Points",
    "Projection",
    "Sheet",
    "Space",
    "animated",
    "arithmetic",
    "attribute_directions",
    "directions",
    "edit",
    "explore",
    "interpolate",
    "labels_by_data",
    "load_directions",
    "load_points",
    "mix",
    "overview",
    "project",
    "read_labels",
    "read_target",
    "space_of",
    "truncation_sweep",
    "walk",
]
