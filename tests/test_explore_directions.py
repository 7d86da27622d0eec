"""Directions against NumPy and scikit-learn, attributes that are known, and files that are not to be trusted."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from torch import Tensor, nn

from explorers import explorer
from zerosum.data import open_data
from zerosum.errors import DataError, RunError, UsageError
from zerosum.explore import (
    Directions,
    attribute_directions,
    directions,
    edit,
    labels_by_data,
    load_directions,
    read_labels,
    space_of,
)
from zerosum.explore.classes import labels_of_own
from zerosum.files import save_tensors
from zerosum.model import Model


def aligned(found: Tensor, expected: np.ndarray, least: float = 0.9999) -> None:
    """Row by row the same direction, but for its sign."""
    cosines = np.abs((found.double().numpy() * expected).sum(1))
    assert cosines.min() > least, cosines


def singular(matrix: np.ndarray) -> np.ndarray:
    """The right singular vectors of a matrix (features, length), largest first, by NumPy."""
    return np.linalg.svd(matrix.astype(np.float64), full_matrices=False)[2]


def first_linear(module: nn.Module) -> np.ndarray:
    layer = next(layer for layer in module.modules() if isinstance(layer, nn.Linear))
    weight: np.ndarray = layer.weight.detach().double().numpy()
    return weight


# ---------------------------------------------------------------- factorisation


@pytest.mark.parametrize("name", ["quick-generator", "dcgan-generator", "mlp-generator", "r3gan-generator"])
def test_sefa_is_the_svd_of_the_first_weights(name: str) -> None:
    model = explorer(name)
    found = directions(model, count=6)
    order = [int(text.split()[1]) - 1 for text in found.names]
    aligned(found.vectors, singular(first_linear(model.generator))[order])
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(6), atol=1e-5)
    assert found.steps == pytest.approx([1.0] * 6)
    assert list(found.effects) == sorted(found.effects, reverse=True)


@pytest.mark.parametrize("layers", [None, "0", "1-2"])
@pytest.mark.parametrize("name", ["style-28-generator", "stylegan2-generator"])
def test_sefa_of_styles_takes_the_layers_that_are_asked_for(name: str, layers: str | None) -> None:
    model = explorer(name)
    styled = space_of(model).styled
    assert styled is not None
    chosen = {None: range(len(styled.layers)), "0": [0], "1-2": [1, 2]}[layers]
    weights = []
    for number in chosen:
        for layer_name, layer in styled.layers[number].named_modules():
            if layer_name.endswith("affine"):
                scale = getattr(layer, "scale", 1.0)  # of equalised layers
                weights.append(layer.weight.detach().double().numpy() * scale)  # type: ignore[operator, union-attr]
    found = directions(model, count=4, layers=layers)
    order = [int(text.split()[1]) - 1 for text in found.names]
    aligned(found.vectors, singular(np.concatenate(weights))[order])
    assert found.layers == (() if layers is None else tuple(chosen))


def test_labels_and_codes_are_left_out_of_the_factors() -> None:
    labelled = explorer("quick-generator", classes=3, labels="concatenate")
    found = directions(labelled, count=6)
    assert found.vectors.shape == (6, 6)
    order = [int(text.split()[1]) - 1 for text in found.names]
    aligned(found.vectors, singular(first_linear(labelled.generator)[:, :6])[order])
    coded = directions(explorer("quick-generator", latent={"categorical": [3], "continuous": 2}), count=8)
    assert not coded.vectors[:, 6:9].any()
    assert bool(coded.vectors[:, 9:].any())
    fitted = explorer("mlp-generator", codes=True)
    factor = fitted.networks["codes"].get_buffer("factor").double().numpy()
    found = directions(fitted, count=6)
    order = [int(text.split()[1]) - 1 for text in found.names]
    aligned(found.vectors, singular(first_linear(fitted.generator) @ factor.T)[order])


def test_a_first_layer_that_is_not_linear_is_refused() -> None:
    model = explorer("mlp-generator", options={"fourier": [1.0]})
    with pytest.raises(UsageError, match="does not read its latents linearly"):
        directions(model)
    assert len(directions(model, "pca", count=2, samples=50)) == 2


# ---------------------------------------------------------------- components


def test_components_of_styles_are_scikit_learns() -> None:
    model = explorer("style-28-generator")
    found = directions(model, "pca", count=5, samples=500, seed=3)
    styles = space_of(model).points(range(500), seed=3).rows.double().numpy()
    order = [int(text.split()[1]) - 1 for text in found.names]
    aligned(found.vectors, PCA(5).fit(styles).components_[order])
    along = space_of(model).points(range(2000)).rows.double().numpy() @ found.vectors.double().numpy().T
    np.testing.assert_allclose(found.steps, along.std(0, ddof=1), rtol=1e-4)


@pytest.mark.parametrize("samples", [40, 400])
def test_components_of_features_come_back_by_regression(samples: int) -> None:
    """More features than samples, and fewer; here 100 activations of a hidden layer."""
    model = explorer("mlp-generator")
    found = directions(model, "pca", count=4, samples=samples)
    latents = model.latents(samples)
    with torch.no_grad():
        hidden = nn.Sequential(*list(model.generator.layers)[:2])(latents)  # type: ignore[arg-type]
    coordinates = PCA(4, svd_solver="full").fit_transform(hidden.double().numpy())
    regression = LinearRegression().fit(coordinates, latents.double().numpy()).coef_.T
    order = [int(text.split()[1]) - 1 for text in found.names]
    aligned(found.vectors, (regression / np.linalg.norm(regression, axis=1, keepdims=True))[order], least=0.999)


def test_the_effect_is_the_change_that_a_step_makes() -> None:
    model = explorer("quick-generator")
    found = directions(model, count=3, seed=5)
    by = found.vectors[0] * found.steps[0]
    latents = model.latents(16, seed=5)
    change = (model.generate(latents + by) - model.generate(latents - by)).abs().mean() / 4
    assert found.effects[0] == pytest.approx(float(change), rel=1e-5)
    assert change > 0
    strip = edit(model, found, 1, count=2, reach=2, steps=5, seed=5)
    torch.testing.assert_close(strip.images[:, 3], model.generate(latents[:2] + by))
    assert np.array_equal(strip.array[:, 2], model.sample(2, seed=5))
    assert strip.columns == ("-2", "-1", "0", "+1", "+2")
    styled = explorer("style-28-generator")
    some = directions(styled, count=1, layers="1")
    moved = edit(styled, some, 1, count=1, reach=1, steps=2).images[0, 1]
    styles = styled.generator.styles(styled.latents(1))[:, None].repeat(1, 4, 1)  # type: ignore[operator]
    styles[:, 1] += some.vectors[0] * some.steps[0]
    expected = styled.generator.synthesise(styles)[0].detach()  # type: ignore[operator]
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=1e-4)


# ---------------------------------------------------------------- attributes


class Toy(nn.Module):
    """A linear generator of 8×8 images whose upper half is as bright as the latent is long along one direction."""

    def __init__(self, direction: Tensor) -> None:
        super().__init__()
        self.direction = nn.Parameter(direction)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, 6) to images (N, 1, 8, 8)."""
        bright = (z @ self.direction)[:, None, None, None].tanh()
        return torch.cat((bright.expand(-1, 1, 4, 8), torch.zeros(len(z), 1, 4, 8)), 2)


