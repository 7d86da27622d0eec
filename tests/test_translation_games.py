"""Games that make a picture of a picture: turns against plain formulas, what trains, what is fed, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from pictures import write_pairs
from players import Spy, close, draw_of, gradients, reference
from test_matrix import copied
from zerosum import penalties
from zerosum.assembly import make_state
from zerosum.config import RunConfig
from zerosum.data import Degradation, open_data, open_pairs
from zerosum.errors import UsageError
from zerosum.games import TERMS, Batch, Draw, Paired, Randomness, Replay, Restoring, Translating, Unpaired
from zerosum.losses import LOSSES, get_loss
from zerosum.making import make_game
from zerosum.networks import build, names
from zerosum.settings import make_config
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed
from zerosum.training.plan import Plan
from zerosum.training.sources import Sources

GIVEN, WANTED = (1, 8, 8), (3, 8, 8)
SMALL = {"depth": 2, "width": 4, "norm": "none", "dropout": 0.0}
COUNT = 4


def pictures(shape: tuple[int, ...], seed: int, count: int = COUNT) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def pair(given: tuple[int, ...] = GIVEN, wanted: tuple[int, ...] = WANTED) -> Batch:
    return Batch(pictures(wanted, 1), given=pictures(given, 2))


def translator(given: tuple[int, ...], wanted: tuple[int, ...], **options: Any) -> nn.Module:
    return build("unet-generator", source=given, shape=wanted, **SMALL | options)


def judge_of(channels: int) -> nn.Module:
    return build("patch-discriminator", shape=(channels, 8, 8), field=16, norm="none")


def paired(loss: str = "non-saturating", **options: Any) -> Paired:
    torch.manual_seed(1)
    rules = options.pop("rules", Translating())
    judge = judge_of(4 if rules.conditional else 3) if rules.adversarial else None
    restoring = options.pop("restoring", Restoring("absolute", 100.0))
    return Paired(translator(GIVEN, WANTED), judge, loss=get_loss(loss), restoring=restoring, rules=rules, **options)


def unpaired(loss: str = "least-squares", size: int = 0, share: float = 0.5, **rules: float) -> Unpaired:
    torch.manual_seed(1)
    translators = {name: translator(WANTED, WANTED) for name in ("a_to_b", "b_to_a")}
    judges = {name: judge_of(3) for name in "ab"}
    replay = {name: Replay(size, share, WANTED) for name in "ab"} if size else {}
    return Unpaired(
        translators,
        judges,
        loss=get_loss(loss),
        penalties={"a": (), "b": ()},
        replay=replay,
        rules=Translating(**rules),
    )


def grown(game: Paired | Unpaired, turn: str, batch: Batch, draw: Draw) -> dict[str, Tensor]:
    """The gradient of one turn."""
    game.zero_grad()
    torch.manual_seed(9)
    game.play(turn, batch, draw).total.backward()
    return gradients(game)


def own(found: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


@pytest.mark.parametrize("conditional", [True, False])
def test_pix2pix_plays_for_what_its_paper_says(conditional: bool) -> None:
    """Equations 1 and 4, D's loss halved: written out, on the same networks."""
    game, batch = paired(factor=0.5, rules=Translating(conditional=conditional)), pair()
    judge, given = cast(nn.Module, game.discriminator), cast(Tensor, batch.given)
    fake = game.generator(given)

    def seen(images: Tensor) -> Tensor:
        return judge(torch.cat((given, images), 1) if conditional else images)

    expected = -0.5 * (logsigmoid(seen(batch.images)).mean() + logsigmoid(-seen(fake.detach())).mean())
    found = grown(game, "discriminator", batch, draw_of(COUNT))
    assert all(name.startswith("discriminator.") for name in found), "no gradient to the translator"
    close(own(found, "discriminator."), reference(expected, judge))
    expected = -logsigmoid(seen(fake)).mean() + 100 * (batch.images - fake).abs().mean()
    wanted = reference(expected, game.generator)
    found = grown(game, "generator", batch, draw_of(COUNT))
    assert all(name.startswith("generator.") for name in found), "no gradient to the discriminator"
    close(own(found, "generator."), wanted)


