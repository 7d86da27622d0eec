"""A released model: a folder of `config.json` and `model.safetensors` that makes, or restores, samples anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zerosum.data import normalise
from zerosum.errors import RunError, UsageError
from zerosum.files import about_name
from zerosum.games import Latents, Randomness
from zerosum.games.labels import told
from zerosum.games.randomness import share
from zerosum.networks import Blueprint, CodeDistribution, StyleGenerator
from zerosum.released import Released, build_networks, check_range, choose_device, read_released, rebuild
from zerosum.sampler import AT_ONCE, Sampler, chunks
from zerosum.translator import Translator, is_translator, load_translator

STYLES = 4096  # from which the mean style is taken


class Model(Released, Sampler):
    """The networks of a training and what is needed to use them.

    Its `config` also holds `networks`: of each, the fields of its `networks.Blueprint`; `codes`: the length of a fitted
    distribution of codes, if there is one; `variational`: whether an encoder gives means, then log-variances.
    """

    _mean_style: Tensor | None = None

    @property
    def styled(self) -> bool:
        """Whether truncation is that of styles."""
        return any(isinstance(module, StyleGenerator) for module in self.generator.modules())

    @property
    def generator(self) -> nn.Module:
        """Makes samples, of latents; an autoencoder's decoder, of codes."""
        return self.networks["generator"]

    @property
    def encodes(self) -> bool:
        """Whether it has an encoder."""
        return "encoder" in self.networks

    @property
    def reconstructs(self) -> bool:
        """Whether it makes an image of an image: by codes, or by a generator that takes images."""
        return self.encodes or bool(getattr(self.generator, "takes_images", False))

    @property
    @torch.no_grad()
    def mean_style(self) -> Tensor:
        """The mean style w̄ (style,), where the model is. Raises `UsageError` where the generator has no styles."""
        if not isinstance(self.generator, StyleGenerator):
            raise UsageError("This generator has no styles: there is no mean of them.")
        if self._mean_style is None:
            many = Latents(**self.config["latent"]).rows(Randomness(0), "mean style", 0, STYLES)
            self._mean_style = self.generator.styles(many.to(self.device)).mean(0)
        return self._mean_style

    def images(self, count: int, *, first: int = 0, **choice: Any) -> Tensor:
        """What the latents of the same choice become, on the CPU."""
        return self.generate(*self.drawn(count, first=first, **choice))

    @torch.no_grad()
    def generate(self, latents: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """Images float32 (N, C, H, W) in [-1, 1], or points (N, D), of latents (N, length) and labels, on the CPU.

        `truncation`: of the styles, w̄ + ψ (w − w̄) for their mean w̄, where the generator has styles (Karras et al. 2019,
        https://arxiv.org/abs/1812.04948, appendix B); else latents come truncated.
        """
        if isinstance(self.generator, StyleGenerator) and truncation != 1:
            mean = self.mean_style
            styles = mean + truncation * (self.generator.styles(latents.to(self.device)) - mean)
            pieces = [self.generator.synthesise(some).float().cpu() for some in styles.split(AT_ONCE)]
            return torch.cat(pieces) if len(styles) else torch.empty(0, *self.shape)
        codes = self.networks["codes"](latents.to(self.device)) if "codes" in self.networks else latents
        return self._decode(codes, labels)

    def encoded(self, images: Tensor) -> Tensor:
        """Codes (N, size) of images (N, C, H, W) in [-1, 1], or of points (N, D), on the CPU; a VAE's means.

        Raises `UsageError` where the model has no encoder.
        """
        if not self.encodes:
            raise UsageError("This model has no encoder: take a recipe with one, as vae, vae-gan or bigan.")
        codes = self._in_pieces(self.networks["encoder"], images)
        return codes.chunk(2, dim=1)[0] if self.config.get("variational") else codes

    def restored(self, images: Tensor) -> Tensor:
        """What the model makes of images (N, C, H, W) in [-1, 1], or of points (N, D): of the same shape, on the CPU.

        Raises `UsageError` where it makes samples of latents alone.
        """
        if not self.encodes and self.reconstructs:
            return self._decode(images.flatten(1), None)
        return self._decode(self.encoded(images), None)

    def encode(self, array: np.ndarray) -> np.ndarray:
        """Codes float32 (N, size) of data as `sample` gives them: (N, H, W, C) in the data's dtype, or points (N, D).

        Raises `UsageError` for data of another shape or kind, or where the model has no encoder.
        """
        return self.encoded(self._normalised(array)).numpy()

    def reconstruct(self, array: np.ndarray) -> np.ndarray:
        """What the model makes of data as `sample` gives them, in their form; a denoising autoencoder: without noise.

        Raises `UsageError` for data of another shape or kind, or where the model makes samples of latents alone.
        """
        return self._shown(self._pixels(self.restored(self._normalised(array))))

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        return self._in_pieces(self.generator, codes, labels) if len(codes) else torch.empty(0, *self.shape)

    @torch.no_grad()
    def _in_pieces(self, network: nn.Module, rows: Tensor, labels: Tensor | None = None) -> Tensor:
        pieces = []
        for first, n in chunks(len(rows)):
            of_these = None if labels is None else labels[first : first + n].to(self.device)
            pieces.append(told(network, of_these)(rows[first : first + n].to(self.device)).float().cpu())
        return torch.cat(pieces)

    def _normalised(self, array: np.ndarray) -> Tensor:
        data, kind = self.config["data"], np.dtype(self.config["data"]["dtype"])
        channels_last = (*self.shape[1:], self.shape[0]) if len(self.shape) == 3 else self.shape
        given = np.asarray(array)
        if given.shape[1:] != channels_last or given.dtype != kind or not len(given):
            raise UsageError(
                f"This model takes {kind} of shape (N, {', '.join(map(str, channels_last))}), as sample() gives, and "
                f"was given {given.dtype} of shape {given.shape}."
            )
        owned = np.require(given, requirements=("C", "W"))  # a file's rows are read-only, and a view may run backwards
        return normalise(torch.from_numpy(owned), data["low"], data["high"])


class Ensemble(Sampler):
    """Several generators of one kind of sample, as one: each sample comes from one of `members`, all equally likely.

    Sample *i* of a seed is sample *i* of that seed of the member that `chosen` names.
    """

    def __init__(self, members: Sequence[Model]) -> None:
        self.members = tuple(members)
        self.config = self.members[0].config
        facts = ([item.config["data"], item.config["latent"], item.classes] for item in self.members)
        kinds = {json.dumps(fact, sort_keys=True) for fact in facts}
        if len(kinds) > 1:
            raise RunError("The members make samples of different data, or of different latents: they are no ensemble.")

    @property
    def styled(self) -> bool:
        """Whether truncation is that of styles: of all members or of none."""
        return self.members[0].styled

    def chosen(self, count: int, *, seed: int = 0, first: int = 0) -> Tensor:
        """The member, as a place in `members`, that makes each of these samples: int64 (count,)."""
        shares = Randomness(seed, keep=2).rows("sample/member", first, count, share(1))[:, 0]
        return (shares.double() * len(self.members)).long()

    def images(self, count: int, *, first: int = 0, **choice: Any) -> Tensor:
        """What each latent becomes in the member chosen for it, on the CPU."""
        latents, labels, psi = self.drawn(count, first=first, **choice)
        chosen = self.chosen(count, seed=choice.get("seed", 0), first=first)
        made = torch.empty(count, *self.shape)
        for place, member in enumerate(self.members):
            mine = chosen == place
            made[mine] = member.generate(latents[mine], None if labels is None else labels[mine], psi)
        return made


def member_folders(run: Path) -> list[Path]:
    """The run folders of an ensemble's members, `members/0` and so on, in order; none where it is no ensemble."""
    folders = (path for path in (run / "members").glob("*") if path.is_dir() and path.name.isdecimal())
    return sorted(folders, key=lambda path: int(path.name))


def load(path: str | Path, device: str = "cpu") -> Model | Ensemble | Translator:
    """The model of a run folder, or of a model folder itself; of an ensemble's folder, all of its members' models.

    Of an image-to-image run, a `Translator`.

    `device`: as PyTorch names it, or "auto" for the best there is. Sizes and hashes are checked before memory is taken.
    A member that has no model yet, or that diverged, does not take part. Raises `RunError` where there is none, or one
    is damaged, and `UsageError` for a device that cannot be used here.
    """
    run, device = Path(path), str(choose_device(device))
    if (run / "members").is_dir():
        return _load_ensemble(run, device)
    folder = run / "model" if (run / "model").is_dir() or (run / "config.toml").is_file() else run
    if not (folder / about_name("model")).is_file():
        started = (run / "config.toml").is_file()
        why = "has no model yet: wait for its first checkpoint, or go on training" if started else "is no run folder"
        raise RunError(f"{run} {why}.")
    tensors, config = read_released(folder)
    if is_translator(config):
        return load_translator(folder, tensors, config, device)
    return _model(folder, tensors, config, device)


def _load_ensemble(run: Path, device: str) -> Ensemble:
    return Ensemble([_load_model(path / "model", device) for path in sound_members(run)])


def sound_members(run: Path) -> list[Path]:
    """The run folders of those members that an ensemble samples from. Raises `RunError` where there is none."""
    made = [path for path in member_folders(run) if (path / "model" / about_name("model")).is_file()]
    sound = [path for path in made if not has_diverged(path)]
    if not sound:
        why = "none of its members has a model yet" if not made else "those of its members that have a model diverged"
        raise RunError(f"{run} is an ensemble, and {why}: wait for a first checkpoint, or go on training.")
    return sound


def has_diverged(run: Path) -> bool:
    """Whether the status.json of a run folder says so, or that it was stopped at a collapse."""
    try:
        return bool(json.loads((run / "status.json").read_text(encoding="utf-8"))["state"] in ("diverged", "collapsed"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run / 'status.json'} cannot be read: {error}. Go on training to have it written.") from error


def _load_model(folder: Path, device: str) -> Model:
    tensors, config = read_released(folder)
    return _model(folder, tensors, config, device)


def _model(folder: Path, tensors: dict[str, Tensor], config: dict[str, Any], device: str) -> Model:
    model = Model(rebuild(folder, tensors, config, _build, _check), config)
    model.networks.to(device)
    return model


def _build(config: dict[str, Any]) -> nn.ModuleDict:
    """The networks that `config` names, with new weights."""
    networks = build_networks(config)
    if config.get("codes"):
        networks["codes"] = CodeDistribution(config["codes"])
    return networks


def _check(config: dict[str, Any]) -> None:
    """Raises ValueError where networks, latents, classes and data do not fit together."""
    data, plans = config["data"], [Blueprint(**fields) for fields in config["networks"].values()]
    generator = Blueprint(**config["networks"]["generator"])
    length = Latents(**config["latent"]).length
    if length != generator.arguments["latent"] or config.get("codes", 0) not in (0, length):
        raise ValueError("the latent is not that of the generator")
    if any(plan.code not in (0, 2 * length if config.get("variational") else length) for plan in plans):
        raise ValueError("the encoder's codes are not the generator's latents")
    if any(list(data["shape"]) != list(plan.arguments["shape"]) for plan in plans):
        raise ValueError("the data are not those of the networks")
    if generator.classes != len(config.get("classes", ())):
        raise ValueError("the classes are not those of the generator")
    check_range(data)
