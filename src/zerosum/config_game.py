"""`[game]`: who plays whom, for what, with which penalties, remedies and labels; and what each kind of game needs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from zerosum.config_fields import Auto, Section
from zerosum.errors import nearest


class PenaltyConfig(Section):
    """One penalty: `every · weight · penalty`, added at every `every`-th turn of its player."""

    gamma: float | None = Field(None, gt=0, description="twice the weight, as R1 and R2 are published")
    weight: float | None = Field(None, gt=0, description="the factor itself; without either, the published one")
    every: int = Field(1, ge=1, description="lazy regularisation: each how many turns")
    fade_to: float = Field(1.0, gt=0, description="what it falls to, as a share of the weight")
    fade: Literal["factors", "cosine"] = Field("factors", description="by equal factors, or along half a cosine")
    fade_until: float = Field(1.0, gt=0, le=1, description="share of the run after which it has fallen")
    options: dict[str, Any] = Field({}, description="the penalty's own")

    @model_validator(mode="after")
    def _one_factor(self) -> PenaltyConfig:
        if self.gamma is not None and self.weight is not None:
            raise ValueError("give gamma or weight, not both: gamma is twice the weight")
        return self

    @property
    def factor(self) -> float | None:
        """The weight, where one is given."""
        return self.weight if self.gamma is None else self.gamma / 2


class NoiseConfig(Section):
    """Instance noise: normal noise on all that the discriminator sees."""

    start: float = Field(0.0, ge=0, description="its deviation at first, where images are in [-1, 1]; 0: no noise")
    end: float = Field(0.0, ge=0, description="its deviation at last; it falls by equal factors, to 0 linearly")
    until: float = Field(1.0, gt=0, le=1, description="share of the run after which it has fallen")


class ReplayConfig(Section):
    """Old fakes are shown to the discriminator again."""

    size: int = Field(0, ge=0, description="how many old fakes are kept, and shown to D again; 0: none")
    share: float = Field(0.5, gt=0, lt=1, description="of the fakes that D sees, the share that is old")


class FeatureMatchingConfig(Section):
    """The generator matches the mean of the discriminator's features."""

    weight: float = Field(0.0, ge=0, description="of the distance of mean features in G's loss; 0: none")
    alone: bool = Field(True, description="in place of G's adversarial loss, as published; else beside it")


class RemediesConfig(Section):
    """Against collapse."""

    pack: int = Field(1, ge=1, description="PacGAN: samples that D judges together")
    noise: NoiseConfig = NoiseConfig()
    replay: ReplayConfig = ReplayConfig()
    feature_matching: FeatureMatchingConfig = FeatureMatchingConfig()
    information: float = Field(0.0, ge=0, description="InfoGAN: weight of the codes' mutual information; 0: none")


class LabelsConfig(Section):
    """How the class of a sample enters a game; fakes are made for the labels of the real images beside them."""

    generator: Literal["none", "concatenate", "normalise"] = Field(
        "none", description="a one-hot label behind the latent, or conditional BatchNorm"
    )
    discriminator: Literal["none", "concatenate", "projection", "auxiliary"] = Field(
        "none", description="a label beside the sample, projection of its features, or an auxiliary classifier"
    )
    weight: float = Field(1.0, gt=0, description="of the auxiliary classifier's loss")

    @property
    def any(self) -> bool:
        """Whether there are labels in the game."""
        return (self.generator, self.discriminator) != ("none", "none")


class ReconstructionConfig(Section):
    """Games with an encoder, and paired ones: what a restored image costs, and where codes lie."""

    loss: Literal["squared", "absolute", "bernoulli"] = Field(
        "squared", description="squared or absolute error a pixel, or a Bernoulli likelihood of its brightness"
    )
    weight: float = Field(1.0, gt=0, description="of the reconstruction beside the other terms")
    variational: bool = Field(False, description="the encoder gives mean and log-variance; codes are drawn (VAE)")
    beta: float = Field(1.0, ge=0, description="weight of the divergence of codes from N(0, 1)")
    warm_up: float = Field(0.0, ge=0, le=1, description="share of the run in which beta rises from 0")
    corruption: Literal["none", "gaussian", "masking", "salt-and-pepper"] = Field(
        "none", description="what is done to images in training, to be undone"
    )
    strength: float = Field(0.5, gt=0, description="deviation of the noise, or share of the pixels that it meets")


class TranslationConfig(Section):
    """Games that make a picture of a picture; the distance to the wanted one is `game.reconstruction`'s."""

    adversarial: float = Field(
        1.0, ge=0, description="weight of the discriminator's opinion; 0, in a paired game: no discriminator plays"
    )
    conditional: bool = Field(True, description="paired: the discriminator sees the source beside the picture")
    content: float = Field(0.0, ge=0, description="paired: weight of the distance in features; 0: none")
    features: str = Field("discriminator", description="paired: whose features: the discriminator's, or an extractor")
    cycle: float = Field(10.0, ge=0, description="unpaired: weight of what comes back, there and back")
    identity: float = Field(0.5, ge=0, description="unpaired: times cycle, weight of leaving a domain's own as it is")


KINDS: dict[str, tuple[str, ...]] = {  # each game's players; whoever adds a game adds a maker, too: `making.MAKERS`
    "generation": ("generator", "discriminator"),
    "reconstruction": ("encoder", "generator"),
    "vae-gan": ("encoder", "generator", "discriminator"),
    "bigan": ("encoder", "generator", "discriminator"),
    "adversarial-autoencoder": ("encoder", "generator", "discriminator"),
    "semi-supervised": ("generator", "discriminator"),
    "paired": ("generator", "discriminator"),
    "unpaired": ("generator", "discriminator"),
}
TRANSLATIONS = ("paired", "unpaired")


class GameConfig(Section):
    """Who plays whom, and for what."""

    kind: str = Field("generation", description="the game")
    loss: str = Field("relativistic", description="minimax, non-saturating, relativistic, hinge, wasserstein …")
    loss_options: dict[str, float] = Field({}, description="the loss's own: real_label, flips, a, b, c")
    penalties: dict[str, PenaltyConfig] = Field(
        {},
        description="by name: r1, r2, r1_difference, r2_difference, gradient, dragan, consistency, lecam, path_length",
    )
    lazy: Literal["joined", "apart"] = Field(
        "joined", description="a lazy penalty joins every so many-th turn, or has its own, Adam rescaled (StyleGAN2)"
    )
    remedies: RemediesConfig = RemediesConfig()
    updates: Literal["alternating", "simultaneous"] = Field(
        "alternating", description="each player after the other, or both from the same networks"
    )
    one_pass: bool | Auto = Field(
        "auto", description="simultaneous updates from one pass of the fakes; auto: where nothing differs by it"
    )
    discriminator_turns: int = Field(1, ge=1, description="discriminator turns for one of the generator")
    discriminator_factor: float = Field(
        1.0,
        gt=0,
        description="factor on the discriminator's loss; 0.5: the mean of its real and its fake half",
    )
    reduction: Literal["mean", "sum"] = Field("mean", description="of a loss over the batch")
    labels: LabelsConfig = LabelsConfig()
    reconstruction: ReconstructionConfig = ReconstructionConfig()
    translation: TranslationConfig = TranslationConfig()
    baseline: bool = Field(
        True, description="semi-supervised: the same classifier learns beside it from the labelled images alone"
    )

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"there is no game {kind!r}: {nearest(kind, list(KINDS))}")
        return kind
