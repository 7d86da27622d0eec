"""A discriminator that is a classifier too: its logit, what each turn minimises, the baseline, and its figures."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from torch import Tensor

import zerosum
from players import LATENT, close, draw_of, gradients, latents_of, play, real_batch, reference
from test_matrix import SHAPE, FewImages, begin, config_of, copied
from zerosum.config import RunConfig
from zerosum.data import holdout, labelled, open_data
from zerosum.errors import UsageError
from zerosum.games import Batch, Classifier, Latents, Remedies, SemiSupervised
from zerosum.games.semi_supervised import BASELINE
from zerosum.losses import get_loss
from zerosum.making import make_game
from zerosum.networks import build
from zerosum.run import Run
from zerosum.settings import make_config
from zerosum.training.feed import Feed

CLASSES = 4
HELD = {"data.labels": True, "data.labelled": 20, "data.holdout": 0.2}


def classifier(shape: tuple[int, ...] = (3,), seed: int = 1) -> Classifier:
    torch.manual_seed(seed)
    network = build("mlp-discriminator", shape=shape, hidden=[12, 7], activation="tanh", dropout=0.0)
    made = Classifier(network, CLASSES)
    torch.nn.init.normal_(made.head.weight)
    return made


def semi_game(**options: Any) -> SemiSupervised:
    torch.manual_seed(2)
    generator = build("mlp-generator", latent=LATENT, shape=(3,), hidden=[9], activation="tanh")
    options = {"loss": get_loss("non-saturating"), "latents": Latents(LATENT), "shape": (3,)} | options
    return SemiSupervised(generator, classifier(), baseline=classifier(seed=3), **options)


def semi_batch(seed: int = 3) -> Batch:
    """Eight images, and eight others whose labels may be known."""
    few = real_batch(8, seed=seed + 1)._replace(labels=torch.tensor([0, 2, 1, 3, 0, 1, 3, 3]))
    return real_batch(8, seed=seed)._replace(labels=torch.tensor([3, 3, 1, 0, 2, 2, 1, 0]), labelled=few)


def semi_config(family: str = "mlp", **settings: Any) -> RunConfig:
    chosen = {"game.kind": "semi-supervised", "game.updates": "alternating", "data.labels": True, "data.labelled": 8}
    return config_of(family, "non-saturating", None, **chosen | settings)


class FewLabels(FewImages):
    """Images by position, and as many others of which the labels are known."""

    def batch(self, first: int, count: int) -> Batch:
        return super().batch(first, count)._replace(labelled=super().batch(first + 500, count))


# what it says


def test_the_logit_is_that_of_a_softmax_over_one_class_more() -> None:
    """D(x) = Z / (Z + 1): all but the share of class K + 1, "generated", whose logit is 0."""
    judge = classifier().double()
    x = real_batch(16).images.double() * 3
    classes = judge.head(judge.body(x)).detach()
    shares = torch.cat((classes, torch.zeros(16, 1)), 1).softmax(1)
    z = classes.exp().sum(1)
    logits = judge(x).detach().double()
    torch.testing.assert_close(logits, z.log(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.sigmoid(logits), 1 - shares[:, -1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.sigmoid(logits), z / (z + 1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(judge.classes(x).double(), classes, rtol=1e-5, atol=1e-6)
    assert torch.equal(judge(x, features=True)[1], judge.body(x))


def test_large_class_logits_do_not_overflow() -> None:
    judge = classifier()
    torch.nn.init.constant_(judge.head.bias, 1000.0)
    assert torch.isfinite(judge(real_batch(4).images)).all()


# each turn against plainly written formulas


def plain_discriminator_loss(judge: Classifier, batch: Batch, fake: Tensor, times: float = 1) -> Tensor:
    """Salimans et al., section 5, written with the softmax over K + 1 classes; the last one is "generated"."""

    def shares(x: Tensor) -> Tensor:
        zero = torch.zeros(len(x), 1)
        made: Tensor = torch.cat((judge.head(judge.body(x)), zero), 1).softmax(1)
        return made

    few = batch.labelled
    assert few is not None
    unsupervised = -(1 - shares(batch.images)[:, -1]).log().mean() - shares(fake)[:, -1].log().mean()
    of_classes = shares(few.images)[:, :-1]
    known = of_classes[torch.arange(8), few.labels] / of_classes.sum(1)
    return times * (unsupervised - known.log().mean())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_discriminators_turn(reduction: str) -> None:
    game, batch = semi_game(reduction=reduction), semi_batch()
    own, judge = copy.deepcopy((game.generator, game.discriminator))
    found = play(game, "discriminator", batch, draw_of(8))
    fake = own(latents_of(8)).detach()
    expected = plain_discriminator_loss(judge, batch, fake, times=8 if reduction == "sum" else 1)
    torch.testing.assert_close(found.total, expected)
    close(gradients(game.discriminator), reference(expected, judge))
    assert not gradients(game.generator)
    assert game.baseline is not None
    assert not gradients(game.baseline)


def test_labels_of_the_other_images_are_not_looked_at() -> None:
    batch = semi_batch()
    told, untold = (
        play(semi_game(), "discriminator", each, draw_of(8)) for each in (batch, batch._replace(labels=None))
    )
    assert torch.equal(told.total, untold.total)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_baselines_turn(reduction: str) -> None:
    """The cross-entropy of the labelled images alone, and no gradient to anyone else."""
    game, batch = semi_game(reduction=reduction), semi_batch()
    assert game.baseline is not None
    judge, few = copy.deepcopy(game.baseline), batch.labelled
    assert few is not None
    found = play(game, BASELINE, batch, draw_of(8))
    shares = judge.head(judge.body(few.images)).softmax(1)
    expected = -shares[torch.arange(8), few.labels].log().mean() * (8 if reduction == "sum" else 1)
    torch.testing.assert_close(found.total, expected)
    close(gradients(game.baseline), reference(expected, judge))
    assert not gradients(game.generator)
    assert not gradients(game.discriminator)


def test_the_generator_matches_the_classifiers_features() -> None:
    game, batch = semi_game(remedies=Remedies(feature_matching=3.0)), semi_batch()
    own, judge = copy.deepcopy((game.generator, game.discriminator))
    play(game, "generator", batch, draw_of(8))
    distance = judge.body(batch.images).mean(0) - judge.body(own(latents_of(8))).mean(0)
    close(gradients(game.generator), reference(3 * distance.square().sum(), own))
    assert not gradients(game.discriminator)


def test_without_labelled_images_there_is_no_game() -> None:
    for turn in ("discriminator", BASELINE):
        with pytest.raises(UsageError, match=r"give --data\.labelled 100"):
            semi_game().play(turn, real_batch(8), draw_of(8))


# in training


@pytest.mark.parametrize("family", ["mlp", "quick", "dcgan-28", "sndcgan", "patch"])
def test_three_steps_of_every_family(family: str) -> None:
    engine = begin(semi_config(family), classes=CLASSES)
    feed = cast(Feed, FewLabels(CLASSES))
    before = copied(engine.state)
    for number in range(3):
        engine.step(feed, number / 3)
    engine.stop_if_ill(feed)
    after = engine.state.tensors()
    own = [f"game.{name}" for name, _ in engine.state.game.named_parameters()]
    assert [name for name in own if torch.equal(before[name], after[name])] == []
    assert engine.state.game.examine(feed.batch(0, 8)).keys() == {"test accuracy", "baseline accuracy"}


def test_the_baseline_touches_no_one() -> None:
    """From the same weights, generator and discriminator end in the same bits with it and without it."""
    first = copied(begin(semi_config(), classes=CLASSES).state)
    ends = []
    for baseline in (True, False):
        engine = begin(semi_config(**{"game.baseline": baseline}), classes=CLASSES)
        engine.state.load({name: value for name, value in first.items() if baseline or BASELINE not in name}, 0, 0.0)
        for number in range(3):
            engine.step(cast(Feed, FewLabels(CLASSES)), number / 3)
        ends.append({name: value for name, value in copied(engine.state).items() if BASELINE not in name})
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


@pytest.mark.parametrize(
    ("settings", "classes", "says"),
    [
        ({"data.labels": False}, CLASSES, "needs some images whose labels it may know"),
        ({"data.labelled": 0}, CLASSES, "needs some images whose labels it may know"),
        ({}, 0, "needs some images whose labels it may know"),
        ({"game.updates": "simultaneous"}, CLASSES, "alternating updates of single images"),
        ({"game.remedies.pack": 2}, CLASSES, "alternating updates of single images"),
        ({"game.labels.generator": "concatenate"}, CLASSES, "takes no labels"),
        ({"game.discriminator_turns": 2}, CLASSES, r"--game\.baseline false"),
        ({"discriminator.minibatch": "deviation"}, CLASSES, "minibatch"),
        ({"game.kind": "generation"}, CLASSES, "is for game.kind semi-supervised"),
    ],
    ids=str,
)
def test_what_is_refused(settings: dict[str, Any], classes: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make_game(semi_config(**settings), SHAPE, classes)


def test_several_turns_without_a_baseline() -> None:
    make_game(semi_config(**{"game.discriminator_turns": 2, "game.baseline": False}), SHAPE, CLASSES)


# a run


@pytest.fixture(scope="module")
def run(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROSUM_CACHE", str(session_cache))
        return train(tmp_path_factory.mktemp("sgan") / "run", 768).path


def train(out: Path, images: int) -> Run:
    settings = HELD | {"training.report_every": 128, "training.checkpoint_every": 128, "training.batch": 32}
    settings |= {"discriminator.options": {"hidden": [64, 32]}, "generator.options": {"hidden": [32]}}
    return zerosum.train("digits", recipe="sgan", out=out, images=images, settings=settings)


def test_resumed_is_the_same_run(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(run, again)
    shutil.rmtree(again / "checkpoints" / "000000768")
    assert train(again, 768).images == 768
    for name in ("checkpoints/000000768/state.safetensors", "model/model.safetensors"):
        assert (again / name).read_bytes() == (run / name).read_bytes(), name
    mine, theirs = ((path / "records.jsonl").read_text().splitlines() for path in (again, run))
    assert [json.loads(line)["figures"] for line in mine] == [json.loads(line)["figures"] for line in theirs]


def test_accuracies_are_scikit_learns(run: Path) -> None:
    """Of the checkpoint's classifiers, on images that neither was trained on, without dropout."""
    store = open_data("digits", labels=True)
    kept, held = holdout(store, 0.2)
    assert held.labels is not None
    config = make_config(run / "config.toml")
    game = make_game(config, store.shape, 10)
    assert isinstance(game, SemiSupervised)
    tensors = zerosum.files.load_tensors(run / "checkpoints" / "000000768", "state")[0]
    game.load_state_dict({name[5:]: value for name, value in tensors.items() if name.startswith("game.")})
    images = torch.from_numpy(held.gather(np.arange(len(held))).numpy()).permute(0, 3, 1, 2) / 8 - 1
    expected = {}
    for name, judge in (("test accuracy", game.discriminator), ("baseline accuracy", game.baseline)):
        assert judge is not None
        judge.eval()
        said = judge.classes(images).argmax(1)
        judge.train()
        expected[name] = accuracy_score(held.labels, said)
    record = json.loads((run / "records.jsonl").read_text().splitlines()[-1])
    assert record["figures"] == pytest.approx(expected, abs=1e-6)
    assert expected["test accuracy"] > 0.2, "it has learnt something"
    few = labelled(kept, 20)
    seen = {row.tobytes() for row in few.gather(np.arange(20)).numpy()}
    assert not seen & {row.tobytes() for row in held.gather(np.arange(len(held))).numpy()}
