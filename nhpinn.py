"""Neural homogenization-based physics-informed networks (NH-PINN).

The method of Leung, Lin and Zhang, J. Comput. Phys. 470 (2022) 111539, for

    u_t - d_i( a_ij(x, x/eps) d_j u ) + r(x/eps) u / eps = f   in a box,  u = 0 on its boundary,

with or without the time derivative and the reaction; a and r are periodic in y = x/eps.  Three steps:

    1. cell problems      -d_i( a_ij (d_j chi_k + delta_jk) ) = 0,  chi_k periodic, mean zero   eqs. (9), (10)
                          or  -D lap N = -r                                                     eq. (A.2)
    2. coefficients       a*_ij = mean_Y( a_ij + a_ik d_k chi_j ),   r* = mean_Y( r N )
    3. homogenized        u_t - d_i( a*_ij d_j u ) + r* u = f                                   eqs. (11), (A.3)

Steps 1 and 3 minimise mean squared residuals over the parameters of a tanh network, eq. (3); so does the
classical PINN, which puts the network into the multiscale equation directly.

A problem is any record with the fields
    dim, domain ((low, high), ...), period (a number, or one an axis), eps, coefficient(x, y), reaction(y) or None,
    source(x), initial(x) or None, final_time, slow (whether the coefficient depends on x; None: to be found out);
functions take points (n, dim) and return (n,), the coefficient (n,) or (n, dim, dim).

Networks, their derivatives and losses are in nhpinn_networks.py; points, and what is checked of problems, settings and
a user's functions, in nhpinn_functions.py.
"""

import importlib
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from autograd import value_and_grad

import fem
from nhpinn_functions import (
    Flux,
    Interpolation,
    at_nodes,
    cell_quadrature,
    centre,
    check_cell_training,
    check_equation_training,
    check_integer,
    check_problem,
    check_resolved,
    checked_values,
    depends_on_x,
    grid,
    on_boundary,
    spline_weights,
    tensor_and_divergence,
    tensor_of,
)
from nhpinn_networks import (
    CellNetworks,
    Loss,
    Network,
    equation_term,
    flatten,
    init_network,
    pair_term,
    unflatten,
    value_and_gradient,
    value_term,
)

# --- Adam -------------------------------------------------------------------------------------------


class Training(NamedTuple):
    """How one network, or one batch of networks, is trained.  Weights sum to one, as in eq. (3)."""

    hidden: tuple  # widths of the hidden layers
    points: int  # grid points an axis, both ends included
    weights: tuple  # (equation, periodic, oversampling) or (equation, boundary, initial), in this order
    rate: float  # learning rate of Adam at the first epoch
    epochs: int
    decay: float = 1.0  # the rate falls geometrically to decay * rate; 1: constant, as in the paper
    layers: int = 0  # oversampling layers on each side of the cell


class State(NamedTuple):
    """A training after so many epochs: all that is needed to go on from there."""

    epoch: int
    params: list  # of (W, b)
    m: np.ndarray | float = 0.0  # mean of the gradient, as one vector
    v: np.ndarray | float = 0.0  # mean of its square
    loss: float = math.nan  # at the parameters before the last epoch


def adam(loss, params, training, state=None):
    """The states of a training after 1, 2, ... epochs of Adam (Kingma and Ba 2015, as at the end of their section 2).

    loss: a function of params, which autograd differentiates.  state: one to go on from, in place of params.
    """
    first, params, m, v, _ = state or State(0, params)
    loss_and_gradient = value_and_grad(loss)
    for epoch in range(first, training.epochs):
        value, gradient = loss_and_gradient(params)
        if not np.isfinite(value):
            raise FloatingPointError(
                f"the loss is {value} at epoch {epoch} of {training.epochs}: "
                f"the learning rate {training.rate:g} may be too large"
            )
        gradient = flatten(gradient)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        rate = training.rate * training.decay ** (epoch / training.epochs)
        scale = rate * math.sqrt(1 - 0.999 ** (epoch + 1)) / (1 - 0.9 ** (epoch + 1))
        params = unflatten(flatten(params) - scale * m / (np.sqrt(v) + 1e-8), params)
        yield State(epoch + 1, params, m, v, value)


def train(name, loss, params, training, rng):
    """The parameters at the end of a training.

    A recipe takes another function in its place, which may record, save or stop the states of `adam` on the way: it
    has the name of the training, "cell", "homogenized" or "classical", and its random generator, of no use here.
    """
    for state in adam(loss, params, training):
        params = state.params
    return params


