"""The report of an ensemble: mean and spread over its members, drawn, in words, and as `ensemble.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import matplotlib
import numpy as np

from zerosum.report import bands, crowd
from zerosum.report.drawing import LOOK, Picture
from zerosum.report.ensemble_folder import EnsembleFolder, read_ensemble
from zerosum.report.ensemble_page import page
from zerosum.report.spread import Spread
from zerosum.report.writer import as_bytes, keep, write_whole


def write(run: Path) -> Path:
    """Write everything that an ensemble's folder has the material for; returns the path of `report.html`."""
    folder = read_ensemble(run)
    with matplotlib.rc_context(LOOK):
        drawn = list(_draw(folder))
    for picture in drawn:
        keep(picture, run / "figures" / picture.file)
    write_whole(run / "ensemble.json", as_bytes(json.dumps(in_json(folder), indent=1, allow_nan=False) + "\n"))
    target = run / "report.html"
    write_whole(target, as_bytes(page(folder, drawn)))
    return target


def _draw(folder: EnsembleFolder) -> Iterable[Picture]:
    runs = [(member.number, member.run) for member in folder.counted]
    if folder.whole.data.is_points:
        yield crowd.scatter(runs)
    else:
        yield crowd.mixed(runs)
        yield crowd.rows(runs)
    things = folder.whole.things
    yield bands.losses(folder.curves, things)
    if "outputs" in folder.curves:
        yield bands.outputs(folder.curves, things)
    yield bands.parts(folder.curves, things)
    yield bands.pace(folder.curves, things)


def in_json(folder: EnsembleFolder) -> dict[str, object]:
    """The content of ensemble.json: members, the spread of each last figure, and that of each over the run."""
    return {
        "members": [
            {
                "number": member.number,
                "seed": member.run.facts.seed,
                "state": member.run.status.state,
                "images": member.run.status.images,
                "counts": member.counts,
            }
            for member in folder.members
        ],
        "final": {
            kind: {name: _spread_in_json(spread) for name, spread in named.items()}
            for kind, named in folder.final.items()
        },
        "curves": {
            kind: {
                name: {"images": band.images.tolist(), **_spread_in_json(band.spread)} for name, band in named.items()
            }
            for kind, named in folder.curves.items()
        },
    }


def _spread_in_json(spread: Spread) -> dict[str, object]:
    return {
        "mean": _finite(spread.mean),
        "deviation": _finite(spread.deviation),
        "lowest": _finite(spread.lowest),
        "highest": _finite(spread.highest),
        "members": spread.count.tolist(),
    }


def _finite(values: np.ndarray) -> object:
    """As lists, with null for NaN."""
    kept = np.array(values, dtype=object)
    kept[~np.isfinite(values)] = None
    return kept.tolist()
