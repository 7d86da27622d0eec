"""All that rebuilds a network, as plain JSON-able data: what a released model's config.json holds of each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from zerosum.errors import UsageError
from zerosum.networks.conditional import (
    LabelledDiscriminator,
    LabelledGenerator,
    NormedByLabel,
    ProjectionDiscriminator,
    classes_shape,
)
from zerosum.networks.discriminator import Discriminator
from zerosum.networks.encoder import build_encoder
from zerosum.networks.keeps import KeepsKnown
from zerosum.networks.registry import build, entry

GENERATOR_LABELS = ("none", "concatenate", "normalise")
DISCRIMINATOR_LABELS = ("none", "concatenate", "projection", "auxiliary")


@dataclass(frozen=True)
class Blueprint:
    """A network to be built.

    Attributes:
        network: a registered name.
        arguments: what `build` takes: the `shape` of a sample, a generator's `latent`, a translator's `source`, and the
            network's own options.
        code: of an encoder, which is the body of the discriminator called `network`, the numbers it gives; else 0.
        labels: how labels enter: one of GENERATOR_LABELS or DISCRIMINATOR_LABELS ("auxiliary" leaves the network as
            it is).
        classes: how many classes there are, where labels enter.
        keeps: whether a translator keeps the known pixels of what it is given, behind which comes a mask (inpainting).
    """

    network: str
    arguments: dict[str, Any] = field(default_factory=dict)
    code: int = 0
    labels: str = "none"
    classes: int = 0
    keeps: bool = False

    def build(self) -> nn.Module:
        """The network with new weights from PyTorch's default generator. Raises UsageError as `networks.build` does."""
        network = self._plain()
        return KeepsKnown(network) if self.keeps else network

    def _plain(self) -> nn.Module:
        if self.code:
            return build_encoder(self.network, code=self.code, **self.arguments)
        if self.labels in ("none", "auxiliary"):
            return build(self.network, **self.arguments)
        makes = entry(self.network).role == "generator"
        if self.labels not in (GENERATOR_LABELS if makes else DISCRIMINATOR_LABELS):
            raise UsageError(f"{self.network}: labels do not enter as {self.labels!r}.")
        return self._labelled_generator() if makes else self._labelled_discriminator()

    def _labelled_generator(self) -> nn.Module:
        if self.labels == "normalise":
            return NormedByLabel(build(self.network, **self.arguments), self.classes)
        inner = self.arguments | {"latent": self.arguments["latent"] + self.classes}
        return LabelledGenerator(build(self.network, **inner), self.classes)

    def _labelled_discriminator(self) -> nn.Module:
        shape = self.arguments["shape"]
        if self.labels == "concatenate":
            shape = list(classes_shape(self.network, tuple(shape), self.classes))
        inner = build(self.network, **self.arguments | {"shape": shape})
        if not isinstance(inner, Discriminator):
            raise UsageError(f"{self.network} has no body and head, so it cannot be told labels.")
        wrapper = LabelledDiscriminator if self.labels == "concatenate" else ProjectionDiscriminator
        return wrapper(inner, self.classes)

    def to_json(self) -> dict[str, Any]:
        """Its fields; `Blueprint(**fields)` is the same again."""
        return asdict(self)
