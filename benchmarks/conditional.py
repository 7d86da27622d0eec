"""Which of the asked labels a classifier of real digits recognises: cgan, cgan-projection and acgan on mnist-5k.

    python benchmarks/conditional.py                            all three with their own networks, ten minutes each
    python benchmarks/conditional.py --networks mlp 28 64       each for 28×28 and 64×64 networks too
    python benchmarks/conditional.py --table                    the table of what is there already

The judge is a small convolutional network that learns 4,500 real digits, shifted by up to two pixels, in less than a
minute; of the other 500 it must know 97%. Of each label it is shown 200 samples. *Diversity* is the mean deviation of a
pixel between the samples of a class, as a share of that between the real digits of the class.

Every training is one line of `--results` (JSON), so that an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modes import read
from resumable import Job, percent, play_missing, train_quietly
from zerosum.data import normalise, open_data
from zerosum.training.samples import spread

RECIPES = ("cgan", "cgan-projection", "acgan")
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {},
    "28": {"generator.network": "dcgan-28-generator", "discriminator.network": "dcgan-28-discriminator"},
    "64": {
        "generator.network": "dcgan-generator",
        "discriminator.network": "dcgan-discriminator",
        "data.size": "64x64",
    },
}
OF_EACH = 200  # samples of each label
SIDE = 28  # of what the judge sees
LEARNT = 4500  # real digits that the judge learns
LEAST = 0.97  # of the others that it must know
PASSES = 15


@dataclass(frozen=True)
class Digits:
    """The embedded digits in [-1, 1], (N, 1, H, W), their classes (N,), and which of them the judge never sees."""

    images: Tensor
    labels: Tensor
    unseen: Tensor


def size_of(networks: str) -> str:
    """The size of the images that they make."""
    size: str = NETWORKS[networks].get("data.size", f"{SIDE}x{SIDE}")
    return size


def digits(size: str = f"{SIDE}x{SIDE}") -> Digits:
    """All 5,000, in their own size or another."""
    store = open_data("mnist-5k", labels=True, size=size)
    assert store.labels is not None
    images = normalise(store.gather(np.arange(len(store))), store.low, store.high).contiguous()
    order = torch.randperm(len(store), generator=torch.Generator().manual_seed(0))
    return Digits(images, torch.from_numpy(np.asarray(store.labels)), order[LEARNT:])


class Judge:
    """Says which digit it sees, in whatever size."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(
            *(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * (SIDE // 4) ** 2, 128), nn.ReLU(), nn.Linear(128, 10)),
        )

    def learn(self, real: Digits) -> None:
        """Learn all but the unseen, each batch shifted by up to two pixels."""
        seen = torch.ones(len(real.labels), dtype=torch.bool)
        seen[real.unseen] = False
        rows, steps = seen.nonzero()[:, 0], PASSES * LEARNT // 64
        optimizer = torch.optim.Adam(self.network.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps)
        for _ in range(steps):
            batch = rows[torch.randint(len(rows), (64,))]
            shift = torch.randint(-2, 3, (2,)).tolist()  # no digit reaches the border
            images = torch.roll(real.images[batch], shift, (2, 3))
            optimizer.zero_grad()
            F.cross_entropy(self.network(images), real.labels[batch]).backward()
            optimizer.step()
            schedule.step()
        self.network.eval()

    @torch.no_grad()
    def knows(self, images: Tensor, labels: Tensor) -> Tensor:
        """Of each image (N, 1, H, W) in [-1, 1] whether it is taken for its label (N,): bool (N,)."""
        if images.shape[2:] != (SIDE, SIDE):
            images = F.interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True)
        said = torch.cat([self.network(some).argmax(1) for some in images.split(500)])
        return said == labels


