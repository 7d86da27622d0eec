"""One `RunConfig` fixes a whole run; every key is a TOML key and a command-line flag.

`[training] batch = 64` in a recipe is `--training.batch 64` on the command line. Sections are the rooms of the house.
A combination that makes no sense is refused here, in words that name the remedy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BeforeValidator, Field, model_validator

from zerosum.config_fields import (
    Auto,
    Count,
    CountOrAuto,
    Section,
    parse_count,
    parse_names,
    parse_sides,
    parse_sides_order,
)
from zerosum.config_game import KINDS, GameConfig


class RecipeConfig(Section):
    """Where the recipe comes from; never changes what a run does."""

    name: str = Field("custom", description="the recipe's name")
    title: str = Field("", description="one line: what it is")
    source: str = Field("", description="the publication")
    published: str = Field("", description="what is published about its result")
    departs: str = Field("", description="where this recipe departs from the publication, and why")
    reasons: list[str] = Field([], description="of a run whose recipe zerosum chose: what was chosen, and why")


class DataConfig(Section):
    """What is read, and how it is brought to one shape."""

    source: str = Field(
        "mnist-5k", description="folder, archive, shards (tar, Parquet, hf://), .npy/.npz, IDX folder or built-in name"
    )
    size: Annotated[str, BeforeValidator(parse_sides)] = Field(
        "auto", description="HEIGHT or HEIGHTxWIDTH in pixels; auto: their own, or a power of two"
    )
    fit: Literal["crop", "pad", "stretch"] = Field("crop", description="how a picture of another shape fits")
    channels: Annotated[int, Field(ge=1, le=4)] | Auto = Field("auto", description="1 grey, 2 grey+alpha, 3, 4")
    standardise: bool = Field(False, description="points: train on them less their mean, by their deviation")
    flip: bool = Field(False, description="show each picture mirrored half of the time")
    target: str = Field("", description="paired: the pictures to be made, with the names of those of data.source")
    side_by_side: Annotated[Literal["none", "left-to-right", "right-to-left"], BeforeValidator(parse_sides_order)] = (
        Field("none", description="paired: each picture holds a pair; left-to-right: the left half becomes the right")
    )
    degrade: str = Field(
        "", description="paired: sources are made of the pictures: downsample:4, mask:box, gray, blur:2, jpeg:10 …"
    )
    a: str = Field("", description="unpaired: pictures of one domain")
    b: str = Field("", description="unpaired: pictures of the other")
    include: str = Field("", description="only files whose relative name matches this glob")
    root: str = Field("", description="where a built-in set's files lie, if not in the usual places")
    stream: bool = Field(False, description="shards: decode each time, keep none; needs data.size")
    labels: bool = Field(False, description="read class names from subfolders, labels.csv or label files")
    labelled: Annotated[int, BeforeValidator(parse_count)] = Field(
        0, ge=0, description="semi-supervised: so many images whose labels are shown, as many of each class"
    )
    holdout: float = Field(0.0, ge=0, lt=1, description="share of the images that is never trained on, for figures")
    max_rejected: float = Field(0.01, ge=0, le=1, description="share of unreadable files that is still accepted")

    def reading(self) -> dict[str, Any]:
        """What `zerosum.data.open_data` takes of it beside the source."""
        return {
            "size": None if self.size == "auto" else self.size,
            "fit": self.fit,
            "channels": None if self.channels == "auto" else self.channels,
            "include": self.include or None,
            "root": Path(self.root) if self.root else None,
            "labels": self.labels,
            "max_rejected": self.max_rejected,
        }


class PlayerConfig(Section):
    """One player's network and the optimizer of its turn."""

    network: str = Field(description="registered name of the architecture")
    options: dict[str, Any] = Field({}, description="the network's own keyword arguments")
    minibatch: Literal["none", "discrimination", "deviation"] = Field(
        "none", description="a layer before the discriminator's last that compares the samples of a batch"
    )
    minibatch_options: dict[str, Any] = Field({}, description="its own: kernels, size; or group")
    spectral: bool = Field(False, description="spectral normalisation of every layer (the discriminator's)")
    clip: float = Field(0.0, ge=0, description="after each update weights are put back into [-clip, clip]; 0: never")
    optimizer: Literal["adam", "rmsprop"] = Field("adam", description="adam or rmsprop")
    lr: float = Field(2e-4, gt=0, description="learning rate")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Adam's two decay rates")
    alpha: float = Field(0.99, ge=0, lt=1, description="RMSprop's decay rate")
    eps: float = Field(1e-8, gt=0, description="the optimizer's epsilon")
    schedule: Literal["constant", "linear", "cosine"] = Field("constant", description="of the learning rate")
    decay_from: float = Field(0.0, ge=0, lt=1, description="share of the run after which the rate decays")
    decay_until: float = Field(1.0, gt=0, le=1, description="share of the run after which it has decayed")
    decay_to: float = Field(0.0, ge=0, le=1, description="the rate at the end, as a share of lr")
    beta2_to: float | None = Field(None, ge=0, lt=1, description="Adam's second rate at the end, by the same schedule")

    @model_validator(mode="after")
    def _betas_are_rates(self) -> PlayerConfig:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), not {list(self.betas)}")
        return self

    @model_validator(mode="after")
    def _decays_by_something(self) -> PlayerConfig:
        if self.beta2_to is not None and (self.schedule == "constant" or self.optimizer != "adam"):
            raise ValueError("beta2_to goes by the schedule of Adam's learning rate: give one, as schedule cosine")
        if self.decay_from >= self.decay_until:
            raise ValueError(f"the rate decays from {self.decay_from} to {self.decay_until} of the run: nothing")
        return self


