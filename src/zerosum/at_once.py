"""Members of an ensemble that train at once, stacked, where that is faster: which, from where, and to their end."""

from __future__ import annotations

import copy
import shutil
import warnings
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from zerosum.assembly import make_plan, make_state
from zerosum.config import RunConfig
from zerosum.errors import RunError, ZerosumError
from zerosum.files import read_about
from zerosum.games import Game, Generation, Randomness, Remedies, term_of
from zerosum.material import Material
from zerosum.networks import is_convolutional, mixes_samples
from zerosum.report import write_report
from zerosum.run import Training, make_training, prepare, settle
from zerosum.training.checkpoint import existing
from zerosum.training.chorus import Chorus
from zerosum.training.display import Several, Silent
from zerosum.training.feed import Feed
from zerosum.training.interrupts import Interrupts
from zerosum.training.loop import play_on
from zerosum.training.run_folder import RunFolder
from zerosum.training.stacked import IllError, Stacked

# benchmarks/ensemble.py: four members of that work train 1.25 to 1.5 times as fast as one after another, eight 1.5 to
# 3.3 times; two lose, and so do networks that are work and not launches.
FEWEST = 4
MOST_WORK = 1_500_000  # parameters times batch


def why_not(config: RunConfig, material: Material, game: Game) -> str:
    """Why the members of an ensemble do not train at once; empty where they do."""
    if type(game) is not Generation or config.game.labels.any or game.latents.of_images:
        return "only plain games of a generator and a discriminator are stacked"
    work = sum(parameter.numel() for parameter in game.parameters()) * config.training.batch
    plan = make_plan(config, material.store, material.device)
    remedies = game.remedies
    reasons = {
        "they are fewer than four": config.training.ensemble < FEWEST,
        "it was measured on the CPU alone": material.device.type != "cpu",
        "their turns are compiled": plan.compiled,
        "they are judged in training": config.evaluation.every is not None,
        "each may go back by itself": config.training.on_collapse != "continue",
        "they end by the clock": plan.images is None,
        "their networks are large enough by themselves": is_convolutional(game) or work > MOST_WORK,
        "micro-batches are not stacked": plan.micro_batch != plan.batch,
        "their networks mix samples": mixes_samples(game),
        "spectral normalisation is not stacked": any(player.spectral for player in config.players().values()),
        "augmentation is not stacked": game.augmenting is not None,
        "label flips are not stacked": game.loss.flips > 0,
        "one pass for both players is not stacked": game.one_pass and config.game.updates == "simultaneous",
        "their penalties are not stacked": not all(term_of(name).compares_answers for name in config.game.penalties),
        "their remedies are not stacked": remedies != Remedies(noise=remedies.noise),
    }
    return next((words for words, holds in reasons.items() if holds), "") or refusal(config, material, game)


def refusal(config: RunConfig, material: Material, game: Game) -> str:
    """What PyTorch says against mapping a step of the game over two members, tried on copies; empty where it does it.

    An operation that it would take member by member, with a warning, counts as refused: it is slower than alone.
    """
    feed = Feed(material.store, Randomness(config.training.seed, material.device), flip=config.data.flip)
    states = [make_state(config, copy.deepcopy(game)) for _ in range(2)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            stack = Stacked(states, [feed, feed], make_plan(config, material.store, material.device))
            stack.step(feed, 0.0)
    except (RuntimeError, ValueError, UserWarning) as error:
        return f"PyTorch does not map their step ({str(error).splitlines()[0].strip()})"
    return ""


def groups(paths: Sequence[Path]) -> list[list[Path]]:
    """Those of the members' folders that can train at once: each group stands at one count of images.

    A kill between two members' checkpoints leaves some of them one ahead: they go back to the newest that all have.
    """
    fresh = [path for path in paths if not existing(path / "checkpoints")]
    begun = [path for path in paths if path not in fresh]
    found = [fresh]
    count = common_count(begun)
    if count is not None:
        for path in begun:
            for checkpoint in existing(path / "checkpoints"):
                if int(checkpoint.name) > count:
                    shutil.rmtree(checkpoint)
        found.append(begun)
    return [group for group in found if len(group) >= FEWEST]


def common_count(paths: Sequence[Path]) -> int | None:
    """The newest count of images of which every run folder has a sound checkpoint; None where there is none."""
    counts = [{int(checkpoint.name) for checkpoint in existing(path / "checkpoints")} for path in paths]
    for count in sorted(set.intersection(*counts), reverse=True) if counts else []:
        if all(_is_sound(path / "checkpoints" / f"{count:09d}") for path in paths):
            return count
    return None


def _is_sound(checkpoint: Path) -> bool:
    try:
        read_about(checkpoint, "state")
    except RunError:
        return False
    return True


def train_at_once(
    members: dict[Path, RunConfig], material: Material, display: Several, interrupts: Interrupts
) -> list[Path]:
    """Train the members of one group, by their folders, to the end or an interrupt, and write their reports.

    Returns the folders of those that met NaN or infinity: then nothing was saved since the last checkpoint, and
    nothing is told of them. Trained alone from there, they say in their own words what they meet.
    """
    with ExitStack() as held:
        trainings = [_member(held.enter_context(RunFolder(path)), config, material) for path, config in members.items()]
        first = trainings[0]
        stack = Stacked([each.state for each in trainings], [each.feed for each in trainings], first.plan)
        names = [f"member {path.name}" for path in members]
        chorus = Chorus(stack, [each.reporter for each in trainings], names, display)
        if stack.state.images:
            display.note(f"Going on from image {stack.state.images:,} of each.")
        chorus.begin(first.plan)
        try:
            play_on(stack, first.feed, first.plan, chorus, interrupts)
        except IllError as error:
            return [trainings[place].folder.path for place in error.members]
        except ZerosumError as error:
            with suppress(RunError):  # the disk that is full for a checkpoint may be full for this too
                _say(trainings, "stopped", str(error))
            raise
        if interrupts.number is not None:
            _say(trainings, "stopped", f"stopped by signal {interrupts.number}, saved")
            return []
        _say(trainings, "done", "the end that was asked for")
        display.note("Writing the members' reports …")
        for each in trainings:
            if interrupts.number is None:
                write_report(each.folder.path)
    return []


def _member(folder: RunFolder, config: RunConfig, material: Material) -> Training:
    config = settle(folder, config)
    game, _ = prepare(config, material)
    return make_training(folder, config, material, game, Silent())


def _say(trainings: Sequence[Training], state: str, reason: str) -> None:
    for each in trainings:
        each.folder.status(state, reason, each.state.images, each.state.seconds)
