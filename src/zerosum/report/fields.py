"""Checked reading of JSON: each value is what the run folder's contract says, or a RunError names it."""

from __future__ import annotations

import json
import math
from pathlib import Path

from zerosum.errors import RunError

REMEDY = "Restore the file from a copy, or train into a new folder with --out."

Table = dict[str, object]


def read_bytes(path: Path) -> bytes:
    """The bytes of a file that every run has. Raises RunError when it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"{path} is missing, so this is no complete run folder. {REMEDY}") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}). {REMEDY}") from error


def parse_object(raw: bytes, where: str, remedy: str = REMEDY) -> Table:
    """The JSON object in `raw`; `where` names it in the RunError that anything else raises."""
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RunError(f"{where} is not valid JSON ({error}). {remedy}") from error
    if not isinstance(value, dict):
        raise RunError(f"{where} holds a {type(value).__name__}, not a JSON object. {remedy}")
    return value


def read_object(path: Path) -> Table:
    """The JSON object that fills the file `path`. Raises RunError when missing or damaged."""
    return parse_object(read_bytes(path), str(path))


def wrong(where: str, key: str, wanted: str, value: object) -> RunError:
    """The error for a value that is not what the contract says."""
    shown = "nothing" if value is None else repr(value)[:60]
    return RunError(f"{where}: {key!r} should be {wanted}, and is {shown}. {REMEDY}")


def text(table: Table, key: str, where: str) -> str:
    """The string at `key`."""
    value = table.get(key)
    if not isinstance(value, str):
        raise wrong(where, key, "a string", value)
    return value


def whole(table: Table, key: str, where: str, least: int = 0) -> int:
    """The whole number at `key`, not below `least`."""
    value = table.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise wrong(where, key, f"a whole number from {least}", value)
    return value


def number(table: Table, key: str, where: str) -> float:
    """The number at `key`; null, which stands for what JSON cannot say, and infinity are NaN."""
    value = table.get(key, "")
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(where, key, "a number or null", value or None)
    try:
        finite = float(value)
    except OverflowError:
        return math.nan
    return finite if math.isfinite(finite) else math.nan


def section(table: Table, key: str, where: str) -> Table:
    """The table at `key`."""
    value = table.get(key)
    if not isinstance(value, dict):
        raise wrong(where, key, "a table", value)
    return value


def numbers(table: Table, key: str, where: str) -> dict[str, float]:
    """The table of numbers at `key` (null is NaN); empty when the key is absent."""
    if key not in table:
        return {}
    inner = section(table, key, where)
    return {name: number(inner, name, f"{where}: {key}") for name in inner}


def tables(table: Table, key: str, where: str) -> dict[str, dict[str, float]]:
    """The table of tables of numbers at `key` (null is NaN); empty when the key is absent."""
    if key not in table:
        return {}
    inner = section(table, key, where)
    return {name: numbers(inner, name, f"{where}: {key}") for name in inner}


def rows(table: Table, key: str, where: str) -> list[list[float]]:
    """The non-empty list of equally long, non-empty lists of numbers at `key` (null is NaN)."""
    value = table.get(key)
    wanted = "a list of equally long lists of numbers"
    if not isinstance(value, list) or not value or not all(isinstance(row, list) and row for row in value):
        raise wrong(where, key, wanted, value)
    result = [vector({key: row}, key, where) for row in value]
    if len({len(row) for row in result}) != 1:
        raise wrong(where, key, wanted, value)
    return result


def vector(table: Table, key: str, where: str) -> list[float]:
    """The list of numbers at `key` (null is NaN)."""
    value = table.get(key)
    if not isinstance(value, list):
        raise wrong(where, key, "a list of numbers", value)
    return [number({key: item}, key, where) for item in value]