class LatentConfig(Section):
    """What the generator starts from: noise, and codes, for pieces of its own or the mutual information."""

    size: Annotated[int, Field(ge=1)] | Auto = Field(64, description="numbers a latent holds; auto: as an image")
    distribution: Literal["normal", "uniform", "images"] = Field(
        "normal", description="N(0, 1), uniform in [-1, 1], or for a generator that is fed with images: those"
    )
    categorical: list[Annotated[int, Field(ge=2)]] = Field(
        [], description="values of each categorical code: [10]; a generator of so many pieces"
    )
    continuous: int = Field(0, ge=0, description="continuous codes, uniform in [-1, 1]")


class AugmentConfig(Section):
    """What is done to images, real and generated, before the discriminator sees them."""

    kind: Literal["none", "ada", "ada-r3gan", "diffaugment"] = Field(
        "none", description="ada: its pipe bgc; ada-r3gan: R3GAN's; diffaugment: colour, shift, cutout"
    )
    p: Annotated[float, Field(ge=0, le=1)] | Literal["auto", "adaptive"] = Field(
        "auto", description="how often; adaptive: as D needs it (ADA); auto: that with ada, else 1"
    )
    start: float | None = Field(None, ge=0, le=1, description="p at first, which goes to p by half a cosine")
    until: float = Field(1.0, gt=0, le=1, description="share of the run after which it is there")
    target: float = Field(0.6, gt=-1, lt=1, description="adaptive: the mean sign of D's logits of real images")
    images: Annotated[int, Field(gt=0), BeforeValidator(parse_count)] = Field(
        500_000, description="adaptive: after which p can have gone from 0 to 1"
    )

    @model_validator(mode="after")
    def _make_sense(self) -> AugmentConfig:
        if self.kind == "none" and self != AugmentConfig.model_construct():
            raise ValueError("nothing is augmented: give augment.kind too")
        if self.start is not None and not isinstance(self.p, float):
            raise ValueError("start is where p begins that ends at a number: give augment.p, as 0.3")
        return self


Size = Literal["own", "auto", "xs", "s", "m", "l", "xl"]


class TrainingConfig(Section):
    """How long, how much at a time, on what."""

    images: Count | None = Field(None, gt=0, description="end after so many real images shown (200k, 2M)")
    minutes: float | None = Field(None, gt=0, description="end after so many minutes of training")
    epochs: float | None = Field(None, gt=0, description="end after so many passes over the data")
    size: Size = Field(
        "own", description="of networks, batch and rates; own: the recipe's; auto: as device and time allow"
    )
    batch: int = Field(64, ge=1, description="real images a discriminator turn sees")
    micro_batch: int | None = Field(None, ge=1, description="so many at a time; gradients are accumulated")
    seed: int = Field(0, ge=0, lt=2**63, description="everything random follows from it")
    ensemble: int = Field(1, ge=1, le=1000, description="so many runs of seeds that follow each other, as one")
    device: str = Field("auto", description="cpu, cuda, cuda:1, mps")
    precision: Literal["auto", "bf16", "float32"] = Field("auto", description="of convolutions and products")
    compile: bool | Auto = Field("auto", description="compile the turns of a small game; auto: where it pays")
    sync_batch_norm: bool = Field(True, description="of several processes: BatchNorm's statistics are of all samples")
    threads: Annotated[int, Field(ge=1)] | Auto = Field("auto", description="CPU threads")
    ema: CountOrAuto = Field(0, description="half-life of the generator's average, in images; 0: none")
    ema_ramp: float = Field(0.1, gt=0, description="the half-life is at most this share of the images shown")
    ema_until: float = Field(
        0.0, ge=0, le=1, description="share of the run in which the half-life grows from 0 by half a cosine (R3GAN)"
    )
    report_every: CountOrAuto = Field("auto", description="images from report to report; auto: by the clock")
    checkpoint_every: CountOrAuto = Field("auto", description="images from checkpoint to checkpoint; auto: a minute")
    on_collapse: Literal["continue", "rollback", "stop"] = Field(
        "continue", description="when samples are alike twice in a row; rollback: to the last healthy checkpoint"
    )

    @model_validator(mode="after")
    def _make_sense(self) -> TrainingConfig:
        if self.micro_batch is not None and self.batch % self.micro_batch:
            raise ValueError(f"micro_batch {self.micro_batch} does not divide batch {self.batch}")
        for key in ("ema", "report_every", "checkpoint_every"):
            value = getattr(self, key)
            if isinstance(value, int) and value < (0 if key == "ema" else 1):
                raise ValueError(f"{key} cannot be {value}")
        return self


