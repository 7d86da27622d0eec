"""A released generator: a folder of `config.json` and `model.safetensors` that makes samples anywhere."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from zerosum.data import to_pixels
from zerosum.errors import RunError, UsageError
from zerosum.files import about_name, load_tensors, save_tensors, write_folder
from zerosum.games import Latents, Randomness
from zerosum.games.randomness import share
from zerosum.networks import build

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMAT = 1
AT_ONCE = 64
DTYPES = ("uint8", "uint16", "float32")


class Sampler(ABC):
    """Seeded samples: of one generator, or of an ensemble of them.

    `config` holds `latent` (what `games.Latents` takes), `data` {name, shape, dtype, low, high} and facts about the
    training; of an ensemble, those of its first member.
    """

    config: dict[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image, or (D,) of a point."""
        return tuple(self.config["data"]["shape"])

    def latents(
        self, count: int, *, seed: int = 0, first: int = 0, truncation: float = 1.0, code: int | None = None
    ) -> Tensor:
        """Latents `first` to `first + count` of a seed, float32 (count, length), their noise scaled by `truncation`.

        `code`: the value that the first categorical code has in all of them; None: each as it is drawn. Raises
        `UsageError` where there is no such code, or it has no such value.
        """
        if count < 0 or first < 0:
            raise UsageError(f"The count of samples cannot be {min(count, first)}.")
        latents = Latents(**self.config["latent"])
        rows = latents.truncated(latents.rows(Randomness(seed, keep=2), "sample", first, count), truncation)
        if code is None:
            return rows
        if not latents.categorical:
            raise UsageError("This model was trained without a categorical code: leave the code out.")
        if not 0 <= code < latents.categorical[0]:
            raise UsageError(f"The code has values 0 to {latents.categorical[0] - 1}, and {code} is none of them.")
        return latents.with_value(rows, 0, code)

    @abstractmethod
    def images(
        self, count: int, *, seed: int = 0, first: int = 0, truncation: float = 1.0, code: int | None = None
    ) -> Tensor:
        """What the latents of the same arguments become: float32 (count, C, H, W) in [-1, 1], or points (count, D)."""

    def sample(
        self,
        count: int = 1,
        *,
        seed: int = 0,
        truncation: float = 1.0,
        code: int | None = None,
        output: str = "array",
    ) -> np.ndarray | list[Picture]:
        """Seeded samples: sample *i* of a seed is the same whatever the count.

        Args:
            count: how many.
            seed: which ones.
            truncation: latents are scaled by it; below 1, samples nearer to the common and fewer of the rare.
            code: the value of the first categorical code, in all of them; None: as drawn.
            output: "array": in the data's own dtype and range, (N, H, W, C), or float32 (N, D) for points;
                "pil": a list of `PIL.Image.Image`.

        Raises `UsageError` for pictures of points, an unknown `output`, or a code that the model does not have.
        """
        if output not in ("array", "pil"):
            raise UsageError(f"output is 'array' or 'pil', not {output!r}.")
        pieces = [
            self._pixels(self.images(n, seed=seed, first=first, truncation=truncation, code=code))
            for first, n in _chunks(count)
        ]
        array = np.concatenate(pieces) if pieces else self._pixels(self.images(0, seed=seed, code=code))
        return array if output == "array" else self.pictures(array)

    def _pixels(self, images: Tensor) -> np.ndarray:
        data = self.config["data"]
        return to_pixels(images, data["low"], data["high"], np.dtype(data["dtype"]))

    def pictures(self, array: np.ndarray) -> list[Picture]:
        """`PIL` images of what `sample` returned, 16 bits deep where the data are and Pillow can."""
        if len(self.shape) != 3:
            raise UsageError("This run makes points, not pictures: take output='array'.")
        return [picture(item, self.config["data"]["low"], self.config["data"]["high"]) for item in array]


class Model(Sampler):
    """A generator and what is needed to use it.

    Its `config` also holds `network` and `arguments`: what `networks.build` takes.
    """

    def __init__(self, generator: nn.Module, config: dict[str, Any]) -> None:
        self.generator = generator.eval()
        self.config = config

    def images(
        self, count: int, *, seed: int = 0, first: int = 0, truncation: float = 1.0, code: int | None = None
    ) -> Tensor:
        """What the latents of the same arguments become, on the CPU."""
        return self.generate(self.latents(count, seed=seed, first=first, truncation=truncation, code=code))

    @torch.no_grad()
    def generate(self, latents: Tensor) -> Tensor:
        """Images float32 (N, C, H, W) in [-1, 1], or points (N, D), of latents (N, length); on the CPU."""
        device = next(self.generator.parameters()).device
        pieces = [self.generator(piece.to(device)).float().cpu() for piece in latents.split(AT_ONCE)]
        return torch.cat(pieces) if pieces else torch.empty(0, *self.shape)

    def save(self, folder: Path) -> None:
        """Write the model folder, whole or not at all."""
        tensors = dict(self.generator.state_dict())
        write_folder(folder, lambda inside: save_tensors(inside, "model", tensors, self.config | {"format": FORMAT}))


