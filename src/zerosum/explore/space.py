"""Where a generator's samples lie as points that can be moved: among its latents z, or, where it has styles, in W.

    z   numbers as they are drawn; what stands for a categorical code is never moved
    w   styles, one (N, style) for all layers or one a layer, (N, layers, style); a label is already in them

Karras, Laine & Aila 2019, https://arxiv.org/abs/1812.04948: W need not follow the shape that latents are drawn in, so
straight lines and single directions mean more there than in z.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from zerosum.data.ticker import Ticker
from zerosum.errors import RunError, UsageError
from zerosum.games import Latents
from zerosum.games.labels import told
from zerosum.games.randomness import BLOCK
from zerosum.model import STYLES, Ensemble, Model
from zerosum.networks import LabelledGenerator, StyleGenerator
from zerosum.sampler import chunks
from zerosum.translator import Translator

UNIFORM = 3**-0.5  # the deviation of a number uniform in [-1, 1]


@dataclass(frozen=True)
class Points:
    """Points of a space, on the CPU.

    Attributes:
        rows: float32 (N, length), or of styles also (N, layers, style).
        labels: int64 (N,), where the generator needs them beside the points; else None.
    """

    rows: Tensor
    labels: Tensor | None = None

    def __getitem__(self, rows: Tensor | slice) -> Points:
        return Points(self.rows[rows], None if self.labels is None else self.labels[rows])

    def at(self, rows: Tensor) -> Points:
        """Other points with the same labels: as many for each, in turn, as `rows` has of it, (N·k, …)."""
        each = len(rows) // len(self.rows)
        return Points(rows, None if self.labels is None else self.labels.repeat_interleave(each))


@dataclass(frozen=True)
class Space:
    """The points of one generator, see `space_of`.

    Attributes:
        model: whose generator it is.
        name: "z" or "w".
        truncation: ψ of all points that are drawn.
    """

    model: Model
    name: str
    truncation: float = 1.0

    @property
    def styled(self) -> StyleGenerator | None:
        """The generator that has styles, without its labels; None where there is none."""
        return style_generator(self.model)

    @cached_property
    def latents(self) -> Latents:
        """What z is drawn from."""
        return Latents(**self.model.config["latent"])

    @property
    def length(self) -> int:
        """Numbers of a point."""
        return self.latents.length if self.name == "z" else self._styled.mapping.style

    @cached_property
    def free(self) -> Tensor:
        """Which numbers of a point may be moved: all but one-hot rows, bool (length,)."""
        free = torch.ones(self.length, dtype=torch.bool)
        if self.name == "z":
            free[self.latents.size : self.latents.size + sum(self.latents.categorical)] = False
        return free

    @property
    def _styled(self) -> StyleGenerator:
        if self.styled is None:
            raise UsageError(without_styles(self.model))
        return self.styled

    def points(
        self,
        numbers: Sequence[int],
        *,
        seed: int = 0,
        label: int | str | None = None,
        code: int | None = None,
        alike: bool = False,
    ) -> Points:
        """The points of the samples of these numbers of a seed, those that `Model.sample` makes.

        Args:
            numbers: from 0.
            seed: which samples.
            label: one class for all; None: as drawn.
            code: the value of the first categorical code of all; None: as drawn.
            alike: whether in z all have the label of the first: labels beside a point cannot be gone through.

        Raises `UsageError` for a number below 0, and where the model has no such label or code.
        """
        psi = 1.0 if self.styled is not None else self.truncation

        def latents(first: int, count: int) -> Tensor:
            return self.model.latents(count, seed=seed, first=first, truncation=psi, code=code)

        def labels(first: int, count: int) -> Tensor:
            made = self.model.labels(count, seed=seed, first=first, label=label)
            return torch.zeros(count, dtype=torch.int64) if made is None else made

        rows, drawn = numbered(numbers, latents), numbered(numbers, labels)
        if not self.model.classes:
            self.model.labels(0, label=label)  # refuses a label that there cannot be
            return Points(rows if self.name == "z" else self.styles(rows, None))
        if self.name == "w":
            return Points(self.styles(rows, drawn))
        return Points(rows, drawn[:1].expand(len(drawn)) if alike else drawn)

    @torch.no_grad()
    def styles(self, rows: Tensor, labels: Tensor | None) -> Tensor:
        """Truncated styles (N, style) of latents, on the CPU."""
        pieces = []
        for first, count in chunks(len(rows)):
            part = slice(first, first + count)
            pieces.append(self._truncated(self._mapped(rows[part], None if labels is None else labels[part])).cpu())
        return torch.cat(pieces)

    def _mapped(self, rows: Tensor, labels: Tensor | None) -> Tensor:
        rows, wrapper = rows.to(self.model.device), self.model.generator
        if isinstance(wrapper, LabelledGenerator) and labels is not None:
            rows = torch.cat((rows, wrapper.one_hot(labels.to(rows.device)).to(rows.dtype)), 1)
        return self._styled.styles(rows)

    # w' = w̄ + ψ (w − w̄)
    # Karras et al. 2019, appendix B.
    def _truncated(self, styles: Tensor) -> Tensor:
        if self.truncation == 1:
            return styles
        mean = self.model.mean_style
        return mean + self.truncation * (styles - mean)

    def render(self, points: Points) -> Tensor:
        """Images (N, C, H, W) in [-1, 1], where the model is; differentiable in the points."""
        rows = points.rows.to(self.model.device)
        labels = None if points.labels is None else points.labels.to(self.model.device)
        if self.name == "w":
            return self._styled.synthesise(rows).float()
        if self.styled is not None:
            return self._styled.synthesise(self._truncated(self._mapped(rows, labels))).float()
        networks = self.model.networks
        codes = networks["codes"](rows) if "codes" in networks else rows
        made: Tensor = told(self.model.generator, labels)(codes)
        return made.float()

    @torch.no_grad()
    def images(self, points: Points, ticker: Ticker | None = None) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] on the CPU, made some at a time; the ticker counts them.

        Raises `RunError` where they are not finite.
        """
        pieces = []
        for first, count in chunks(len(points.rows)):
            pieces.append(self.render(points[slice(first, first + count)]).cpu())
            if ticker is not None:
                ticker.advance(count)
        made = torch.cat(pieces) if pieces else torch.empty(0, *self.model.shape)
        if not bool(made.isfinite().all()):
            raise RunError("This generator makes images that are not finite (NaN or infinite): train it anew.")
        return made

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each number of a point, two of (length,): of z by its law, of W of 4096 samples."""
        if self.name == "z":
            zeros = torch.zeros(self.length)
            normal = self.latents.distribution == "normal"
            spread = torch.full((self.length,), 1.0 if normal else UNIFORM)
            spread[self.latents.size :] = UNIFORM  # of continuous codes
            return zeros, spread
        drawn = Space(self.model, self.name).points(range(STYLES)).rows
        return drawn.mean(0), drawn.std(0).clamp(min=1e-8)

    def moved(self, rows: Tensor, by: Tensor, layers: Sequence[int] = ()) -> Tensor:
        """Points moved: (N, length) by (N, length), or, in `layers` of styles alone, to (N, layers, style)."""
        if not layers:
            return rows + (by if rows.dim() == 2 else by[:, None])
        made = self.layered(rows).clone()
        made[:, list(layers)] += by[:, None]
        return made

    def layered(self, rows: Tensor) -> Tensor:
        """Styles (N, style) or (N, layers, style) as one a layer, (N, layers, style)."""
        count = len(self._styled.layers)
        return rows if rows.dim() == 3 else rows[:, None].expand(-1, count, -1)


def space_of(model: Any, name: str | None = None, truncation: float = 1.0) -> Space:
    """The space of a generator's points.

    Args:
        model: as `zerosum.load` gives it.
        name: "z" or "w"; None: "w" where the generator has styles, else "z".
        truncation: ψ of the points that are drawn.

    Raises `UsageError` for what makes no images of random numbers, a space that the generator has not, and truncated
    styles that a label goes into.
    """
    model = image_generator(model)
    styled = style_generator(model) is not None
    name = name or ("w" if styled else "z")
    if name not in ("z", "w"):
        raise UsageError(f"There is no space {name!r}: z of latents, or w of styles.")
    if name == "w" and not styled:
        raise UsageError(without_styles(model))
    if styled and model.classes and truncation != 1:
        raise UsageError("Styles that a label goes into cannot be truncated: leave the truncation out.")
    return Space(model, name, truncation)


def image_generator(model: Any) -> Model:
    """The same model. Raises `UsageError` where it makes no images of random numbers, with what to do instead."""
    if isinstance(model, Translator):
        raise UsageError(
            "This run makes pictures of pictures, and has no latents to explore: zerosum translate RUN IMAGE|FOLDER "
            "--out FOLDER."
        )
    if isinstance(model, Ensemble):
        raise UsageError(
            f"An ensemble has {len(model.members)} generators with latents of their own: explore one of them, "
            "as zerosum.load('RUN/members/0')."
        )
    if not isinstance(model, Model):
        raise UsageError(f"{type(model).__name__} is no model: give what zerosum.load(RUN) returns.")
    if len(model.shape) != 3:
        raise UsageError(
            "This run makes points, and exploring shows images: zerosum report RUN draws them, and zerosum sample RUN "
            "--out points.npy writes them."
        )
    if Latents(**model.config["latent"]).of_images:
        raise UsageError(
            "This generator is fed with images, and has no latents to explore: zerosum.load(RUN).reconstruct(array)."
        )
    return model


def style_generator(model: Model) -> StyleGenerator | None:
    """The generator that has styles, taken out of what tells it labels; None where there is none."""
    inner = model.generator.network if isinstance(model.generator, LabelledGenerator) else model.generator
    return inner if isinstance(inner, StyleGenerator) else None


def without_styles(model: Model) -> str:
    """What is said where styles are asked of a generator that has none."""
    fields = model.config.get("networks", {}).get("generator", {})
    return (
        f"This generator ({fields.get('network', type(model.generator).__name__)}) has no styles, so there is no W, "
        "and nothing to mix: stay in z, as 'zerosum explore interpolate RUN' does, or train one that has styles, as "
        "with --recipe style-28 or stylegan2."
    )


def numbered(numbers: Sequence[int], draw: Callable[[int, int], Tensor]) -> Tensor:
    """The rows of these numbers, of blocks that `draw(first, count)` makes. Raises `UsageError` below 0."""
    if min(numbers, default=0) < 0:
        raise UsageError(f"Samples are numbered from 0, and {min(numbers)} is none of them.")
    if len(numbers) and list(numbers) == list(range(numbers[0], numbers[0] + len(numbers))):
        return draw(numbers[0], len(numbers))
    blocks = {block: draw(block * BLOCK, BLOCK) for block in sorted({number // BLOCK for number in numbers})}
    rows = [blocks[number // BLOCK][number % BLOCK] for number in numbers]
    return torch.stack(rows) if rows else draw(0, 0)


def fingerprint(model: Model) -> str:
    """The SHA-256 of the weights that make images of points: which generator a direction or a projection is of."""
    digest = hashlib.sha256()
    for part in ("generator", "codes"):
        if part in model.networks:
            for name, value in sorted(model.networks[part].state_dict().items()):
                digest.update(f"{part}.{name} {value.dtype} {tuple(value.shape)}".encode())
                digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
