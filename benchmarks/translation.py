"""Line drawings of emoji in colour: `pix2pix` beside the same U-Net with L1 alone, and beside the drawings themselves.

    python benchmarks/translation.py --minutes 20                       both trainings, one after the other
    python benchmarks/translation.py --only l1 --threads 1              one of them; in another process --only pix2pix
    python benchmarks/translation.py --table                            table and strip of what is there already
    python benchmarks/translation.py --domains                          only the pictures, for games without pairs too

Pairs: OpenMoji's 4,495 glyphs, black and in colour, drawn at 64 × 64 (see `emoji.py`). A tenth of them, chosen by name,
is never trained on, and there each method is measured: L1 over values in [-1, 1], PSNR and SSIM as means over pictures,
and the Fréchet distance of EfficientNet-Lite0's features to the held-out targets, and to all targets trained on. There
are fewer pictures than features, so that a distance compares within its column only; the row `targets` says what
perfect colours would have. Glyphs that differ in the colour of skin alone have one line drawing, as blank flags do,
so that no method can know all colours: of 4,495 drawings 2,046 differ, and 296 of the 461 that are held out, with 46 of
their targets, are pixel for pixel among those trained on.

Time is that of the CPU, so that what else the machine does changes little: two short runs say how many images a method
trains on in it, and the table how long it then took.

Every method is one line of `--results` (JSON), so that an interrupted benchmark goes on where it stopped, as its runs
in `--out` do. The strip is of twelve held-out glyphs, its rows source, L1 alone, pix2pix and target.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor

import zerosum
from emoji import pictures
from modes import read
from zerosum.data import Store, hold_out_by_name, normalise, open_pairs
from zerosum.metrics import extractor, frechet_distance, psnr, ssim
from zerosum.run import Run

HOLDOUT = 0.1
TRAINED: dict[str, dict[str, Any]] = {
    "l1": {"game.translation.adversarial": 0.0, "game.penalties": {}},
    "pix2pix": {},
}
TITLES = {
    "source": "source itself",
    "l1": "the U-Net with L1 alone",
    "pix2pix": "`pix2pix`",
    "targets": "targets themselves",
}
MEASURES = {
    "l1": "L1",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "frechet_held": "Fréchet, held out",
    "frechet_trained": "trained",
}
COLUMNS, GAP = 12, 2
TRIED = 4000  # images of the run that says how many a method trains on in a minute
FOR_STEPS = 0.95  # share of a run's time that is not for reports and reading
Job = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """Where the pictures are, where runs go, and how they train."""

    folder: Path
    out: Path
    size: int
    threads: int | None

    @cached_property
    def held(self) -> tuple[Tensor, Tensor]:
        """Source and target of each held-out pair: (N, 3, H, W) in [-1, 1]."""
        return self._images(self._pairs[0], 1).expand(-1, 3, -1, -1), self._images(self._pairs[1], 1)

    @cached_property
    def trained_features(self) -> Tensor:
        """Of all targets that are trained on: (N, 1280)."""
        return features(self._images(self._pairs[1], 0), "targets trained on")

    @cached_property
    def held_features(self) -> Tensor:
        """Of the held-out targets: (n, 1280)."""
        return features(self.held[1], "held-out targets")

    @cached_property
    def _pairs(self) -> tuple[Store, Store]:
        pairs = open_pairs(str(self.folder / "black"), str(self.folder / "color"), size=str(self.size))
        return pairs.given, pairs.wanted

    def _images(self, store: Store, side: int) -> Tensor:
        """All of the rows kept for training (0), or of those held out (1)."""
        rows = hold_out_by_name(store, HOLDOUT)[side]
        return normalise(store.gather(rows), store.low, store.high)

    def play(self, job: Job) -> Job:
        """A method's results on the held-out pairs, after its training if it has one."""
        method, of_run = job["method"], {}
        if method in TRAINED:
            images = self._images_in(method, job["minutes"])
            run, spent = self._train(method, self.out / method, images, seed=job["seed"])
            of_run = {"images": run.images, "cpu_minutes": round(spent / 60, 1)}
        return of_run | self._measured(self.made(method, slice(None)), method)

    def _train(self, method: str, out: Path, images: int, seed: int = 0) -> tuple[Run, float]:
        """A run of a method, and the seconds of CPU that it took."""
        begun = time.process_time()
        settings = self._settings() | TRAINED[method]
        source = self.folder.absolute() / "black"
        run = zerosum.train(source, recipe="pix2pix", out=out, images=images, seed=seed, settings=settings)
        return run, time.process_time() - begun

    def _images_in(self, method: str, minutes: float) -> int:
        """How many images a method trains on in so many minutes of CPU, reports aside: found with two short runs."""
        short, longer = (self._train(method, self.out / f"{method}-{count}", count)[1] for count in (TRIED // 5, TRIED))
        return round((TRIED - TRIED // 5) / (longer - short) * minutes * 60 * FOR_STEPS)

    def _settings(self) -> dict[str, Any]:
        target = str(self.folder.absolute() / "color")
        asked = {"data.target": target, "data.holdout": HOLDOUT, "data.size": str(self.size)}
        return asked if self.threads is None else asked | {"training.threads": self.threads}

    def made(self, method: str, which: slice) -> Tensor:
        """What a method makes of some of the held-out sources: (n, 3, H, W)."""
        source, target = self.held
        if method not in TRAINED:
            return (source if method == "source" else target)[which]
        model = zerosum.load(self.out / method)
        return model.translated(self._images(self._pairs[0], 1)[which])

    def _measured(self, made: Tensor, method: str) -> dict[str, float]:
        target, found = self.held[1], features(made, method)
        measures = {
            "l1": float((made - target).abs().mean()),
            "psnr": float(psnr(made, target).mean()),
            "ssim": float(ssim(made, target).mean()),
            "frechet_held": frechet_distance(found, self.held_features),
            "frechet_trained": frechet_distance(found, self.trained_features),
        }
        return {"pictures": len(made)} | {name: round(value, 4) for name, value in measures.items()}

    def strip(self, path: Path) -> None:
        """Twelve held-out glyphs, a row each way."""
        which = slice(None, None, len(self.held[0]) // COLUMNS)
        rows = [self.made(method, which)[:COLUMNS] for method in TITLES]
        step = self.size + GAP
        sheet = np.full((len(rows) * step + GAP, COLUMNS * step + GAP, 3), 128, dtype=np.uint8)
        for y, row in enumerate(rows):
            for x, picture in enumerate((row.clamp(-1, 1) + 1).mul(127.5).round().byte().permute(0, 2, 3, 1).numpy()):
                sheet[GAP + y * step :, GAP + x * step :][: self.size, : self.size] = picture
        Image.fromarray(sheet).save(path)


@torch.no_grad()
def features(images: Tensor, what: str) -> Tensor:
    """Of EfficientNet-Lite0, (N, 1280), for images (N, 3, H, W)."""
    network = extractor("efficientnet-lite0")
    parts = images.split(4)  # of 2 to 32 the quickest on a CPU: memory is used again while it is near
    return torch.cat([network(part) for part in track(parts, f"features: {what}")])


def table(rows: list[Job]) -> Iterator[str]:
    """The methods as lines of Markdown, one each seed and number of minutes."""
    yield f"| method | seed | minutes | {' | '.join(MEASURES.values())} | images seen | CPU minutes |"
    yield f"| {' | '.join(['---'] * (len(MEASURES) + 5))} |"
    for row in sorted(rows, key=lambda row: (list(TITLES).index(row["method"]), row.get("minutes", 0))):
        about = [TITLES[row["method"]], *(f"{row[key]:g}" if key in row else "" for key in ("seed", "minutes"))]
        about += [f"{row[key]:.{2 if key == 'psnr' else 3}f}" for key in MEASURES]
        about += [f"{row['images']:,}", f"{row['cpu_minutes']:.1f}"] if "images" in row else ["", ""]
        yield f"| {' | '.join(about)} |"


def defeats(rows: dict[str, Job]) -> list[str]:
    """Where `pix2pix` does not beat the source, or L1 alone on the Fréchet distance: a line each."""
    own, lines = rows["pix2pix"], []
    against = [("source", name) for name in ("l1", "psnr", "ssim", "frechet_held")] + [("l1", "frechet_held")]
    for other, name in against:
        better = own[name] > rows[other][name] if name in ("psnr", "ssim") else own[name] < rows[other][name]
        if not better:
            lines.append(f"{MEASURES[name]}: pix2pix {own[name]:g}, {TITLES[other]} {rows[other][name]:g}")
    return lines


def main() -> int:
    """Run what is missing, print the table, draw the strip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(TITLES), choices=list(TITLES), metavar="METHOD")
    parser.add_argument("--minutes", type=float, default=20.0, help="of CPU, for each training (default: 20)")
    parser.add_argument("--threads", type=int, help="of PyTorch, for training too (default: as training chooses)")
    parser.add_argument("--size", type=int, default=64, help="side of a picture in pixels (default: 64)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="where packages and pictures are kept (default: the user's cache)")
    parser.add_argument("--out", type=Path, default=Path("translation"), help="runs and strip (default: translation)")
    parser.add_argument("--results", type=Path, default=Path("translation.jsonl"))
    parser.add_argument("--domains", action="store_true", help="only make the pictures, those of Google's hand too")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    bench = Bench(
        pictures(options.cache, options.size, domains=options.domains), options.out, options.size, options.threads
    )
    if options.domains:
        print("\n".join(str(bench.folder / name) for name in ("black", "color", "google")))
        return 0
    for method in [] if options.table else options.only:
        job: Job = {"method": method, "size": options.size}
        job |= {"minutes": options.minutes, "seed": options.seed} if method in TRAINED else {}
        if not any(job.items() <= row.items() for row in read(options.results)):
            row = job | bench.play(job)
            with options.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
    rows = [row for row in read(options.results) if row["size"] == options.size]
    print("\n".join(table(rows)))
    finished = {row["method"]: row for row in rows if row.get("minutes", options.minutes) == options.minutes}
    if not set(TITLES) <= set(finished):
        return 0
    bench.strip(options.out / "strip.png")
    print(f"Strip: {options.out / 'strip.png'}")
    lost = defeats(finished)
    print("pix2pix beats the source on all, and L1 alone on the Fréchet distance." if not lost else "\n".join(lost))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