class Ensemble(Sampler):
    """Several generators of one kind of sample, as one: each sample comes from one of `members`, all equally likely.

    Sample *i* of a seed is sample *i* of that seed of the member that `chosen` names.
    """

    def __init__(self, members: Sequence[Model]) -> None:
        self.members = tuple(members)
        self.config = self.members[0].config
        kinds = {json.dumps([item.config["data"], item.config["latent"]], sort_keys=True) for item in self.members}
        if len(kinds) > 1:
            raise RunError("The members make samples of different data, or of different latents: they are no ensemble.")

    def chosen(self, count: int, *, seed: int = 0, first: int = 0) -> Tensor:
        """The member, as a place in `members`, that makes each of these samples: int64 (count,)."""
        shares = Randomness(seed, keep=2).rows("sample/member", first, count, share(1))[:, 0]
        return (shares.double() * len(self.members)).long()

    def images(
        self, count: int, *, seed: int = 0, first: int = 0, truncation: float = 1.0, code: int | None = None
    ) -> Tensor:
        """What each latent becomes in the member chosen for it, on the CPU."""
        latents = self.latents(count, seed=seed, first=first, truncation=truncation, code=code)
        chosen = self.chosen(count, seed=seed, first=first)
        made = torch.empty(count, *self.shape)
        for place, member in enumerate(self.members):
            mine = chosen == place
            made[mine] = member.generate(latents[mine])
        return made


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    for first in range(0, count, AT_ONCE):
        yield first, min(AT_ONCE, count - first)


def picture(item: np.ndarray, low: float, high: float) -> Picture:
    """A PIL image of one (H, W, C) array of values `low` to `high`: 8 bits, or 16 where it is grey of more."""
    from PIL import Image

    deep = high > 255 and item.shape[-1] == 1
    top = 65535 if deep else 255
    scaled = np.rint((item.astype(np.float64) - low) * (top / (high - low))).clip(0, top)
    if deep:
        return Image.fromarray(scaled[..., 0].astype(np.uint16))
    pixels = scaled.astype(np.uint8)
    return Image.fromarray(
        pixels[..., 0] if pixels.shape[-1] == 1 else pixels,
        {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[-1]],
    )


def member_folders(run: Path) -> list[Path]:
    """The run folders of an ensemble's members, `members/0` and so on, in order; none where it is no ensemble."""
    folders = (path for path in (run / "members").glob("*") if path.is_dir() and path.name.isdecimal())
    return sorted(folders, key=lambda path: int(path.name))


def load(path: str | Path, device: str = "cpu") -> Model | Ensemble:
    """The model of a run folder, or of a model folder itself; of an ensemble's folder, all of its members' models.

    Sizes and hashes are checked before memory is taken. A member that has no model yet, or that diverged, does not
    take part. Raises `RunError` where there is none, or one is damaged.
    """
    run = Path(path)
    if (run / "members").is_dir():
        return _load_ensemble(run, device)
    folder = run / "model" if (run / "model").is_dir() or (run / "config.toml").is_file() else run
    if not (folder / about_name("model")).is_file():
        started = (run / "config.toml").is_file()
        why = "has no model yet: wait for its first checkpoint, or go on training" if started else "is no run folder"
        raise RunError(f"{run} {why}.")
    return _load_model(folder, device)


def _load_ensemble(run: Path, device: str) -> Ensemble:
    made = [path for path in member_folders(run) if (path / "model" / about_name("model")).is_file()]
    sound = [path for path in made if not has_diverged(path)]
    if not sound:
        why = "none of its members has a model yet" if not made else "those of its members that have a model diverged"
        raise RunError(f"{run} is an ensemble, and {why}: wait for a first checkpoint, or go on training.")
    return Ensemble([_load_model(path / "model", device) for path in sound])


def has_diverged(run: Path) -> bool:
    """Whether the status.json of a run folder says so."""
    try:
        return bool(json.loads((run / "status.json").read_text(encoding="utf-8"))["state"] == "diverged")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run / 'status.json'} cannot be read: {error}. Go on training to have it written.") from error


def _load_model(folder: Path, device: str) -> Model:
    tensors, config = load_tensors(folder, "model")
    try:
        if config["format"] != FORMAT:
            raise RunError(f"{folder} has format {config['format']}; this version of zerosum reads {FORMAT}.")
        generator = _rebuild(config, tensors)
    except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError, UsageError) as error:
        raise RunError(f"{folder} does not hold the network its config.json names: {error}") from error
    return Model(generator.to(device), config)


def _rebuild(config: dict[str, Any], tensors: dict[str, Tensor]) -> nn.Module:
    """The generator that `config` names, with the weights `tensors`; built without memory first, to compare sizes."""
    arguments, data = config["arguments"], config["data"]
    with torch.device("meta"):
        declared = build(config["network"], **arguments).state_dict()
    for name in sorted(declared.keys() | tensors.keys()):
        kept, wanted = tensors.get(name), declared.get(name)
        if kept is None or wanted is None or kept.shape != wanted.shape or kept.dtype != wanted.dtype:
            raise ValueError(f"{name!r} is not of the kind and size that it declares")
    if Latents(**config["latent"]).length != arguments["latent"] or list(data["shape"]) != list(arguments["shape"]):
        raise ValueError("latent and data are not those of the network")
    if data["dtype"] not in DTYPES or not data["low"] < data["high"]:
        raise ValueError("data have no dtype and range that zerosum writes")
    generator = build(config["network"], **arguments)
    generator.load_state_dict(tensors)
    return generator