def test_both_turns_see_one_fake() -> None:
    """With dropout a second pass would make another: the discriminator judges what the translator is judged by."""
    game, batch = paired(), pair()
    game.generator = translator(GIVEN, WANTED, depth=3, dropout=0.5)
    spy = Spy(cast(nn.Module, game.discriminator))
    for turn in ("discriminator", "generator"):
        game.play(turn, batch, draw_of(COUNT))
    (both, again), size = spy.seen, COUNT
    assert torch.equal(both[size:], again)
    game.play("generator", batch, draw_of(COUNT))
    assert not torch.equal(spy.seen[-1], again), "and where there was no other turn, it makes its own"


@pytest.mark.parametrize("features", ["discriminator", "random"])
def test_content_is_a_distance_in_features(features: str) -> None:
    rules = Translating(content=0.7, features=features, adversarial=1e-3)
    game, batch = paired(rules=rules, restoring=Restoring("squared", 2.0)), pair()
    judge, given = cast(nn.Module, game.discriminator), cast(Tensor, batch.given)
    fake = game.generator(given)
    beside = [torch.cat((given, images), 1) for images in (fake, batch.images)]
    if features == "discriminator":
        made, wanted = (judge(images, features=True)[1] for images in beside)
    else:
        from zerosum.metrics.extractors import extractor

        made, wanted = (extractor("random").maps(images) for images in (fake, batch.images))
    expected = (
        (batch.images - fake).square().mean()
        + 0.7 * (made - wanted.detach()).square().mean()
        - 1e-3 * logsigmoid(judge(beside[0])).mean()
    )
    wanted_gradient = reference(expected, game.generator)
    close(own(grown(game, "generator", batch, draw_of(COUNT)), "generator."), wanted_gradient)


def test_the_distance_alone_needs_no_discriminator() -> None:
    game, batch = paired(rules=Translating(adversarial=0)), pair()
    assert [turn.name for turn in game.turns] == ["generator"]
    assert game.turns[0].shows
    assert not any("discriminator" in name for name, _ in game.named_parameters())
    loss = game.play("generator", batch, draw_of(COUNT))
    error = (batch.images - game.generator(cast(Tensor, batch.given))).abs().mean()
    torch.testing.assert_close(loss.total, 100 * error)
    with pytest.raises(UsageError, match="no discriminator"):
        paired(rules=Translating(adversarial=0, content=1.0))


def test_cyclegan_plays_for_what_its_paper_says() -> None:
    """Equations 1 to 3 and section 5.2, D's losses halved; least squares without the half that ours have."""
    game, batch = unpaired(adversarial=2.0), pair(WANTED, WANTED)
    a, b = cast(Tensor, batch.given), batch.images
    there, back = game.a_to_b, game.b_to_a
    of_a, of_b = game.discriminator["a"], game.discriminator["b"]

    def l1(x: Tensor, y: Tensor) -> Tensor:
        return (x - y).abs().mean()

    expected = (
        (of_b(there(a)) - 1).square().mean()
        + (of_a(back(b)) - 1).square().mean()
        + 10 * (l1(back(there(a)), a) + l1(there(back(b)), b))
        + 5 * (l1(there(b), b) + l1(back(a), a))
    )
    both = nn.ModuleDict({"a_to_b": there, "b_to_a": back})
    wanted = reference(expected, both)
    found = grown(game, "generator", batch, draw_of(COUNT))
    assert not own(found, "discriminator."), "no gradient to the discriminators"
    close(found, wanted)
    expected = sum(
        (of(real).sub(1).square().mean() + of(fake.detach()).square().mean()) / 2
        for of, real, fake in ((of_a, a, back(b)), (of_b, b, there(a)))
    )
    found = grown(game, "discriminator", batch, draw_of(COUNT))
    close(own(found, "discriminator."), reference(cast(Tensor, expected), game.discriminator))


