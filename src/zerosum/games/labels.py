"""Labels in a game: how a network is told them, and the auxiliary classifier.

Odena, Olah & Shlens, "Conditional Image Synthesis with Auxiliary Classifier GANs", ICML 2017,
https://arxiv.org/abs/1610.09585: the discriminator also says which class a sample is of, and both players maximise

    L_C = E[log P(C = c | X_real)] + E[log P(C = c | X_fake)]                                          (equation 3)
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from zerosum.networks import Given


def told(network: nn.Module, labels: Tensor | None) -> nn.Module:
    """`network` with the labels (N,) of the rows it will see; itself where it takes none."""
    return Given(network, labels) if labels is not None and getattr(network, "takes_labels", False) else network


class Classification(nn.Module):
    """The auxiliary classifier: features (N, K) of a discriminator and labels (N,) to the mean of -log P(C = c | X).

    Args:
        features: K.
        classes: how many.
        weight: of the loss in both players' losses.
    """

    def __init__(self, features: int, classes: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.layer = nn.Linear(features, classes)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """The cross-entropy, a scalar."""
        return cross_entropy(self.logits(features), labels)

    def logits(self, features: Tensor) -> Tensor:
        """Features (N, K) to logits of the classes (N, classes), in float32."""
        said: Tensor = self.layer(features)
        return said.float()
