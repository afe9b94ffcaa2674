"""Files and figures: what is loaded is what was saved, to the last bit; VTK holds the values where it says."""

import base64
import json
import warnings
from functools import cache
from xml.etree import ElementTree

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhpinn
from nhpinn_tools import pictures

TAU = 2 * np.pi
RATIO = np.float64(1 / 6)


def waves(x, y):
    return 2 + anp.sin(TAU * y[:, 0]) * anp.cos(TAU * y[:, -1])


def rising(x, y):
    return (2 + anp.cos(TAU * y[:, 0])) * (1 + x[:, 0])


def source(x):
    return 1 + np.sin(x[:, 0])


SQUARE, INTERVAL = [(0, 1), (0, 1.5)], [(0, 1)]
FACES = [(lambda x: np.sin(np.pi * x[:, 1] / 1.5), nhpinn.Flux(1)), (nhpinn.Flux(lambda x: x[:, 0]), 0.0)]
EQUATIONS = {
    "1D, slow": lambda: nhpinn.solve(rising, source, INTERVAL, RATIO),
    "of y": lambda: nhpinn.solve(lambda y: 2 + anp.sin(TAU * y[:, 0]), source, INTERVAL, RATIO),
    "1D, fluxes": lambda: nhpinn.solve(rising, source, INTERVAL, RATIO, boundary=[(1, nhpinn.Flux(2))]),
    "2D": lambda: nhpinn.solve(waves, source, SQUARE, 1 / 4, tolerance=1e-3),
    "2D, slow": lambda: nhpinn.solve(rising, source, SQUARE, 1 / 4, tolerance=1e-2),
    "2D, faces": lambda: nhpinn.solve(waves, source, SQUARE, 1 / 4, boundary=FACES, tolerance=1e-3),
    "1D, sharp": lambda: nhpinn.solve(rising, source, INTERVAL, RATIO, recipe="sharp", tolerance=1e-2),
    "time": lambda: nhpinn.solve(waves, source, INTERVAL, RATIO, initial=lambda x: 1 + x[:, 0], tolerance=1e-2),
    "reaction": lambda: nhpinn.solve(
        lambda x, y: 1 + 0 * y[:, 0], source, INTERVAL, 1 / 32, reaction=lambda y: np.sin(TAU * y[:, 0]), tolerance=1e-3
    ),
}
CELLS = {
    "1D": lambda: nhpinn.homogenize(lambda y: waves(y, y), 1, period=1.0),
    "2D": lambda: nhpinn.homogenize(lambda y: waves(y, y / 3), 2, period=3),
    "sharp": lambda: nhpinn.homogenize(lambda y: waves(y, y), 2, recipe="sharp", tolerance=1e-3),
    "adam": lambda: nhpinn.homogenize(lambda y: waves(y, y), 2, recipe="adam", epochs=5),
    "image": lambda: nhpinn.homogenize([[1.0, 2.0], [3.0, 4.0]], 2, period=(1, 2)),
    "pores": lambda: nhpinn.homogenize([[1.0, 0.0], [3.0, 4.0]], 2, tolerance=0.5),
    "two phases": lambda: nhpinn.homogenize(
        nhpinn.TwoPhase(lambda y: 0.09 - anp.sum((y - 0.5) ** 2, axis=1), 5.0, 1.0), 2, tolerance=1e-2
    ),
}


@cache
def computed(makers, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"equations": EQUATIONS, "cells": CELLS}[makers][name]()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """makers, name -> what was computed, and what was loaded of it."""
    folder = tmp_path_factory.mktemp("files")

    @cache
    def pair(makers, name):
        u, file = computed(makers, name), folder / f"{makers} {name}.npz"
        u.save(file)
        return u, nhpinn.load(file)

    return pair


