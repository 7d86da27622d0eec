"""Settings that make no sense together, refused in words that name the remedy, before training starts."""

from __future__ import annotations

from zerosum.config import LatentConfig, PlayerConfig, RunConfig
from zerosum.config_game import TRANSLATIONS
from zerosum.errors import UsageError
from zerosum.games import term_of
from zerosum.networks.registry import GIVEN


def refuse_nonsense(config: RunConfig, classes: int) -> None:
    """Raise `UsageError`, with the remedy, for settings that make no sense together, or for data of so many classes."""
    game = config.game
    for name, player in config.players().items():
        if name != "discriminator" and (player.spectral or player.clip or player.minibatch != "none"):
            raise UsageError(f"{name}.spectral, .clip and .minibatch are for a discriminator; leave them out.")
        if taken := [key for key in GIVEN if key in player.options]:
            raise UsageError(f"{name}.options.{taken[0]} follows from the data and the game; leave it out.")
        if name != "discriminator" and player.minibatch_options:
            raise UsageError(f"{name}.minibatch_options are for a discriminator; leave them out.")
        if player.minibatch == "none" and player.minibatch_options:
            raise UsageError(f"{name}.minibatch_options without a layer: give --discriminator.minibatch with it.")
    refuse_lone_labels(config, classes)
    refuse_idle_settings(config)
    refuse_encoding(config)
    refuse_semi_supervised(config, classes)
    refuse_lone_pictures(config)
    refuse_translating(config)
    if game.updates == "simultaneous" and game.discriminator_turns > 1:
        raise UsageError(
            "Several discriminator turns need --game.updates alternating: simultaneous ones come in pairs."
        )
    if game.one_pass is True and game.updates == "alternating":
        raise UsageError("game.one_pass is a way of --game.updates simultaneous: give that too, or leave it out.")
    if config.augment.kind != "none" and game.kind not in ("generation", "semi-supervised"):
        raise UsageError(f"augment.kind is for games that generate; leave it out of the game {game.kind}.")
    refuse_lone_remedies(config)
    refuse_lazy_apart(config)
    if config.discriminator is not None:
        refuse_lone_critic(config, config.discriminator)


def refuse_lone_critic(config: RunConfig, discriminator: PlayerConfig) -> None:
    """Raise `UsageError` for a critic without a constraint on its slopes, or with two."""
    game = config.game
    if discriminator.clip and game.penalties:
        names = ", ".join(game.penalties)
        raise UsageError(f"Weight clipping and the penalty {names} constrain the same slopes: take one of the two.")
    if game.loss == "wasserstein" and not (game.penalties or discriminator.clip or discriminator.spectral):
        raise UsageError(
            "A Wasserstein critic without a constraint grows without end: add --game.penalties.gradient.weight 10, "
            "--discriminator.clip 0.01 or --discriminator.spectral."
        )


def refuse_lone_labels(config: RunConfig, classes: int) -> None:
    """Raise `UsageError` where a game is to know labels and the data tell none, or one side alone would know them."""
    asked = config.game.labels
    if not asked.any:
        return
    if config.game.kind != "generation":
        raise UsageError(f"game.labels: the game {config.game.kind!r} takes no labels; leave them out.")
    if not config.data.labels or not classes:
        raise UsageError("game.labels needs data with labels: give --data.labels true too, or leave game.labels out.")
    if "none" in (asked.generator, asked.discriminator):
        raise UsageError(
            "game.labels: a player that knows labels needs one that does too: give both game.labels.generator "
            "(concatenate or normalise) and game.labels.discriminator (concatenate, projection or auxiliary)."
        )
    remedies = config.game.remedies
    if remedies.pack > 1 or remedies.replay.size:
        raise UsageError("A pack, or an old fake, has not the label of the image beside it: leave out pack and replay.")


NO_IMAGES = ("bigan", "adversarial-autoencoder")  # games whose discriminator judges pairs, or codes
# What a game with an encoder does not ask of its section.
UNUSED: dict[str, tuple[str, ...]] = {
    "vae-gan": ("loss",),
    "bigan": ("loss", "weight", "beta", "warm_up"),
    "adversarial-autoencoder": ("beta", "warm_up"),
}


