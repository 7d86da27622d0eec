"""One optimizer a player, fused: a whole update is one launch, and a flag on the device can call it off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from zerosum.training.schedule import Schedule


@dataclass(frozen=True)
class Adam:
    """Kingma & Ba, "Adam", ICLR 2015, https://arxiv.org/abs/1412.6980; torch's fused form, float32 moments."""

    lr: float
    betas: tuple[float, float]
    eps: float
    schedule: Schedule


class Player:
    """The parameters one optimizer updates, by name, and that optimizer's moments.

    PyTorch's functional form of Adam: the `Optimizer` class around it costs more than the update of a small network.
    """

    def __init__(self, name: str, parameters: Iterable[tuple[str, nn.Parameter]], rule: Adam) -> None:
        self.name = name
        self.rule = rule
        self.lr = rule.lr
        self.parameters = dict(parameters)
        self._leaves: list[Tensor] = list(self.parameters.values())
        self.moments = {
            "exp_avg": [torch.zeros_like(leaf, requires_grad=False) for leaf in self._leaves],
            "exp_avg_sq": [torch.zeros_like(leaf, requires_grad=False) for leaf in self._leaves],
            "step": [torch.zeros((), device=leaf.device) for leaf in self._leaves],
        }

    def schedule(self, progress: float) -> None:
        """Set the learning rate of `progress`, the share of the run that is done."""
        self.lr = self.rule.lr * self.rule.schedule.at(progress)

    def forget_gradients(self) -> None:
        """Before a turn."""
        for leaf in self._leaves:
            leaf.grad = None

    def gradients(self) -> list[Tensor]:
        """The gradients of a turn, in the order of the parameters. Raises where a parameter has none."""
        gradients = [leaf.grad for leaf in self._leaves if leaf.grad is not None]
        if len(gradients) != len(self._leaves):
            idle = [name for name, leaf in self.parameters.items() if leaf.grad is None]
            raise RuntimeError(f"the {self.name}'s turn gives no gradient to {', '.join(idle)}")
        return gradients

    @torch.no_grad()
    def step(self, gradients: list[Tensor], called_off: Tensor) -> None:
        """One update, unless the scalar `called_off` is 1: the fused kernel reads it on the device, no one waits."""
        beta1, beta2 = self.rule.betas
        adam(
            self._leaves,
            gradients,
            self.moments["exp_avg"],
            self.moments["exp_avg_sq"],
            [],
            self.moments["step"],
            foreach=False,
            fused=True,
            found_inf=called_off,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=self.lr,
            weight_decay=0.0,
            eps=self.rule.eps,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """The moments by parameter name, for a checkpoint."""
        return {
            f"{name}.{kind}": moments[position]
            for position, name in enumerate(self.parameters)
            for kind, moments in self.moments.items()
        }

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` returned. Raises `KeyError` where something is missing."""
        for name, value in self.state().items():
            value.copy_(state[name])


def norm_of(gradients: list[Tensor]) -> Tensor:
    """The Euclidean norm of all of them together, a scalar on the device."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))  # type: ignore[no-any-return]
