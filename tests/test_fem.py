"""References: orders of convergence, closed forms, and properties of the homogenized tensor."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft
from scipy.integrate import cumulative_simpson, quad, solve_ivp
from scipy.sparse.linalg import LinearOperator, cg

import fem
import fem_cells
from nhpinn_functions import Flux, faces_of
from nhpinn_tools import element_bounds
from problems import PROBLEMS

seeds = st.integers(0, 2**32 - 1)
UNIT = ((0.0, 1.0),)
TAU = 2 * np.pi


def random_coefficient(seed, dim, contrast=0.8, tensor=False):
    """A smooth random periodic coefficient: exp of a trigonometric polynomial, times a random tensor field."""
    rng = np.random.default_rng(seed)
    waves, phases = rng.integers(-2, 3, (4, dim)), rng.uniform(0, TAU, 4)
    amplitudes = contrast * rng.uniform(-1, 1, 4) / 2

    def scalar(y):
        return np.exp(np.sin(TAU * y @ waves.T + phases) @ amplitudes)

    if not tensor:
        return scalar
    root = rng.standard_normal((dim, dim))
    constant = root @ root.T + 0.5 * np.eye(dim)
    return lambda y: scalar(y)[:, None, None] * constant + np.eye(dim) * (1 + 0.5 * np.cos(TAU * y[:, :1, None]))


def orders(errors):
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_elliptic_errors_fall_as_h_to_the_order_plus_one(dim, order):
    """Against u = prod sin(pi x_i), with a = 1 + x_1 and the source that belongs to it."""

    def u(x):
        return np.prod(np.sin(np.pi * x), axis=1)

    def f(x):
        du = np.pi * np.cos(np.pi * x[:, 0]) * np.prod(np.sin(np.pi * x[:, 1:]), axis=1)
        return (1 + x[:, 0]) * dim * np.pi**2 * u(x) - du

    axis = np.linspace(0, 1, 12)
    points = np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), -1).reshape(-1, dim)
    counts = (2, 4) if dim == 3 else (8, 16)
    errors = [
        fem.relative_error(
            fem.solve_elliptic(lambda x: 1 + x[:, 0], f, fem.Mesh(UNIT * dim, n, order)).on_grid(*[axis] * dim),
            u(points),
        )
        for n in counts
    ]
    assert orders(errors)[-1] > order + 1 - 0.35


@pytest.mark.parametrize("along", [(), (0,), (1,), (0, 0), (0, 1), (1, 1)])
def test_derivatives_lose_one_order_each(along):
    """Against u = sin(pi x_1) sin(pi x_2) interpolated by solving -lap u = 2 pi^2 u."""

    def waves(axis, x):
        table = [np.sin(np.pi * x), np.pi * np.cos(np.pi * x), -(np.pi**2) * np.sin(np.pi * x)]
        return table[along.count(axis)]

    axis, order = np.linspace(0.01, 0.99, 12), 3
    exact = np.outer(waves(0, axis), waves(1, axis)).ravel()

    def f(x):
        return 2 * np.pi**2 * np.prod(np.sin(np.pi * x), axis=1)

    fields = [fem.solve_elliptic(lambda x: 1 + 0 * x[:, 0], f, fem.Mesh(UNIT * 2, n, order)) for n in (4, 16)]
    errors = [fem.relative_error(field.on_grid(axis, axis, along=along), exact) for field in fields]
    assert orders(errors)[0] / 2 > order + 1 - len(along) - 0.5


def test_crank_nicolson_is_of_second_order():
    """Against exp(-t) sin x, which solves u_t - u_xx / 2 + u / 2 = 0."""
    x, mesh = np.linspace(0, np.pi, 50), fem.Mesh(((0.0, np.pi),), 16, 6)
    errors = [
        fem.relative_error(
            fem.solve_parabolic(
                lambda p: np.full(len(p), 0.5),
                lambda p: 0 * p[:, 0],
                lambda p: np.sin(p[:, 0]),
                1.0,
                steps,
                mesh,
                lambda p: np.full(len(p), 0.5),
            ).on_grid(x),
            np.exp(-1) * np.sin(x),
        )
        for steps in (8, 16, 32)
    ]
    assert np.all(np.abs(orders(errors) - 2) < 0.05)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_homogenized_tensor_converges_with_twice_the_order(order):
    exact = fem_cells.homogenized_tensor(random_coefficient(1, 2), 2, 16, order=8)
    errors = [
        np.abs(fem_cells.homogenized_tensor(random_coefficient(1, 2), 2, n, order=order) - exact).max() for n in (8, 16)
    ]
    assert orders(errors)[0] > 2 * order - 0.5


@given(seeds, st.floats(0.1, 10))
def test_in_one_dimension_the_tensor_is_the_harmonic_mean(seed, period):
    a = random_coefficient(seed, 1, contrast=2)
    harmonic = 1 / quad(lambda y: 1 / a(np.array([[y]]))[0], 0, 1, epsabs=1e-13, limit=200)[0]
    tensor = fem_cells.homogenized_tensor(lambda y: a(y / period), 1, 24, period=period)
    np.testing.assert_allclose(tensor, [[harmonic]], rtol=1e-8)


@given(seeds, st.booleans())
def test_tensor_is_symmetric_and_between_the_harmonic_and_the_arithmetic_mean(seed, full):
    """In the Loewner order (Voigt and Reuss bounds); positive definiteness follows from the lower bound."""
    a = random_coefficient(seed, 2, tensor=full)
    tensor = fem_cells.homogenized_tensor(a, 2, 6)
    s = fem.space(fem_cells.cell_mesh(2, 6))
    values = a(s.points) if full else a(s.points)[:, None, None] * np.eye(2)
    arithmetic = np.einsum("q,qij->ij", s.weights, values)
    harmonic = np.linalg.inv(np.einsum("q,qij->ij", s.weights, np.linalg.inv(values)))
    np.testing.assert_allclose(tensor, tensor.T, atol=1e-10)
    assert np.linalg.eigvalsh(arithmetic - tensor).min() > -1e-10
    assert np.linalg.eigvalsh(tensor - harmonic).min() > -1e-6  # the computed tensor itself errs upwards
    assert np.linalg.eigvalsh(harmonic).min() > 0


@given(seeds, st.floats(0.01, 100), st.floats(0, 1), st.floats(0, 1))
def test_tensor_scales_with_the_coefficient_and_ignores_shifts_of_the_cell(seed, factor, shift1, shift2):
    a, shift = random_coefficient(seed, 2), np.array([shift1, shift2])
    tensor = fem_cells.homogenized_tensor(a, 2, 6)
    np.testing.assert_allclose(
        fem_cells.homogenized_tensor(lambda y: factor * a(y), 2, 6), factor * tensor, rtol=1e-10, atol=factor * 1e-12
    )
    np.testing.assert_allclose(fem_cells.homogenized_tensor(lambda y: a(y + shift), 2, 6), tensor, atol=2e-5)


@given(seeds)
def test_laminate(seed):
    """Layers across y_1: the harmonic mean across, the arithmetic mean along."""
    a = random_coefficient(seed, 1)
    s = fem.space(fem_cells.cell_mesh(1, 32))
    values = a(s.points)
    expected = np.diag([1 / (s.weights @ (1 / values)), s.weights @ values])
    np.testing.assert_allclose(
        fem_cells.homogenized_tensor(lambda y: a(y[:, :1]), 2, 12), expected, rtol=1e-6, atol=1e-10
    )


@given(seeds, st.booleans())
def test_duality_in_two_dimensions(seed, full):
    """A*(a) R A*(b) R^T = I with b = R^T a^-1 R, R a quarter turn; b = 1 / a for a scalar (Keller, Mendelson)."""
    a = random_coefficient(seed, 2, tensor=full)
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])

    def dual(y):
        return turn.T @ np.linalg.inv(a(y)) @ turn if full else 1 / a(y)

    product = fem_cells.homogenized_tensor(a, 2, 8) @ turn @ fem_cells.homogenized_tensor(dual, 2, 8) @ turn.T
    np.testing.assert_allclose(product, np.eye(2), atol=1e-4)


@given(seeds, st.integers(1, 2))
def test_correctors_are_periodic_and_have_zero_mean(seed, dim):
    chi, _ = fem_cells.correctors(random_coefficient(seed, dim), fem_cells.cell_mesh(dim, 6))
    s, axis = fem.space(chi.mesh), np.linspace(0, 1, 9)
    assert np.abs(s.weights @ (s.B @ chi.nodal)).max() < 1e-12
    values = chi.on_grid(*[axis] * dim).reshape(*[9] * dim, dim)
    np.testing.assert_allclose(values[0], values[-1], atol=1e-12)
    np.testing.assert_allclose(values[..., 0, :], values[..., -1, :], atol=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_closed_forms_of_the_problems(problem):
    if problem.effective is not None:
        for x in np.linspace(*problem.domain[0], 7)[:, None]:
            tensor = fem_cells.homogenized_tensor(lambda y, x=x: problem.coefficient(0 * y + x, y), 1, 16)
            np.testing.assert_allclose(tensor[0], problem.effective(x[None]), rtol=1e-7)
    if problem.effective_reaction is not None:
        N, r = fem_cells.reaction_corrector(problem.reaction, 2.0, fem_cells.cell_mesh(1, 16, TAU))
        y = np.linspace(0, TAU, 50)
        np.testing.assert_allclose(N.on_grid(y), -np.cos(y) / 2, atol=1e-6)
        np.testing.assert_allclose(r, problem.effective_reaction, rtol=1e-9)


def test_tensor_agrees_with_a_fourier_method():
    """A method of another kind: Fourier derivatives on a grid, conjugate gradients, the Laplacian as preconditioner."""
    n = 32
    wave = np.fft.fftfreq(n, 1 / n) * (np.abs(np.fft.fftfreq(n, 1 / n)) < n / 2)  # without the unpaired frequency
    k = TAU * np.array(np.meshgrid(wave, wave, indexing="ij"))
    square = np.where((k**2).sum(0) == 0, 1, (k**2).sum(0))
    y = np.stack(np.meshgrid(*[np.arange(n) / n] * 2, indexing="ij"), -1).reshape(-1, 2)
    a = PROBLEMS["elliptic2d"].coefficient(y, y).reshape(n, n)

    def gradient(u):
        return fft.ifft2(1j * k * fft.fft2(u.reshape(n, n))).real

    def minus_divergence(flux):
        return -fft.ifft2((1j * k * fft.fft2(flux)).sum(0)).real.ravel()

    def laplacian_solve(f):
        spectrum = fft.fft2(f.reshape(n, n)) / square
        return fft.ifft2(np.where((k**2).sum(0) == 0, 0, spectrum)).real.ravel()

    operator = LinearOperator((n * n,) * 2, lambda u: minus_divergence(a * gradient(u)), dtype=float)
    tensor = np.zeros((2, 2))
    for j in range(2):
        direction = np.eye(2)[j][:, None, None]
        preconditioner = LinearOperator((n * n,) * 2, laplacian_solve, dtype=float)
        chi, failed = cg(operator, -minus_divergence(a * direction), rtol=1e-12, M=preconditioner)
        assert failed == 0
        tensor[:, j] = (a * (direction + gradient(chi))).mean(axis=(1, 2))
    coefficient = PROBLEMS["elliptic2d"].coefficient
    np.testing.assert_allclose(fem_cells.homogenized_tensor(lambda y: coefficient(y, y), 2, 16), tensor, atol=1e-8)
    np.testing.assert_allclose(tensor, 1.935359238 * np.eye(2), atol=1e-8)


@given(st.floats(0.1, 10), seeds)
def test_reaction_coefficient_is_minus_half_the_energy_of_the_corrector(diffusion, seed):
    """r* = mean(r N) = -D mean(|N'|^2) <= 0; for r = cos it is -1 / (2 D)."""
    mesh, phase = fem_cells.cell_mesh(1, 24, TAU), np.random.default_rng(seed).uniform(0, TAU)
    np.testing.assert_allclose(
        fem_cells.reaction_corrector(lambda y: np.cos(y[:, 0] + phase), diffusion, mesh)[1],
        -1 / (2 * diffusion),
        rtol=1e-8,
    )
    N, r = fem_cells.reaction_corrector(lambda y: np.cos(y[:, 0]) + np.sin(2 * y[:, 0] + phase), diffusion, mesh)
    s = fem.space(mesh)
    np.testing.assert_allclose(r, -diffusion * (s.weights @ (s.D[0] @ N.nodal) ** 2) / TAU, rtol=1e-8)


@settings(max_examples=5)
@given(seeds, st.sampled_from([1 / 4, 1 / 8, 1 / 16]))
def test_fine_solution_in_one_dimension_is_the_double_integral(seed, eps):
    """(a u')' = -f integrates to u' = (C - F) / a, with C such that u vanishes at both ends."""
    a = random_coefficient(seed, 1)
    x = np.linspace(0, 1, 40001)
    over_a, F = 1 / a(x[:, None] / eps), 1 - np.cos(x)
    one, two = (cumulative_simpson(g, x=x, initial=0) for g in (over_a, F * over_a))
    exact = (one * two[-1] / one[-1] - two)[::100]
    mesh = fem.Mesh(UNIT, round(12 / eps))
    u = fem.solve_elliptic(lambda p: a(p / eps), lambda p: np.sin(p[:, 0]), mesh).on_grid(x[::100])
    assert fem.relative_error(u, exact) < 1e-6


def test_fine_solution_in_two_dimensions_agrees_with_finite_volumes():
    """A method of another kind: five-point fluxes on 384 x 384 boxes, conjugate gradients, sine transforms."""
    problem = PROBLEMS["elliptic2d"]
    n = 384
    h = 1 / n
    node, half = np.arange(1, n) * h, (np.arange(n) + 0.5) * h

    def a(x, y):
        X, Y = np.meshgrid(x, y, indexing="ij")
        p = np.stack([X, Y], -1).reshape(-1, 2)
        return problem.coefficient(p, p / problem.eps).reshape(X.shape)

    a1, a2 = a(half, node), a(node, half)

    def apply(u):
        u = np.pad(u.reshape(n - 1, n - 1), 1)
        flux1 = a1 * np.diff(u[:, 1:-1], axis=0)
        flux2 = a2 * np.diff(u[1:-1], axis=1)
        return -(np.diff(flux1, axis=0) + np.diff(flux2, axis=1)).ravel() / h**2

    eigen = 4 / h**2 * np.sin(np.arange(1, n) * np.pi * h / 2) ** 2

    def precondition(g):
        g = fft.dstn(g.reshape(n - 1, n - 1), type=1, norm="ortho") / (eigen[:, None] + eigen)
        return fft.dstn(g, type=1, norm="ortho").ravel()

    size = ((n - 1) ** 2,) * 2
    X, Y = np.meshgrid(node, node, indexing="ij")
    f = problem.source(np.stack([X.ravel(), Y.ravel()], 1))
    u, failed = cg(LinearOperator(size, apply), f, rtol=1e-10, M=LinearOperator(size, precondition))
    assert failed == 0
    step = 16
    mine = fem.solve_elliptic(
        lambda x: problem.coefficient(x, x / problem.eps), problem.source, fem.Mesh(problem.domain, 48)
    )
    there = mine.on_grid(node[step - 1 :: step], node[step - 1 :: step])
    # five points a box and 48 boxes a period: (2 pi / 48)^2 / 12 of the fluctuation, about 2e-4
    assert fem.relative_error(u.reshape(n - 1, n - 1)[step - 1 :: step, step - 1 :: step].ravel(), there) < 3e-4


def test_fine_solution_in_time_agrees_with_an_adaptive_integrator():
    """Second-order differences in space, an adaptive implicit method in time."""
    problem = PROBLEMS["reaction10"]
    x = np.linspace(-np.pi, np.pi, 1601)
    h, inner = x[1] - x[0], x[1:-1, None]
    r, f = problem.reaction(inner / problem.eps) / problem.eps, problem.source(inner)

    def slope(t, u):
        padded = np.pad(u, 1)
        return 2.0 * (padded[2:] - 2 * u + padded[:-2]) / h**2 - r * u + f

    band = {"lband": 1, "uband": 1}
    path = solve_ivp(slope, (0, 1), problem.initial(inner), method="LSODA", rtol=1e-7, atol=1e-9, **band)
    mine = fem.solve_parabolic(
        lambda p: problem.coefficient(p, p),
        problem.source,
        problem.initial,
        1.0,
        2000,
        fem.Mesh(problem.domain, 80),
        lambda p: problem.reaction(p / problem.eps) / problem.eps,
    ).on_grid(x)
    assert fem.relative_error(np.pad(path.y[:, -1], 1), mine) < 2e-4


def test_bad_input_is_named():
    mesh = fem_cells.cell_mesh(2, 4)
    with pytest.raises(ValueError, match=r"coefficient: returned shape .*, expected \(\d+,\) or \(\d+, 2, 2\)"):
        fem_cells.correctors(lambda y: y, mesh)
    with pytest.raises(ValueError, match="coefficient: found a least eigenvalue of -.* at .*positive definite"):
        fem_cells.correctors(lambda y: np.sin(TAU * y[:, 0]), mesh)
    with pytest.raises(ValueError, match="coefficient: not finite.*, expected real numbers"):
        fem_cells.correctors(lambda y: np.full(len(y), np.nan), mesh)
    with pytest.raises(ValueError, match="coefficient.*not symmetric"):
        fem_cells.correctors(lambda y: np.ones((len(y), 2, 2)) + np.array([[2, 1], [0, 2]]), mesh)
    with pytest.raises(ValueError, match="coefficient: not periodic.*expected the period of the mesh"):
        fem_cells.correctors(lambda y: 2 + np.sin(y[:, 0]), mesh)
    with pytest.raises(ValueError, match="reaction: its mean"):
        fem_cells.reaction_corrector(lambda y: 1 + np.sin(TAU * y[:, 0]), 1.0, fem_cells.cell_mesh(1, 4))
    with pytest.raises(ValueError, match="points: found 1.5 to 1.5 on axis 0, expected 0 to 1"):
        fem.solve_elliptic(lambda x: 1 + 0 * x[:, 0], lambda x: x[:, 0], fem.Mesh(UNIT, 4)).on_grid(np.array([1.5]))
    with pytest.raises(ValueError, match="mesh"):
        fem_cells.homogenized_tensor(lambda y: 1 + 0 * y[:, 0], 2, 0)
    with pytest.raises(ValueError, match="mesh: found periodic = False"):
        fem_cells.reaction_corrector(lambda y: np.sin(TAU * y[:, 0]), 1.0, fem.Mesh(((0, 1),), 4))
    one, insulated = lambda x: 1 + 0 * x[:, 0], faces_of(Flux(0), UNIT)
    with pytest.raises(ValueError, match="faces: found fluxes on all, expected a value on one at least"):
        fem.solve_elliptic(one, one, fem.Mesh(UNIT, 4), faces=insulated)
    assert np.allclose(fem.solve_elliptic(one, one, fem.Mesh(UNIT, 4), reaction=one, faces=insulated).nodal, 1)
    with pytest.raises(ValueError, match="steps: found 0, expected 1 at least"):
        fem.solve_parabolic(one, one, one, 1.0, 0, fem.Mesh(UNIT, 4))


@pytest.mark.parametrize(
    ("dim", "order", "cuts"), [(1, 3, (0, 1)), (2, 2, (0, 0.2, 1)), (2, 4, (0, 1)), (3, 2, (0, 1))]
)
@pytest.mark.parametrize("tensor", [False, True])
def test_cell_problems_without_a_matrix_agree_with_a_direct_solver(dim, order, cuts, tensor):
    a, bounds = random_coefficient(3, dim, tensor=tensor), ((0.0, 1.0), (0.0, 1.0), (0.0, 1.0))[:dim]
    mesh = fem.Mesh(bounds, (4, 3, 2)[:dim], order, periodic=True, cuts=cuts)
    s = fem.space(mesh)
    full = a(s.points) if tensor else a(s.points)[:, None, None] * np.eye(dim)
    A = fem.stiffness(s, full).toarray()
    load = -np.stack([sum(s.D[i].T @ (s.weights * full[:, i, j]) for i in range(dim)) for j in range(dim)], axis=1)
    exact = np.linalg.lstsq(A, load, rcond=1e-12)[0]
    exact -= s.weights @ (s.B @ exact)
    chi, found = fem_cells.correctors(a, mesh)
    np.testing.assert_allclose(chi.nodal, exact, atol=1e-6)
    energy = np.einsum("q,qij->ij", s.weights, full) - exact.T @ A @ exact
    np.testing.assert_allclose(found, energy, rtol=1e-11, atol=1e-11)


def test_functions_that_jump_are_not_silent():
    def disc(y):
        return np.where(np.sum(((y - 0.5) % 1 - 0.5) ** 2, axis=1) < 0.1, 1.0, 10.0)

    with pytest.warns(UserWarning, match="coefficient: two quadrature rules differ"):
        fem_cells.homogenized_tensor(disc, 2, 6)
    assert element_bounds.bounds_of_function(disc, 2, 6).quadrature > 1e-3


@given(seeds, st.integers(1, 3), st.booleans())
def test_fields_at_points_agree_with_those_on_grids(seed, dim, periodic):
    rng = np.random.default_rng(seed)
    mesh = fem.Mesh(((0.0, 2.0), (-1.0, 1.0), (0.0, 1.0))[:dim], (3, 2, 4)[:dim], 3, periodic, cuts=(0, 0.2, 1))
    field = fem.Field(mesh, rng.standard_normal((fem.space(mesh).B.shape[1], 2)))
    axes = [rng.uniform(low, high, 3) + (high - low) * periodic for low, high in mesh.bounds]
    value, gradient, second = field.at(fem.tensor_grid(axes))
    for mine, other in zip(field.at(fem.tensor_grid(axes), 1), (value, gradient), strict=True):
        np.testing.assert_array_equal(mine, other)
    close = {"rtol": 1e-9, "atol": 1e-9 * np.abs(second).max()}
    np.testing.assert_allclose(value, field.on_grid(*axes), **close)
    for i in range(dim):
        np.testing.assert_allclose(gradient[..., i], field.on_grid(*axes, along=(i,)), **close)
        for j in range(dim):
            np.testing.assert_allclose(second[..., i, j], field.on_grid(*axes, along=(i, j)), **close)


def test_what_does_not_fit_the_memory_is_refused_before_it_is_tried():
    with pytest.raises(ValueError, match="mesh: .*need .* GiB, expected at most"):
        fem_cells.homogenized_tensor(lambda y: 1 + 0 * y[:, 0], 3, 4000)
