"""Both READMEs say the same: every command, every line of Python, every recipe, every link within the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zerosum.settings import AUTO, recipe_names

ROOT = Path(__file__).parents[1]
NAMES = ("README.md", "README.zh.md")
FOLDERS = "config.toml "  # the block on a run folder: names and words, which differ


def code_of(name: str) -> list[str]:
    """The lines of a README's code blocks, without comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks if not block.startswith(FOLDERS) for line in block.split("\n")]
    return [code for line in lines if (code := re.sub(r"\s+#.*$", "", line).strip())]


def recipes_of(name: str) -> set[str]:
    """The names in the first column of a README's table of recipes."""
    text = (ROOT / name).read_text("utf-8")
    table = text[text.index(f"| `{AUTO}` |") :].split("\n\n")[0]
    return {found for line in table.split("\n") for found in re.findall(r"`([^`]+)`", line.split("|")[1])}


def test_both_give_the_same_commands() -> None:
    """In the same order; a line that only one of them has is shown."""
    english, chinese = map(code_of, NAMES)
    assert len(english) > 20
    assert chinese == english


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_is_in_the_table(name: str) -> None:
    assert recipes_of(name) == {AUTO, *recipe_names()}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """To the other README, to pictures."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text("utf-8"))
    assert links
    assert all((ROOT / link).exists() for link in links)
