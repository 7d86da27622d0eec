"""The verbs of `zerosum explore` and their flags. Imports nothing heavy."""

from __future__ import annotations

import argparse
from typing import TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

POSITIONS = ("expression", "image")  # what stands after RUN, of the verbs that have it
COMMON = ("verb", "action", "run", "out", "device", *POSITIONS)  # what is no option of a verb's function


def explore_flags(verbs: Verbs) -> None:
    """`zerosum explore`."""
    explore = verbs.add_parser(
        "explore",
        help="walk between samples, mix styles, find directions, project pictures",
        description="See what a generator learnt. Results go to RUN/explore, each with the command that repeats it.",
    )
    each = explore.add_subparsers(dest="action", required=True, metavar="VERB")
    _walk_flags(each)
    _truncation_flags(each)
    _mix_flags(each)
    _arithmetic_flags(each)
    _directions_flags(each)
    _project_flags(each)
    _edit_flags(each)


def _walk_flags(verbs: Verbs) -> None:
    walk = _begun(verbs, "interpolate", "from each sample to the next: a grid and an animation")
    walk.add_argument("--count", type=int, default=4, metavar="N", help="samples that are passed (default: 4)")
    walk.add_argument("--steps", type=int, default=10, metavar="N", help="images from one to the next (default: 10)")
    walk.add_argument(
        "--way", metavar="linear|spherical|w", help="default: w where there are styles, else spherical in z"
    )
    _drawing(walk, code=True)


def _truncation_flags(verbs: Verbs) -> None:
    sweep = _begun(verbs, "truncation", "the same samples at each truncation")
    sweep.add_argument("--count", type=int, default=8, metavar="N", help="how many samples (default: 8)")
    sweep.add_argument(
        "--values", default="0,0.2,0.4,0.6,0.8,1", metavar="A,B", help="truncations (default: 0,0.2,0.4,0.6,0.8,1)"
    )
    _drawing(sweep, truncation=False, code=True)


def _mix_flags(verbs: Verbs) -> None:
    mix = _begun(verbs, "mix", "styles of two samples in one image, where the generator has styles")
    mix.add_argument("--count", type=int, default=5, metavar="N", help="rows, and columns (default: 5)")
    mix.add_argument(
        "--layers", metavar="A-B,C", help="those that the top row's samples drive, as 0-2,5 (default: the first half)"
    )
    _drawing(mix)


def _arithmetic_flags(verbs: Verbs) -> None:
    sums = _begun(verbs, "arithmetic", "the sample at a sum of others")
    sums.add_argument(
        "expression", metavar="SUM", help="numbers of samples, as '7 - 3 + 12'; with commas a mean: '7,9,21 - 3,4 + 12'"
    )
    _drawing(sums)


def _directions_flags(verbs: Verbs) -> None:
    found = _begun(verbs, "directions", "directions that change images most, or towards a label, each as a strip")
    found.add_argument(
        "--method",
        default="sefa",
        metavar="sefa|pca",
        help="by the first layers' weights (SeFa), or by components of features (GANSpace) (default: sefa)",
    )
    found.add_argument(
        "--labels",
        metavar="FILE.csv|data",
        help="directions of attributes instead: a CSV of sample numbers, or files of 'zerosum sample', and labels; "
        "data: the classes of the run's own data, which a classifier tells samples by",
    )
    found.add_argument("--count", type=int, default=8, metavar="N", help="how many directions (default: 8)")
    found.add_argument("--layers", metavar="A-B,C", help="of styles: only these, as 0-2,5 (default: all)")
    found.add_argument(
        "--samples", type=int, default=2000, metavar="N", help="that pca and --labels data look at (default: 2000)"
    )
    _moving(found)
    _drawing(found, truncation=False)


def _project_flags(verbs: Verbs) -> None:
    project = _begun(verbs, "project", "the point whose image is nearest to a picture; goes on after a kill")
    project.add_argument("image", metavar="IMAGE", help="any picture, fitted as the data were")
    project.add_argument("--starts", type=int, default=4, metavar="N", help="descents at once (default: 4)")
    project.add_argument("--steps", type=int, default=300, metavar="N", help="of each (default: 300)")
    project.add_argument(
        "--features",
        default="auto",
        metavar="NAME|none",
        help="compared beside pixels (default: efficientnet-lite0 where it is installed)",
    )
    _drawing(project, truncation=False)


def _edit_flags(verbs: Verbs) -> None:
    edit = _begun(verbs, "edit", "move samples, or a projected picture, along a direction")
    edit.add_argument(
        "--directions", metavar="FOLDER", help="what 'directions' wrote (default: RUN/explore/directions-sefa)"
    )
    edit.add_argument("--direction", type=int, default=1, metavar="K", help="which one, from 1 (default: 1)")
    edit.add_argument("--projection", metavar="FOLDER", help="what 'project' wrote (default: samples)")
    edit.add_argument("--count", type=int, default=4, metavar="N", help="how many samples (default: 4)")
    _moving(edit)
    _drawing(edit)


def _begun(verbs: Verbs, name: str, text: str) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    verb.add_argument("run", metavar="RUN", help="a run folder, or a model folder")
    return verb


def _moving(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--reach", type=float, default=3.0, metavar="S", help="how far, in deviations (default: 3)")
    verb.add_argument("--steps", type=int, default=7, metavar="N", help="images of a strip (default: 7)")


def _drawing(verb: argparse.ArgumentParser, *, truncation: bool = True, code: bool = False) -> None:
    """Which samples, where to, and where it is computed."""
    verb.add_argument("--seed", type=int, default=0, metavar="S", help="which samples (default: 0)")
    if truncation:
        verb.add_argument("--truncation", type=float, default=1.0, metavar="PSI", help="below 1: safer and more alike")
    verb.add_argument("--label", metavar="K", help="their class: its name, or its number from 0 (default: as drawn)")
    if code:
        verb.add_argument("--code", type=int, metavar="K", help="value of the first categorical code, from 0")
    verb.add_argument("--out", metavar="FOLDER", help="where results go (default: RUN/explore)")
    verb.add_argument("--device", default="cpu", metavar="D", help="cpu, cuda, mps, or auto (default: cpu)")
