"""The process of a training that the studio started, found again by its number and when it began."""

from __future__ import annotations

import json
import math

import psutil

from zerosum.studio.places import STARTED, Place


def process_of(place: Place) -> psutil.Process | None:
    """The training's process, if the studio started it and it still goes on: the same number and beginning."""
    try:
        about = json.loads(place.file(STARTED).read_bytes())
        process = psutil.Process(int(about["process"]))
        same = math.isclose(process.create_time(), float(about["began"]), abs_tol=1.0, rel_tol=0)
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, KeyError, TypeError, OverflowError, psutil.Error):
        return None
    return process if same and alive else None