def judged(judge: Judge, real: Digits, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """What is recognised of images of these labels, and how diverse those of each are beside the real ones."""
    known = judge.knows(images, labels)
    diversity = [
        spread(images[labels == label].numpy()) / spread(real.images[real.labels == label].numpy())
        for label in range(10)
    ]
    return {
        "recognised": [round(float(known[labels == label].float().mean()), 4) for label in range(10)],
        "diversity": [round(value, 4) for value in diversity],
    }


class Bench:
    """Plays jobs; the judge learns when it is first needed."""

    def __init__(self) -> None:
        self._judge: Judge | None = None

    def judge(self) -> Judge:
        """The judge, who knows enough."""
        if self._judge is None:
            begun, real = time.perf_counter(), digits()
            judge = Judge()
            judge.learn(real)
            share = float(judge.knows(real.images[real.unseen], real.labels[real.unseen]).float().mean())
            print(f"The judge knows {share:.1%} of 500 unseen digits, after {time.perf_counter() - begun:.0f} seconds.")
            if share < LEAST:
                sys.exit(f"The judge must know {LEAST:.0%} of them; its table would mean nothing.")
            self._judge = judge
        return self._judge

    def play(self, job: Job) -> dict[str, Any]:
        """One training, judged; or, as what can be reached, the unseen digits themselves."""
        judge = self.judge()
        if "real" in job:
            real = digits(job["real"])
            return judged(judge, real, real.images[real.unseen], real.labels[real.unseen])
        settings, real = NETWORKS[job["networks"]], digits(size_of(job["networks"]))
        with tempfile.TemporaryDirectory() as folder:
            run = train_quietly(Path(folder) / "run", job["recipe"], job, **settings)
            model = run.model
            made = torch.cat([model.images(OF_EACH, seed=1, label=label) for label in range(10)])
        of_run = {"images": run.images, "seconds": round(run.seconds, 1)}
        return of_run | judged(judge, real, made, torch.arange(10).repeat_interleave(OF_EACH))


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The runs as lines of Markdown: means over seeds, ± their standard deviations."""
    yield "| recipe | networks | seeds | minutes | images | recognised | worst class | diversity | least diverse |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    yield from (line(["500 real digits", row["real"], "", "", ""], [row]) for row in rows if "real" in row)
    trained = [row for row in rows if "real" not in row]
    kinds = {(row["networks"], row["recipe"], row["minutes"]) for row in trained}
    for kind in sorted(kinds, key=lambda kind: (list(NETWORKS).index(kind[0]), kind[2], RECIPES.index(kind[1]))):
        networks, recipe, minutes = kind
        own = [row for row in trained if (row["networks"], row["recipe"], row["minutes"]) == kind]
        images = np.median([row["images"] for row in own])
        yield line([f"`{recipe}`", networks, str(len(own)), f"{minutes:g}", f"{images:,.0f}"], own)


def line(about: list[str], own: list[dict[str, Any]]) -> str:
    """What `about` these runs is known before, then what is recognised of theirs, and how diverse it is."""
    shares, diversity = (np.array([row[key] for row in own]) for key in ("recognised", "diversity"))
    worst, least = int(shares.mean(0).argmin()), int(diversity.mean(0).argmin())
    about = [*about, percent(shares.mean(1)), f"{worst}: {percent(shares[:, worst])}"]
    about += [f"{diversity.mean():.2f}", f"{least}: {diversity[:, least].mean():.2f}"]
    return f"| {' | '.join(about)} |"


def main() -> int:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--networks", nargs="+", default=["mlp"], choices=list(NETWORKS))
    parser.add_argument("--minutes", type=float, default=10.0, help="of each training (default: 10)")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("conditional.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    jobs: list[Job] = [{"real": size} for size in dict.fromkeys(map(size_of, options.networks))]
    jobs += [
        {"recipe": recipe, "networks": networks, "minutes": options.minutes, "seed": seed}
        for networks in options.networks
        for recipe in options.recipes
        for seed in range(options.seeds)
    ]
    play_missing(options.results, [] if options.table else jobs, Bench().play)
    print("\n".join(table(read(options.results))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