def toy(direction: Tensor) -> Model:
    data = {"shape": [1, 8, 8], "dtype": "uint8", "low": 0, "high": 255}
    return Model({"generator": Toy(direction)}, {"latent": {"size": 6, "distribution": "normal"}, "data": data})


def test_an_attribute_that_is_there_is_found_and_chance_is_told() -> None:
    direction = torch.tensor([3.0, -2.0, 0.5, 0.0, 1.0, -1.0])
    direction /= direction.norm()
    model = toy(direction)
    bright = model.images(400, seed=2)[:, 0, 0, 0] > 0
    found = attribute_directions(
        model, {n: "light" if yes else "dark" for n, yes in enumerate(bright.tolist())}, seed=2
    )
    assert found.names == ("to light",)
    assert float(found.vectors[0] @ direction) > 0.98
    assert found.facts[0]["accuracy"] > 0.95
    rare = model.images(400, seed=2)[:, 0, 0, 0] > 0.9
    told = attribute_directions(model, {n: "rare" if yes else "common" for n, yes in enumerate(rare.tolist())}, seed=2)
    assert told.facts[0]["class"] == "rare"
    assert float(told.vectors[0] @ direction) > 0.9
    random = np.random.default_rng(0).random(400) < 0.1
    nothing = attribute_directions(model, {n: "ab"[yes] for n, yes in enumerate(random.tolist())}, seed=2)
    assert abs(nothing.facts[0]["accuracy"] - 0.5) < 0.12, "balanced: a rare attribute that is not there is a guess"
    three = attribute_directions(model, {n: "abc"[n % 3] for n in range(60)})
    assert sorted(three.names) == ["to a", "to b", "to c"]


