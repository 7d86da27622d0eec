"""What a command asks for, and the configuration that comes of it once the data are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zerosum.choosing import Facts, choose, choose_size, reasons, recipe_before
from zerosum.config import ENDS, DataConfig, RunConfig
from zerosum.data import BUILTIN
from zerosum.errors import UsageError
from zerosum.material import Material
from zerosum.settings import AUTO, make_config, read_recipe, validate
from zerosum.sizes import sized


@dataclass(frozen=True)
class Order:
    """What a command says.

    Attributes:
        recipe: a name, a TOML file, or "auto".
        source: DATA of the command, where it gives some.
        settings: dotted keys, which win over all that is chosen and over the recipe.
    """

    recipe: str | Path
    source: str | Path | None
    settings: dict[str, Any]

    @property
    def is_open(self) -> bool:
        """Whether the recipe is still to be chosen."""
        return self.recipe == AUTO

    def before(self) -> RunConfig:
        """The configuration as far as it is known before data are read."""
        return self._made(recipe_before(self.settings) if self.is_open else self.recipe)

    def again(self, path: Path) -> RunConfig:
        """What it asks of a run that has begun, whose configuration lies in `path`: what was chosen then stays."""
        before, saved = self.before(), validate(read_recipe(path))
        chosen = self.is_open or (before.training.size != "own" and before.recipe.name == saved.recipe.name)
        if not chosen:
            return before
        config = self._made(path)
        config.recipe = saved.recipe
        if saved.recipe.reasons or not self.is_open:  # the data are opened as before: they are decoded already
            config.data.size, config.data.channels = before.data.size, before.data.channels
        return config

    def after(self, material: Material) -> tuple[RunConfig, list[str]]:
        """The whole configuration, for these data; and why what was chosen was, a line each."""
        config = self.before()
        facts = self._facts(material)
        recipe, chosen, leaves = self.recipe, dict[str, Any](), False
        if self.is_open:
            recipe = config.recipe.name
            if leaves := recipe == "quick" and not self._names_networks:
                recipe, chosen = choose(facts)
            config = self._made(recipe, chosen)
        size, network = config.training.size, config.generator.network
        if size != "own":
            if size == "auto":
                size = choose_size(network, facts)
            chosen |= sized(network, size, facts.shape, facts.classes if config.game.labels.any else 0)
            config = self._made(recipe, chosen)
            config.training.size = size
        config.recipe.reasons = reasons(facts, config) if leaves else []
        return config, config.recipe.reasons

    @property
    def _names_networks(self) -> bool:
        """Whether the settings name a game or a network, so that no recipe is to be chosen."""
        return any(key == "game.kind" or key.endswith(".network") for key in self.settings)

    def _facts(self, material: Material) -> Facts:
        store, minutes = material.store, self.settings.get("training.minutes")
        return Facts(
            shape=store.shape,
            count=len(store),
            classes=len(store.classes),
            device=material.device.type,
            minutes=None if minutes is None else float(minutes),
            ends=any(f"training.{key}" in self.settings for key in ENDS),
        )

    def _made(self, recipe: str | Path, chosen: dict[str, Any] | None = None) -> RunConfig:
        config = make_config(recipe, (chosen or {}) | self.settings)
        settle_sources(config, self.source)
        return config


def settle_sources(asked: RunConfig, source: str | Path | None) -> None:
    """Make the paths of the data mean the same in every folder. `source`: the DATA of the command.

    Raises `UsageError` where DATA is not what the game takes, or is missing.
    """
    data = asked.data
    if asked.game.kind == "unpaired":
        if source is not None:
            raise UsageError(
                f"DATA ({source}): this game takes two folders of pictures: --data.a FOLDER --data.b FOLDER."
            )
        data.source = ""
    if data.source == DataConfig().source and (data.target or data.side_by_side != "none"):
        raise UsageError("Pairs need the pictures to start from: zerosum train SOURCES --data.target TARGETS.")
    for key in ("source", "target", "a", "b"):
        setattr(data, key, _absolute(getattr(data, key)))


def _absolute(source: str) -> str:
    """A path that means the same in every folder; a built-in name does already, whatever lies beside it."""
    is_path = source and source not in BUILTIN and Path(source).exists()
    return str(Path(source).absolute()) if is_path else source
