"""Games without an adversary: gradients against plain formulas, principal components, noise, and where codes lie."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

import zerosum
from players import LATENT, SEED, Spy, begin, close, draw_of, gradients, latents_of, play, real_batch, reference
from test_encoding_games import FAMILIES, config_of, three_steps
from test_matrix import SHAPE
from zerosum.data import holdout, open_data
from zerosum.errors import UsageError
from zerosum.games import Batch, Corruption, Latents, Randomness, Reconstruction, Restoring
from zerosum.metrics import psnr
from zerosum.networks import CodeDistribution, build, build_encoder
from zerosum.training.feed import Feed

IMAGE = (2, 4, 4)


def game_of(shape: tuple[int, ...] = IMAGE, **rules: Any) -> Reconstruction:
    """Smooth and small."""
    torch.manual_seed(1)
    asked = Restoring(**rules)
    options = {"hidden": [9], "activation": "tanh"}
    code = LATENT * (1 + asked.variational)
    encoder = build_encoder("mlp-discriminator", shape=shape, code=code, dropout=0.0, **options)
    generator = build("mlp-generator", latent=LATENT, shape=shape, **options)
    return Reconstruction(encoder, generator, latents=Latents(LATENT), rules=asked)


def cost_of(name: str, wanted: Tensor, made: Tensor) -> Tensor:
    """The mean over samples of what one costs, written with PyTorch's own."""
    if name == "bernoulli":
        entropy = binary_cross_entropy((made + 1) / 2, (wanted + 1) / 2, reduction="sum")
        return entropy / len(wanted)
    error = wanted - made
    return ((error**2 / 2) if name == "squared" else error.abs()).sum() / len(wanted)


@pytest.mark.parametrize("corruption", [None, Corruption("gaussian", 0.3), Corruption("masking", 0.5)], ids=str)
@pytest.mark.parametrize("cost", ["squared", "absolute", "bernoulli"])
def test_an_autoencoder_by_hand(cost: str, corruption: Corruption | None) -> None:
    """The encoder is shown what the noise left, the cost is that of the clean sample, a number of it."""
    game = game_of(cost=cost, weight=0.7, corruption=corruption)
    encoder, generator = copy.deepcopy((game.encoder, game.generator))
    spy, batch = Spy(game.encoder), real_batch(8, IMAGE)
    found = play(game, "reconstruction", batch, draw_of(8))
    (shown,) = spy.seen
    assert torch.equal(shown, batch.images) == (corruption is None)
    error = cost_of(cost, batch.images, generator(encoder(shown))) / 32
    torch.testing.assert_close(found.total, 0.7 * error)
    torch.testing.assert_close(found.losses["reconstruction"], error.detach())
    close(gradients(game.encoder), reference(0.7 * error, encoder))
    close(gradients(game.generator), reference(0.7 * error, generator))