def test_old_fakes_are_shown_again() -> None:
    """A buffer of each domain: what is shown there was made for it."""
    game = unpaired(size=8)
    spies = {name: Spy(game.discriminator[name]) for name in "ab"}
    kept: dict[str, list[Tensor]] = {"a": [], "b": []}
    for turn in range(4):
        batch = Batch(pictures(WANTED, 10 + turn), given=pictures(WANTED, 20 + turn))
        made = {"b": game.a_to_b(batch.given), "a": game.b_to_a(batch.images)}
        for name in ("generator", "discriminator"):
            game.play(name, batch, draw_of(COUNT, turn=turn))
        for domain, spy in spies.items():
            shown = spy.seen[-1][COUNT:]
            for row in shown[: COUNT // 2] if turn else shown[:0]:
                assert any(torch.equal(row, old) for old in kept[domain])
            assert torch.equal(shown[COUNT // 2 :], made[domain][COUNT // 2 :])
            kept[domain] += list(made[domain].detach())
    assert {name for name, _ in game.named_buffers()} >= {"replay.a.samples", "replay.b.samples"}


def config_of(kind: str, **settings: Any) -> RunConfig:
    recipe = "pix2pix" if kind == "paired" else "cyclegan"
    pictures_of = {"data.target": "wanted"} if kind == "paired" else {"data.a": "a", "data.b": "b"}
    chosen = {
        "generator.network": "unet-generator",
        "generator.options": SMALL,
        "discriminator.options": {"field": 16, "norm": "instance"},
        "training.images": 1000,
        "training.batch": COUNT,
    }
    if settings.get("game.loss") == "wasserstein" and not settings.get("game.penalties"):
        settings["discriminator.clip"] = 0.05
    return make_config(recipe, pictures_of | chosen | settings)


class Pairs:
    """A feed of random pairs, by position."""

    def __init__(self, given: tuple[int, ...]) -> None:
        self.randomness, self.given = Randomness(3), given

    def batch(self, first: int, count: int) -> Batch:
        wanted, given = (
            torch.cat([pictures(shape, seed + number, 1) for number in range(first, first + count)])
            for shape, seed in ((WANTED, 0), (self.given, 10_000))
        )
        return Batch(wanted, given=given)


def started(config: RunConfig) -> tuple[Engine, Feed]:
    given = GIVEN if config.game.kind == "paired" else WANTED
    torch.manual_seed(0)
    state = make_state(config, make_game(config, WANTED, source=given))
    return Engine(state, Plan(COUNT, COUNT, 1000, None)), cast(Feed, Pairs(given))


PLAYED = [term for term in TERMS if TERMS[term].player == "discriminator"]


@pytest.mark.parametrize("penalty", [None, *PLAYED], ids=str)
@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("kind", ["paired", "unpaired"])
def test_any_loss_goes_with_any_penalty(kind: str, loss: str, penalty: str | None) -> None:
    """Three steps: finite, everything moves, and a resume before the last changes no bit."""
    asked: dict[str, Any] = {"game.loss": loss, "game.penalties": {penalty: {}} if penalty else {}}
    config = config_of(kind, **asked)
    engine, feed = started(config)
    before = copied(engine.state)
    for number in range(3):
        if number == 2:
            kept, images = copied(engine.state), engine.state.images
        engine.step(feed, number / 3)
    engine.stop_if_ill(feed)
    after, records = engine.state.tensors(), engine.records.read()
    assert all(np.isfinite(value) for value in records.values())
    assert penalty is None or f"parts/{penalty}" in records
    again, feed = started(config)
    again.state.load(kept, images, 0.0)
    again.step(feed, 2 / 3)
    assert not [name for name, value in again.state.tensors().items() if not torch.equal(value, after[name])]
    still = {
        name
        for name, _ in engine.state.game.named_parameters()
        if torch.equal(before[f"game.{name}"], after[f"game.{name}"])
    }
    # Relativistic losses compare: what is added to both sides, the last bias, may have no gradient.
    assert all(name.endswith("head.bias") for name in still)


@pytest.mark.parametrize("kind", ["paired", "unpaired"])
def test_a_penalty_is_on_what_is_judged(kind: str) -> None:
    config = config_of(
        kind, **{"game.penalties": {"r1": {"gamma": 3.0}}, "discriminator.options": {"field": 16, "norm": "none"}}
    )
    engine, feed = started(config)
    game, batch = engine.state.game, feed.batch(0, COUNT)
    draw = draw_of(COUNT)
    for turn in game.turns:
        loss = game.play(turn.name, batch, draw)
        if turn.name == "discriminator":
            found = loss.parts["r1"]
    if isinstance(game, Paired):
        expected = penalties.r1(
            cast(nn.Module, game.discriminator), torch.cat((cast(Tensor, batch.given), batch.images), 1)
        )
    else:
        sides = zip("ab", (cast(Tensor, batch.given), batch.images), strict=True)
        expected = sum((penalties.r1(game.discriminator[name], real) for name, real in sides), torch.zeros(())) / 2
    torch.testing.assert_close(found, expected.detach())


@pytest.mark.parametrize("network", names("translator"))
@pytest.mark.parametrize("kind", ["paired", "unpaired"])
def test_every_translator_plays(kind: str, network: str) -> None:
    options = {"unet-generator": SMALL, "resnet-generator": {"blocks": 1, "width": 4}}
    config = config_of(
        kind, **{"generator.network": network, "generator.options": options.get(network, {"blocks": 1, "width": 4})}
    )
    engine, feed = started(config)
    engine.step(feed, 0.0)
    engine.stop_if_ill(feed)
    assert all(np.isfinite(value) for value in engine.records.read().values())


@pytest.mark.parametrize("kind", ["paired", "unpaired"])
def test_micro_batches_change_no_gradient(kind: str) -> None:
    """Without layers that mix samples, the mean over two halves is the mean over the whole."""
    moved = []
    for micro in (COUNT, COUNT // 2):
        asked = {"discriminator.options": {"field": 16, "norm": "none"}, "game.remedies.replay.size": 0}
        engine, feed = started(config_of(kind, **asked))
        engine.plan = replace(engine.plan, micro_batch=micro)
        engine.step(feed, 0.0)
        moved.append(engine.records.read())
    for name, value in moved[0].items():
        assert moved[1][name] == pytest.approx(value, rel=2e-3), name


# what is fed


def feed_of(folder: Path, *, flip: bool = False) -> tuple[Feed, Sources, Any]:
    outlines, filled = write_pairs(folder, 24)
    pairs = open_pairs(outlines, filled)
    sources = Sources(pairs.given)
    return Feed(pairs.wanted, Randomness(3), flip=flip, sources=sources), sources, pairs


@pytest.mark.parametrize("flip", [False, True])
def test_pairs_stay_pairs(flip: bool, tmp_path: Path) -> None:
    """Where the outline is dark the filled picture is, too: in every row of three epochs, mirrored or not."""
    feed, _, pairs = feed_of(tmp_path, flip=flip)
    mirrored = 0
    for first in range(0, 72, 8):
        batch = feed.batch(first, 8)
        given, wanted = cast(Tensor, batch.given), batch.images
        assert given.shape == (8, 1, 32, 32)
        assert bool((wanted.amax(1, keepdim=True)[given < -0.9] < -0.9).all())
        raw = pairs.wanted.gather(feed.indices(first, 8)).permute(0, 3, 1, 2) / 127.5 - 1
        mirrored += int(((wanted - raw).abs().amax((1, 2, 3)) > 0.01).sum())
    assert (15 < mirrored < 57) if flip else mirrored == 0


def test_domains_have_orders_of_their_own(tmp_path: Path) -> None:
    """Two sets of the same pictures: row i of the one is not always beside row i of the other."""
    _, _, pairs = feed_of(tmp_path)
    feed = Feed(pairs.wanted, Randomness(3), flip=False, sources=Sources(pairs.wanted, paired=False))
    batch = feed.batch(0, 24)
    same = [torch.equal(one, other) for one, other in zip(batch.images, cast(Tensor, batch.given), strict=True)]
    assert sum(same) < 6
    sums = [sorted(side.sum((1, 2, 3)).tolist()) for side in (batch.images, cast(Tensor, batch.given))]
    assert sums[0] == pytest.approx(sums[1]), "an epoch shows each picture of both once"


@pytest.mark.parametrize("kind", ["mask:box", "mask:strokes", "noise:0.3", "jpeg:20", "downsample:4"])
def test_what_is_made_worse_depends_on_the_place_alone(kind: str) -> None:
    store = open_data("digits", size="16")
    sources = Sources(None, degradation=Degradation.parse(kind))
    feed = Feed(store, Randomness(3), flip=False, sources=sources)
    whole = feed.batch(4, 12)
    for first, count in ((4, 4), (8, 8)):
        part = feed.batch(first, count)
        rows = slice(first - 4, first - 4 + count)
        assert torch.equal(cast(Tensor, part.given), cast(Tensor, whole.given)[rows])
    later = feed.batch(4 + len(store), 12)
    assert sources.shape(store.shape) == tuple(cast(Tensor, later.given).shape[1:])


# what is refused

PIX, CYCLE = "pix2pix", "cyclegan"


@pytest.mark.parametrize(
    ("recipe", "settings", "words"),
    [
        (PIX, {}, "--data.target"),
        (PIX, {"data.target": "t", "data.degrade": "gray"}, "data.target and data.degrade"),
        (PIX, {"data.target": "t", "data.a": "a"}, "data.a"),
        (CYCLE, {"data.a": "a"}, "--data.b"),
        (CYCLE, {"data.a": "a", "data.b": "b", "data.target": "t"}, "data.target"),
        ("quick", {"data.degrade": "gray"}, "--recipe pix2pix"),
        ("quick", {"game.translation.cycle": 3.0}, "translates nothing"),
        ("quick", {"generator.network": "unet-generator"}, "needs a generator"),
        (PIX, {"data.target": "t", "game.translation.cycle": 3.0}, "cycle"),
        (PIX, {"data.target": "t", "game.translation.features": "random"}, "--game.translation.content"),
        (PIX, {"data.target": "t", "game.translation.content": 1.0, "game.translation.features": "vgg"}, "vgg"),
        (PIX, {"data.target": "t", "generator.network": "quick-generator"}, "needs a translator"),
        (PIX, {"data.target": "t", "game.remedies.pack": 2}, "remedies"),
        (PIX, {"data.target": "t", "game.remedies.replay.size": 9}, "remedies"),
        (PIX, {"data.target": "t", "game.updates": "simultaneous"}, "simultaneous"),
        (PIX, {"data.target": "t", "game.penalties": {"path_length": {}}}, "path_length"),
        (PIX, {"data.target": "t", "game.reconstruction.loss": "bernoulli"}, "brightness"),
        (PIX, {"data.target": "t", "game.reconstruction.variational": True}, "variational"),
        (PIX, {"data.target": "t", "data.labels": True}, "labels"),
        (PIX, {"data.target": "t", "latent.size": 3}, "latent"),
        (PIX, {"data.target": "t", "training.ensemble": 2}, "ensemble"),
        (CYCLE, {"data.a": "a", "data.b": "b", "game.reconstruction.weight": 3.0}, "reconstruction"),
        (CYCLE, {"data.a": "a", "data.b": "b", "game.translation.content": 3.0}, "content"),
        (CYCLE, {"data.a": "a", "data.b": "b", "game.translation.adversarial": 0.0}, "adversarial"),
        (PIX, {"data.target": "t", "game.translation.adversarial": 0, "game.penalties": {"r1": {}}}, "could penalise"),
        (
            PIX,
            {
                "data.target": "t",
                "game.translation.adversarial": 0,
                "game.penalties": {},
                "game.translation.content": 1.0,
            },
            "extractor",
        ),
        (PIX, {"data.a": "a", "data.b": "b"}, "--recipe cyclegan"),
        (PIX, {"data.target": "t", "generator.options.shape": [3, 8, 8]}, "follows from the data"),
        (PIX, {"data.target": "t", "game.translation.content": 1.0, "game.translation.features": "pixels"}, "no maps"),
    ],
)
def test_nonsense_is_refused(recipe: str, settings: dict[str, Any], words: str) -> None:
    config = make_config(recipe, settings)
    with pytest.raises(UsageError, match=words):
        make_game(config, (3, 32, 32), source=(1 if config.game.kind == "paired" else 3, 32, 32))


def test_identity_needs_one_number_of_channels() -> None:
    config = config_of("unpaired")
    with pytest.raises(UsageError, match=r"identity 0"):
        make_game(config, WANTED, source=GIVEN)
    config.game.translation.identity = 0.0
    game = make_game(config, WANTED, source=GIVEN)
    assert isinstance(game, Unpaired)
    game.play("generator", pair(), draw_of(COUNT))


def test_published_settings() -> None:
    """Hand-copied from the papers; pix2pix's rate is four times as large, for batches of 16."""
    pix2pix, cyclegan = make_config("pix2pix"), make_config("cyclegan")
    assert (pix2pix.game.reconstruction.loss, pix2pix.game.reconstruction.weight) == ("absolute", 100)
    assert pix2pix.game.discriminator_factor == 0.5
    for config, rate in ((pix2pix, 8e-4), (cyclegan, 2e-4)):
        for player in config.players().values():
            assert (player.lr, player.betas, player.schedule, player.decay_from) == (rate, (0.5, 0.999), "linear", 0.5)
    assert (cyclegan.game.loss, cyclegan.game.remedies.replay.size) == ("least-squares", 50)
    assert (cyclegan.game.translation.cycle, cyclegan.game.translation.identity) == (10, 0.5)
    # Published least squares have no half, ours have: twice the weight in G's loss, and a half less of D's.
    assert (cyclegan.game.translation.adversarial, cyclegan.game.discriminator_factor) == (2.0, 1.0)
