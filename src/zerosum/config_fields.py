"""What all sections of the configuration share: unknown keys are refused; counts and sizes as people write them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

Auto = Literal["auto"]


def parse_count(value: Any) -> Any:
    """`"200k"` is 200,000 and `"1.5M"` 1,500,000; numbers and the word `auto` pass through."""
    if not isinstance(value, str) or value == "auto":
        return value
    match = re.fullmatch(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([kKmM]?)\s*", value)
    if match is None:
        raise ValueError(f"{value!r} is no count; write 20000, 20k or 1.5M")
    number = Decimal(match[1].replace("_", "").replace(",", ""))  # a float would make 1000.9999 of 1.001k
    scaled = number * {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()]
    if scaled != int(scaled):
        raise ValueError(f"{value!r} is no whole number")
    return int(scaled)


def parse_names(value: Any) -> Any:
    """`"frechet,prdc"` is `["frechet", "prdc"]`; what is no text passes through."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def parse_sides(value: Any) -> Any:
    """`64` and `"64"` are `"64x64"`, as the config of a run that has begun says it; what is no size passes through."""
    match = re.fullmatch(r"\s*([0-9]+)\s*(?:[x×]\s*([0-9]+))?\s*", str(value))
    return value if match is None else f"{int(match[1])}x{int(match[2] or match[1])}"


def parse_sides_order(value: Any) -> Any:
    """`true`, as a flag without a value says it, is "left-to-right", and `false` "none"; what is neither passes."""
    return {True: "left-to-right", False: "none"}.get(value, value) if isinstance(value, bool) else value


Count = Annotated[int, BeforeValidator(parse_count)]
CountOrAuto = Annotated[int | Auto, BeforeValidator(parse_count)]


class Section(BaseModel):
    """What all sections share: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)
