"""Who plays whom: each file one kind of game, as the training loop knows it (`Game`)."""

from zerosum.games.fading import Fading
from zerosum.games.game import Batch, Game, Loss, Turn
from zerosum.games.generation import Generation
from zerosum.games.randomness import Draw, Latents, Randomness
from zerosum.games.remedies import Remedies, packed_shape
from zerosum.games.terms import TERMS, Penalty, make_penalty, term_of

__all__ = [
    "TERMS",
    "Batch",
    "Draw",
    "Fading",
    "Game",
    "Generation",
    "Latents",
    "Loss",
    "Penalty",
    "Randomness",
    "Remedies",
    "Turn",
    "make_penalty",
    "packed_shape",
    "term_of",
]