def refuse_idle_settings(config: RunConfig) -> None:
    """Raise `UsageError` for settings that would be ignored, for what they belong to is not asked for."""
    game, asked = config.game, config.game.reconstruction
    default = type(asked)()
    idle = {
        "game.reconstruction without an encoder": config.encoder is None and game.kind != "paired" and asked != default,
        "game.reconstruction.strength without a corruption": asked.corruption == "none"
        and asked.strength != default.strength,
        "game.labels.weight without an auxiliary classifier": game.labels.discriminator != "auxiliary"
        and game.labels.weight != 1,
        "game.baseline outside of a semi-supervised game": game.kind != "semi-supervised" and not game.baseline,
    }
    if names := [name for name, is_idle in idle.items() if is_idle]:
        raise UsageError(f"{' and '.join(names)} does nothing; leave it out.")


def refuse_encoding(config: RunConfig) -> None:
    """Raise `UsageError` for what a game with an encoder does not do."""
    game, kind = config.game, config.game.kind
    if config.encoder is None:
        return
    variational, asked = kind == "vae-gan", game.reconstruction
    if kind != "reconstruction" and asked.variational != variational:
        raise UsageError(f"game.reconstruction.variational: the game {kind!r} has it {str(variational).lower()}.")
    if kind != "reconstruction" and asked.corruption != "none":
        raise UsageError("game.reconstruction.corruption: noise is for game.kind reconstruction; leave it out.")
    if config.latent.categorical or config.latent.continuous:
        raise UsageError(
            f"latent.categorical and .continuous: the game {kind!r} has no codes of that kind; leave them out."
        )
    unused = UNUSED.get(kind, ())
    if kind == "reconstruction" and not asked.variational:
        unused = ("beta", "warm_up")
    if names := [name for name in unused if getattr(asked, name) != getattr(type(asked)(), name)]:
        raise UsageError(
            f"game.reconstruction: the game {kind!r} has no use for {' and '.join(names)}; leave that out."
        )
    if config.latent.distribution == "images":
        raise UsageError("latent.distribution images is for a generator that is fed with images; leave it out.")
    if kind in ("reconstruction", "vae-gan") and config.latent.distribution != "normal":
        raise UsageError(f"latent.distribution: the game {kind!r} draws from N(0, 1); leave it out.")
    asked_for = {
        "remedies": game.remedies != type(game.remedies)(),
        "lazy apart": game.lazy == "apart",
        "updates simultaneous": game.updates == "simultaneous",
        "discriminator_turns": game.discriminator_turns > 1,
        "reduction sum": game.reduction == "sum",
        "discriminator_factor": game.discriminator_factor != 1,
        "penalties": kind == "reconstruction" and bool(game.penalties),
        "path_length, which is a generator's": "path_length" in game.penalties,
        "consistency, which moves images": kind in NO_IMAGES and "consistency" in game.penalties,
    }
    if names := [name for name, asked_so in asked_for.items() if asked_so]:
        raise UsageError(f"game: the game {kind!r} takes no {', no '.join(names)}; leave that out.")


def refuse_lone_pictures(config: RunConfig) -> None:
    """Raise `UsageError` where a game that translates has not the pictures it needs, or another game has them."""
    data, kind = config.data, config.game.kind
    pairs = {
        "data.target": bool(data.target),
        "data.side_by_side": data.side_by_side != "none",
        "data.degrade": bool(data.degrade),
    }
    domains = {"data.a": bool(data.a), "data.b": bool(data.b)}
    given = [name for name, is_given in pairs.items() if is_given]
    others = [name for name, is_given in domains.items() if is_given]
    idle = (given if kind != "paired" else []) + (others if kind != "unpaired" else [])
    if idle:
        raise UsageError(
            f"{' and '.join(idle)}: the game {kind!r} has no use for that. Pairs are for --recipe pix2pix, two domains "
            "for --recipe cyclegan; or leave it out."
        )
    if kind == "paired" and len(given) != 1:
        raise UsageError(
            (f"{' and '.join(given)} each say where pairs come from: give one of them." if given else "")
            or "This game needs pairs of pictures: give --data.source FOLDER --data.target FOLDER with files of the "
            "same names, or --data.source FOLDER --data.side-by-side with pictures whose left half becomes the right, "
            "or --data.degrade downsample:4 (or mask:box, gray, blur:2 …) to restore what is made worse."
        )
    if kind == "unpaired" and len(others) != 2:
        raise UsageError("This game needs pictures of two domains: give --data.a FOLDER --data.b FOLDER.")


