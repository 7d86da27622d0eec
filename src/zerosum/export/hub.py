"""`--format hub`: `model/`, a Hugging Face repository of the model, and `space/`, one that shows it (Gradio and ONNX).

The model's are the files that `huggingface_hub.PyTorchModelHubMixin` writes, `config.json` and `model.safetensors`, as
zerosum released them: `zerosum.load` takes the folder that `snapshot_download` gives.
"""

from __future__ import annotations

import io
import re
import shutil
import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import tomli_w

from zerosum.errors import UsageError
from zerosum.export.card import hub_card, space_card
from zerosum.export.folder import Exported, Progress, opened, place_for, write_export
from zerosum.export.onnx_folder import write_network
from zerosum.export.uploading import check_push, upload
from zerosum.files import about_name
from zerosum.model import Model
from zerosum.report.drawing import Picture
from zerosum.report.run_folder import RunFolder, read_run
from zerosum.sampler import picture
from zerosum.training.samples import grid_shape, tile
from zerosum.translator import Translator

LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")
NONE = Picture("samples.png", "Samples", "There are none.")
OWN = ("source", "target", "a", "b", "root")  # settings of the data that are paths of whoever trained


def export_hub(
    run: str | Path,
    out: str | Path | None = None,
    *,
    license: str | None = None,  # noqa: A002 (as Hugging Face calls it)
    push: str | None = None,
    show_data: bool = False,
    direction: str | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write a Hugging Face model folder of a run, with its card, and where it makes pictures a Space beside it.

    Args:
        run: a run folder, or RUN/best.
        out: the folder to be written; None: NAME-hub.
        license: of the model, by Hugging Face's name for it; None: the card says "unknown".
        push: USER/NAME to upload both to; None: nothing is uploaded.
        show_data: whether pictures that show some of the data, as those of a translator do, are uploaded with the card.
        direction, device, overwrite, progress: as of `export_onnx`; `direction` is the Space's.

    Raises as `export_onnx` does, `UsageError` for a folder that is no run's and a licence or name that is none, and
    `RunError` where the upload fails: the folder is there then.
    """
    if license is not None and not LICENCE.fullmatch(license):
        raise UsageError(f"--license {license!r}: give it as Hugging Face calls it, as apache-2.0 or cc-by-4.0.")
    if push is not None:
        check_push(push)
    folder = place_for(run, out, "hub", overwrite=overwrite)
    model = opened(run, device)
    known = _about(Path(run), model)
    kept_back = _shows_data(model) and push is not None and not show_data
    picture = NONE if kept_back else _picture(model, known)
    about: dict[str, Any] = {}

    def fill(inside: Path) -> None:
        _fill_model(inside / "model", Path(run), model, known, picture, license)
        space = inside / "space"
        space.mkdir()
        about.update(write_network(model, space, 255, direction, progress))
        if _shows(model):
            _fill_space(space, known, license, about["kind"])
        else:
            shutil.rmtree(space)

    written = write_export(folder, "hub", fill)
    notes = [] if license else ["No --license was given: the card says unknown, and nobody may use the model."]
    if kept_back:
        notes.append("The card has no picture, for it would show some of the data; --show-data uploads one that does.")
    elif _shows_data(model) and picture.data is not None:
        notes.append("model/samples.png shows some of the data: see whether that may be published.")
    if push is not None:
        kinds = ["model", *(["space"] if (folder / "space").is_dir() else [])]
        notes += [f"uploaded: {address}" for address in upload(folder, push, kinds)]
    return Exported(folder, about["max_error"], written, tuple(notes))


def _about(path: Path, model: Model | Translator) -> RunFolder:
    """What is known of the run that a model is of: `path`, or the folder around it.

    Of a model that is not the newest, as RUN/best, only what was known when it was made: the figures of evaluation.json
    are not its own. Raises `UsageError` where neither folder is a run's.
    """
    run = next((folder for folder in (path, path.resolve().parent) if (folder / "config.toml").is_file()), None)
    if run is None:
        raise UsageError(f"{path} is no run folder, and the card tells of one: its recipe, its data, its figures.")
    known, images = read_run(run), model.config.get("images")
    if run == path or path.resolve().name == "model" or not isinstance(images, int):
        return known
    records = tuple(record for record in known.records if record.images <= images)
    seconds = records[-1].seconds if records else 0.0
    return replace(known, records=records, status=replace(known.status, images=images, seconds=seconds), judged=None)


def _fill_model(
    inside: Path, run: Path, model: Model | Translator, known: RunFolder, shown: Picture, licence: str | None
) -> None:
    """The repository of the model; its tensors were verified when it was opened."""
    released = run / "model" if (run / "model").is_dir() else run
    inside.mkdir()
    for file in (about_name("model"), "model.safetensors"):
        shutil.copyfile(released / file, inside / file)
    if shown.data is not None:
        (inside / "samples.png").write_bytes(shown.data)
    (inside / "README.md").write_text(
        hub_card(known, shown, licence, _call(model, known)), encoding="utf-8", errors="replace"
    )
    (inside / "recipe.toml").write_text(_recipe(known.config_text), encoding="utf-8")
    if known.judged is not None:
        shutil.copyfile(known.path / "evaluation.json", inside / "evaluation.json")


def _recipe(config: str) -> str:
    """The settings of a run without the paths of its data: `zerosum train DATA --recipe recipe.toml` trains another."""
    settings = tomllib.loads(config)
    settings["data"] = {key: value for key, value in settings.get("data", {}).items() if key not in OWN}
    return tomli_w.dumps(settings)


def _picture(model: Model | Translator, known: RunFolder) -> Picture:
    """Samples of the very model; of one that is fed with pictures, or makes points, what the report has drawn."""
    if isinstance(model, Model) and not _shows_data(model):
        rows, columns = grid_shape(model.shape)
        images = model.sample(rows * columns, seed=0)
        buffer = io.BytesIO()
        data = model.config["data"]
        picture(tile(images, rows, columns), data["low"], data["high"]).save(buffer, "PNG")  # type: ignore[arg-type]
        return Picture("samples.png", "Samples", f"The first {rows * columns} samples of seed 0.", buffer.getvalue())
    drawn = known.path / "model" / "samples.png"
    if not drawn.is_file():
        return NONE
    return Picture("samples.png", "Samples", "As the run's report shows them.", drawn.read_bytes())


def _shows_data(model: Model | Translator) -> bool:
    """Whether its picture is the report's, with some of the data in it, in place of samples of random numbers."""
    return not isinstance(model, Model) or not _shows(model)


def _call(model: Model | Translator, known: RunFolder) -> str:
    if isinstance(model, Translator):
        return f'translate(array, direction="{model.directions[0]}")' if model.directions else "translate(array)"
    return "reconstruct(images)" if known.reconstructs else "sample(16, seed=7)"


def _shows(model: Model | Translator) -> bool:
    """Whether a Space can show what it makes: pictures, of numbers or of pictures."""
    if isinstance(model, Translator):
        return all(model.config[side]["shape"][0] <= 4 for side in ("given", "data"))
    return len(model.shape) == 3 and model.shape[0] <= 4 and model.config["latent"]["distribution"] != "images"


def _fill_space(space: Path, known: RunFolder, licence: str | None, kind: str) -> None:
    parts = files("zerosum.export").joinpath("space")
    app = "sampling.py" if kind == "sample" else "translating.py"
    (space / "app.py").write_bytes(parts.joinpath(app).read_bytes())
    for same in ("opening.py", "requirements.txt"):
        (space / same).write_bytes(parts.joinpath(same).read_bytes())
    words = space_card(known, licence, kind)
    (space / "README.md").write_text(words, encoding="utf-8", errors="replace")