class EvaluationConfig(Section):
    """How the generator is judged while it trains. Never changes what it learns."""

    every: Annotated[int, Field(gt=0), BeforeValidator(parse_count)] | None = Field(
        None, description="judge after each so many images, and at the end; nothing: never"
    )
    metrics: Annotated[list[str], BeforeValidator(parse_names)] = Field(
        [], description="what by, as of 'zerosum evaluate' (default: that of evaluation.best, else frechet)"
    )
    features: str = Field("auto", description="of images; auto: efficientnet-lite0 where it is installed, else random")
    count: Count = Field(2_000, ge=2, description="how many samples, and as many real images")
    best: str = Field("", description="keep the best checkpoint, and model, by this figure: frechet, precision …")
    patience: int = Field(0, ge=0, description="end after so many evaluations without a new best; 0: never")

    @model_validator(mode="after")
    def _make_sense(self) -> EvaluationConfig:
        asked = [key for key in ("metrics", "best", "patience") if getattr(self, key)]
        if self.every is None and asked:
            raise ValueError(f"{asked[0]} is of evaluations in training: say how often, --evaluate-every 200k")
        if self.patience and not self.best:
            raise ValueError("patience waits for a better figure: say which, as --best frechet")
        return self


class RunConfig(Section):
    """A whole run but for the content of its data. An autoencoder's decoder is its generator."""

    recipe: RecipeConfig = RecipeConfig()
    data: DataConfig = DataConfig()
    game: GameConfig = GameConfig()
    generator: PlayerConfig
    discriminator: PlayerConfig | None = None
    encoder: PlayerConfig | None = None
    latent: LatentConfig = LatentConfig()
    augment: AugmentConfig = AugmentConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _one_end(self) -> RunConfig:
        ends = [key for key in ENDS if getattr(self.training, key) is not None]
        if len(ends) != 1:
            said = "nothing says" if not ends else f"{' and '.join(ends)} both say"
            raise ValueError(f"training: {said} when the run ends; give one of --images, --minutes, --epochs")
        return self

    @model_validator(mode="after")
    def _has_its_players(self) -> RunConfig:
        needed = KINDS[self.game.kind]
        for name in ("discriminator", "encoder"):
            if name in needed and getattr(self, name) is None:
                raise ValueError(f"game.kind {self.game.kind} needs the player {name!r}: give --{name}.network")
            if name not in needed and getattr(self, name) is not None:
                raise ValueError(f"game.kind {self.game.kind} has no {name!r}: leave its settings out")
        return self

    def player(self, name: str) -> PlayerConfig:
        """The settings of a player that the game has."""
        found: PlayerConfig = getattr(self, name)
        return found

    def players(self) -> dict[str, PlayerConfig]:
        """The settings of every player of the game."""
        return {name: self.player(name) for name in KINDS[self.game.kind]}

    def to_toml(self) -> str:
        """The whole configuration as TOML; `from_toml` gives the same configuration back."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


ENDS = ("images", "minutes", "epochs")
# What may change when a run goes on: when it ends, when it reports, how it is judged. None of it touches what is past.
CHANGEABLE = {
    *(f"training.{key}" for key in (*ENDS, "report_every", "checkpoint_every", "on_collapse")),
    *(f"evaluation.{key}" for key in EvaluationConfig.model_fields),
}