# --- the losses -------------------------------------------------------------------------------------


def periodic_pairs(dim, period, count, layers):
    """Pairs of points one period apart on the grid of a cell, section 4.1 of the paper.

    For every axis i: the count ** (dim - 1) points of the face y_i = 0 with those of y_i = period, and for
    each of the `layers` oversampling layers l on each side, y_i = -l h with period - l h and
    y_i = period + l h with l h, where h = period / (count - 1).
    -> faces (2, dim * count ** (dim - 1), dim), ghosts (2, 2 * layers * dim * count ** (dim - 1), dim)
    """
    period = np.broadcast_to(period, dim)

    def pairs(steps):
        """For every axis and number of steps h: the points at y_axis = step h, and their images one period further."""
        near, far = [], []
        for axis in range(dim):
            across = [np.linspace(0, length, count) for length in period]
            for step in steps:
                across[axis] = np.array([step * period[axis] / (count - 1)])
                near.append(fem.tensor_grid(across))
                far.append(near[-1] + period * np.eye(dim)[axis])
        return np.reshape([near, far], (2, -1, dim))

    return pairs([0.0]), pairs([side * layer for layer in range(1, layers + 1) for side in (-1, 1)])


def cell_loss(dim, period, training, y, a, b, f):
    """Eq. (12) with the sums of section 4.1, of all cell problems d_i(a_ij d_j chi) + f = 0 together.

    On the grid y (n, dim): a (X, n, dim, dim), b = div_y a (X, n, dim), f (X, J, n).
    """
    w1, w2, w3 = (*training.weights, 0.0)[:3]  # equation, periodic, oversampling
    faces, ghosts = periodic_pairs(dim, period, training.points, training.layers)
    weights = np.full(faces.shape[1], w2 / faces.shape[1])
    if training.layers:  # a mean on either side of the cell
        weights = np.append(weights, np.full(ghosts.shape[1], 2 * w3 / ghosts.shape[1]))
    equation = equation_term(y, a[:, None], b[:, None], 0.0, f, w1)
    return Loss((equation, pair_term(np.concatenate([faces, ghosts], axis=1), weights)))


def equation_loss(problem, coefficients, training):
    """Eq. (3) for u_t - d_i(a_ij d_j u) + c u = f: the equation at inner points of a grid, known values at the others.

    coefficients(x) -> a (n, dim, dim), d_i a_ij (n, dim), c.  Where there is time, it is the last input.
    Section 2 has the points of the equation in Omega and the others on its boundary.  It matters: where f is not
    zero in a corner, no smooth function satisfies the equation and the boundary condition there.
    """
    timed, dim = problem.initial is not None, problem.dim
    points = grid([*problem.domain, (0.0, problem.final_time)] if timed else problem.domain, training.points)
    at_boundary = on_boundary(points[:, :dim], problem.domain)
    at_start = timed & (points[:, -1] == 0) & ~at_boundary
    inner, boundary, start = points[~at_boundary & ~at_start], points[at_boundary], points[at_start]
    w1, w2, w3 = (*training.weights, 0.0)[:3]  # equation, boundary, initial

    a, b, c = coefficients(inner[:, :dim])
    f = checked_values("source", problem.source, inner[:, :dim])
    known, values, weights = boundary, np.zeros(len(boundary)), np.full(len(boundary), w2 / len(boundary))
    if timed:
        b = np.hstack([b, np.full((len(b), 1), -1.0)])
        known = np.concatenate([boundary, start])
        values = np.append(values, checked_values("initial", problem.initial, start[:, :dim]))
        weights = np.append(weights, np.full(len(start), w3 / len(start)))
    return Loss((equation_term(inner, a, b, -c, f, w1), value_term(known, values, weights)))


# --- the three steps --------------------------------------------------------------------------------


class Recipe(NamedTuple):
    """How the steps are done: functions, with their settings bound in."""

    cells: Callable  # problem, rng -> Correctors
    average: Callable  # a (n, dim, dim), gradients of the correctors (dim, n, dim) -> a* (dim, dim)
    # problem, coefficients, rng -> u_0: points -> value, gradient, second derivatives; u_0.value(points): value alone
    equation: Callable
    check: Callable = lambda problem: None  # raises ValueError for settings that do not suit the problem
    count: int | None = None  # of midpoints an axis, of the means in step 2; None: those of `cell_quadrature`