def test_labels_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy(torch.ones(6))
    for labels, text in (
        ({}, "of 0"),
        (dict.fromkeys(range(9), "a"), "of 1"),
        ({n: str(n) for n in range(99)}, "2 to 64 classes"),
        ({n: "ab"[n == 3] for n in range(30)}, "'b' was said of 1 samples: label 5"),
    ):
        with pytest.raises(UsageError, match=text):
            attribute_directions(model, labels)
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(UsageError, match=r"pip install 'zerosum\[explore\]'"):
        attribute_directions(model, {n: "ab"[n % 2] for n in range(30)})


def test_labels_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text('file,label\n007.png,yes\n\n12, no \nsub/013.png,"a, b"\n007.png,yes\n', encoding="utf-8-sig")
    assert read_labels(file) == {7: "yes", 12: "no", 13: "a, b"}
    for text, expected in (
        (b"7,yes\n7,no\n", "line 2: sample 7 is 'no' here, and was 'yes'"),
        (b"7,yes\nx.png,no\n", "line 2: 'x.png' is no sample"),
        (b"7,yes,no\n", "two columns"),
        (b"7\n", "two columns"),
        (b"7,\n", "two columns"),
        (b"1,a\n9999999999999,b\n", "line 2"),
        (b'7,"yes\n', "is no CSV"),
        (b"\xff\xfe7", "UTF-8"),
        ("1,a\n٣,yes\n".encode(), "line 2"),
    ):
        file.write_bytes(text)
        with pytest.raises(DataError, match=expected):
            read_labels(file)
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path)


