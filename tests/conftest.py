"""What several test files share: a cache of their own, one thread, and one finished run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.register_assert_rewrite("players")  # it compares too, and a failure should show what with what


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the whole session keeps decoded data."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache. Each begins with one thread: tests may run beside each other."""
    monkeypatch.setenv("ZEROSUM_CACHE", str(session_cache))
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def finished_run(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run of `quick` on digits: 640 images, a report each 128. Not to be written to."""
    import zerosum

    run = tmp_path_factory.mktemp("runs") / "digits-quick"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROSUM_CACHE", str(session_cache))
        settings = {"training.report_every": 128, "training.checkpoint_every": 256, "training.threads": 1}
        zerosum.train("digits", out=run, images=640, settings=settings)
    return run


@pytest.fixture(scope="session")
def one_registry() -> Iterator[None]:
    """PyTorch reads the source of its 500 translations to ONNX anew for each export, half of the time: here once."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    registry = ONNXRegistry.from_torchlib()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", lambda *_, **__: registry)
        yield


@pytest.fixture(scope="session")
def shelf(one_registry: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A model's export as ONNX: the folder for (a name, a function that makes the model), made when first asked for.

    A second or more each, so that tests share them. Not to be written to.
    """
    from zerosum.export import export_onnx

    made: dict[str, Path] = {}

    def folder(name: str, make: Callable[[], Any], **options: Any) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("shelf")
            make().save(made[name] / "run" / "model")
            export_onnx(made[name] / "run", made[name] / "onnx", **options)
        return made[name] / "onnx"

    return folder


@dataclass(frozen=True)
class Shell:
    """Runs `zerosum` in processes of its own, as a user does."""

    cache: Path
    folder: Path

    def environment(self) -> dict[str, str]:
        """One thread a process; no progress bar."""
        plain = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
        return plain | {"ZEROSUM_CACHE": str(self.cache), "OMP_NUM_THREADS": "1"}

    def start(self, *words: object, **environment: str) -> subprocess.Popen[str]:
        """`zerosum WORDS`, going on beside us."""
        return self.python("-m", "zerosum", *words, **environment)

    def python(self, *words: object, **environment: str) -> subprocess.Popen[str]:
        """`python WORDS`, going on beside us."""
        return subprocess.Popen(
            [sys.executable, *map(str, words)],
            cwd=self.folder,
            env=self.environment() | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: object, code: int = 0) -> str:
        """`zerosum WORDS` to its end; all it printed. Fails unless it ends with `code`, or shows a traceback."""
        return self.finish(self.start(*words), code)

    @staticmethod
    def finish(process: subprocess.Popen[str], code: int = 0) -> str:
        """The end of a started process; all it printed."""
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, out + err
        assert "Traceback" not in err, err
        return out + err


@pytest.fixture
def shell(session_cache: Path, tmp_path: Path) -> Shell:
    """`zerosum` in processes, in an empty folder."""
    return Shell(session_cache, tmp_path)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change config.json as someone would who knows how its own check is made."""
    rewrite_about(folder / "config.json", change)


def rewrite_about(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Likewise any JSON that stands beside tensors."""
    about = json.loads(path.read_text())
    change(about)
    about.pop("check")
    about["check"] = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(about))
