"""From a recipe, a file or flags to a `RunConfig`, in words where that fails; and the keys there are."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from zerosum.config import CHANGEABLE, ENDS, RunConfig
from zerosum.config_fields import Section
from zerosum.errors import UsageError, nearest

AUTO = "auto"  # in place of a recipe's name: it is chosen when a run begins


def recipe_names() -> list[str]:
    """The names of the recipes that come with zerosum."""
    folder = resources.files("zerosum.recipes")
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def read_recipe(name: str | Path) -> dict[str, Any]:
    """The tables of a recipe: one of the names that `zerosum recipes` lists, or a TOML file.

    Raises `UsageError` where neither exists, or the file is no TOML.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise UsageError(
                f"There is no recipe file {str(name)!r}. 'zerosum recipes' lists the names that come with zerosum."
            )
        text = path.read_bytes()
    elif str(name) in recipe_names():
        text = (resources.files("zerosum.recipes") / f"{name}.toml").read_bytes()
    else:
        raise UsageError(f"There is no recipe {str(name)!r}; {nearest(str(name), recipe_names())}")
    try:
        return _underscored(tomllib.loads(text.decode("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The recipe {str(name)!r} is no valid TOML: {error}.") from error


def _underscored(tables: dict[str, Any]) -> dict[str, Any]:
    """The same with underscores for dashes in every key."""
    return {
        key.replace("-", "_"): _underscored(value) if isinstance(value, dict) else value
        for key, value in tables.items()
    }


def make_config(recipe: str | Path = "quick", overrides: dict[str, Any] | None = None) -> RunConfig:
    """The configuration of a recipe with `overrides`: a flat mapping of dotted keys to values.

    >>> make_config("quick", {"training.batch": 32, "training.images": "20k"}).training.images
    20000

    A new end (`training.images`, `.minutes` or `.epochs`) takes the place of the recipe's.
    Raises `UsageError` for an unknown key (with the nearest known one) or a value that does not fit.
    """
    tables = read_recipe(recipe)
    overrides = dict(overrides or {})
    if any(f"training.{key}" in overrides for key in ENDS):
        for key in ENDS:
            _table(tables, "training").pop(key, None)
    for player in PLAYERS:  # another network does not know this one's options
        new = overrides.get(player + ".network")
        if new is not None and new != _table(tables, player).get("network"):
            _table(tables, player).pop("options", None)
    for key, value in overrides.items():
        _put(tables, key.replace("-", "_"), value)
    return validate(tables)


def _table(tables: dict[str, Any], name: str) -> dict[str, Any]:
    """A section to change; an empty one where there is none, or something else, which `validate` will name."""
    table = tables.get(name)
    return table if isinstance(table, dict) else {}


def validate(tables: dict[str, Any]) -> RunConfig:
    """`RunConfig` of nested tables; a `ValidationError` becomes a `UsageError` that names key and remedy."""
    return validate_section(RunConfig, tables)


PLAYERS = ("generator", "discriminator", "encoder")
S = TypeVar("S", bound=Section)


def validate_section(section: type[S], tables: dict[str, Any], name: str = "") -> S:
    """The same for one section, called `name` in errors."""
    try:
        return section.model_validate(tables)
    except ValidationError as error:
        raise UsageError("\n".join(_in_words(item, name) for item in error.errors())) from error


def _put(tables: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    if not parents:
        raise UsageError(f"Unknown setting --{key}; {nearest(key, known_keys())} Settings are written --section.key.")
    table = tables
    for name in parents:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise UsageError(f"--{key}: {name!r} is a value, not a section.")
    table[last] = value


def _in_words(item: Any, section: str) -> str:
    parts = [section] * bool(section) + list(item["loc"])
    key = ".".join(
        str(part) for part in parts if not str(part).startswith(("constrained-", "function-", "literal[", "int"))
    )
    if item["type"] == "extra_forbidden":
        return f"Unknown setting {key!r}; {nearest(key, [*RunConfig.model_fields, *known_keys()])}"
    if item["type"] == "missing":
        return f"The setting {key!r} is missing."
    message = item["msg"].removeprefix("Value error, ")
    where = f"{key}: " if key else ""
    given = f" (it is {item['input']!r})" if isinstance(item["input"], str | int | float) else ""
    return f"{where}{message}{given}."


def known_keys() -> list[str]:
    """Every dotted key a recipe or a flag may set, but for the free tables (options, penalties)."""
    return [key for key, _ in _keys(RunConfig)]


def _keys(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, found in section.model_fields.items():
        sections = [
            item for item in get_args(found.annotation) if isinstance(item, type) and issubclass(item, BaseModel)
        ]
        kind = sections[0] if sections and NoneType in get_args(found.annotation) else found.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, found


def describe_keys() -> list[tuple[str, str, str]]:
    """For `--help`: (key, default, description) of every setting."""
    return [
        (key, "" if found.is_required() or found.default is None else str(found.default), found.description or "")
        for key, found in _keys(RunConfig)
        if not key.startswith("recipe.")
    ]


def differences(saved: RunConfig, asked: RunConfig) -> list[str]:
    """What `asked` would change of a `saved` run, a line each; what may change, and `auto`, does not count."""
    before, after = _flat(saved.model_dump(mode="json")), _flat(asked.model_dump(mode="json"))
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if key.startswith("recipe.") or key in CHANGEABLE or after.get(key) == "auto":
            continue
        if before.get(key) != after.get(key):
            lines.append(
                f"{key}: the run has {before.get(key, 'nothing')!r}, the command says {after.get(key, 'nothing')!r}"
            )
    return lines


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def closest_flag(flag: str) -> str:
    """The known flag nearest to an unknown `--flag`, or an empty string."""
    close = get_close_matches(flag.replace("-", "_"), known_keys(), n=1)
    return f"--{close[0]}" if close else ""
