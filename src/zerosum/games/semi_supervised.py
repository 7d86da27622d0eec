"""A discriminator that is a classifier too, of which few images are labelled.

Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, https://arxiv.org/abs/1606.03498, section 5. It
gives K logits l_1 … l_K of the classes; that of "generated" is 0, for only differences matter, so that

    D(x) = Z / (Z + 1),   Z = Σ_k exp l_k(x):   the logit of "real" is log Z, the log-sum-exp of the class logits.

The discriminator minimises its adversarial loss on all images and the cross-entropy of the classes on the labelled
ones. Against it the generator matches features (section 3.1): the remedy `feature_matching`.

Beside the two a *baseline* may learn, the same network from the labelled images alone, in the same number of updates:
what the images without labels are worth is the difference.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from zerosum.errors import UsageError
from zerosum.games.game import Batch, Loss, Turn, evaluating
from zerosum.games.generation import Generation
from zerosum.games.randomness import Draw
from zerosum.networks import Discriminator
from zerosum.networks.discriminator import averaged

BASELINE = "baseline"


class Classifier(Discriminator):
    """A discriminator whose head gives K class logits, and whose own logit is their log-sum-exp.

    Args:
        network: whose body is taken; where it judges places, the features are averaged over them.
        classes: K.
    """

    def __init__(self, network: Discriminator, classes: int) -> None:
        super().__init__(network.body, network.width)
        self.head = nn.Linear(network.width, classes)

    def classes(self, x: Tensor) -> Tensor:
        """Samples (N, …) to class logits (N, K), in float32."""
        said: Tensor = self.head(averaged(self.body(x)))
        return said.float()

    def forward(self, x: Tensor, *, features: bool = False) -> Any:
        """Samples (N, …) to the logits (N,) of "real"; with `features`, to (logits, features)."""
        seen = averaged(self.body(x))
        logits = torch.logsumexp(self.head(seen).float(), 1)
        return (logits, seen) if features else logits


class SemiSupervised(Generation):
    """A generation whose discriminator also learns the classes of the few labelled images of each batch.

    Args:
        generator: as of `Generation`.
        discriminator: as of `Generation`.
        baseline: the same kind of network, which learns from the labelled images alone; None: none does.
        options: as of `Generation`.
    """

    discriminator: Classifier
    examines = True

    def __init__(
        self, generator: nn.Module, discriminator: Classifier, *, baseline: Classifier | None = None, **options: Any
    ) -> None:
        super().__init__(generator, discriminator, **options)
        self.baseline = baseline
        if baseline is not None:
            self.turns += (Turn(BASELINE, shows=False),)

    def play(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """The loss of one of `turns`."""
        if turn != BASELINE or self.baseline is None:
            return super().play(turn, batch, draw)
        loss = self._cost_of_classes(self.baseline, batch, draw)
        return Loss(loss * self._scale(draw), {BASELINE: loss.detach()})

    def _discriminator_loss(self, batch: Batch, fake: Tensor, draw: Draw) -> Loss:
        loss = super()._discriminator_loss(batch, fake, draw)
        classes = self._cost_of_classes(self.discriminator, batch, draw)
        loss.total = loss.total + classes * self._scale(draw)
        loss.parts["classification"] = classes.detach()
        return loss

    @torch.no_grad()
    def examine(self, batch: Batch) -> dict[str, float]:
        """The share of held-out images of which each classifier knows the class."""
        if batch.labels is None:
            return {}
        judges = {"test accuracy": self.discriminator, "baseline accuracy": self.baseline}
        figures = {}
        for name, judge in judges.items():
            if judge is not None:
                with evaluating(judge):
                    said = [judge.classes(images).argmax(1) for images in batch.images.split(256)]
                figures[name] = float((torch.cat(said) == batch.labels).float().mean())
        return figures

    def _cost_of_classes(self, network: Classifier, batch: Batch, draw: Draw) -> Tensor:
        """The cross-entropy of the labelled images, which have the noise that all others are shown with."""
        few = batch.labelled
        if few is None or few.labels is None:
            raise UsageError("A semi-supervised game needs images whose labels it may know: give --data.labelled 100.")
        return cross_entropy(network.classes(self._show(few.images, draw, "few")), few.labels)
