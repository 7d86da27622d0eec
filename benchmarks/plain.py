"""Five recipes written as the tutorials write them: plain PyTorch, to measure zerosum's loop against.

The mathematics are those of the recipes; the manner is that of the tutorials: NCHW, float32, `nn.Sequential`,
a DataLoader that takes each image through Pillow, torch's default Adam, `.item()` at every step. Sources:
`gan-mlp`, `dcgan-28` and `wgan-gp-28` Raschka & Mirjalili, "Python Machine Learning", 3rd ed., ch. 17; `dcgan-64`
Radford et al. 2016 in the form of the PyTorch DCGAN tutorial; `gan-gaussian` "Dive into Deep Learning", ch. 20.1.

    run = PlainRun("dcgan-28", images)      # uint8 (N, 28, 28, 1); float32 (N, 2) for gan-gaussian
    run.run(12_800)                         # trains on that many real images; goes on from there next time
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset


class ImageDataset(Dataset[Tensor]):
    """Images (N, H, W, C) of uint8, one at a time as float32 (C, H, W) in [-1, 1]."""

    def __init__(self, images: np.ndarray):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        stored = self.images[index]
        image = Image.fromarray(stored[:, :, 0] if stored.shape[2] == 1 else stored)
        pixels = np.array(image, dtype=np.float32).reshape(stored.shape)
        return (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - 0.5) / 0.5


class PadSame(nn.Module):
    """The zeros that TensorFlow's "same" puts around an even size before a 5×5 convolution of stride 2."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (1, 2, 1, 2))


class CropSame(nn.Module):
    """What TensorFlow's "same" leaves of a 5×5 transposed convolution of stride 2 with padding 1."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :-1, :-1]


def bce(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def bce_sum(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target), reduction="sum")


def gan_mlp_networks(shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    pixels = int(np.prod(shape))
    generator = nn.Sequential(
        nn.Linear(20, 100, bias=False),
        nn.LeakyReLU(0.3),
        nn.Linear(100, pixels),
        nn.Tanh(),
        nn.Unflatten(1, shape),
    )
    discriminator = nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, 100), nn.LeakyReLU(0.3), nn.Dropout(0.5), nn.Linear(100, 1)
    )
    return glorot(generator), glorot(discriminator)


def gan_gaussian_networks(shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    generator = nn.Sequential(nn.Linear(2, 2))
    discriminator = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 1))
    for network in (generator, discriminator):
        for parameter in network.parameters():
            nn.init.normal_(parameter, 0, 0.02)
    return generator, discriminator


def dcgan_28_networks(shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    def norm(channels: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01), nn.LeakyReLU(0.3)]

    generator = nn.Sequential(
        nn.Linear(20, 128 * 7 * 7, bias=False),
        nn.BatchNorm1d(128 * 7 * 7, eps=1e-3, momentum=0.01),
        nn.LeakyReLU(0.3),
        nn.Unflatten(1, (128, 7, 7)),
        nn.ConvTranspose2d(128, 128, 5, stride=1, padding=2, bias=False),
        *norm(128),
        nn.ConvTranspose2d(128, 64, 5, stride=2, padding=1, bias=False),
        CropSame(),
        *norm(64),
        nn.ConvTranspose2d(64, 32, 5, stride=2, padding=1, bias=False),
        CropSame(),
        *norm(32),
        nn.ConvTranspose2d(32, shape[0], 5, stride=1, padding=2, bias=False),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(shape[0], 64, 5, stride=1, padding=2),
        *norm(64),
        PadSame(),
        nn.Conv2d(64, 128, 5, stride=2),
        *norm(128),
        nn.Dropout(0.3),
        PadSame(),
        nn.Conv2d(128, 256, 5, stride=2),
        *norm(256),
        nn.Dropout(0.3),
        nn.Conv2d(256, 1, 7),
    )
    return glorot(generator), glorot(discriminator)


def dcgan_64_networks(shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    def up(before: int, after: int) -> list[nn.Module]:
        return [
            nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]

    def down(before: int, after: int) -> list[nn.Module]:
        return [
            nn.Conv2d(before, after, 4, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2, inplace=True),
        ]

    generator = nn.Sequential(
        nn.Unflatten(1, (100, 1, 1)),
        nn.ConvTranspose2d(100, 512, 4, 1, 0, bias=False),
        nn.BatchNorm2d(512),
        nn.ReLU(inplace=True),
        *up(512, 256),
        *up(256, 128),
        *up(128, 64),
        nn.ConvTranspose2d(64, shape[0], 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(shape[0], 64, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        *down(64, 128),
        *down(128, 256),
        *down(256, 512),
        nn.Conv2d(512, 1, 4, 1, 0, bias=False),
    )
    for network in (generator, discriminator):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)
            elif isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.weight, 1.0, 0.02)
    return generator, discriminator


def glorot(network: nn.Module) -> nn.Module:
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def uniform(count: int) -> Tensor:
    return torch.rand(count, 20) * 2 - 1


@dataclass(frozen=True)
class Settings:
    networks: Callable[[tuple[int, ...]], tuple[nn.Module, nn.Module]]
    step: Callable[[PlainRun, Tensor], tuple[Tensor, Tensor, Tensor, Tensor]]
    latents: Callable[[int], Tensor]
    batch: int
    rates: tuple[float, float]  # of the generator, of the discriminator
    adam: dict[str, object] = field(default_factory=dict)


Step = tuple[Tensor, Tensor, Tensor, Tensor]  # the losses of D and G, and the logits of real and fake


def generator_first(run: PlainRun, real: Tensor) -> Step:
    """The generator's step, then the discriminator judges the real images and the same fakes."""
    fake = run.generator(run.settings.latents(len(real)))
    g_loss = bce(run.discriminator(fake), 1.0)
    run.g_optimizer.zero_grad()
    g_loss.backward()
    run.g_optimizer.step()

    d_real, d_fake = run.discriminator(real), run.discriminator(fake.detach())
    d_loss = bce(d_real, 1.0) + bce(d_fake, 0.0)
    run.d_optimizer.zero_grad()
    d_loss.backward()
    run.d_optimizer.step()
    return d_loss, g_loss, d_real, d_fake


