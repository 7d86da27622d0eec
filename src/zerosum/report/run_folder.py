"""The run folder as the report sees it: read once, checked against the contract, kept as plain data.

| file | what is read |
| --- | --- |
| `config.toml` | the whole text, and the few facts in `Facts` |
| `environment.json`, `data.json`, `status.json` | as in `Data`, `Translation`, `Status`; the environment as it is |
| `records.jsonl` | see `zerosum.report.records` |
| `samples/` | `real.png` and `000200000.png`, tiled as `grid.json` says; for points `real.json` and so on |
| `samples/NAME.png` | each NAME of `zerosum.report.row_kinds`, if there: its labels and tiles as `NAME.json` says |
| `rejected.txt` | lines `name<TAB>reason`, if the data had any |
| `alone.txt` | lines `side: name`, if files of pairs have no partner |
| `model/config.json` | if a model was released |
| `evaluation.json`, `evaluation/nearest.png` | see `zerosum.report.judged`, if the run was judged |
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from zerosum.errors import RunError
from zerosum.report import fields
from zerosum.report.judged import Judged, read_judged
from zerosum.report.records import Moments, Record, read_moments, read_records
from zerosum.report.row_kinds import ROW_KINDS
from zerosum.report.translation import Translation, read_translation, shape_words

SAMPLE_NAME = re.compile(r"[0-9]{9,15}")
STATES = ("running", "done", "stopped", "diverged", "collapsed")


@dataclass(frozen=True)
class Facts:
    """What the report needs of the configuration; `encoder` and `discriminator` are "" in a game without.

    `holdout` is the share of the data that is never trained on.
    """

    name: str
    title: str
    source: str
    kind: str
    loss: str
    encoder: str
    generator: str
    discriminator: str
    batch: int
    seed: int
    holdout: float


@dataclass(frozen=True)
class Data:
    """The data set: `shape` is (C, H, W) of an image or (D,) of a point; `truth` only where it is known."""

    name: str
    count: int
    shape: tuple[int, ...]
    rejected: int
    truth: Moments | None

    @property
    def is_points(self) -> bool:
        """Whether an example is a point of D numbers and not an image."""
        return len(self.shape) == 1

    @property
    def shape_words(self) -> str:
        """The shape of one example in words: "2 dimensions", "28×28 pixels, 1 channel"."""
        if self.is_points:
            return f"{self.shape[0]} dimension{'s' if self.shape[0] > 1 else ''}"
        return shape_words((self.shape[0], self.shape[1], self.shape[2]))


@dataclass(frozen=True)
class Status:
    """How the run stands: `state` is one of STATES, `reason` says why, `seconds` is time spent training."""

    state: str
    reason: str
    images: int
    seconds: float


@dataclass(frozen=True)
class Grid:
    """How a sample picture is tiled; the sizes are those of one tile, in pixels.

    `labels` are the words of each row: of samples its class, where they have one; else there are none.
    """

    rows: int
    columns: int
    height: int
    width: int
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One picture (or list of points) of the fixed latents, drawn after `images` real images were shown."""

    images: int
    path: Path


@dataclass(frozen=True)
class Rows:
    """The newest picture of a kind in `ROW_KINDS`, its `name`: a row of tiles for each of the grid's labels."""

    name: str
    path: Path
    grid: Grid