def elbo(game: Reconstruction, batch: Batch) -> tuple[Tensor, Tensor]:
    """The cost of a variational game's batch, and the divergence of its codes, by hand."""
    mean, log_variance = game.encoder(batch.images).chunk(2, dim=1)
    codes = mean + (log_variance / 2).exp() * latents_of(len(batch.images), stream="code")
    made = game.generator(codes)
    return cost_of(game.rules.cost, batch.images, made), (
        (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2 / len(mean)
    )


@pytest.mark.parametrize(("progress", "beta"), [(0.0, 0.0), (0.1, 1.0), (0.2, 2.0), (0.9, 2.0)])
@pytest.mark.parametrize("cost", ["squared", "bernoulli"])
def test_a_variational_one_by_hand(cost: str, progress: float, beta: float) -> None:
    """The total is cost + β KL, β rising to 2 over a fifth of the run; what is recorded is -ELBO, where β is 1."""
    game = game_of(cost=cost, variational=True, weight=0.7, beta=2.0, warm_up=0.2)
    plain, batch = copy.deepcopy(game), real_batch(8, IMAGE)
    found = play(game, "reconstruction", batch, draw_of(8, progress=progress))
    error, divergence = elbo(plain, batch)
    total = 0.7 * error + beta * divergence
    torch.testing.assert_close(found.total, total)
    torch.testing.assert_close(found.losses["-ELBO"], (error + divergence).detach())
    assert set(found.parts) == {"reconstruction", "divergence"}
    close(gradients(game.encoder), reference(total, plain.encoder))
    close(gradients(game.generator), reference(total, plain.generator))


def test_without_a_warm_up_beta_is_there_at_once() -> None:
    assert Restoring(variational=True, beta=3.0).beta_at(0.0) == 3.0


def test_gradients_of_drawn_codes_by_finite_differences() -> None:
    """By the last biases: of the encoder's means and log-variances, through the drawing, and of the decoder."""
    game, batch = game_of(variational=True), real_batch(16, IMAGE)
    play(game, "reconstruction", batch, draw_of(16))

    def total() -> float:
        return float(game.play("reconstruction", batch, draw_of(16)).total.detach())

    for bias in (game.encoder.get_parameter("head.bias"), game.generator.get_parameter("layers.2.bias")):
        assert bias.grad is not None
        step, found = 0.02, torch.zeros_like(bias)
        for place in range(len(bias)):
            with torch.no_grad():
                bias[place] += step
                above = total()
                bias[place] -= 2 * step
                found[place] = (above - total()) / (2 * step)
                bias[place] += step
        torch.testing.assert_close(found, bias.grad, rtol=1e-2, atol=2e-3)
        assert float(bias.grad.abs().min()) > 1e-3


def test_who_makes_samples() -> None:
    """Of a variational game the decoder alone; of the others the decoder, of codes as they are distributed."""
    z = latents_of(8)
    vae, plain = game_of(variational=True), game_of()
    assert torch.equal(vae.sample(z), vae.generator(z))
    assert vae.released == ("encoder", "generator")
    plain.codes.fit(torch.randn(50, LATENT, generator=torch.Generator().manual_seed(0)) * 3 + 1)
    assert torch.equal(plain.sample(z), plain.generator(plain.codes.mean + z @ plain.codes.factor))
    assert plain.released == ("encoder", "generator", "codes")


# ---------------------------------------------------------------- principal components


def digits() -> np.ndarray:
    """All of them as rows (1797, 64) in [-1, 1]."""
    return np.array(open_data("digits").values).reshape(-1, 64) / 8 - 1


def linear_run(folder: Path, code: int, epochs: int, lr: float) -> zerosum.Run:
    """An autoencoder of one linear layer on each side."""
    settings: dict[str, Any] = {"data.holdout": 0.0, "latent.size": code, "generator.options.output": "linear"}
    settings |= {"training.batch": 599, "training.report_every": 10**7, "training.threads": 1}
    for player in ("encoder", "generator"):
        settings |= {f"{player}.options.hidden": [], f"{player}.lr": lr, f"{player}.schedule": "cosine"}
    return zerosum.train("digits", recipe="autoencoder", out=folder, epochs=epochs, settings=settings)


def restored(run: zerosum.Run, rows: np.ndarray) -> np.ndarray:
    images = torch.from_numpy(rows.astype(np.float32)).view(-1, 1, 8, 8)
    return cast(Any, run.model).restored(images).numpy().reshape(rows.shape)


def test_a_linear_autoencoder_finds_the_principal_components(tmp_path: Path) -> None:
    """Baldi & Hornik 1989: the decoder's columns span the same subspace, and no more is lost than by PCA."""
    run, rows = linear_run(tmp_path / "run", 8, 600, 0.05), digits()
    components = PCA(8).fit(rows)
    decoder = run.model.generator.get_parameter("layers.0.weight").detach().numpy()
    assert decoder.shape == (64, 8)
    assert np.rad2deg(subspace_angles(decoder, components.components_.T)).max() < 3
    lost = np.square(rows - components.inverse_transform(components.transform(rows))).mean()
    assert lost * (1 - 1e-6) <= np.square(rows - restored(run, rows)).mean() < 1.01 * lost


def test_an_overcomplete_one_loses_next_to_nothing(tmp_path: Path) -> None:
    run, rows = linear_run(tmp_path / "run", 80, 150, 0.005), digits()
    lost = np.square(rows - restored(run, rows)).mean() / rows.var(axis=0).mean()
    assert lost < 0.01
    assert run.model.encode(run.model.sample(3)).shape == (3, 80)


# ---------------------------------------------------------------- noise


def share_within(found: float, expected: float, count: int) -> bool:
    """Whether a share of `count` lies within four standard errors."""
    return abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / count)