def nh_pinn(problem, recipe, seed):
    """The method.  -> Correctors, Coefficients, u_0 as a function of points, with time last where there is time."""
    check_problem(problem)
    recipe.check(problem)
    cell_rng, equation_rng = np.random.default_rng(seed).spawn(2)
    correctors = recipe.cells(problem, cell_rng)  # step 1
    coefficients = homogenized_coefficients(problem, correctors, recipe.average, recipe.count)  # step 2
    u0 = recipe.equation(problem, coefficients, equation_rng)  # step 3
    return correctors, coefficients, u0


def paper_recipe(cell, homogenized, nodes_an_axis=None, train=train):
    """The paper's: networks trained by Adam.  cell, homogenized: Training of steps 1 and 3.

    nodes_an_axis: points x whose cell problems are solved, if the coefficient depends on x; None: those of step 3.
    """
    count = homogenized.points if nodes_an_axis is None else nodes_an_axis

    def cells(problem, rng):
        return solve_cells(problem, cell, rng, slow_nodes(problem, count), train)

    def equation(problem, coefficients, rng):
        return solve_equation(problem, coefficients, homogenized, rng, train=train)

    def check(problem):
        check_equation_training(homogenized, problem.dim, problem.initial is not None)
        check_integer("nodes_an_axis", count, 2, 10**4)
        check_cell_training(cell, problem.dim, len(slow_nodes(problem, count)))

    return Recipe(cells, average_of_flux, equation, check)


def slow_nodes(problem, count):
    """The points x whose cell problems are solved: a grid, or the centre if x plays no part.  (X, dim)"""
    slow = depends_on_x(problem.coefficient, problem.dim, problem.domain, problem.period, problem.slow)
    return grid(problem.domain, count) if slow else centre(problem.domain)[None]


class Correctors(NamedTuple):
    """The solutions of all cell problems: chi_j(x, y), eq. (9), or N(y), eq. (A.2), by whatever recipe."""

    cells: Callable  # y (n, dim) -> values (X, J, n) with zero mean over the cell, gradients (X, J, n, dim); periodic
    weights: Interpolation  # of the nodes
    nodes: np.ndarray  # (X, dim): the slow points x whose cell problems were solved
    period: float | tuple

    def expansion(self, x, y):
        """At x, y (n, dim): values (J, n), gradients in y (J, n, dim), gradients in x (J, n, dim)."""
        weights, slopes = self.weights(x)
        chi, chi_y = self.cells(y)
        return (
            np.einsum("nx,xjn->jn", weights, chi),
            np.einsum("nx,xjnd->jnd", weights, chi_y),
            np.einsum("nxd,xjn->jnd", slopes, chi),
        )


def solve_cells(problem, training, rng, nodes, train=train):
    """Step 1: train the correctors of all cell problems together, eqs. (9) to (12).

    Networks of one j start from the same parameters at every node x, so that their errors vary smoothly with x.
    """
    dim, period = problem.dim, problem.period
    check_cell_training(training, dim, len(nodes))
    y = grid([(0.0, length) for length in np.broadcast_to(period, dim)], training.points)
    field, points = at_nodes(problem.coefficient, nodes, y)
    check_resolved(field, points, np.divide(period, training.points - 1), len(nodes))
    a, b = tensor_and_divergence(field, points)
    a, b = a.reshape(len(nodes), -1, dim, dim), b.reshape(len(nodes), -1, dim)
    f = np.moveaxis(b, -1, -2) if problem.reaction is None else -problem.reaction(y)[None, None]
    start = init_network((dim, *training.hidden, 1), rng, (1, f.shape[1]))
    start = [tuple(np.repeat(array, len(nodes), axis=0) for array in pair) for pair in start]
    params = train("cell", cell_loss(dim, period, training, y, a, b, f), start, training, rng)
    mean = value_and_gradient(params, cell_quadrature(dim, period))[0].mean(-1)
    return Correctors(CellNetworks(params, period, mean), spline_weights(nodes), nodes, period)


class Coefficients(NamedTuple):
    """Step 2: the coefficients of the homogenized equation."""

    samples: np.ndarray  # (X, dim, dim): a* at the nodes x
    weights: Interpolation  # of the nodes
    reaction: float  # r*

    def tensor(self, x):  # (n, dim) -> a* (n, dim, dim)
        return np.einsum("nx,xij->nij", self.weights(x)[0], self.samples)

    def divergence(self, x):  # (n, dim) -> d_i a*_ij (n, dim)
        return np.einsum("nxi,xij->nj", self.weights(x)[1], self.samples)

    def __call__(self, x):  # what `equation_loss` asks for
        return self.tensor(x), self.divergence(x), self.reaction


