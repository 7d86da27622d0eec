"""Who plays whom: each file one kind of game, as the training loop knows it (`Game`)."""

from zerosum.games.game import Batch, Draw, Game, Loss, Randomness, Turn
from zerosum.games.generation import Generation, Penalty

__all__ = ["Batch", "Draw", "Game", "Generation", "Loss", "Penalty", "Randomness", "Turn"]