def refuse_translating(config: RunConfig) -> None:
    """Raise `UsageError` for what a game that translates does not do, and for its settings in another game."""
    game, kind = config.game, config.game.kind
    asked, default = game.translation, type(game.translation)()
    if kind not in TRANSLATIONS:
        if asked != default:
            raise UsageError(f"game.translation: the game {kind!r} translates nothing; leave that out.")
        return
    if config.data.stream:
        raise UsageError("data.stream: pictures of a game that translates are decoded once; leave it out.")
    own = ("conditional", "content", "features") if kind == "paired" else ("cycle", "identity")
    changed = [name for name in type(asked).model_fields if getattr(asked, name) != getattr(default, name)]
    if idle := [name for name in changed if name not in (*own, "adversarial")]:
        raise UsageError(f"game.translation: the game {kind!r} has no use for {' and '.join(idle)}; leave that out.")
    if asked.features != default.features and not asked.content:
        raise UsageError(
            "game.translation.features without a weight does nothing: give --game.translation.content too."
        )
    if not asked.adversarial:
        refuse_idle_judge(config)
    if kind == "unpaired" and not asked.adversarial:
        raise UsageError("game.translation.adversarial: without it nothing tells one domain from the other; give 1.")
    remedies, restoring = game.remedies.model_copy(), game.reconstruction
    if kind == "unpaired":
        remedies.replay = type(remedies.replay)()
    asked_for = {
        "labels": config.data.labels,
        "latent": config.latent != LatentConfig(),
        "remedies but for the replay of an unpaired game": remedies != type(remedies)(),
        "lazy apart": game.lazy == "apart",
        "updates simultaneous": game.updates == "simultaneous",
        "discriminator_turns": game.discriminator_turns > 1,
        "reduction sum": game.reduction == "sum",
        "path_length, which is of latents": "path_length" in game.penalties,
        "reconstruction": kind == "unpaired" and restoring != type(restoring)(),
        "variational, beta, warm_up or corruption": kind == "paired"
        and (restoring.variational or restoring.beta != 1 or bool(restoring.warm_up) or restoring.corruption != "none"),
        "likelihood of brightness": restoring.loss == "bernoulli",
        "ensemble": config.training.ensemble > 1,
        "data.standardise": config.data.standardise,
    }
    if names := [name for name, is_asked in asked_for.items() if is_asked]:
        raise UsageError(f"The game {kind!r} takes no {', no '.join(names)}; leave that out.")


def refuse_idle_judge(config: RunConfig) -> None:
    """Raise `UsageError` for penalties of a discriminator that does not play, and for a distance in its features.

    A recipe's own settings of the discriminator are left alone: a comparison changes one thing.
    """
    if config.game.penalties:
        raise UsageError(
            f"game.penalties: without a discriminator (game.translation.adversarial 0) there is nothing that "
            f"{', '.join(config.game.penalties)} could penalise; give --game.penalties '{{}}'."
        )
    if config.game.translation.content and config.game.translation.features == "discriminator":
        raise UsageError(
            "game.translation.features: there is no discriminator (game.translation.adversarial 0) whose features "
            "could be compared; name an extractor, or give --game.translation.content 0."
        )


def refuse_semi_supervised(config: RunConfig, classes: int) -> None:
    """Raise `UsageError` where few labels are shown to a game that has no use for them, or none to one that has."""
    wanted = config.game.kind == "semi-supervised"
    if config.data.labelled and not wanted:
        raise UsageError("data.labelled is for game.kind semi-supervised, as the recipe sgan; leave it out.")
    if wanted and not (config.data.labels and classes and config.data.labelled):
        raise UsageError(
            "A semi-supervised game needs some images whose labels it may know: give --data.labels true and "
            "--data.labelled 100, with data that have labels."
        )
    if wanted and (config.game.updates == "simultaneous" or config.game.remedies.pack > 1):
        raise UsageError("A semi-supervised game takes alternating updates of single images; leave that out.")
    if wanted and config.player("discriminator").minibatch != "none":
        raise UsageError(
            "discriminator.minibatch: a semi-supervised game says the class of an image by itself; leave that out."
        )
    if wanted and config.game.baseline and config.game.discriminator_turns > 1:
        raise UsageError(
            "game.discriminator_turns: the baseline takes one turn a step, and would fall behind the classifier it is "
            "compared with; leave that out, or give --game.baseline false with it."
        )


