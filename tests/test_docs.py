"""What the documentation says is there: every flag and verb it names, every verdict, every lesson it links to."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from zerosum.cli import divide, settings_from
from zerosum.config_game import PenaltyConfig
from zerosum.diagnosis import HEALTHY, LOOKS
from zerosum.errors import UsageError
from zerosum.flags import parser
from zerosum.games import TERMS
from zerosum.settings import known_keys

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("*/*.py"))]
NAMES = [path.name for path in PAGES]
FREE = re.compile(r"(generator|discriminator|encoder)\.options\.\w+")  # networks have their own


def commands(text: str) -> list[str]:
    """The lines of code blocks that call zerosum, without comments; also after &&."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = (re.sub(r"\s+#.*$", "", line) for block in blocks for line in block.split("\n"))
    return [part.strip() for line in lines for part in line.split("&&") if part.strip().startswith("zerosum ")]


def is_key(key: str) -> bool:
    """Whether a dotted key may be set."""
    of_penalty = re.fullmatch(r"game\.penalties\.(\w+)\.(\w+)", key)
    if of_penalty:
        return of_penalty[1] in TERMS and of_penalty[2] in PenaltyConfig.model_fields
    known = known_keys()
    return key in known or bool(FREE.fullmatch(key)) or key in {name.rpartition(".")[0] for name in known}


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_every_setting_exists(path: Path) -> None:
    """Flags as --section.key, and keys of `settings` in Python."""
    text = path.read_text("utf-8")
    sections = "data|game|generator|discriminator|encoder|latent|augment|training|evaluation"
    found = re.findall(rf"(?:--|[\"'])((?:{sections})\.[a-z][\w.-]*\w)", text)
    unknown = [key for key in found if not is_key(key.replace("-", "_"))]
    assert not unknown
    assert not is_key("training.batches")


@pytest.mark.parametrize("path", [path for path in PAGES if path.suffix == ".md"], ids=lambda path: path.name)
def test_every_command_can_be_given(path: Path) -> None:
    """Its verb, its flags and their values are known."""
    for command in commands(path.read_text("utf-8")):
        words, settings = divide(shlex.split(command)[1:])
        options, rest = parser().parse_known_args(words)
        assert options.verb == words[0]
        try:
            settings_from(rest + settings)
        except UsageError as error:
            pytest.fail(f"{command}: {error}")


def test_every_verdict_has_its_place() -> None:
    """A row of the table and a section for each thing that a report can say."""
    text = (DOCS / "trouble.md").read_text("utf-8")
    headings = [heading.lower() for heading in re.findall(r"^## (.+)$", text, flags=re.MULTILINE)]
    assert "healthy, and still ugly" in headings
    for state in LOOKS:
        assert state in headings
    for state in (*LOOKS, HEALTHY):
        assert f"| [{state}](#{state.replace(' ', '-')}" in text


def test_lessons_are_linked_by_their_names() -> None:
    """What pages link to in the course exists."""
    links = [
        link for path in DOCS.glob("*.md") for link in re.findall(r"\(lessons/(\w+)\.rst", path.read_text("utf-8"))
    ]
    assert links
    assert all((DOCS / "course" / f"{link}.py").exists() for link in links if link != "index")
    assert len(list((DOCS / "course").glob("*.py"))) == 13