@pytest.mark.parametrize("name", EQUATIONS)
def test_a_loaded_solution_is_the_saved_one_to_the_last_bit(both, name):
    u, loaded = both("equations", name)
    dim, timed = u.problem.dim, u.problem.initial is not None
    assert str(loaded) == str(u) and loaded.error == u.error and loaded.problem.domain == u.problem.domain

    @given(st.integers(0, 2**32 - 1), st.integers(1, 50))
    def evaluate(seed, count):
        rng = np.random.default_rng(seed)
        x, y = rng.uniform(*np.transpose(u.problem.domain), (count, dim)), rng.normal(size=(count, dim))
        for method in ("__call__", "gradient", "homogenized"):
            options = {"t": rng.uniform()} if timed else {}
            assert np.array_equal(getattr(u, method)(x, **options), getattr(loaded, method)(x, **options)), method
        assert np.array_equal(u.tensor(x), loaded.tensor(x))
        assert np.array_equal(u.corrector(x, y), loaded.corrector(x, y))
        if name in ("1D, slow", "1D, fluxes", "2D", "2D, slow", "1D, sharp"):
            assert np.array_equal(u.flux(x), loaded.flux(x))

    evaluate()


@pytest.mark.parametrize("name", CELLS)
def test_a_loaded_tensor_is_the_saved_one_to_the_last_bit(both, name):
    found, loaded = both("cells", name)
    assert str(loaded) == str(found) and loaded.error == found.error
    for field in ("tensor", "lower", "upper", "percolates", "two_point", "period"):
        assert np.array_equal(getattr(found, field), getattr(loaded, field)), field
    y = np.random.default_rng(0).normal(size=(300, len(found.tensor)))
    if name not in ("pores", "two phases"):
        assert np.array_equal(found.corrector(y), loaded.corrector(y))
        assert np.array_equal(found.gradient(y), loaded.gradient(y))


def test_what_takes_a_function_of_the_equation_says_so(both):
    x = np.full((3, 2), 0.5)
    for ask in (
        lambda: both("equations", "2D, faces")[1].flux(x),
        lambda: both("equations", "time")[1].flux(x[:, :1]),
        lambda: both("cells", "two phases")[1].corrector(x),
        lambda: nhpinn.certify(both("equations", "2D")[1], lambda x: 0 * x[:, 0], lambda x: 0 * x),
    ):
        with pytest.raises(ValueError, match="result: found one loaded from a file, which holds no functions of its"):
            ask()


def test_what_is_loaded_is_saved_again(both, tmp_path):
    u, loaded = both("equations", "2D, faces")
    for wrong in (tmp_path / "none" / "u.npz", 3):
        with pytest.raises(ValueError, match="file: found .*, expected a name such as u.npz in a folder"):
            u.save(wrong)
    loaded.save(tmp_path / "again")
    x = np.random.default_rng(0).uniform(size=(9, 2))
    assert np.array_equal(nhpinn.load(tmp_path / "again").gradient(x), u.gradient(x))


def test_no_other_file_is_loaded(tmp_path):
    def parts(*some, number=1):
        return np.array(json.dumps({"format": number, "root": [len(some) - 1], "parts": some}))

    for content in (
        {},
        {"parts": np.array([{}, print], dtype=object)},  # a pickle
        {"parts": parts(["function", "os.system"])},
        {"parts": parts(["function", "nhpinn_tools.files.json.dumps"])},
        {"parts": parts(["function", "nhpinn_tools.files.importlib"])},
        {"parts": parts(["record", "nhpinn_functions.Face", {"axis": 0}])},
        {"parts": parts(["list"], number=2)},
    ):
        np.savez(tmp_path / "u.npz", **content)
        with pytest.raises(ValueError, match=r"file: found .*u\.npz, expected one that `save`"):
            nhpinn.load(tmp_path / "u.npz")
    (tmp_path / "text").write_text("u")
    with pytest.raises(ValueError, match="file: found"):
        nhpinn.load(tmp_path / "text")
    with pytest.raises(FileNotFoundError):
        nhpinn.load(tmp_path / "none.npz")


# VTK ------------------------------------------------------------------------------------------------


