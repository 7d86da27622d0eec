"""One optimizer a player, fused: a whole update is one launch, and a flag on the device can call it off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from zerosum.training.schedule import Schedule

Moments = dict[str, list[Tensor]]  # by kind, in the order of the parameters


@dataclass(frozen=True)
class Adam:
    """Kingma & Ba, "Adam", ICLR 2015, https://arxiv.org/abs/1412.6980; torch's fused form, float32 moments.

    PyTorch's functional form: the `Optimizer` class around it costs more than the update of a small network.
    """

    lr: float
    betas: tuple[float, float]
    eps: float
    schedule: Schedule
    beta2_to: float | None = None

    def beta2_at(self, progress: float) -> float:
        """The second rate, where it changes as the learning rate does: R3GAN's goes from 0.9 to 0.99."""
        end = self.betas[1] if self.beta2_to is None else self.beta2_to
        return self.betas[1] + self.schedule.gone(progress) * (end - self.betas[1])

    def begin(self, leaves: list[Tensor]) -> Moments:
        """Moments before the first step."""
        return {
            "exp_avg": [torch.zeros_like(leaf, requires_grad=False) for leaf in leaves],
            "exp_avg_sq": [torch.zeros_like(leaf, requires_grad=False) for leaf in leaves],
            "step": [torch.zeros((), device=leaf.device) for leaf in leaves],
        }

    def update(
        self,
        leaves: list[Tensor],
        gradients: list[Tensor],
        moments: Moments,
        called_off: Tensor,
        progress: float,
    ) -> None:
        """One step in place; none where the scalar `called_off` is 1: the fused kernel reads it on the device."""
        adam(
            in_memory_order(leaves),
            in_memory_order(gradients),
            in_memory_order(moments["exp_avg"]),
            in_memory_order(moments["exp_avg_sq"]),
            [],
            moments["step"],
            foreach=False,
            fused=True,
            found_inf=called_off,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.beta2_at(progress),
            lr=self.lr * self.schedule.at(progress),
            weight_decay=0.0,
            eps=self.eps,
            maximize=False,
        )


def in_memory_order(tensors: list[Tensor]) -> list[Tensor]:
    """The same numbers, those of weights that lie channels last seen as they lie.

    On a CPU the fused kernel copies what is not contiguous there and back, and takes three times as long.
    """
    return [tensor if tensor.is_contiguous() or tensor.dim() != 4 else tensor.permute(0, 2, 3, 1) for tensor in tensors]


@dataclass(frozen=True)
class RmsProp:
    """Tieleman & Hinton, "RMSProp", Coursera lecture 6.5, 2012: x ← x − lr·g/(√v + eps), v the average of g².

    `alpha` is v's decay rate. PyTorch has no fused form, so a step that is called off is one of length zero.
    """

    lr: float
    alpha: float
    eps: float
    schedule: Schedule

    def begin(self, leaves: list[Tensor]) -> Moments:
        """Moments before the first step."""
        return {"square_avg": [torch.zeros_like(leaf, requires_grad=False) for leaf in leaves]}

    def update(
        self,
        leaves: list[Tensor],
        gradients: list[Tensor],
        moments: Moments,
        called_off: Tensor,
        progress: float,
    ) -> None:
        """One step in place; none where the scalar `called_off` is 1."""
        go, lr = 1 - called_off, self.lr * self.schedule.at(progress)
        for leaf, gradient, square in zip(leaves, gradients, moments["square_avg"], strict=True):
            g = torch.nan_to_num(gradient)
            square.lerp_(g * g, go * (1 - self.alpha))
            leaf.sub_(g / (square.sqrt() + self.eps) * (go * lr))


class Player:
    """The parameters one optimizer updates, by name, and that optimizer's moments.

    `clip`: after each update every weight is put back into [-clip, clip] (WGAN's constraint); 0: never.
    """

    def __init__(
        self, name: str, parameters: Iterable[tuple[str, nn.Parameter]], rule: Adam | RmsProp, clip: float = 0.0
    ) -> None:
        self.name = name
        self.rule = rule
        self.clip = clip
        self.progress = 0.0  # of the run, by which the rule's rates go
        self.parameters = dict(parameters)
        self._leaves: list[Tensor] = list(self.parameters.values())
        self.moments = rule.begin(self._leaves)

    @property
    def lr(self) -> float:
        """The learning rate now."""
        return self.rule.lr * self.rule.schedule.at(self.progress)

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
        """One update, unless the scalar `called_off` is 1: it is read on the device, no one waits."""
        self.rule.update(self._leaves, gradients, self.moments, called_off, self.progress)
        if self.clip:
            torch._foreach_clamp_min_(self._leaves, -self.clip)
            torch._foreach_clamp_max_(self._leaves, self.clip)

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