def refuse_lone_remedies(config: RunConfig) -> None:
    """Raise `UsageError` for a remedy that what it needs is not there for."""
    remedies, latent = config.game.remedies, config.latent
    at_once = config.training.micro_batch or config.training.batch
    if at_once % remedies.pack:
        raise UsageError(
            f"A batch of {at_once} is no number of packs of {remedies.pack}: give --training.batch "
            f"{-(-at_once // remedies.pack) * remedies.pack} or another --game.remedies.pack."
        )
    if remedies.noise.end > remedies.noise.start:
        raise UsageError("game.remedies.noise.end is above .start: noise fades, so give a start above the end.")
    if remedies.information and not (latent.categorical or latent.continuous):
        raise UsageError(
            "game.remedies.information is that of codes, and the latent has none: give --latent.categorical [10] or "
            "--latent.continuous 2 with it."
        )
    if remedies.information and (remedies.pack > 1 or remedies.replay.size):
        raise UsageError("A pack, or an old fake, does not tell its codes: leave out pack, replay or information.")


def refuse_lone_groups(config: RunConfig, discriminator: PlayerConfig, at_once: int) -> None:
    """Raise `UsageError` where a minibatch's deviation would be taken over groups of one."""
    if discriminator.minibatch != "deviation":
        return
    judged, group = at_once // config.game.remedies.pack, discriminator.minibatch_options.get("group", 4)
    if all(judged % size for size in range(2, group + 1)):
        raise UsageError(
            f"The minibatch deviation needs groups of 2 to {group} samples, and {judged} at once cannot be divided so: "
            "give --training.batch a multiple of 4."
        )


def refuse_lazy_apart(config: RunConfig) -> None:
    """Raise `UsageError` where lazy penalties cannot have turns of their own."""
    if config.game.lazy == "joined":
        return
    for player in ("generator", "discriminator"):
        lazy = lazy_every(config, player)
        if len(lazy) > 1:
            raise UsageError(
                f"game.lazy apart: the {player}'s lazy penalties share a turn, so give all one `every`, not "
                f"{' and '.join(map(str, sorted(lazy)))}."
            )
        turns = config.game.discriminator_turns if player == "discriminator" else 1
        if any(every % turns for every in lazy):
            raise UsageError(
                f"game.lazy apart: {turns} discriminator turns come in a row, and its penalties after them: give an "
                f"`every` that is a multiple of {turns}."
            )
        if lazy and config.player(player).optimizer != "adam":
            raise UsageError("game.lazy apart rescales Adam; with another optimizer leave it at joined.")


def lazy_every(config: RunConfig, player: str) -> set[int]:
    """By what the player's lazy penalties are lazy, where they have turns of their own."""
    if config.game.lazy == "joined":
        return set()
    asked = config.game.penalties.items()
    return {each.every for name, each in asked if each.every > 1 and term_of(name).player == player}


def refuse_sharing(config: RunConfig, processes: int) -> None:
    """Raise `UsageError` for what several processes cannot do together, or cannot share evenly."""
    training, game = config.training, config.game
    if training.ensemble > 1:
        raise UsageError(
            "training.ensemble: members of an ensemble do not need each other; train each as a run of its own, with "
            "--seed and --out, or the ensemble in one process."
        )
    if training.compile is True:
        raise UsageError(
            "training.compile: turns are compiled for one process only: leave it out of a new run, and go on in one "
            "process with a run that began so."
        )
    key, at_once = ("micro_batch", training.micro_batch) if training.micro_batch else ("batch", training.batch)
    parts = {
        "": processes,
        f" in packs of {game.remedies.pack}": processes * game.remedies.pack,
        ", of which path_length takes a half": processes * 2 * ("path_length" in game.penalties),
    }
    for why, divisor in parts.items():
        if divisor and at_once % divisor:
            raise UsageError(
                f"training.{key} {at_once} cannot be shared evenly by {processes} processes{why}: give a multiple of "
                f"{divisor}, or another number of processes."
            )
