"""How near what a translator makes is to what it should make: the names of its figures in words, and the newest ones.

A figure's name ends in its measure, "PSNR"; what goes before says of which pictures: "" of results, "source" of the
sources beside them, "hole" of results where pixels were taken away, "a there and back" of a brought back to a.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from zerosum.report.records import Record
from zerosum.report.run_folder import RunFolder
from zerosum.report.translation import Translation

UNITS = {"PSNR": "dB, more is nearer", "SSIM": "1 is the same", "L1": "less is nearer"}
PICTURES = {"": "result", "source": "source", "hole": "result in holes", "source hole": "source in holes"}
BACK = "there and back"


def parted(name: str) -> tuple[str, str]:
    """Of which pictures a figure is, in words, and its measure: "result in holes", "L1" of "hole L1"."""
    pictures, _, measure = name.rpartition(" ")
    return PICTURES.get(pictures, pictures), measure


def explained(translation: Translation, names: Iterable[str]) -> str:
    """Sentences: on which data the figures of these names are, and what each compares with what."""
    of = {parted(name)[0] for name in names}
    words = [translation.judged_words, translation.seen]
    if "source" in of:
        words.append("What begins with source compares the sources themselves with their targets.")
    if any(pictures.endswith("in holes") for pictures in of):
        words.append("What ends in holes is of the pixels taken away alone: the result keeps all others.")
    if any(BACK in pictures for pictures in of):
        words.append(
            "There and back compares pictures with what comes back of them. It does not tell how good the pictures on "
            "the way are."
        )
    return " ".join(word for word in words if word)


def newest(folder: RunFolder) -> Record | None:
    """The newest report that measured a translator; None of others, and before there is one."""
    if folder.translation is None:
        return None
    return next((record for record in reversed(folder.records) if _table(record)), None)


def table(record: Record) -> tuple[list[str], list[list[str]]]:
    """The figures of a report: a head and rows of cells. A row is a measure, a column of which pictures it is."""
    values = _table(record)
    columns = list(dict.fromkeys(pictures for pictures, _ in values))
    rows = [
        [f"{measure} ({words})", *(_number(values.get((pictures, measure), math.nan)) for pictures in columns)]
        for measure, words in UNITS.items()
        if any(found == measure for _, found in values)
    ]
    return ["", *columns], rows


def _table(record: Record) -> dict[tuple[str, str], float]:
    """The figures that say how near: by which pictures, and which measure."""
    named = {parted(name): value for name, value in record.figures.items()}
    return {key: value for key, value in named.items() if key[1] in UNITS}


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "–"