def homogenized_coefficients(problem, correctors, average, count=None):
    """Step 2: a* at every node from the correctors' gradients, and r* = mean(r N).  count: of midpoints, see Recipe."""
    y, nodes = cell_quadrature(problem.dim, problem.period, count), correctors.nodes
    a = tensor_of(*at_nodes(problem.coefficient, nodes, y)).reshape(len(nodes), -1, problem.dim, problem.dim)
    chi, slopes = correctors.cells(y)
    if problem.reaction is None:
        samples, reaction = np.stack([average(*pair) for pair in zip(a, slopes, strict=True)]), 0.0
    else:
        samples, reaction = a.mean(axis=1), float(np.mean(problem.reaction(y) * chi[0, 0]))
    return Coefficients(samples, correctors.weights, reaction)


def average_of_flux(a, slopes):
    """a*_ij = mean(a_ij + a_ik d_k chi_j), below eq. (11).

    The exact a* is symmetric; an antisymmetric part is training error, drops out of a homogenized equation
    with constant coefficients, and is dropped here.
    """
    tensor = a.mean(axis=0) + np.einsum("nik,jnk->ij", a, slopes) / len(a)
    return (tensor + tensor.T) / 2


def solve_equation(problem, coefficients, training, rng, params=None, train=train, name="homogenized"):
    """Step 3: train a network on u_t - d_i(a_ij d_j u) + c u = f, u = 0 on the boundary, eq. (3).  -> Network"""
    timed = problem.initial is not None
    check_equation_training(training, problem.dim, timed)
    start = params or init_network((problem.dim + timed, *training.hidden, 1), rng)
    return Network(train(name, equation_loss(problem, coefficients, training), start, training, rng))


# --- the classical PINN, transfer learning, reconstruction ------------------------------------------


def classical_pinn(problem, training, rng, params=None, train=train):
    """The PINN on the multiscale equation, section 2.1; transfer learning if it starts from the params of step 3."""
    return solve_equation(problem, multiscale(problem), training, rng, params, train, "classical")


def multiscale(problem):
    """x (n, dim) -> a, its divergence, r / eps: the coefficients of the multiscale equation."""

    def coefficients(x):
        a, b = tensor_and_divergence(lambda p: problem.coefficient(p, p / problem.eps), x)
        return a, b, 0.0 if problem.reaction is None else problem.reaction(x / problem.eps) / problem.eps

    return coefficients


def reconstruct(problem, u0, slope, second, expansion):
    """u_0 + eps chi_j d_j u_0, or u_0 (1 + eps N): eq. (5) to first order, and its gradient.

    u0 (n,), slope (n, dim), second (n, dim, dim): the homogenized solution and its derivatives.
    expansion: the correctors at (x, x / eps), see Correctors.expansion.  -> (n,), (n, dim)
    """
    eps, (chi, chi_y, chi_x) = problem.eps, expansion
    if problem.reaction is None:
        factor, factor_slope = slope.T, np.moveaxis(second, -1, 0)  # of chi_j: d_j u_0
    else:
        factor, factor_slope = u0[None], slope[None]  # of N: u_0
    value = u0 + eps * np.einsum("jn,jn->n", chi, factor)
    oscillation = np.einsum("jnd,jn->nd", chi_y + eps * chi_x, factor)
    return value, slope + oscillation + eps * np.einsum("jn,jnd->nd", chi, factor_slope)


# --- the tools ----------------------------------------------------------------------------------------

TOOLS = ("Homogenized", "Solution", "TwoPhase", "certify", "homogenize", "homogenize_at", "solve")
__version__ = "1.0.0"
__all__ = ["Coefficients", "Correctors", "Flux", "Recipe", "State", "Training", "adam", "average_of_flux", "cell_loss",
           "classical_pinn", "equation_loss", "homogenized_coefficients", "multiscale", "nh_pinn", "paper_recipe",
           "periodic_pairs", "reconstruct", "solve_cells", "solve_equation", "train", *TOOLS]  # fmt: skip


def __getattr__(name):
    """nhpinn.solve and the other tools, imported when they are first asked for: the one arrow that points upwards."""
    if name in TOOLS:
        return getattr(importlib.import_module("nhpinn_tools"), name)
    raise AttributeError(f"module 'nhpinn' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