def test_gaussian_noise() -> None:
    grey = torch.zeros(50, 3, 16, 16)
    noisy = Corruption("gaussian", 0.2).apply(grey, torch.Generator().manual_seed(0))
    assert stats.kstest(noisy.flatten().numpy(), stats.norm(0, 0.2).cdf).pvalue > 0.01
    assert np.abs(np.corrcoef(noisy.transpose(0, 1).flatten(1).numpy()) - np.eye(3)).max() < 0.05  # channels apart
    bright = Corruption("gaussian", 0.5).apply(grey + 0.9, torch.Generator().manual_seed(0))
    assert float(bright.max()) == 1  # the range is kept
    assert share_within(float((bright == 1).float().mean()), stats.norm.sf(0.1 / 0.5), bright.numel())
    points = Corruption("gaussian", 0.5).apply(torch.full((4000, 2), 0.9), torch.Generator().manual_seed(0))
    assert stats.kstest(points.flatten().numpy(), stats.norm(0.9, 0.5).cdf).pvalue > 0.01


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["masking", "salt-and-pepper"])
def test_noise_that_meets_a_share_of_the_pixels(kind: str, share: float) -> None:
    images = torch.rand(60, 3, 12, 12, generator=torch.Generator().manual_seed(1)) * 1.8 - 0.9
    noisy = Corruption(kind, share).apply(images, torch.Generator().manual_seed(0))
    black, white = (noisy == -1), (noisy == 1)
    assert torch.equal(noisy[~(black | white)], images[~(black | white)])
    for met in (black, white):  # a pixel in all of its channels
        assert torch.equal(met[:, 0], met.all(1))
        assert torch.equal(met[:, 0], met.any(1))
    halves = [share, 0.0] if kind == "masking" else [share / 2, share / 2]
    for met, expected in zip((black, white), halves, strict=True):
        assert share_within(float(met[:, 0].float().mean()), expected, 60 * 144)
    points = Corruption(kind, share).apply(torch.full((5000, 2), 0.3), torch.Generator().manual_seed(0))
    gone = {"masking": {0.0}, "salt-and-pepper": {-1.0, 1.0}}[kind]
    assert {round(value, 3) for value in points.unique().tolist()} == gone | ({0.3} if share < 1 else set())
    assert share_within(float((points != 0.3).float().mean()), share, 10_000)


@pytest.mark.parametrize("kind", ["gaussian", "masking", "salt-and-pepper"])
def test_the_same_seed_is_the_same_noise(kind: str) -> None:
    corruption, images = Corruption(kind, 0.5), torch.zeros(4, 1, 8, 8)
    game = game_of(corruption=corruption)
    first, again, other = (cast(Any, game.corrupted(seed))(images) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.manual_seed(3)
    assert torch.equal(corruption.apply(images), first)  # without a generator, of PyTorch's own
    assert game_of().corrupted(3) is None


def test_noise_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="no corruption 'salt-pepper': did you mean 'salt-and-pepper'"):
        Corruption("salt-pepper", 0.5)
    with pytest.raises(UsageError, match=r"is 1\.5: give the share of the pixels"):
        Corruption("masking", 1.5)
    assert Corruption("gaussian", 1.5).strength == 1.5


class Same:
    """A feed of the same images again and again."""

    randomness = Randomness(SEED)

    def batch(self, first: int, count: int) -> Batch:
        return Batch(torch.zeros(count, *SHAPE))


def test_noise_is_new_each_turn_and_the_same_in_a_second_run() -> None:
    seen = []
    for _ in range(2):
        engine = begin(config_of("denoising-autoencoder"), SHAPE)
        spy = Spy(engine.state.game.get_submodule("encoder"))
        for number in range(3):
            engine.step(cast(Feed, Same()), number / 3)
        seen.append(spy.seen)
    one, other = seen
    assert [torch.equal(*pair) for pair in zip(one, other, strict=True)] == [True] * 3
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one[1], one[2])
    assert abs(float(torch.cat(one).square().mean())) > 0.1


def test_a_denoising_autoencoder_restores(tmp_path: Path) -> None:
    """Digits that were noisy already and never trained on come out better by 3 dB and more; no noise is added."""
    settings = {"training.batch": 32, "training.threads": 1, "training.report_every": 24_000, "latent.size": 32}
    for player, network in (("encoder", "mlp-discriminator"), ("generator", "mlp-generator")):
        options = {"hidden": [128], "slope": 0.2} | ({"dropout": 0.0} if player == "encoder" else {})
        settings |= {f"{player}.network": network, f"{player}.options": options}
    run = zerosum.train("digits", recipe="denoising-autoencoder", out=tmp_path, images=24_000, settings=settings)
    model = cast(Any, run.model)
    record = json.loads((tmp_path / "records.jsonl").read_text().splitlines()[-1])
    rows = digits().astype(np.float32).reshape(-1, 1, 8, 8)
    clean = torch.from_numpy(rows[np.random.default_rng(0).permutation(len(rows))[:300]])
    noisy = Corruption("gaussian", 0.8).apply(clean, torch.Generator().manual_seed(1))
    before, after = float(psnr(noisy, clean).mean()), float(psnr(model.restored(noisy), clean).mean())
    assert after > before + 3
    assert abs(record["figures"]["PSNR"] - after) < 1.5  # of held-out digits, by the report
    about = json.loads((tmp_path / "samples" / "reconstructions.json").read_text())
    assert about["labels"][:3] == ["noisy", "restored", "clean"]
    array = ((noisy + 1) * 8).round().permute(0, 2, 3, 1).numpy().astype(open_data("digits").dtype)
    assert np.array_equal(model.reconstruct(array), model.reconstruct(array))
    assert torch.equal(model.restored(noisy), model.restored(noisy))