@dataclass(frozen=True)
class RunFolder:
    """Everything the report draws from. `samples` are in order of images shown; `real` may not exist yet.

    `translation` is there where the game makes pictures of pictures; `data` is then about those it should make.
    `rejected` are names and reasons, `alone` sides and names of files without a partner.
    """

    path: Path
    config_text: str
    facts: Facts
    environment: fields.Table
    data: Data
    translation: Translation | None
    status: Status
    records: tuple[Record, ...]
    samples: tuple[Sample, ...]
    real: Path | None
    grid: Grid | None
    rows: tuple[Rows, ...]
    rejected: tuple[tuple[str, str], ...]
    alone: tuple[tuple[str, str], ...]
    model: fields.Table | None
    judged: Judged | None

    @property
    def name(self) -> str:
        """The folder's own name, without what lies above it."""
        return self.path.resolve().name

    @property
    def trained_on(self) -> str:
        """The data set's name, or those of both sides of a translation."""
        return self.data.name if self.translation is None else self.translation.names

    @property
    def things(self) -> str:
        """What is learned and drawn, in a word."""
        return "points" if self.data.is_points else "images"

    @property
    def reconstructs(self) -> bool:
        """Whether the game is an autoencoder's, of one kind or another, with no adversary."""
        return self.facts.kind == "reconstruction"

    @property
    def encodes(self) -> bool:
        """Whether an adversarial game has an encoder, too."""
        return bool(self.facts.encoder) and not self.reconstructs

    @property
    def conditional(self) -> bool:
        """Whether samples are of a class that is asked for: a row of the grid for each."""
        return self.grid is not None and bool(self.grid.labels)


def read_run(path: Path) -> RunFolder:
    """Read and check the run folder `path`. Raises RunError with the file, what is wrong, and the remedy."""
    if not path.is_dir():
        raise RunError(f"{path} is not a folder. Give the folder that `zerosum train --out` wrote.")
    about = fields.read_object(path / "data.json")
    data = _read_data(about, str(path / "data.json"))
    config_text, facts = _read_config(path / "config.toml")
    samples, real = _list_samples(path / "samples", ".json" if data.is_points else ".png")
    has_pictures = bool(samples or real) and not data.is_points
    model = path / "model" / "config.json"
    return RunFolder(
        path=path,
        config_text=config_text,
        facts=facts,
        environment=fields.read_object(path / "environment.json"),
        data=data,
        translation=read_translation(about, str(path / "data.json"), facts.kind, facts.holdout),
        status=_read_status(path / "status.json"),
        records=read_records(path / "records.jsonl"),
        samples=samples,
        real=real,
        grid=_read_grid(path / "samples" / "grid.json") if has_pictures else None,
        rows=() if data.is_points else _read_rows(path / "samples"),
        rejected=_read_lines(path / "rejected.txt", "\t"),
        alone=_read_lines(path / "alone.txt", ": "),
        model=fields.read_object(model) if model.exists() else None,
        judged=read_judged(path / "evaluation.json"),
    )


def _read_config(path: Path) -> tuple[str, Facts]:
    where = str(path)
    try:
        words = fields.read_bytes(path).decode("utf-8")
        config = tomllib.loads(words)
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are both
        raise RunError(f"{path} is not valid TOML ({error}). {fields.REMEDY}") from error
    recipe = fields.section(config, "recipe", where)
    training = fields.section(config, "training", where)
    game = fields.section(config, "game", where)
    kind = fields.text(game, "kind", f"{where} [game]") if "kind" in game else "generation"
    alone = kind == "reconstruction" or (kind == "paired" and _adversarial(game, f"{where} [game]") == 0)
    return words, Facts(
        name=fields.text(recipe, "name", f"{where} [recipe]"),
        title=fields.text(recipe, "title", f"{where} [recipe]"),
        source=fields.text(recipe, "source", f"{where} [recipe]"),
        kind=kind,
        loss=_loss(game, alone, f"{where} [game]"),
        encoder=_network(config, "encoder", where),
        generator=_network(config, "generator", where),
        discriminator="" if alone else _network(config, "discriminator", where),
        batch=fields.whole(training, "batch", f"{where} [training]", least=1),
        seed=fields.whole(training, "seed", f"{where} [training]"),
        holdout=_holdout(config, where),
    )


def _holdout(config: fields.Table, where: str) -> float:
    """The share held out; 0 where the configuration does not speak of it."""
    data = fields.section(config, "data", where) if "data" in config else {}
    return fields.number(data, "holdout", f"{where} [data]") if "holdout" in data else 0.0


def _adversarial(game: fields.Table, where: str) -> float:
    """The weight of the discriminator's opinion in a paired game; at 0 no discriminator plays."""
    if "translation" not in game:
        return 1.0
    inner = fields.section(game, "translation", where)
    return fields.number(inner, "adversarial", f"{where[:-1]}.translation]") if "adversarial" in inner else 1.0


