"""Hugging Face folders: what is in them, that they work alone, and that they are uploaded whole."""

from __future__ import annotations

import ast
import base64
import http.server
import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

import zerosum
from browsing import answering
from released import CODED, generator_of, run_of
from translators import SHIPPED as TRANSLATORS
from translators import model_of
from zerosum.cli import main
from zerosum.errors import RunError, UsageError
from zerosum.export import export_hub, hub
from zerosum.export.uploading import upload
from zerosum.model import Model
from zerosum.report.run_folder import read_run

Shelf = Callable[..., Path]
HOSTILE = "a|b <script>alert(1)</script>"
EVALUATION = {
    "figures": {"frechet[random]": {"value": 12.5, "meaning": "lower is better", "measure": "frechet"}},
    "protocol": {
        "made": {"name": "run", "kind": "samples", "part": "", "count": 600, "of": None},
        "real": {"name": HOSTILE, "kind": "data", "part": "", "count": 600, "of": 1797},
        "features": {"name": "random", "sha256": "", "resize": "none"},
        "seed": 0,
        "time": "2026-01-01T00:00:00+00:00",
        "indicative": True,
    },
}

pytestmark = pytest.mark.usefixtures("one_registry")


@pytest.fixture(scope="module")
def run(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that was judged, and whose data have a name made to harm and a path of their own."""
    folder = tmp_path_factory.mktemp("judged") / "digits"
    shutil.copytree(finished_run, folder)
    (folder / "evaluation.json").write_text(json.dumps(EVALUATION))
    data = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps(data | {"name": HOSTILE}))
    words = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(words.replace('source = "digits"', 'source = "/home/ada/secret"'))
    return folder


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of it. Not to be written to."""
    folder = tmp_path_factory.mktemp("hub") / "out"
    export_hub(run, folder, license="cc-by-4.0")
    return folder


def front_matter(file: Path) -> dict[str, Any]:
    """The YAML at the head of a card."""
    _, head, _ = file.read_text().split("---\n", 2)
    found = yaml.safe_load(head)
    assert isinstance(found, dict)
    return found


def test_the_model_is_the_runs(run: Path, exported: Path) -> None:
    made = zerosum.load(exported / "model").sample(4, seed=7)
    np.testing.assert_array_equal(made, zerosum.load(run).sample(4, seed=7))
    assert {path.name for path in (exported / "model").iterdir()} == {
        *("config.json", "model.safetensors", "README.md", "samples.png", "recipe.toml", "evaluation.json"),
    }
    assert {path.name for path in (exported / "space").iterdir()} == {
        *("app.py", "opening.py", "requirements.txt", "README.md", "config.json", "model.onnx"),
    }
    suffixes = {path.suffix for path in exported.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors", ".md", ".png", ".toml", ".py", ".txt", ".onnx"}, "and no pickle"


def test_the_cards(exported: Path) -> None:
    about = front_matter(exported / "model" / "README.md")
    assert about["license"] == "cc-by-4.0"
    assert about["library_name"] == "zerosum"
    (index,) = about["model-index"]
    assert index["results"][0]["metrics"] == [{"type": "frechet[random]", "name": "frechet[random]", "value": 12.5}]
    words = (exported / "model" / "README.md").read_text()
    for part in ("## Use", "## Data", "## Figures", "## Training", "## Intended use and limits", "Indicative"):
        assert part in words
    body = words.split("---\n", 2)[2]
    assert "<script" not in body.replace("\\<script", "")
    assert "600 samples of run against 600 of 1,797 of" in words
    space = front_matter(exported / "space" / "README.md")
    assert (space["sdk"], space["app_file"], space["license"]) == ("gradio", "app.py", "cc-by-4.0")
    assert HOSTILE in space["title"]


def test_the_best_model_has_no_figures_of_the_newest(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "digits")
    shutil.copytree(run / "model", tmp_path / "digits" / "best")
    about = read_run(tmp_path / "digits")
    assert len(about.records) > 2
    model = zerosum.load(tmp_path / "digits" / "best")
    model.config["images"] = about.records[1].images
    model.save(tmp_path / "digits" / "best")
    known = hub._about(tmp_path / "digits" / "best", model)
    assert (known.judged, known.status.images) == (None, about.records[1].images)
    assert known.status.seconds == about.records[1].seconds < about.status.seconds
    assert hub._about(tmp_path / "digits", model).judged is not None


def test_no_path_of_the_trainer_goes_along(exported: Path) -> None:
    for path in exported.rglob("*"):
        if path.is_file():
            assert b"/home/ada" not in path.read_bytes(), path
    from zerosum.settings import make_config

    assert make_config(str(exported / "model" / "recipe.toml"), {"data.source": "digits"}).recipe.name == "quick"


# ---------------------------------------------------------------- the Space


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Loads a script of the Space as it runs there, beside the others."""
    monkeypatch.syspath_prepend(str(files("zerosum.export").joinpath("space")))
    return importlib.import_module


Script = Callable[[str], ModuleType]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("sampling", {"numpy", "gradio", "opening"}),
        ("translating", {"numpy", "gradio", "opening"}),
        ("opening", {"onnxruntime"}),
    ],
)
def test_a_space_needs_little(name: str, wanted: set[str]) -> None:
    tree = ast.parse(files("zerosum.export").joinpath("space", f"{name}.py").read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in imports if isinstance(node, ast.ImportFrom)}
    assert names - set(sys.stdlib_module_names) == wanted


@pytest.mark.parametrize(("name", "labels"), [("quick-generator", "concatenate"), ("style-28-generator", "none")])
def test_a_space_makes_the_samples_of_the_run(
    name: str, labels: str, shelf: Shelf, script: Script, tmp_path: Path
) -> None:
    def make() -> Model:
        return generator_of(name, labels=labels, latent=CODED if labels != "none" else {})

    shutil.copytree(shelf(f"{name} {labels}", make), tmp_path / "onnx")
    app, model, label = script("sampling"), make(), 1 if labels != "none" else None
    session, about = app.open_model(tmp_path / "onnx")
    made = app.samples(session, about, 5, 7, 0.5, label)
    assert np.abs(made.astype(int) - model.sample(5, seed=7, truncation=0.5, label=label)).max() <= 1
    assert app.sheet(made).shape == (2 * 96, 3 * 96, 3)
    file = tmp_path / "onnx" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(SystemExit, match="SHA-256"):
        app.open_model(tmp_path / "onnx")


@pytest.mark.parametrize("place", [0, 1])
def test_a_space_translates_as_the_run(place: int, shelf: Shelf, script: Script) -> None:
    name, options, facts = TRANSLATORS[place]
    app, model = script("translating"), model_of(name, **options, **facts)
    session, about = app.open_model(shelf(f"translator {place}", lambda: model_of(name, **options, **facts)))
    assert (about["mask"] != "none") is model.fills_holes
    array = np.random.default_rng(0).integers(0, 256, (5, 23, model.way().given["shape"][0]), dtype=np.uint8)
    assert np.abs(app.translate(session, about, array).astype(int) - model.translate(array)).max() <= 1


# ---------------------------------------------------------------- refusals


def test_what_is_refused_and_leaves_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = run_of(generator_of("quick-generator"), tmp_path / "alone")
    with pytest.raises(UsageError, match="is no run folder"):
        export_hub(alone, tmp_path / "out")
    with pytest.raises(UsageError, match="apache-2"):
        export_hub(run, tmp_path / "out", license="Apache 2.0")
    with pytest.raises(UsageError, match="USER/NAME"):
        export_hub(run, tmp_path / "out", push="digits")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "huggingface_hub", None)
        with pytest.raises(UsageError, match=r"pip install 'zerosum\[hub\]'"):
            export_hub(run, tmp_path / "out", push="ada/digits")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hub, "_fill_space", full)
    with pytest.raises(RunError, match="disk is full"):
        export_hub(run, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["alone"]


# ---------------------------------------------------------------- uploading, to an endpoint of this machine


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of Hugging Face's HTTP as an upload takes: repositories, what to do with files, commits."""

    repositories: dict[str, dict[str, bytes]]
    refuses = False

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.refuses:
            return self._answer(403, {"error": "this name is not yours"})
        if self.path == "/api/repos/create":
            asked = json.loads(content)
            kind = asked.get("type", "model")
            self.repositories[f"{kind}s/{asked['organization']}/{asked['name']}"] = {}
            return self._answer(200, {"url": f"http://{self.headers['Host']}/ada/digits"})
        if self.path == "/api/validate-yaml":
            return self._answer(200, {"errors": [], "warnings": []})
        _, _, kind, user, name, verb, *_ = self.path.split("/")
        if verb == "preupload":
            listed = json.loads(content)["files"]
            whole = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
            return self._answer(200, {"files": [{"path": one["path"], **whole} for one in listed]})
        for line in map(json.loads, content.decode().splitlines()):
            if line["key"] == "file":
                bytes_ = base64.b64decode(line["value"]["content"])
                self.repositories[f"{kind}/{user}/{name}"][line["value"]["path"]] = bytes_
        return self._answer(
            200, {"commitUrl": f"http://{self.headers['Host']}/ada/digits/commit/1", "commitOid": "1", "success": True}
        )

    def do_GET(self) -> None:
        self._answer(200, {"siblings": [], "id": "ada/digits", "sha": "0" * 40})

    def _answer(self, code: int, content: dict[str, Any]) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None: ...


@contextmanager
def endpoint(**settings: Any) -> Iterator[tuple[str, dict[str, dict[str, bytes]]]]:
    """An address, and what is uploaded there."""
    repositories: dict[str, dict[str, bytes]] = {}
    handler = type("Here", (Hub,), {"repositories": repositories, **settings})
    with answering(handler) as address:
        yield address, repositories


@pytest.fixture
def _token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    monkeypatch.setenv("HF_HOME", str(tmp_path))


@pytest.mark.usefixtures("_token")
def test_both_folders_are_uploaded_whole(exported: Path) -> None:
    with endpoint() as (address, repositories):
        upload(exported, "ada/digits", ["model", "space"], address)
    for kind in ("model", "space"):
        files_ = {path.name: path.read_bytes() for path in (exported / kind).iterdir()}
        assert repositories[f"{kind}s/ada/digits"] == files_


@pytest.mark.usefixtures("_token")
def test_a_hub_that_says_no_is_told_of(exported: Path) -> None:
    with endpoint(refuses=True) as (address, _), pytest.raises(RunError, match="hf auth login"):
        upload(exported, "ada/digits", ["model"], address)
    with pytest.raises(RunError, match="could not be uploaded"):
        upload(exported, "ada/digits", ["model"], "http://127.0.0.1:9")


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main(["export", str(run), "--format", "hub", "--out", out]) == 0
    words = capsys.readouterr().out
    assert "No --license was given" in words
    assert "model.safetensors" in words
    assert front_matter(tmp_path / "out" / "model" / "README.md")["license"] == "unknown"
    assert main(["export", str(run), "--format", "hub", "--out", out]) == 2
    assert main(["export", str(run), "--format", "pickle"]) == 2
    assert main(["export", str(run), "--format", "onnx", "--push", "ada/digits"]) == 2
    words = capsys.readouterr().err
    assert "onnx, web or hub" in words
    assert "only with --format hub" in words


def test_pictures_of_the_data_are_uploaded_when_asked_for_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture of points shows real ones, as that of a translator does."""
    points = zerosum.train(recipe="gan-gaussian", images=64, out=tmp_path / "points").path
    uploaded: list[set[str]] = []

    def upload_here(folder: Path, *_: object) -> list[str]:
        uploaded.append({path.name for path in folder.rglob("*")})
        assert ("![" in (folder / "model" / "README.md").read_text()) is ("samples.png" in uploaded[-1])
        return []

    monkeypatch.setattr(hub, "upload", upload_here)
    kept_back = export_hub(points, tmp_path / "without", push="ada/points")
    assert "samples.png" not in uploaded[0]
    assert "--show-data" in kept_back.notes[-1]
    export_hub(points, tmp_path / "with", push="ada/points", show_data=True)
    assert "samples.png" in uploaded[1]
    assert "may be published" in export_hub(points, tmp_path / "here").notes[-1]
