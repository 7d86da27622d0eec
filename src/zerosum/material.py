"""What a run trains on: its data, opened, cut into parts, and recognised when the run goes on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zerosum.config import DataConfig, RunConfig
from zerosum.config_game import TRANSLATIONS
from zerosum.data import (
    Degradation,
    Pairs,
    Store,
    hold_out_by_name,
    holdout,
    labelled,
    open_data,
    open_domains,
    open_halves,
    open_pairs,
    refuse_empty_classes,
)
from zerosum.errors import DataError, RunError, UsageError
from zerosum.files import write_whole
from zerosum.refusals import refuse_nonsense
from zerosum.released import choose_device
from zerosum.training.display import Display
from zerosum.training.run_folder import HeldFolder
from zerosum.training.sources import Sources


@dataclass(frozen=True)
class Material:
    """What every member of an ensemble has in common: the data, and the device they train on.

    Attributes:
        store: what is trained on; of translators, the wanted pictures.
        device: where.
        digest: of all that was read.
        held: data that are kept from training.
        labelled: of the training's own, those whose labels are shown.
        sources, held_sources: of translators, what they start from, beside `store` and beside `held`.
        alone: names of files that have no partner in a game of pairs.
    """

    store: Store
    device: torch.device
    digest: str
    held: Store | None = None
    labelled: Store | None = None
    sources: Sources | None = None
    held_sources: Sources | None = None
    alone: tuple[str, ...] = ()


def open_material(config: RunConfig, folder: HeldFolder | None, display: Display) -> Material:
    """Open the data and choose the device; what could not be read is listed in the folder, if there is one.

    Raises `UsageError` for settings that make no sense together, before anything is read.
    """
    refuse_nonsense(config, classes=int(config.data.labels))  # if it has labels, it has classes
    device = choose_device(config.training.device)
    reading = config.data.reading() | {
        "largest": 64 if device.type == "cpu" else 256,
        "rejects_to": None if folder is None else folder.path / "rejected.txt",
        "progress": display.loading,
    }
    opened = open_pictures if config.game.kind in TRANSLATIONS else open_samples
    material = opened(config.data, reading, device, display)
    if folder is not None:
        refuse_other_data(folder.path, material.digest)
        tell_alone(folder.path / "alone.txt", material.alone, display)
    return material


def open_samples(data: DataConfig, reading: dict[str, Any], device: torch.device, display: Display) -> Material:
    """The data of a game that makes samples."""
    store = open_data(data.source, stream=data.stream, note=display.note, **reading)
    if data.labels:
        refuse_empty_classes(store)
    kept, held = hold_out(store, data.holdout, display) if data.holdout else (store, None)
    few = labelled(kept, data.labelled, display.loading) if data.labelled else None
    kept = kept.standardised() if data.standardise else kept
    held, few = (None if part is None else replace(part, low=kept.low, high=kept.high) for part in (held, few))
    return Material(kept, device, kept.digest, held, few)


def open_pictures(data: DataConfig, reading: dict[str, Any], device: torch.device, display: Display) -> Material:
    """The data of a game that translates: wanted pictures, and those to start from. What is held out is chosen by name.

    Raises `DataError` for points.
    """
    degradation: Degradation | None = None
    alone: tuple[str, ...] = ()
    if data.a:
        given, wanted = open_domains(data.a, data.b, **reading)
    elif data.degrade:
        degradation = Degradation.parse(data.degrade)
        given = wanted = open_data(data.source, **reading)
    else:
        pairs = opened_pairs(data, reading)
        given, wanted, alone = pairs.given, pairs.wanted, pairs.alone
    if wanted.is_points or given.is_points:
        raise DataError("This game translates pictures, and these data are points: give pictures.")
    paired = not data.a

    def part(rows: np.ndarray | None, own: np.ndarray | None) -> tuple[Store, Sources]:
        own_given = None if degradation else given if own is None else given.part(own)
        return wanted if rows is None else wanted.part(rows), Sources(own_given, paired, degradation)

    if not data.holdout:
        store, sources = part(None, None)
        return Material(store, device, digest_of(store, sources), sources=sources, alone=alone)
    rows = hold_out_by_name(wanted, data.holdout)
    own = rows if paired else hold_out_by_name(given, data.holdout)
    (store, sources), (held, held_sources) = (part(rows[side], own[side]) for side in (0, 1))
    return Material(
        store, device, digest_of(store, sources), held, sources=sources, held_sources=held_sources, alone=alone
    )


def opened_pairs(data: DataConfig, reading: dict[str, Any]) -> Pairs:
    """Pairs of two folders, or of the halves of one folder's pictures."""
    if data.target:
        return open_pairs(data.source, data.target, **reading)
    return open_halves(data.source, order=data.side_by_side, **reading)


def digest_of(store: Store, sources: Sources) -> str:
    """Of wanted pictures and those to start from, where these are read."""
    digests = [each.digest for each in (store, sources.store) if each is not None]
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()


def tell_alone(path: Path, names: tuple[str, ...], display: Display) -> None:
    """List the files without a partner in `path`, one a line; a list of a former start is taken away."""
    if not names:
        path.unlink(missing_ok=True)
        return
    write_whole(path, "".join(f"{name}\n" for name in names))
    have = "1 file has" if len(names) == 1 else f"{len(names):,} files have"
    display.note(f"{have} no partner and will not be used, as {names[0]}: all are listed in {path}")


def hold_out(store: Store, share: float, display: Display) -> tuple[Store, Store]:
    """What is trained on, and what is kept from it. Raises `DataError` where a class would have no images left."""
    kept, held = holdout(store, share, display.loading)
    try:
        refuse_empty_classes(kept)
    except DataError as error:
        raise DataError(
            f"A class is held out whole: give a smaller --data.holdout than {share:g}, or more images of it.\n{error}"
        ) from error
    return kept, held


def refuse_other_data(path: Path, digest: str) -> None:
    """Raise `UsageError` where the run folder `path` began with other data."""
    about = path / "data.json"
    if not about.exists():
        return
    try:
        saved = json.loads(about.read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{about} is damaged: {error}. Delete it to go on with the data as they are now.") from error
    if saved != digest:
        raise UsageError(
            f"The data of {path} have changed since it began, so it cannot go on exactly. Bring them back, give "
            f"another folder with --out, or delete {about} to go on with the data as they are now."
        )
