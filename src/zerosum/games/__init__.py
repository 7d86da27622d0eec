"""Who plays whom: each file one kind of game, as the training loop knows it (`Game`)."""

from zerosum.games.corruption import Corruption
from zerosum.games.encoding import AdversarialAutoencoder, BiGan, EncodingGame, OfPairs, VaeGan
from zerosum.games.fading import Fading
from zerosum.games.game import Batch, Game, Loss, Turn
from zerosum.games.generation import Generation
from zerosum.games.labels import Classification, told
from zerosum.games.randomness import Draw, Latents, Randomness
from zerosum.games.reconstruction import Reconstruction, Restoring
from zerosum.games.remedies import Remedies, packed_shape
from zerosum.games.semi_supervised import Classifier, SemiSupervised
from zerosum.games.terms import TERMS, Penalty, make_penalty, term_of

__all__ = [
    "TERMS",
    "AdversarialAutoencoder",
    "Batch",
    "BiGan",
    "Classification",
    "Classifier",
    "Corruption",
    "Draw",
    "EncodingGame",
    "Fading",
    "Game",
    "Generation",
    "Latents",
    "Loss",
    "OfPairs",
    "Penalty",
    "Randomness",
    "Reconstruction",
    "Remedies",
    "Restoring",
    "SemiSupervised",
    "Turn",
    "VaeGan",
    "make_penalty",
    "packed_shape",
    "term_of",
    "told",
]
