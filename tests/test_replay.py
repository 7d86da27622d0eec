"""Old fakes that the discriminator is shown again."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from players import TURNS, Images, Spy, begin, config_of, draw_of, game_of, latents_of, play, real_batch, turn_of
from zerosum.games import Generation, Remedies
from zerosum.games.remedies import Replay
from zerosum.training.feed import Feed


def numbered(turn: int, count: int) -> Tensor:
    """Fakes that say when they were made: (count, 1)."""
    return torch.arange(turn * count, (turn + 1) * count, dtype=torch.float32)[:, None]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 99), st.integers(2, 12), st.integers(1, 9))
def test_replay_shows_what_it_promises(size: int, percent: int, count: int, turns: int) -> None:
    replay = Replay(size, percent / 100, (1,))
    wanted = min(max(1, round(percent / 100 * count)), count - 1, size)
    for turn in range(turns):
        torch.manual_seed(turn)
        kept = set(replay.samples.flatten().tolist()) if turn else set()
        fake = numbered(turn, count)
        given_one = fake.clone()
        mixed = replay.mix(fake, draw_of(count, turn=turn)).flatten().tolist()
        assert torch.equal(fake, given_one)
        old = [value for value in mixed if value < turn * count]
        assert len(mixed) == count == len(set(mixed)), "nothing is shown twice"
        assert len(old) == min(wanted, turn * wanted, size), "so many are old"
        assert set(old) <= kept, "what is old was in the buffer"
        assert set(mixed) - set(old) <= set(fake.flatten().tolist())
        held = replay.samples.flatten().tolist()
        assert len(held) == size
        filled = held[: min(size, (turn + 1) * wanted)]
        assert len(set(filled)) == len(filled), "no fake has two places"
        assert sum(value >= turn * count for value in filled) == (wanted if turn else min(wanted, size))
        assert all(value == 0 for value in held[len(filled) :])
        assert size < 2 * wanted or set(old) <= set(held), "what was just shown is not what goes"


@pytest.mark.parametrize("percent", [7, 50, 99])
def test_batches_of_one_take_turns(percent: int) -> None:
    """CycleGAN's batch is one image: it is now the old fake that is shown, now the new one."""
    replay, put_in, shown_old = Replay(3, percent / 100, (1,)), 0, 0
    for turn in range(100):
        torch.manual_seed(turn)
        kept = set(replay.samples.flatten().tolist())
        fake = numbered(turn, 1) + 1  # 0 is an empty place
        (mixed,) = replay.mix(fake, draw_of(1, turn=turn)).flatten().tolist()
        put_in += int(turn + 1 in replay.samples)
        shown_old += int(mixed != turn + 1)
        assert mixed == turn + 1 or mixed in kept - {0}
    assert put_in == percent
    assert shown_old == percent - 1, "all but the first, for which the buffer was empty"


@pytest.mark.parametrize("percent", [7, 14, 28, 55])
def test_replay_keeps_whole_percents_of_a_hundred(percent: int) -> None:
    """0.07 · 100 is 7.000000000000001 in floating point."""
    replay = Replay(200, percent / 100, (1,))
    replay.mix(numbered(1, 100), draw_of(100))
    assert int((replay.samples != 0).sum()) == percent


def test_every_old_fake_has_its_turn() -> None:
    """A full buffer of 8, two shown and two replaced each turn: a fake stays four turns on average, and some long."""
    replay, ages = Replay(8, 0.5, (1,)), []
    torch.manual_seed(0)
    for turn in range(800):
        mixed = replay.mix(numbered(turn, 4), draw_of(4, turn=turn)).flatten()
        ages += [turn - int(value) // 4 for value in mixed if value < turn * 4]
    assert len(ages) == 2 * 799
    # whatever is shown was not among the two just replaced; the age of what a random replacement leaves is geometric
    assert np.mean(ages) == pytest.approx(4, rel=0.15)
    assert max(ages) > 12


@pytest.mark.parametrize("name", ["discriminator", "two passes"])
def test_the_discriminator_sees_old_fakes_and_the_generator_its_own(name: str) -> None:
    game = game_of(remedies=Remedies(replay=5, replay_share=0.25), **TURNS[name])
    assert not game.one_pass
    shown, fresh = [], []
    spy = Spy(game.discriminator)
    for turn in range(4):
        spy.seen.clear()
        play(game, turn_of(name), real_batch(8), draw_of(8, turn=turn))
        shown.append(spy.seen[-1][8:])
        with torch.no_grad():
            fresh.append(game.sample(latents_of(8, first=turn * 8)))
        if name == "two passes":
            torch.testing.assert_close(spy.seen[0], fresh[turn], msg="the generator's side judges its own fakes")
    torch.testing.assert_close(shown[0], fresh[0], msg="at first there is nothing to show again")
    for turn in range(1, 4):
        new = (shown[turn][:, None] - fresh[turn]).abs().amax(2).amin(1) < 1e-6
        former = (shown[turn][:, None] - torch.cat(fresh[:turn])).abs().amax(2).amin(1) < 1e-6
        assert int(former.sum()) == 2
        assert bool((new ^ former).all())


def test_replay_is_in_the_checkpoint_and_goes_on_from_it() -> None:
    def turn(game: Generation, number: int) -> Tensor:
        spy = Spy(game.discriminator)
        play(game, "discriminator", real_batch(8), draw_of(8, turn=number))
        return spy.seen[-1]

    game = game_of(remedies=Remedies(replay=7))
    for number in range(3):
        turn(game, number)
    kept = {name: value.clone() for name, value in game.state_dict().items()}
    again = game_of(remedies=Remedies(replay=7))
    again.load_state_dict(kept)
    fourth = turn(game, 3)
    assert torch.equal(turn(again, 3), fourth)
    other = game_of(remedies=Remedies(replay=7))
    assert not torch.equal(turn(other, 3), fourth), "an empty buffer would have shown something else"


def test_replay_counts_micro_batches() -> None:
    """Four micro-batches of 2 with a buffer of 5: the engine's draws fill it as whole batches of 2 would."""
    engine = begin(
        config_of(**{"game.remedies.replay.size": 5, "training.micro_batch": 2, "game.updates": "alternating"})
    )
    spy = Spy(engine.state.game.get_submodule("discriminator"))
    engine.step(cast(Feed, Images()), 0.0)
    replay = cast(Generation, engine.state.game).replay
    assert replay is not None
    assert (replay.samples[:4].flatten(1).std(1) > 0).all()
    assert not replay.samples[4].any()
    first_fakes = [seen[2:] for seen in spy.seen[:4]]
    assert sum(torch.equal(one[0], kept) for one in first_fakes[1:] for kept in replay.samples[:4]) == 3