# ---------------------------------------------------------------- where codes lie


def code_sets() -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    mixed = torch.randn(400, 4, generator=rng) @ torch.randn(4, 4, generator=rng)
    return {
        "correlated": mixed + torch.tensor([5.0, -3.0, 0.0, 1.0]),
        "far off": mixed + 1000,
        "of one plane": mixed[:, :1] @ torch.randn(1, 4, generator=rng) + 2,
        "few": mixed[:3],
        "two": mixed[:2],
        "all the same": mixed[:1].expand(50, -1),
        "of one number": mixed[:, :1],
        "large": mixed * 1e4,
    }


@pytest.mark.parametrize("name", code_sets())
def test_drawn_codes_have_the_fitted_mean_and_covariance(name: str) -> None:
    """On numbers whose own mean is exactly 0 and covariance exactly 1, so that nothing is left to chance."""
    codes = code_sets()[name]
    size = codes.shape[1]
    fitted = CodeDistribution(size)
    fitted.fit(codes)
    covariance = np.atleast_2d(np.cov(codes.double().numpy(), rowvar=False))
    scale = max(float(np.abs(covariance).max()), 1e-3)
    np.testing.assert_allclose(fitted.factor.T @ fitted.factor, covariance, atol=1e-4 * scale)
    raw = torch.randn(200, size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    white = torch.linalg.qr(raw - raw.mean(0)).Q * 199**0.5
    drawn = fitted(white.float()).double().numpy()
    middle = codes.double().mean(0).numpy()
    np.testing.assert_allclose(drawn.mean(0), middle, atol=1e-4 * max(1.0, float(np.abs(middle).max())))
    np.testing.assert_allclose(np.atleast_2d(np.cov(drawn, rowvar=False)), covariance, atol=1e-3 * scale)


def test_before_a_fit_codes_are_the_numbers_themselves() -> None:
    numbers = torch.randn(5, 3)
    assert torch.equal(CodeDistribution(3)(numbers), numbers)


def test_samples_of_a_trained_autoencoder_come_from_its_codes(tmp_path: Path) -> None:
    """Fitted to the codes that the released encoder gives to the first 1,024 images of the run."""
    settings = {"training.batch": 64, "training.threads": 1, "latent.size": 6, "training.report_every": 10**6}
    run = zerosum.train("digits", recipe="autoencoder", out=tmp_path, images=1280, settings=settings)
    model = cast(Any, run.model)
    codes = model.networks["codes"]
    shown = json.loads((tmp_path / "model" / "config.json").read_text())
    assert shown["codes"] == 6
    kept, _ = holdout(open_data("digits"), 0.1, lambda *_: None)  # as the recipe does
    given = model.encoded(Feed(kept, Randomness(0), flip=False).batch(0, 1024).images)
    torch.testing.assert_close(codes.mean, given.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(codes.factor.T @ codes.factor, given.T.cov(), rtol=1e-3, atol=1e-3)
    z = model.latents(9, seed=2)
    made = model.generator(codes.mean + z @ codes.factor).detach()
    torch.testing.assert_close(model.generate(z), made)


# ---------------------------------------------------------------- training

RULES: dict[str, dict[str, Any]] = {
    "bernoulli": {"loss": "bernoulli"},
    "absolute": {"loss": "absolute", "weight": 3.0},
    "masking": {"corruption": "masking", "strength": 0.3},
    "salt and pepper": {"corruption": "salt-and-pepper", "strength": 0.3},
    "variational": {"variational": True, "warm_up": 0.5, "beta": 4.0},
    "variational and noisy": {"variational": True, "corruption": "gaussian", "loss": "bernoulli"},
}


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("recipe", ["autoencoder", "vae", "denoising-autoencoder"])
def test_three_steps_of_every_rule(recipe: str, rules: str) -> None:
    records = three_steps(config_of(recipe, **{f"game__reconstruction__{k}": v for k, v in RULES[rules].items()}))
    variational = recipe == "vae" or "variational" in rules
    assert ("losses/-ELBO" if variational else "losses/reconstruction") in records


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("recipe", ["autoencoder", "vae"])
def test_three_steps_of_every_network(recipe: str, family: str) -> None:
    three_steps(config_of(recipe, family, training__micro_batch=4))
