"""Judging: two sides, what fits them, and figures with their protocol.

made, real = side_of_model(load("runs/digits"), seed=0), side_of_store(open_data("digits"))
evaluate(made, real, ("frechet", "prdc"), extractor("random")).figures
"""

from zerosum.evaluation.measures import MEASURES, Measure, fitting
from zerosum.evaluation.protocol import ENOUGH, Evaluation, evaluate, meaning, measure_of
from zerosum.evaluation.sides import Mixture, Side, side_of_model, side_of_store, side_of_translations

__all__ = [
    "ENOUGH",
    "MEASURES",
    "Evaluation",
    "Measure",
    "Mixture",
    "Side",
    "evaluate",
    "fitting",
    "meaning",
    "measure_of",
    "side_of_model",
    "side_of_store",
    "side_of_translations",
]
