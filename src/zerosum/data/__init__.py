"""Data: whatever a user has, decoded once into a memory-mapped store that training gathers from.

`open_data` is the door. A ground-floor room: of zerosum it imports `zerosum.errors` alone.
"""

from typing import TYPE_CHECKING

from zerosum.data.builtin import BUILTIN, GAUSSIAN_COVARIANCE, GAUSSIAN_MEAN, MIXTURES
from zerosum.data.degradations import Degradation
from zerosum.data.describe import describe
from zerosum.data.opening import open_data
from zerosum.data.pairs import Pairs, hold_out_by_name, open_domains, open_halves, open_pairs
from zerosum.data.parts import holdout, labelled, refuse_empty_classes
from zerosum.data.sheet import contact_sheet
from zerosum.data.sources import Rejected
from zerosum.data.store import Store

if TYPE_CHECKING:
    from zerosum.data.pixels import normalise, to_pixels

__all__ = [
    "BUILTIN",
    "GAUSSIAN_COVARIANCE",
    "GAUSSIAN_MEAN",
    "MIXTURES",
    "Degradation",
    "Pairs",
    "Rejected",
    "Store",
    "contact_sheet",
    "describe",
    "hold_out_by_name",
    "holdout",
    "labelled",
    "normalise",
    "open_data",
    "open_domains",
    "open_halves",
    "open_pairs",
    "refuse_empty_classes",
    "to_pixels",
]


def __getattr__(name: str) -> object:
    """`normalise` and `to_pixels` import torch, so they are fetched when first asked for."""
    if name in ("normalise", "to_pixels"):
        from zerosum.data import pixels

        return getattr(pixels, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