class TwoDigits(nn.Module):
    """A generator of a real zero where the first number is below 0, and of a real one elsewhere."""

    def __init__(self, zero: Tensor, one: Tensor) -> None:
        super().__init__()
        self.zero, self.one = nn.Parameter(zero), nn.Parameter(one)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, 3) to images (N, 1, 8, 8)."""
        return torch.where(z[:, :1, None, None] < 0, self.zero, self.one)


def test_classes_of_the_data_label_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerosum.explore.classes.REAL", 100)
    store = open_data("digits", labels=True)
    assert store.labels is not None
    means = [store.take(np.flatnonzero(store.labels == digit)).mean(0)[..., 0] / 8 - 1 for digit in (0, 1)]
    data = {"shape": [1, 8, 8], "dtype": "uint8", "low": 0, "high": 16}
    network = TwoDigits(*(torch.from_numpy(mean).float()[None] for mean in means))
    model = Model({"generator": network}, {"latent": {"size": 3, "distribution": "normal"}, "data": data})
    guess = labels_by_data(model, store, 100, seed=1, name="pixels")
    expected = {number: "01"[first >= 0] for number, first in enumerate(model.latents(100, seed=1)[:, 0].tolist())}
    assert guess.labels == expected
    assert guess.accuracy > 0.7
    found = attribute_directions(model, guess.labels, seed=1)
    assert float(found.vectors[0, 0]) > 0.9
    with pytest.raises(UsageError, match="3 samples look like 0 of the 10 classes"):
        labels_by_data(model, store, 3, name="pixels")
    with pytest.raises(UsageError, match="no two classes"):
        labels_by_data(model, open_data("digits"), 100)


def test_classes_that_are_asked_for_are_directions_of_styles_alone() -> None:
    styled = explorer("style-28-generator", classes=2, labels="concatenate")
    guess = labels_of_own(styled, 60, 0)
    own = styled.labels(60)
    assert own is not None
    assert list(guess.labels.values()) == [f"class {label}" for label in own.tolist()]
    assert attribute_directions(styled, guess.labels).facts[0]["accuracy"] > 0.6
    with pytest.raises(UsageError, match="give --label"):
        labels_of_own(explorer("quick-generator", classes=2, labels="concatenate"), 60, 0)


# ---------------------------------------------------------------- files


def test_directions_are_kept_alike(tmp_path: Path) -> None:
    model = explorer("style-28-generator")
    found = directions(model, count=3, layers="1-2")
    found.save(tmp_path / "kept")
    again = load_directions(tmp_path / "kept")
    assert torch.equal(again.vectors, found.vectors)
    assert (again.names, again.steps, again.effects) == (found.names, found.steps, found.effects)
    assert (again.layers, again.space, again.method, again.generator) == ((1, 2), "w", "sefa", found.generator)
    again.check(space_of(model))
    for other in (explorer("quick-generator"), explorer("style-28-generator", options={"style": 16})):
        with pytest.raises(UsageError, match="find some of its own"):
            edit(other, again)
    with pytest.raises(UsageError, match="no direction 4: they are numbered 1 to 3"):
        edit(model, again, 4)
    assert directions(explorer("style-28-generator", seed=1), count=1).generator != found.generator


def test_damaged_directions_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    directions(explorer("quick-generator"), count=2).save(folder)
    with pytest.raises(RunError, match="holds no directions"):
        load_directions(tmp_path)
    vectors = folder / "directions.safetensors"
    vectors.write_bytes(vectors.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"directions\.safetensors is damaged"):
        load_directions(folder)
    (folder / "directions.json").write_text("[1]")
    with pytest.raises(RunError, match=r"directions\.json"):
        load_directions(folder)


HOSTILE: dict[str, Callable[[dict[str, Any], dict[str, Tensor]], object]] = {
    "another format": lambda about, _: about.update(format=2),
    "no format": lambda about, _: about.pop("format"),
    "another space": lambda about, _: about.update(space="x"),
    "layers that are words": lambda about, _: about.update(layers=["a"]),
    "no layers": lambda about, _: about.update(layers=None),
    "a layer below zero": lambda about, _: about.update(layers=[-1]),
    "fewer names": lambda about, _: about["directions"].pop(),
    "names that are no table": lambda about, _: about.update(directions=[1, 2]),
    "no step": lambda about, _: about["directions"][0].pop("step"),
    "a step that is a word": lambda about, _: about["directions"][0].update(step="far"),
    "an infinite step": lambda about, _: about["directions"][0].update(step="inf"),
    "no vectors": lambda _, tensors: tensors.update(other=tensors.pop("vectors")),
    "more than vectors": lambda _, tensors: tensors.update(other=torch.zeros(1)),
    "vectors of another kind": lambda _, tensors: tensors.update(vectors=tensors["vectors"].double()),
    "vectors that are flat": lambda _, tensors: tensors.update(vectors=tensors["vectors"][0]),
    "no numbers": lambda _, tensors: tensors.update(vectors=tensors["vectors"] * torch.nan),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_directions_are_refused(name: str, tmp_path: Path) -> None:
    found = Directions("sefa", "z", torch.eye(2), (1.0, 1.0), (0.1, 0.1), ("a", "b"))
    about, tensors = json.loads(json.dumps(found.content())), {"vectors": found.vectors}
    save_tensors(tmp_path, "directions", tensors, about)
    assert load_directions(tmp_path).names == ("a", "b")
    HOSTILE[name](about, tensors)
    save_tensors(tmp_path, "directions", tensors, about)
    with pytest.raises(RunError):
        load_directions(tmp_path)
