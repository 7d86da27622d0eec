"""What a run's model is compared with: in training, and by `zerosum evaluate` where nobody names another side."""

from __future__ import annotations

from zerosum.config import RunConfig
from zerosum.errors import RunError
from zerosum.evaluation import side_of_model, side_of_store, side_of_translations
from zerosum.material import Material
from zerosum.metrics.extractors import best_installed, extractor
from zerosum.training.display import Display
from zerosum.training.judging import Compared, Judging, Rules

HELD, TRAINED = "held out", "trained on"


def compared(material: Material, seed: int = 0, name: str = "samples") -> Compared:
    """Samples with the training's data; translations with what was wanted: of held-out pictures, where there are such.

    Args:
        material: the run's data.
        seed: of the samples, and of what is random about a degradation.
        name: what people call what the model makes.

    Raises `RunError` where pictures to start from are neither read nor made.
    """
    held = None if material.held is None else side_of_store(material.held, HELD)
    if material.sources is None:
        return Compared(lambda model: side_of_model(model, seed, name), side_of_store(material.store), held)
    wanted, sources, part = material.store, material.sources, TRAINED
    if material.held is not None and material.held_sources is not None:
        wanted, sources, part = material.held, material.held_sources, HELD
    given = sources.degradation or sources.store
    if given is None:
        raise RunError(f"{name}: the pictures that this game starts from are neither read nor made.")
    trained = None if held is None else side_of_store(material.store, TRAINED)
    return Compared(
        lambda model: side_of_translations(model, wanted, given, seed, name, part),
        held or side_of_store(wanted, part),
        held,
        trained,
    )


def make_judging(config: RunConfig, material: Material, display: Display) -> Judging | None:
    """Who evaluates the model in training; None where that is not asked for.

    Raises `UsageError` for figures or features that there are not.
    """
    asked = config.evaluation
    if asked.every is None:
        return None
    features = None
    if not material.store.is_points:
        features = extractor(best_installed() if asked.features == "auto" else asked.features, display.loading)
    rules = Rules(asked.every, tuple(asked.metrics), asked.count, asked.best, asked.patience)
    return Judging(rules, compared(material), features, str(material.device), display)
