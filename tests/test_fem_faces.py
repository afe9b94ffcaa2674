"""Finite elements with values and fluxes on faces, and with time: patch tests, orders, balances, closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erfc

import fem
from nhpinn_functions import Flux, faces_of

seeds = st.integers(0, 2**32 - 1)


def zero(x):
    return np.zeros(len(x))


def one(x):
    return np.ones(len(x))


def constant(value):
    return lambda x: np.full(len(x), value)


def orders(errors):
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def known_on(u, flow, flux, domain):
    """Faces with values of u, and with n . flow where flux (dim, 2) says so."""

    def entry(axis, side):
        return Flux(lambda x: (2 * side - 1) * flow(x)[:, axis]) if flux[axis, side] else u

    return faces_of([(entry(axis, 0), entry(axis, 1)) for axis in range(len(domain))], domain)


def random_faces(rng, dim):
    flux = rng.random((dim, 2)) < 0.5
    flux[rng.integers(dim), rng.integers(2)] = False
    return flux


@given(seeds, st.integers(1, 3), st.integers(1, 3))
def test_polynomials_are_met_exactly_whatever_the_faces(seed, dim, order):
    """Patch test: u of the elements' order, with a full tensor; its source is constant or linear."""
    rng = np.random.default_rng(seed)
    root, domain = rng.standard_normal((dim, dim)), tuple((-0.3 * i, 1.0 + i) for i in range(dim))
    A, q, k = np.eye(dim) + root @ root.T, rng.standard_normal(dim), rng.standard_normal(dim)

    def u(x):
        return 2 + x @ q + (x @ k) ** order

    def flow(x):
        return (q + order * (x @ k)[:, None] ** (order - 1) * k) @ A

    def source(x):
        return -order * (order - 1) * (x @ k) ** max(order - 2, 0) * (k @ A @ k)

    mesh = fem.Mesh(domain, (2, 1, 2)[:dim], order)
    faces = known_on(u, flow, random_faces(rng, dim), domain)
    field = fem.solve_elliptic(lambda x: np.broadcast_to(A, (len(x), dim, dim)), source, mesh, faces=faces)
    axes = [np.linspace(*side, 5) for side in domain]
    np.testing.assert_allclose(field.on_grid(*axes), u(fem.tensor_grid(axes)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("flux", [[[0, 1], [0, 0]], [[1, 1], [1, 0]], [[0, 0], [1, 1]]])
def test_errors_fall_as_h_to_the_order_plus_one_and_gradients_one_order_less(order, flux):
    """u = exp(x_1) sin(2 x_2), a = 1 + x_1 / 2 + x_2, and a reaction of 3."""

    def u(x):
        return np.exp(x[:, 0]) * np.sin(2 * x[:, 1])

    def slope(x):
        return np.exp(x[:, 0])[:, None] * np.stack([np.sin(2 * x[:, 1]), 2 * np.cos(2 * x[:, 1])], axis=1)

    def a(x):
        return 1 + x[:, 0] / 2 + x[:, 1]

    def source(x):
        return 3 * a(x) * u(x) - slope(x) @ [0.5, 1.0] + 3 * u(x)

    domain, axis, errors = ((0.0, 1.0), (0.0, 1.0)), np.linspace(0, 1, 14), []
    faces, x = (
        known_on(u, lambda x: a(x)[:, None] * slope(x), np.array(flux, bool), domain),
        fem.tensor_grid([axis] * 2),
    )
    for n in (4, 8, 16):
        field = fem.solve_elliptic(a, source, fem.Mesh(domain, n, order), constant(3.0), faces)
        miss = field.on_grid(axis, axis) - u(x), field.on_grid(axis, axis, along=(1,)) - slope(x)[:, 1]
        errors.append([np.linalg.norm(each) for each in miss])
    values, gradients = np.transpose(errors)
    assert orders(values)[-1] > order + 1 - 0.3 and orders(gradients)[-1] > order - 0.3


@given(seeds)
def test_what_flows_in_is_the_source_and_the_energy_between_two_temperatures(seed):
    """A random plate, 100 on the left, 20 on the right, insulated: the flow is the same on both sides, and 80 times it
    is the energy.  With a source and fluxes it is what goes through the faces with values that balances them."""
    rng = np.random.default_rng(seed)
    k, phase = rng.uniform(-6, 6, (2, 2)), rng.uniform(0, 6, 2)
    mesh, domain = fem.Mesh(((0.0, 2.0), (0.0, 1.0)), (6, 3), 3), ((0.0, 2.0), (0.0, 1.0))

    def a(x):
        return np.exp(np.sin(x @ k + phase) @ [1, 1])

    def through(faces, source):
        """The nodal reactions on the left and on the right, and the energy."""
        field, s = fem.solve_elliptic(a, source, mesh, faces=faces), fem.space(mesh)
        load = s.B.T @ (s.weights * source(s.points)) + fem.face_loads(mesh, faces)
        rest = (fem.stiffness(s, a(s.points)) @ field.nodal - load).reshape(fem.nodes_of(mesh, 0), -1)
        np.testing.assert_allclose(rest[1:-1], 0, atol=1e-8)  # the equation holds, on flux faces as well
        slope = np.stack([D @ field.nodal for D in s.D])
        return rest[0].sum(), rest[-1].sum(), s.weights @ (a(s.points) * (slope**2).sum(0))

    left, right, energy = through(faces_of([(100, 20), (Flux(0), Flux(0))], domain), zero)
    np.testing.assert_allclose([left, right], [energy / 80, -energy / 80], rtol=1e-9)
    left, right, _ = through(faces_of([(100, 20), (Flux(3), Flux(lambda x: x[:, 0]))], domain), one)
    np.testing.assert_allclose(left + right, -(2 + 3 * 2 + 2), rtol=1e-9)


def test_a_laminate_between_two_temperatures():
    """The flow is 80 over the integral of 1 / a, everywhere the same; here with a jump between elements."""
    faces = faces_of((100, 20), ((0.0, 1.0),))
    field = fem.solve_elliptic(
        lambda x: np.where(x[:, 0] < 0.5, 1.0, 4.0), zero, fem.Mesh(((0.0, 1.0),), 2, 1), faces=faces
    )
    np.testing.assert_allclose(field.nodal, [100, 100 - 0.5 * 80 / 0.625, 20], rtol=1e-12)


# With time ----------------------------------------------------------------------------------------


def plate(steps, order=6, elements=40, rho=None, a=1.0, final_time=0.02):
    """A bar at 20 whose left end is set to 100, the right one insulated."""
    mesh, faces = fem.Mesh(((0.0, 1.0),), elements, order), faces_of((100, Flux(0)), ((0.0, 1.0),))
    return fem.solve_parabolic(constant(a), zero, constant(20.0), final_time, steps, mesh, faces=faces, rho=rho)


def test_a_sudden_value_at_an_end_is_the_error_function_and_of_second_order_in_time():
    x = np.linspace(0.01, 0.99, 50)
    exact = 20 + 80 * erfc(x / np.sqrt(4 * 0.02)) + 80 * erfc((2 - x) / np.sqrt(4 * 0.02))
    errors = [np.abs(plate(steps).on_grid(x) - exact).max() for steps in (10, 20, 40, 80)]
    assert np.all(np.abs(orders(errors)[1:] - 2) < 0.2) and errors[-1] < 2e-2


def test_rho_makes_time_slow():
    x = np.linspace(0, 1, 9)
    slow, late = plate(40, rho=constant(5.0), final_time=0.1), plate(40, final_time=0.02)
    np.testing.assert_allclose(slow.on_grid(x), late.on_grid(x), rtol=1e-10)


def test_rho_that_varies_and_a_source_in_time():
    """u = t^2 sin x + 1 with rho = 2 + x, u = 1 on the left; insulated at pi / 2: to second order in the steps."""
    end, x = np.pi / 2, np.linspace(0, np.pi / 2, 20)
    faces, mesh = faces_of((1, Flux(0)), ((0.0, end),)), fem.Mesh(((0.0, end),), 6, 8)
    errors = [
        np.abs(
            fem.solve_parabolic(
                one,
                lambda x, t: (2 * t * (2 + x[:, 0]) + t**2) * np.sin(x[:, 0]),
                one,
                2.0,
                steps,
                mesh,
                faces=faces,
                rho=lambda x: 2 + x[:, 0],
            ).on_grid(x)
            - 1
            - 4 * np.sin(x)
        ).max()
        for steps in (16, 32, 64)
    ]
    assert np.all(np.abs(orders(errors) - 2) < 0.1) and errors[-1] < 2e-3


def test_what_flows_in_warms_a_plate_linearly():
    """u = t + x^2 / 2, insulated at 0, h = 1 at 1, fluxes alone: exact, whatever the steps."""
    mesh, side = fem.Mesh(((0.0, 1.0),), 3, 2), ((0.0, 1.0),)
    faces = [face._replace(flux=True) for face in faces_of((0, 1), side)]
    x = np.linspace(0, 1, 7)
    found = fem.solve_parabolic(one, zero, lambda x: x[:, 0] ** 2 / 2, 0.7, 5, mesh, faces=faces).on_grid(x)
    np.testing.assert_allclose(found, 0.7 + x**2 / 2, rtol=1e-10)


@given(seeds)
def test_after_a_long_time_a_plate_is_at_rest(seed):
    rng, domain = np.random.default_rng(seed), ((0.0, 1.0), (0.0, 2.0))
    g, h = rng.standard_normal((2, 3))
    faces = known_on(lambda x: g[0] + x @ g[1:], lambda x: h[0] + x[:, ::-1] * h[1:], random_faces(rng, 2), domain)
    mesh, source = fem.Mesh(domain, 3, 3), lambda x: np.cos(3 * x[:, 0])
    rest = fem.solve_elliptic(one, source, mesh, faces=faces)
    late = fem.solve_parabolic(one, source, constant(7.0), 400.0, 100, mesh, faces=faces)
    np.testing.assert_allclose(late.nodal, rest.nodal, atol=1e-6 * np.abs(rest.nodal).max())