def parsed(text):
    """Of ImageData: points an axis, origin, spacing, arrays with the point's number first."""
    (image,) = ElementTree.fromstring(text)
    (piece,) = image
    assert piece.get("Extent") == image.get("WholeExtent")
    counts = np.diff(np.array(image.get("WholeExtent").split(), int).reshape(3, 2), axis=1).ravel() + 1
    arrays = {}
    for array in piece.find("PointData"):
        raw = base64.b64decode(array.text)
        assert int.from_bytes(raw[:8], "little") == len(raw) - 8
        arrays[array.get("Name")] = np.frombuffer(raw[8:], "<f8").reshape(counts.prod(), -1)
        assert arrays[array.get("Name")].shape[1] == int(array.get("NumberOfComponents", 1))
    return counts, *(np.array(image.get(name).split(), float) for name in ("Origin", "Spacing")), arrays


@pytest.mark.parametrize("name", ["1D, slow", "2D", "1D, sharp", "time"])
def test_vtk_has_the_values_of_its_points(name, tmp_path):
    u = computed("equations", name)
    dim, window = u.problem.dim, [(0.25, 0.5), (0.5, 1.25)][: u.problem.dim]
    for options in ({}, {"window": window}, {"count": 7, "window": window}):
        u.to_vtk(tmp_path / "u.vti", **options)
        counts, origin, spacing, arrays = parsed((tmp_path / "u.vti").read_text())
        box = options.get("window", u.problem.domain)
        if "count" in options:
            assert np.all(counts[:dim] == 7)
        else:
            assert np.all(spacing[:dim] <= u.problem.eps / 16 * (1 + 1e-9))
        assert np.allclose(origin[:dim], np.transpose(box)[0])
        assert np.allclose((origin + spacing * (counts - 1))[:dim], np.transpose(box)[1])
        for place in np.random.default_rng(0).integers(0, counts, (20, 3)):
            row = place[0] + counts[0] * (place[1] + counts[1] * place[2])  # x fastest
            x = np.minimum((origin + spacing * place)[:dim], np.transpose(box)[1])
            found = {"u": u(x), "homogenized": u.homogenized(x), "gradient": u.gradient(x), "flux": u.flux(x)}
            for key, value in found.items():
                # points are the same but for rounding, which random features multiply by coefficients of 1e8
                size = np.abs(arrays[key]).max()
                assert np.allclose(arrays[key][row][: np.size(value)], value, rtol=0, atol=1e-6 * size), key
                assert not np.any(arrays[key][row][np.size(value) :])


def test_vtk_in_three_dimensions_has_x_fastest():
    axes = [np.linspace(0, 1, 3), np.linspace(2, 3, 4), np.linspace(4, 6, 5)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    text = pictures.image_data(axes, {"f": x + 10 * y + 100 * z, "v": np.stack([x, y, z], axis=-1)})
    counts, origin, spacing, arrays = parsed(text)
    k, j, i = (index.ravel() for index in np.indices(counts[::-1]))
    points = origin + spacing * np.stack([i, j, k], axis=1)
    assert np.allclose(arrays["v"], points) and np.allclose(arrays["f"][:, 0], points @ [1, 10, 100])


def test_a_window_lies_inside(tmp_path):
    for window in ([(0, 2)], [(0.5, 0.5)], [(-1, 1)], (0, 1, 2), "all", [(0, np.nan)]):
        with pytest.raises(ValueError, match="window: found"):
            computed("equations", "1D, slow").to_vtk(tmp_path / "u.vti", window=window)
    with pytest.raises(ValueError, match="file: found .*u.vtk'"):
        computed("equations", "1D, slow").to_vtk(tmp_path / "u.vtk")


# Figures --------------------------------------------------------------------------------------------


def test_a_figure_names_its_axes(both):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    for name in ("1D, slow", "2D", "time", "2D, faces"):
        figure = both("equations", name)[0].plot(30)
        named = [axes for axes in figure.axes if axes.get_title()]
        assert len(named) == 4 and all(axes.get_xlabel() for axes in named)
        pyplot.close(figure)
    with pytest.warns(UserWarning, match="flux: left out"):
        figure = both("equations", "2D, faces")[1].plot(30)
    assert len([axes for axes in figure.axes if axes.get_title()]) == 3
    for name, panels in (("1D", 1), ("2D", 2), ("image", 2)):
        figure = both("cells", name)[1].plot(30)
        named = [axes for axes in figure.axes if axes.get_title()]
        assert len(named) == panels and all("y" in axes.get_xlabel() for axes in named)
    pyplot.close("all")
