"""Who plays whom: each file one kind of game, as the training loop knows it (`Game`)."""

from zerosum.games.corruption import Corruption
from zerosum.games.encoding import AdversarialAutoencoder, BiGan, EncodingGame, OfPairs, VaeGan
from zerosum.games.fading import Fading
from zerosum.games.game import Batch, Game, Loss, Turn
from zerosum.games.generation import Generation
from zerosum.games.labels import Classification, told
from zerosum.games.paired import Paired
from zerosum.games.randomness import Draw, Latents, Randomness
from zerosum.games.reconstruction import Reconstruction, Restoring
from zerosum.games.remedies import Remedies, Replay, packed_shape
from zerosum.games.semi_supervised import Classifier, SemiSupervised
from zerosum.games.terms import TERMS, Penalty, make_penalty, term_of
from zerosum.games.translation import Translating
from zerosum.games.unpaired import Unpaired

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
    "Paired",
    "Penalty",
    "Randomness",
    "Reconstruction",
    "Remedies",
    "Replay",
    "Restoring",
    "SemiSupervised",
    "Translating",
    "Turn",
    "Unpaired",
    "VaeGan",
    "make_penalty",
    "packed_shape",
    "term_of",
    "told",
]