def discriminator_first(run: PlainRun, real: Tensor) -> Step:
    """The discriminator on a real and on a generated batch, then the generator with the same fakes."""
    run.d_optimizer.zero_grad()
    d_real = run.discriminator(real)
    real_loss = bce(d_real, 1.0)
    real_loss.backward()
    fake = run.generator(run.settings.latents(len(real)))
    d_fake = run.discriminator(fake.detach())
    fake_loss = bce(d_fake, 0.0)
    fake_loss.backward()
    run.d_optimizer.step()

    run.g_optimizer.zero_grad()
    g_loss = bce(run.discriminator(fake), 1.0)
    g_loss.backward()
    run.g_optimizer.step()
    return real_loss + fake_loss, g_loss, d_real, d_fake


def summed(run: PlainRun, real: Tensor) -> Step:
    """The discriminator's half of the summed losses, then the generator on the same latents."""
    z = run.settings.latents(len(real))
    run.d_optimizer.zero_grad()
    d_real, d_fake = run.discriminator(real), run.discriminator(run.generator(z).detach())
    d_loss = (bce_sum(d_real, 1.0) + bce_sum(d_fake, 0.0)) / 2
    d_loss.backward()
    run.d_optimizer.step()

    run.g_optimizer.zero_grad()
    g_loss = bce_sum(run.discriminator(run.generator(z)), 1.0)
    g_loss.backward()
    run.g_optimizer.step()
    return d_loss, g_loss, d_real, d_fake


def from_one_pass(run: PlainRun, real: Tensor) -> Step:
    """WGAN-GP as the book has it: both players' gradients from one pass, the penalty on a third batch, between."""
    fake = run.generator(run.settings.latents(len(real)))
    d_real, d_fake = run.discriminator(real), run.discriminator(fake)
    g_loss = -d_fake.mean()
    share = torch.rand(len(real), 1, 1, 1)
    between = (share * real + (1 - share) * fake.detach()).requires_grad_()
    run.discriminator.eval()  # the book calls the critic there without `training=True`
    slope = torch.autograd.grad(run.discriminator(between).sum(), between, create_graph=True)[0]
    run.discriminator.train()
    penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
    d_loss = d_fake.mean() - d_real.mean() + 10.0 * penalty
    d_gradients = torch.autograd.grad(d_loss, list(run.discriminator.parameters()), retain_graph=True)
    g_gradients = torch.autograd.grad(g_loss, list(run.generator.parameters()))
    for network, gradients in ((run.discriminator, d_gradients), (run.generator, g_gradients)):
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            parameter.grad = gradient
    run.d_optimizer.step()
    run.g_optimizer.step()
    return d_loss, g_loss, d_real, d_fake


KERAS = {"eps": 1e-7}
RECIPES = {
    "gan-mlp": Settings(gan_mlp_networks, generator_first, uniform, 64, (1e-3, 1e-3), KERAS),
    "gan-gaussian": Settings(gan_gaussian_networks, summed, lambda count: torch.randn(count, 2), 8, (0.005, 0.05)),
    "dcgan-28": Settings(
        dcgan_28_networks, generator_first, uniform, 128, (2e-4, 2e-4), {"betas": (0.5, 0.999), **KERAS}
    ),
    "wgan-gp-28": Settings(dcgan_28_networks, from_one_pass, uniform, 128, (2e-4, 2e-4), KERAS),
    "dcgan-64": Settings(
        dcgan_64_networks,
        discriminator_first,
        lambda count: torch.randn(count, 100),
        128,
        (2e-4, 2e-4),
        {"betas": (0.5, 0.999)},
    ),
}


class PlainRun:
    """A training of `recipe` on images (N, H, W, C) of uint8, or on points (N, D) of float32.

    After `run`, `shown` is the number of real images trained on and `records` holds, for each step, the
    losses of D and G, and the means of D(x) and D(G(z)).
    """

    def __init__(self, recipe: str, images: np.ndarray):
        self.settings = RECIPES[recipe]
        points = images.ndim == 2
        shape = images.shape[1:] if points else (images.shape[3], images.shape[1], images.shape[2])
        self.generator, self.discriminator = self.settings.networks(shape)
        self.g_optimizer, self.d_optimizer = (
            torch.optim.Adam(network.parameters(), lr=rate, **self.settings.adam)
            for network, rate in zip((self.generator, self.discriminator), self.settings.rates, strict=True)
        )
        dataset = TensorDataset(torch.from_numpy(images)) if points else ImageDataset(images)
        self.loader = DataLoader(dataset, batch_size=self.settings.batch, shuffle=True, num_workers=0)
        self.batches = self._epochs()
        self.shown = 0
        self.records: list[tuple[float, float, float, float]] = []

    def _epochs(self) -> Iterator[Tensor]:
        while True:
            for batch in self.loader:
                yield batch[0] if isinstance(batch, list) else batch

    def run(self, images: int) -> None:
        """Train on `images` more real images, to the end of the step in which they are reached."""
        end = self.shown + images
        while self.shown < end:
            real = next(self.batches)
            d_loss, g_loss, d_real, d_fake = self.settings.step(self, real)
            self.records.append(
                (
                    d_loss.item(),
                    g_loss.item(),
                    d_real.sigmoid().mean().item(),
                    d_fake.sigmoid().mean().item(),
                )
            )
            self.shown += len(real)
