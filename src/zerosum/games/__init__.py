"""Who plays whom: each file one kind of game, as the training loop knows it (`Game`)."""

from zerosum.games.game import Batch, Draw, Game, Loss, Randomness, Turn
from zerosum.games.generation import Generation
from zerosum.games.terms import TERMS, Penalty, make_penalty

__all__ = ["TERMS", "Batch", "Draw", "Game", "Generation", "Loss", "Penalty", "Randomness", "Turn", "make_penalty"]