def _loss(game: fields.Table, alone: bool, where: str) -> str:
    """The loss of the game; without an adversary, `alone`, it is in a table of its own."""
    inner = game.get("reconstruction")
    if alone and isinstance(inner, dict) and "loss" in inner:
        return fields.text(inner, "loss", f"{where[:-1]}.reconstruction]")
    return fields.text(game, "loss", where)


def _network(config: fields.Table, player: str, where: str) -> str:
    """The name of the player's network; "" where the game has no such player."""
    if player not in config:
        return ""
    return fields.text(fields.section(config, player, where), "network", f"{where} [{player}]")


def _read_data(table: fields.Table, where: str) -> Data:
    shape = tuple(int(size) for size in fields.vector(table, "shape", where) if size >= 1)
    if len(shape) not in (1, 3):
        raise fields.wrong(where, "shape", "[channels, height, width] or [dimensions]", table.get("shape"))
    return Data(
        name=fields.text(table, "name", where),
        count=fields.whole(table, "count", where),
        shape=shape,
        rejected=fields.whole(table, "rejected", where),
        truth=read_moments(table, where) if table.get("mean") is not None else None,
    )


def _read_status(path: Path) -> Status:
    table = fields.read_object(path)
    state = fields.text(table, "state", str(path))
    if state not in STATES:
        raise fields.wrong(str(path), "state", f"one of {', '.join(STATES)}", state)
    return Status(
        state=state,
        reason=fields.text(table, "reason", str(path)),
        images=fields.whole(table, "images", str(path)),
        seconds=fields.number(table, "seconds", str(path)),
    )


def _read_grid(path: Path) -> Grid:
    table = fields.read_object(path)
    sizes = {key: fields.whole(table, key, str(path), 1) for key in ("rows", "columns", "height", "width")}
    labels = _labels(table, path) if table.get("labels") is not None else ()
    if labels and len(labels) != sizes["rows"]:
        raise fields.wrong(str(path), "labels", f"{sizes['rows']} strings, one a row", list(labels))
    return Grid(**sizes, labels=labels)


def _read_rows(folder: Path) -> tuple[Rows, ...]:
    """Those of the known kinds that there are, in the table's order."""
    return tuple(
        Rows(name, path, _grid_of_rows(path.with_suffix(".json")))
        for name in ROW_KINDS
        if (path := folder / f"{name}.png").exists()
    )


def _grid_of_rows(path: Path) -> Grid:
    table = fields.read_object(path)
    labels = _labels(table, path)
    sizes = {key: fields.whole(table, key, str(path), 1) for key in ("columns", "height", "width")}
    return Grid(rows=len(labels), **sizes, labels=labels)


def _labels(table: fields.Table, path: Path) -> tuple[str, ...]:
    labels = table.get("labels")
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        raise fields.wrong(str(path), "labels", "a list of strings", labels)
    return tuple(labels)


def _list_samples(folder: Path, suffix: str) -> tuple[tuple[Sample, ...], Path | None]:
    """The samples in order of images shown; files of any other name (temporary ones, say) are not samples."""
    if not folder.is_dir():
        return (), None
    paths = [path for path in folder.iterdir() if path.suffix == suffix and SAMPLE_NAME.fullmatch(path.stem)]
    samples = sorted((Sample(int(path.stem), path) for path in paths), key=lambda sample: sample.images)
    real = folder / f"real{suffix}"
    return tuple(samples), real if real.exists() else None


def _read_lines(path: Path, between: str) -> tuple[tuple[str, str], ...]:
    """Each line in two; none where there is no such file."""
    if not path.exists():
        return ()
    # File names need not be UTF-8: what cannot be decoded is shown as a replacement character.
    lines = fields.read_bytes(path).decode("utf-8", errors="replace").split("\n")
    halves = [line.partition(between) for line in lines if line.strip()]
    return tuple((first, second) for first, _, second in halves)
