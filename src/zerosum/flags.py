"""The verbs of the command line and their flags; `zerosum.cli` runs them. Imports nothing heavy."""

from __future__ import annotations

import argparse
import sys
from typing import TypeAlias

from zerosum.flags_explore import explore_flags
from zerosum.version import VERSION

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def parser() -> argparse.ArgumentParser:
    """All verbs and their flags."""
    top = argparse.ArgumentParser(prog="zerosum", description="From a folder of images to a working generator.")
    top.add_argument("--version", action="version", version=f"zerosum {VERSION}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    _train_flags(verbs)
    _sample_flags(verbs)
    _translate_flags(verbs)
    _evaluate_flags(verbs)
    explore_flags(verbs)
    _export_flags(verbs)
    _studio_flags(verbs)
    report = verbs.add_parser("report", help="write a run's figures and report.html")
    report.add_argument("run", metavar="RUN")

    recipes = verbs.add_parser("recipes", help="list the recipes, or show one")
    recipes.add_argument("name", metavar="NAME", nargs="?")

    _data_flags(verbs)
    return top


def _train_flags(verbs: Verbs) -> None:
    """`zerosum train`; the settings of a recipe are read by `settings_from`."""
    train = verbs.add_parser(
        "train",
        help="train a generator, or go on with a run",
        description="Train a generator on DATA. The same command again goes on where it stopped.",
        epilog=_settings_help(arguments_ask_for_help()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument(
        "source",
        metavar="DATA",
        nargs="?",
        help="folder of images, archive, .npy/.npz, built-in name (default: the recipe's; mnist-5k)",
    )
    train.add_argument(
        "--recipe",
        default="auto",
        metavar="NAME|FILE",
        help="'zerosum recipes' lists them (default: auto, chosen by data, device and time)",
    )
    train.add_argument("--out", metavar="RUN", help="the run folder (default: runs/DATA-RECIPE)")
    train.add_argument("--images", metavar="N", help="end after so many real images shown, as 200k or 2M")
    train.add_argument("--minutes", metavar="M", help="end after so many minutes of training")
    train.add_argument("--epochs", metavar="E", help="end after so many passes over the data")
    train.add_argument(
        "--size",
        metavar="xs|s|m|l|xl",
        help="of the networks of quick, r3gan and stylegan2, with batch and rates; m is the published one, or its own",
    )
    train.add_argument("--seed", metavar="S", help="everything random follows from it (default: 0)")
    train.add_argument("--ensemble", metavar="N", help="train N runs, of the seeds S, S + 1 …, as one (default: 1)")
    train.add_argument("--device", metavar="D", help="cpu, cuda, mps (default: the best there is)")
    train.add_argument("--evaluate-every", metavar="N", help="judge the generator after each so many images, as 200k")
    train.add_argument("--metrics", metavar="A,B", help="what by, as of 'zerosum evaluate' (default: frechet)")
    train.add_argument("--best", metavar="FIGURE", help="keep the best model by this figure, in RUN/best")
    train.add_argument("--patience", metavar="N", help="end after N evaluations without a new best (default: never)")
    train.add_argument(
        "--on-collapse",
        metavar="continue|rollback|stop",
        help="when samples are alike in two reports in a row; rollback: back to the last healthy checkpoint and on by "
        "other chance, three times at most (default: continue)",
    )


def _sample_flags(verbs: Verbs) -> None:
    """`zerosum sample`."""
    sample = verbs.add_parser("sample", help="draw from a trained generator")
    sample.add_argument("run", metavar="RUN", help="a run folder, an ensemble's, or a model folder")
    sample.add_argument("--count", type=int, default=16, metavar="N", help="how many (default: 16)")
    sample.add_argument("--seed", type=int, default=0, metavar="S", help="which ones (default: 0)")
    sample.add_argument(
        "--truncation",
        type=float,
        default=1.0,
        metavar="PSI",
        help="below 1: safer and more alike (default: 1)",
    )
    sample.add_argument(
        "--code", type=int, metavar="K", help="value of the first categorical code, from 0 (default: as drawn)"
    )
    sample.add_argument(
        "--label", metavar="K", help="class of the samples: its name, or else its number from 0 (default: as drawn)"
    )
    sample.add_argument(
        "--out", metavar="FILE|FOLDER", help="an image file: one sheet; .npy: an array; a folder: a file each"
    )


def _translate_flags(verbs: Verbs) -> None:
    """`zerosum translate`."""
    translate = verbs.add_parser("translate", help="make pictures of pictures, with an image-to-image run")
    translate.add_argument("run", metavar="RUN", help="a run folder, or a model folder")
    translate.add_argument("source", metavar="IMAGE|FOLDER", help="a picture of any size, or a folder of them")
    translate.add_argument(
        "--out", required=True, metavar="FOLDER", help="where the results go, under the names of the pictures given"
    )
    translate.add_argument(
        "--overwrite", action="store_true", help="write over files of those names (default: refuse, and say which)"
    )
    translate.add_argument(
        "--direction",
        metavar="a-to-b|b-to-a",
        help="which way, of a run between two domains as cyclegan: what it was trained on as --data.a into "
        "--data.b, or back (default: a-to-b); a run of pairs has one way, and takes no direction",
    )
    translate.add_argument(
        "--seed",
        type=int,
        metavar="S",
        help="let dropout draw, as in training, and S choose what: other seeds, other results of one picture "
        "(default: no dropout, and one result); only for a network that has dropout, as pix2pix's",
    )
    translate.add_argument(
        "--device", default="cpu", metavar="D", help="cpu, cuda, mps, or auto for the best there is (default: cpu)"
    )


MEASURED = """metrics:
  frechet             Fréchet distance of features (called FID with the features inception alone)
  kernel              kernel distance of features (likewise KID)
  prdc                precision, recall, density, coverage
  vendi               how many different samples there are
  pairs               L1, PSNR and SSIM of translations beside the pictures wanted
  nearest             training images that samples lie near to, as a picture too, and duplicates
  ssim-diversity      how unlike each other samples are, pixel by pixel
  ppl                 perceptual path length of a generator
  modes               those that points of ring8 or grid25 reach
  sliced-wasserstein  distance of points

features: inception, efficientnet-lite0, pixels, random, onnx:PATH"""


def _evaluate_flags(verbs: Verbs) -> None:
    """`zerosum evaluate`."""
    evaluate = verbs.add_parser(
        "evaluate",
        help="judge a generator, or data, by figures",
        description="Compare the samples of a run, or data, with the run's own data, or with others.",
        epilog=MEASURED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluate.add_argument("first", metavar="RUN|MODEL|DATA", help="what is judged")
    evaluate.add_argument(
        "second", metavar="DATA|RUN", nargs="?", help="what it is compared with (default: the run's own data)"
    )
    evaluate.add_argument("--metrics", metavar="A,B", help="which figures (default: all that fit)")
    evaluate.add_argument(
        "--features", metavar="NAME", help="what images are compared by (default: efficientnet-lite0, else random)"
    )
    evaluate.add_argument(
        "--count", type=int, metavar="N", help="how many of either side (default: 10,000, or as many as there are)"
    )
    evaluate.add_argument("--seed", type=int, default=0, metavar="S", help="which samples (default: 0)")
    evaluate.add_argument(
        "--out", metavar="FILE", help="the JSON file of the figures (default: RUN/evaluation.json; of no run: none)"
    )
    evaluate.add_argument(
        "--device", default="cpu", metavar="D", help="cpu, cuda, mps, or auto for the best there is (default: cpu)"
    )


def _export_flags(verbs: Verbs) -> None:
    """`zerosum export`."""
    export = verbs.add_parser(
        "export",
        help="ship a generator: an ONNX file, a page for the browser, a Hugging Face repository",
        description="Write a folder that holds the generator of RUN in another form, whole or not at all.",
    )
    export.add_argument("run", metavar="RUN", help="a run folder, or a model folder as RUN/best")
    export.add_argument(
        "--format",
        required=True,
        metavar="onnx|web|hub",
        help="onnx: model.onnx, checked against PyTorch, and config.json; web: a page that makes samples in the "
        "visitor's browser; hub: a Hugging Face model folder, and a Space",
    )
    export.add_argument("--out", metavar="FOLDER", help="what is written (default: NAME-onnx, NAME-web, NAME-hub)")
    export.add_argument("--overwrite", action="store_true", help="replace an older export (default: refuse)")
    export.add_argument(
        "--range",
        type=int,
        metavar="255|1",
        help="onnx: of images, 255 for [0, 255] or 1 for [-1, 1] (default: 255)",
    )
    export.add_argument(
        "--direction", metavar="a-to-b|b-to-a", help="which way, of a run between two domains (default: a-to-b)"
    )
    export.add_argument(
        "--assets", metavar="FOLDER", help="web: the npm package onnxruntime-web, unpacked; what is needed is copied"
    )
    export.add_argument(
        "--license", metavar="ID", help="hub: the model's licence, as Hugging Face calls it: apache-2.0 (default: none)"
    )
    export.add_argument(
        "--push", metavar="USER/NAME", help="hub: upload it, as the model and the Space of this name (default: no)"
    )
    export.add_argument(
        "--show-data",
        action="store_true",
        default=None,
        help="hub: with --push, pictures that show some of the data, as a translator's do, too (default: no)",
    )
    export.add_argument(
        "--device",
        default="cpu",
        metavar="D",
        help="where PyTorch makes what the ONNX file is checked against: cpu, cuda, mps, auto (default: cpu)",
    )


def _studio_flags(verbs: Verbs) -> None:
    """`zerosum studio`."""
    studio = verbs.add_parser(
        "studio",
        help="a local page: watch runs, explore, start and stop trainings, translate",
        description="Serve a page over RUNS to a browser on this machine. Needs pip install 'zerosum[studio]'.",
    )
    studio.add_argument(
        "runs", metavar="RUNS", nargs="?", default="runs", help="the folder of runs, or one run (default: runs)"
    )
    studio.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="what is listened on; others than this machine's own need --token (default: 127.0.0.1)",
    )
    studio.add_argument("--port", type=int, default=7860, metavar="N", help="0: any that is free (default: 7860)")
    studio.add_argument("--token", metavar="SECRET", help="what a visitor must know: 16 letters or more")


def _data_flags(verbs: Verbs) -> None:
    """`zerosum data`."""
    data = verbs.add_parser(
        "data",
        help="look at data without training",
        epilog="The --data.KEY flags of 'zerosum train' that say how data are read work here too.",
    )
    data.add_argument("source", metavar="DATA")
    data.add_argument("--out", metavar="FILE", help="where the contact sheet goes (default: NAME-contact-sheet.png)")
    for key in ("size", "fit", "channels", "include", "root", "stream", "labels", "max-rejected"):
        data.add_argument(
            f"--data.{key}",
            f"--data.{key.replace('-', '_')}",
            dest=key.replace("-", "_"),
            metavar=key.upper(),
        )


def arguments_ask_for_help() -> bool:
    """Whether this process was asked for a help page: only then are the settings gathered for it."""
    return "-h" in sys.argv or "--help" in sys.argv


def _settings_help(wanted: bool) -> str:
    if not wanted:
        return ""
    from zerosum.settings import describe_keys

    rows = describe_keys()
    width = max(len(key) for key, _, _ in rows) + 2
    lines = [f"  --{key:<{width}}{text}{f' (default: {default})' if default else ''}" for key, default, text in rows]
    return "every setting of a recipe is a flag too (a recipe's own value is the default):\n" + "\n".join(lines)
