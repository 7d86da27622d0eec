"""NaN and infinity: noticed on the device at once, before an optimizer applies them; told at the next report.

`x - x` is 0 for a finite x and NaN else, and a sum that met one NaN stays NaN. So one scalar remembers; from then on
every update is called off, and the networks stay as they were when it happened, to be looked at.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zerosum.games import Batch, Draw, Game
from zerosum.training.optim import Player

GRADIENT = "the gradient of the"  # how words begin that tell no more than that


class Guard:
    """Watches the loss and the gradients of each turn; with `members`, those of so many games that play together."""

    def __init__(self, device: torch.device, members: int | None = None) -> None:
        self.sum = torch.zeros(() if members is None else (members,), device=device)
        self.calls = torch.zeros((), device=device)
        self.turns: list[tuple[str, Draw]] = []

    def called_off(self, value: Tensor, turn: str, draw: Draw) -> Tensor:
        """1.0 if `value`, or one before it, was not finite; else 0.0. A float32 scalar on the device.

        `value` is a scalar, or one of each member (K,): one that is not finite calls off the turn of all.
        """
        self.sum.add_(value - value)
        called_off = self.sum.ne(0).any().float()
        self.calls.add_(called_off)
        self.turns.append((turn, draw))
        return called_off

    def trouble(self) -> tuple[str, Draw] | None:
        """The turn, since the last call, that first met what is not finite; None where all is well. A host sync."""
        calls = int(self.calls.item())
        first = self.turns[-calls] if calls else None
        self.turns.clear()
        return first


def explain(game: Game, turn: str, players: list[Player], batch: Batch, draw: Draw) -> str | None:
    """Play a turn again on one (micro-)batch, as the networks stand, and name what is not finite in it.

    It is played back as well, whatever was found: other processes may have to.
    """
    loss = game.play(turn, batch, draw)
    for player in players:
        player.forget_gradients()
    loss.total.backward()
    for kind, values in (("loss", loss.losses), ("penalty", loss.parts)):
        for name, value in values.items():
            if not bool(torch.isfinite(value).all()):
                return f"the {kind} {name!r} is {value.item()}"
    for player in players:
        for name, parameter in player.parameters.items():
            if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
                return f"{GRADIENT} {player.name}'s {name!r} is not finite"
    return None
