"""What is done to the discriminator's view against collapse: noise, packs, and fakes of former times."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.games.fading import Fading
from zerosum.games.randomness import Draw
from zerosum.together import gathered, own

LARGEST = 2**30  # bytes of old fakes


@dataclass(frozen=True)
class Remedies:
    """The remedies of a game; as they stand here, none.

    Attributes:
        pack: samples that the discriminator judges together (PacGAN: Lin et al. 2018, https://arxiv.org/abs/1712.04086).
        noise: the deviation of the normal noise on what the discriminator sees, real and generated alike, as the run
            goes on (instance noise: Sønderby et al. 2017, https://arxiv.org/abs/1610.04490; Arjovsky & Bottou 2017,
            https://arxiv.org/abs/1701.04862).
        replay: how many old fakes are kept (Shrivastava et al. 2017, https://arxiv.org/abs/1612.07828).
        replay_share: of the fakes that the discriminator sees, the share that is old.
        feature_matching: weight in the generator's loss of the distance between mean features of real and generated
            samples (Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 3.1).
        matching_alone: feature matching takes the place of the generator's loss, as published.
        information: weight of the bound on the codes' mutual information (InfoGAN).
    """

    pack: int = 1
    noise: Fading | None = None
    replay: int = 0
    replay_share: float = 0.5
    feature_matching: float = 0.0
    matching_alone: bool = True
    information: float = 0.0

    @property
    def any(self) -> bool:
        """Whether there is any."""
        kinds = (self.pack > 1, self.noise, self.replay, self.feature_matching, self.information)
        return any(kinds)


def packed_shape(shape: tuple[int, ...], pack: int) -> tuple[int, ...]:
    """What a discriminator of packs takes: `pack` times the channels of (C, H, W), or the dimensions of (D,)."""
    return (shape[0] * pack, *shape[1:])


def in_packs(samples: Tensor, pack: int) -> Tensor:
    """(N, C, …) to (N / pack, pack · C, …): every `pack` samples that follow each other as one."""
    return samples if pack == 1 else samples.unflatten(0, (-1, pack)).flatten(1, 2)


class Replay(nn.Module):
    """A bounded buffer of old fakes, part of the game's state and so of its checkpoint.

    Each discriminator turn shows `share` of the batch from it and puts as many new fakes in: into free places first,
    then in place of random ones; of batches of one a `share` of the turns does so. How many places are filled follows
    from the images shown, so no one has to ask the device.
    """

    samples: Tensor

    def __init__(self, size: int, share: float, shape: tuple[int, ...]) -> None:
        super().__init__()
        if not shape:
            raise UsageError("A buffer of old fakes needs the shape of a sample: give Generation(shape=…).")
        row = 4 * math.prod(shape)
        if size * row > LARGEST:
            raise UsageError(
                f"A buffer of {size:,} old fakes takes {size * row / 2**30:.1f} GB, in memory and in every checkpoint: "
                f"give --game.remedies.replay.size {LARGEST // row} or less."
            )
        self.size, self.share = size, share
        self.register_buffer("samples", torch.zeros(size, *shape))

    @torch.no_grad()
    def mix(self, fake: Tensor, draw: Draw) -> Tensor:
        """`fake` (N, …), detached, with its first rows replaced by old ones; its last ones are remembered.

        Of a batch on several processes, the first and last ones of all of it.
        """
        fake = gathered(fake)
        turn = draw.start // draw.at_once
        before = self._put_in(turn, len(fake))
        wanted = self._put_in(turn + 1, len(fake)) - before
        filled = min(before, self.size)
        old = min(wanted, filled)
        new = fake[len(fake) - wanted :].to(self.samples.dtype)
        order = torch.randperm(filled, device="cpu").to(fake.device)
        mixed = torch.cat((self.samples[order[:old]].to(fake.dtype), fake[old:]))
        free = min(wanted, self.size - filled)
        self.samples[filled : filled + free] = new[:free]
        if free < wanted:
            # from the other end of the order: what was just shown goes last
            places = order[filled - (wanted - free) :]
            self.samples[places] = new[free:]
        return own(mixed)

    def _put_in(self, turns: int, count: int) -> int:
        """How many fakes have been put in after so many turns of batches of `count`."""
        if count == 1:
            return math.floor(turns * self.share + 1e-9)  # 29 turns of 0.07 are 2.03, and 100 are 7
        return turns * min(max(1, round(self.share * count)), count - 1, self.size)
