"""Periodic functions by their spectra: waves are shifted, refined, differentiated and projected exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhpinn_functions import midpoints
from nhpinn_tools import spectrum

TAU = 2 * np.pi
seeds, dims = st.integers(0, 2**32 - 1), st.integers(1, 3)


def random_wave(seed, dim, fastest):
    """cos(2 pi k y + phase) and its gradient, as functions of points (n, dim)."""
    rng = np.random.default_rng(seed)
    k, phase = TAU * rng.integers(-fastest, fastest + 1, dim), rng.uniform(0, TAU)
    return lambda y: np.cos(y @ k + phase), lambda y: -np.sin(y @ k + phase)[:, None] * k


def on_grid(function, dim, n):
    return function(midpoints(dim, 1.0, n)).reshape(1, *[n] * dim)


@given(seeds, dims, st.sampled_from([7, 8]), st.sampled_from([7, 12, 15]))
def test_waves_are_refined_shifted_and_differentiated_exactly(seed, dim, n, finer):
    wave, slope = random_wave(seed, dim, 3)
    s = spectrum.spectrum_of(on_grid(wave, dim, n), dim)
    y = midpoints(dim, 1.0, finer)
    np.testing.assert_allclose(spectrum.values_of(spectrum.refined(s, finer)).ravel(), wave(y), atol=1e-12)
    np.testing.assert_allclose(spectrum.slopes_at_midpoints(s, finer)[0], slope(y), atol=1e-11)
    shift = np.random.default_rng(seed).uniform(-1, 1, dim)
    moved = spectrum.values_of(spectrum.shifted(s, shift)).ravel()
    np.testing.assert_allclose(moved, wave(midpoints(dim, 1.0, n) + shift), atol=1e-12)


def test_fewer_points_leave_out_the_waves_that_they_do_not_show():
    slow, fast = (on_grid(lambda y, k=k: np.cos(TAU * k * y[:, 0]), 2, 15) for k in (2, 5))
    found = spectrum.values_of(spectrum.refined(spectrum.spectrum_of(slow + fast, 2), 7))
    np.testing.assert_allclose(found, on_grid(lambda y: np.cos(TAU * 2 * y[:, 0]), 2, 7), atol=1e-12)


@given(seeds, st.integers(2, 3))
def test_a_field_is_its_mean_a_gradient_and_a_flux_of_its_potential(seed, dim):
    rng, n, period = np.random.default_rng(seed), 5, np.array([1.0, 0.5, 2.0])[:dim]
    field = rng.standard_normal((2, dim, *[n] * dim))
    rest = spectrum.values_of(spectrum.without_gradients(spectrum.spectrum_of(field, dim)))
    s = spectrum.spectrum_of(rest, dim)
    divergence = np.einsum("jii...->j...", spectrum.values_of(spectrum.gradient(s)))
    assert np.abs(divergence).max() < 1e-12 and np.abs(rest.reshape(2, dim, -1).mean(axis=-1)).max() < 1e-13
    grid = tuple(range(2, 2 + dim))
    gradients = field - rest - field.mean(axis=grid, keepdims=True)
    slopes = spectrum.values_of(spectrum.gradient(spectrum.spectrum_of(gradients, dim)))  # d_k of component i
    np.testing.assert_allclose(slopes, slopes.swapaxes(1, 2), atol=1e-11)  # no curl
    phi = spectrum.fluxes_potential(field, np.ones(dim))
    change = spectrum.values_of(spectrum.gradient(spectrum.spectrum_of(phi, dim)))
    flux, pairs = np.zeros_like(field), [(k, i) for k in range(dim) for i in range(k + 1, dim)]
    for (k, i), each in zip(pairs, change, strict=True):
        flux[:, i] += each[:, k]
        flux[:, k] -= each[:, i]
    np.testing.assert_allclose(flux, rest, atol=1e-12)
    assert spectrum.fluxes_potential(field, period).shape == phi.shape


@given(seeds, dims)
def test_a_series_has_the_values_and_slopes_of_its_waves_anywhere(seed, dim):
    (wave, slope), period = random_wave(seed, dim, 3), np.array([1.0, 0.5, 2.0])[:dim]
    series = spectrum.series_of(on_grid(wave, dim, 9)[None], period)
    y = np.random.default_rng(seed).uniform(-3, 3, (20, dim))
    value, gradient = series(y)
    assert value.shape == (1, 1, 20) and max(series.coefficients.shape[2:]) <= 7  # the fastest waves are rounding
    np.testing.assert_allclose(value[0, 0], wave(y / period), atol=1e-11)
    np.testing.assert_allclose(gradient[0, 0], slope(y / period) / period, atol=1e-10)


def test_a_series_is_evaluated_in_blocks(monkeypatch):
    series = spectrum.series_of(np.random.default_rng(0).standard_normal((3, 2, 5, 5)), np.ones(2))
    y = np.random.default_rng(1).uniform(size=(50, 2))
    whole = series(y)
    monkeypatch.setattr(spectrum, "NUMBERS", 1)
    for one, other in zip(whole, series(y), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [5, 6])
def test_values_come_back(n):
    values = np.random.default_rng(0).standard_normal((2, n, n))
    np.testing.assert_allclose(spectrum.values_of(spectrum.spectrum_of(values, 2)), values, atol=1e-13)
