"""How `solve` does the three steps: recipes of Fourier series, of random features and of the paper's networks."""

import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

import fem
import nhpinn
from nhpinn_functions import extreme_eigenvalues, faces_of, on_face, slow_nodes, source_of
from nhpinn_networks import Network
from nhpinn_tools import bounds, equations, features, fourier, polynomials
from nhpinn_tools.calls import keeping_warnings, warn


class Recipe(NamedTuple):
    """How the three steps are done: functions, with their settings bound in."""

    cells: Callable  # problem, rng -> Correctors
    average: Callable  # a (n, dim, dim), gradients of the correctors (dim, n, dim) -> a* (dim, dim)
    # problem, coefficients, rng -> u_0: points -> value, gradient, second derivatives; u_0.value(points): value alone;
    # where there is time, u_0.value_and_gradient(points) as well
    equation: Callable


def three_steps(problem, recipe, seed, count=None):
    """nhpinn.nh_pinn by a recipe, of a problem that has been checked and whose `slow` is known.

    count: midpoints an axis of the means in step 2.  -> Correctors, Coefficients, u_0
    """
    cell_rng, equation_rng = np.random.default_rng(seed).spawn(2)
    correctors = recipe.cells(problem, cell_rng)
    coefficients = nhpinn.homogenized_coefficients(problem, correctors, recipe.average, count)
    check_definite(problem.domain, coefficients)
    return correctors, coefficients, recipe.equation(problem, coefficients, equation_rng)


def check_definite(domain, coefficients):
    """Raises ValueError where a* is not positive definite: between the nodes of a steep one its interpolant swings."""
    x = np.random.default_rng(7).uniform(*np.transpose(domain), (2000, len(domain)))
    least = extreme_eigenvalues(coefficients.tensor(x))[0]
    if not least.min() > 0:
        raise ValueError(
            f"coefficient: its homogenized tensor, interpolated in x, has the eigenvalue {least.min():.3g} at "
            f"{x[least.argmin()]}, expected positive ones; it is too steep in x, beside its fast variable y"
        )


def progress(text=""):
    """Says on a terminal what is done at the moment, each time in place of the last."""
    if sys.stderr.isatty():
        print(f"\r{text:<70}", end="" if text else "\r", file=sys.stderr, flush=True)


def counted(executor, task, items):
    """map(task, items), by an executor if there is one, and more than one item; warnings come from here."""
    mapped = executor.map if executor and len(items) > 1 else map
    for k, (result, sentences) in enumerate(mapped(partial(keeping_warnings, task), items), 1):
        progress(f"cell problem {k} of {len(items)}")
        for sentence in sentences:
            warn(sentence)
        yield result


def train_aloud(name, loss, params, training, rng):
    for state in nhpinn.adam(loss, params, training):
        if state.epoch % 50 == 0:
            progress(f"{name}: epoch {state.epoch} of {training.epochs}, loss {state.loss:.3g}")
        params = state.params
    return params


def fourier_recipe(tolerance=1e-6, executor=None, rho=None, sight=None):
    """Cell problems by trigonometric polynomials, see fourier.py, the homogenized equation by polynomials, with time by
    random features.  executor: as in `solve`; rho: its mean over the cell, a function of x; sight: see
    `fourier.homogenize_cell`."""

    def equation(problem, coefficients, rng):
        if problem.initial is None:
            return polynomials.solve_equation(problem, coefficients.at, tolerance)
        return equations.solve_equation(problem, coefficients.at, tolerance, rng, rho)

    return Recipe(
        lambda problem, rng: fourier.solve_cells(problem, tolerance, partial(counted, executor), sight),
        bounds.energy,
        equation,
    )


def sharp_recipe(tolerance=1e-6, executor=None, rho=None):
    """The same steps by random features and linear least squares, see features.py.  executor, rho: as above"""
    return Recipe(
        lambda problem, rng: features.solve_cells(problem, tolerance, rng, partial(counted, executor)),
        bounds.energy,
        lambda problem, coefficients, rng: equations.solve_equation(problem, coefficients.at, tolerance, rng, rho),
    )


def cell_training(dim):
    """The Training of the paper's recipe for a coefficient of one's own."""
    points = {1: 101, 2: 23, 3: 11}[dim]
    return nhpinn.Training((64, 64, 64), points, (0.1, 0.45, 0.45), rate=2e-3, epochs=4000, decay=0.1, oversampling=2)


def adam_recipe(problem):
    """The paper's recipe with settings for an equation of one's own."""
    timed, dim = problem.initial is not None, problem.dim
    weights = (1 / 7, 5 / 7, 1 / 7) if timed else (0.01, 0.99, 0.0)
    points = ({1: 41, 2: 15, 3: 8} if timed else {1: 101, 2: 21, 3: 11})[dim]
    equation = nhpinn.Training((64, 64, 64), points, weights, rate=2e-3, epochs=4000, decay=0.1)
    nodes_an_axis = {1: 33, 2: 5, 3: 3}[dim]
    nothing = zero_is_a_solution(problem)

    def cells(problem, rng):
        nodes = slow_nodes(problem.domain, problem.slow, nodes_an_axis)
        return nhpinn.solve_cells(problem, cell_training(dim), rng, nodes, train_aloud)

    def solution(problem, coefficients, rng):
        if nothing:
            return Network([(np.zeros((dim + timed, 1)), np.zeros(1))])  # u = 0, which a training finds slowly
        return nhpinn.solve_equation(problem, coefficients.at, equation, rng, train=train_aloud)

    return Recipe(cells, nhpinn.average_of_flux, solution)


def zero_is_a_solution(problem):
    """Whether source, initial value and what is known on the faces are 0, at the points of a grid."""
    axes = [np.linspace(low, high, {1: 4001, 2: 101, 3: 31}[problem.dim]) for low, high in problem.domain]
    x, faces = fem.tensor_grid(axes), faces_of(problem.boundary, problem.domain)
    known = [face.data(on_face(face, axes)) for face in faces]
    if problem.initial is None:
        known.append(problem.source(x))
    else:
        times = problem.final_time * np.arange(4) / 3
        known += [problem.initial(x), *(source_of(problem)(np.insert(x, problem.dim, t, axis=1)) for t in times)]
    return not any(map(np.any, known))


def element_cells(fields, y):
    """The `cells` of Correctors by finite elements: fields, one Field for each slow x."""
    value, slope = zip(*(field.at(y, most=1) for field in fields), strict=True)
    return np.moveaxis(np.stack(value), 1, 2), np.moveaxis(np.stack(slope), 1, 2)
