"""Neural homogenization-based physics-informed networks (NH-PINN).

The method of Leung, Lin and Zhang, J. Comput. Phys. 470 (2022) 111539, for

    u_t - d_i( a_ij(x, x/eps) d_j u ) + r(x/eps) u / eps = f   in a box,  B(u) = b on its boundary  eqs. (4), (A.1)

with or without the time derivative and the reaction; a and r are periodic in y = x/eps, and B(u) is u, or, ours, the
flux n . a grad u on some of the faces.  With u = u_0 + eps u_1 + eps^2 u_2 + ..., eq. (5), every power of eps is an
equation of its own: the first, eq. (6), says that u_0 does not depend on y; the second, eq. (7), that u_1 = chi_j d_j
u_0, where chi_j solves a cell problem; the third, eq. (8), has a solution u_2 only if the mean over y of its right side
is 0: the homogenized equation.  Hence

    1. cell problems      -d_i( a_ij (d_j chi_k + delta_jk) ) = 0,  chi_k periodic, mean zero        eqs. (9), (10)
                          or  -D lap N = -r, where u_1 = N u_0                                       eq. (A.2)
    2. coefficients       a*_ij = mean_Y( a_ij + a_ik d_k chi_j ),   r* = mean_Y( r N )
    3. homogenized        u_t - d_i( a*_ij d_j u ) + r* u = f                               eqs. (11), (15), (A.3)

Steps 1 and 3 minimise mean squared residuals over the parameters of a tanh network, eq. (3); so does the
classical PINN, which puts the network into the multiscale equation directly.  Both steps by finite elements are
eq. (14): lab/experiments.py, where the errors e1 to e4 are, too.

A problem is any record with the fields
    dim, domain ((low, high), ...), period (a number, or one an axis), eps, coefficient(x, y), reaction(y) or None,
    source(x), or source(x, t) where there is time, boundary (values and fluxes on faces, see `faces_of`; 0: u = 0),
    initial(x) or None, final_time, slow (whether the coefficient depends on x; None: to be found out);
functions take points (n, dim) and return (n,), the coefficient (n,) or (n, dim, dim).  `nh_pinn` and `classical_pinn`
check it and the settings before any work; what they call trusts them.

Networks, their derivatives and losses are in nhpinn_networks.py; points, and what is checked of problems, settings and
a user's functions, in nhpinn_functions.py.
"""

import importlib
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from autograd import value_and_grad

import fem
from nhpinn_functions import (
    Flux,
    Interpolation,
    at_nodes,
    cell_grid,
    cell_quadrature,
    check_equation_training,
    check_problem,
    checked_nodes,
    checked_values,
    faces_of,
    grid,
    on_boundary,
    slow_nodes,
    source_of,
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
    network_jet,
    pair_term,
    unflatten,
    value_and_gradient,
    value_term,
)

# --- Adam -------------------------------------------------------------------------------------------


class Training(NamedTuple):
    """How one network, or one batch of networks, is trained."""

    hidden: tuple  # widths of the network's hidden layers
    points: int  # grid points an axis, both ends included
    weights: tuple  # w1, w2, w3 of equation, periodic, oversampling, or of equation, boundary, initial; their sum is 1
    rate: float  # learning rate of Adam at the first epoch
    epochs: int
    decay: float = 1.0  # the rate falls geometrically to decay * rate; 1: constant, as in the paper
    oversampling: int = 0  # of a cell: layers of points outside of every face, section 4.1; if 0, so is w3


class State(NamedTuple):
    """A training after so many epochs: all that is needed to go on from there."""

    epoch: int
    params: list  # of (W, b)
    m: np.ndarray | float = 0.0  # mean of the gradient, as one vector
    v: np.ndarray | float = 0.0  # mean of its square
    loss: float = math.nan  # at the parameters before the last epoch


def adam(loss: Callable, params: list | None, training: Training, state: State | None = None) -> Iterator[State]:
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


def train(name: str, loss: Loss, params: list, training: Training, rng: np.random.Generator) -> list:
    """The parameters at the end of a training.

    The steps take another function in its place: another optimizer, or one that records, saves or stops the states of
    `adam` on the way.  It gets the name of the training, "cell", "homogenized" or "classical", and its random
    generator, of no use here.
    """
    for state in adam(loss, params, training):
        params = state.params
    return params


# --- the method -------------------------------------------------------------------------------------


def nh_pinn(problem, cell: Training, homogenized: Training, seed, train=train, jet=network_jet, nodes_an_axis=None):
    """The method.  -> Correctors, Coefficients, u_0: a Network, with time last in its points where there is time.

    cell, homogenized: of steps 1 and 3.  seed: what np.random.default_rng takes.  train: what minimises a loss.
    jet: what evaluates networks and their derivatives; partial(plain_jet, activation=...) of nhpinn_networks.py for
    another activation than tanh.
    nodes_an_axis: points x whose cell problems are solved, if the coefficient depends on x; None: those of step 3.
    Raises ValueError or TypeError for what does not fit.
    """
    nodes = checked_nodes(problem, cell, homogenized, nodes_an_axis)
    cell_rng, equation_rng = np.random.default_rng(seed).spawn(2)
    correctors = solve_cells(problem, cell, cell_rng, nodes, train, jet)  # step 1
    coefficients = homogenized_coefficients(problem, correctors)  # step 2
    u0 = solve_equation(problem, coefficients.at, homogenized, equation_rng, train=train, jet=jet)  # step 3
    return correctors, coefficients, u0


# --- step 1: cell problems --------------------------------------------------------------------------


class Correctors(NamedTuple):
    """The solutions of all cell problems: chi_j(x, y), eq. (9), or N(y), eq. (A.2), by whatever recipe."""

    cells: Callable  # y (n, dim) -> values (X, J, n) with zero mean over the cell, gradients (X, J, n, dim); periodic
    weights: Interpolation  # of the nodes
    nodes: np.ndarray  # (X, dim): the slow points x whose cell problems were solved
    period: float | tuple

    def expansion(self, x: np.ndarray, y: np.ndarray):
        """At x, y (n, dim): values (J, n), gradients in y (J, n, dim), gradients in x (J, n, dim)."""
        weights, slopes = self.weights(x)
        chi, chi_y = self.cells(y)
        return (
            np.einsum("nx,xjn->jn", weights, chi),
            np.einsum("nx,xjnd->jnd", weights, chi_y),
            np.einsum("nxd,xjn->jnd", slopes, chi),
        )


def solve_cells(problem, training: Training, rng, nodes: np.ndarray, train=train, jet=network_jet) -> Correctors:
    """Step 1: train the correctors of all cell problems together, eqs. (9) to (12).  nodes: x (X, dim), see slow_nodes.

    Networks of one j start from the same parameters at every node x, so that their errors vary smoothly with x.
    rng: a random generator of numpy.  train, jet: as of nh_pinn.
    """
    dim, period = problem.dim, problem.period
    y = cell_grid(dim, period, training.points)
    a, b, f = cell_equations(problem, nodes, y)
    start = init_network((dim, *training.hidden, 1), rng, (1, f.shape[1]))
    start = [tuple(np.repeat(array, len(nodes), axis=0) for array in pair) for pair in start]
    loss = cell_loss(dim, period, training, y, a, b, f)
    params = train("cell", loss._replace(jet=jet), start, training, rng)
    mean = value_and_gradient(params, cell_quadrature(dim, period), jet)[0].mean(-1)
    return Correctors(CellNetworks(params, period, mean, jet), spline_weights(nodes), nodes, period)


def cell_equations(problem, nodes, y):
    """Eq. (9), a_ij d_ij chi_k + b_j d_j chi_k + f_k = 0 with b = div_y a and f_k = b_k; f = -r for N, eq. (A.2).

    At the nodes x and points y (n, dim): a (X, n, dim, dim), b (X, n, dim), f (X, J, n).
    """
    a, b = tensor_and_divergence(*at_nodes(problem.coefficient, nodes, y))
    a, b = a.reshape(len(nodes), *y.shape, -1), b.reshape(len(nodes), *y.shape)
    return a, b, np.moveaxis(b, -1, -2) if problem.reaction is None else -problem.reaction(y)[None, None]


def cell_loss(dim: int, period, training: Training, y, a, b, f) -> Loss:
    """Eq. (12) with the sums of section 4.1, of all cell problems together; y, a, b, f: see cell_equations."""
    w1, w2, w3 = training.weights
    faces, layers = periodic_pairs(dim, period, training.points, training.oversampling)
    weights = np.full(faces.shape[1], w2 / faces.shape[1])
    if training.oversampling:  # a mean on either side of the cell
        weights = np.append(weights, np.full(layers.shape[1], 2 * w3 / layers.shape[1]))
    equation = equation_term(y, a[:, None], b[:, None], 0.0, f, w1)
    return Loss((equation, pair_term(np.concatenate([faces, layers], axis=1), weights)))


def periodic_pairs(dim: int, period, count: int, oversampling: int):
    """Pairs of points one period apart on the grid of a cell, section 4.1 of the paper; drawn in docs/oversampling.svg.

    For every axis i: the count ** (dim - 1) points of the face y_i = 0 with those of y_i = period, and for
    each of the `oversampling` layers l on each side, y_i = -l h with period - l h and
    y_i = period + l h with l h, where h = period / (count - 1).
    -> faces (2, dim * count ** (dim - 1), dim), layers (2, 2 * oversampling * dim * count ** (dim - 1), dim)
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

    return pairs([0.0]), pairs([side * layer for layer in range(1, oversampling + 1) for side in (-1, 1)])


# --- step 2: the homogenized coefficients -----------------------------------------------------------


class Coefficients(NamedTuple):
    """The coefficients of the homogenized equation."""

    samples: np.ndarray  # (X, dim, dim): a* at the nodes x
    weights: Interpolation  # of the nodes
    reaction: float  # r*

    def tensor(self, x: np.ndarray) -> np.ndarray:
        """(n, dim) -> a* (n, dim, dim)"""
        return np.einsum("nx,xij->nij", self.weights(x)[0], self.samples)

    def divergence(self, x: np.ndarray) -> np.ndarray:
        """(n, dim) -> d_i a*_ij (n, dim)"""
        return np.einsum("nxi,xij->nj", self.weights(x)[1], self.samples)

    def at(self, x: np.ndarray):
        """(n, dim) -> a* (n, dim, dim), d_i a*_ij (n, dim), r*: what `equation_loss` asks for."""
        return self.tensor(x), self.divergence(x), self.reaction


def average_of_flux(a: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """a*_ij = mean(a_ij + a_ik d_k chi_j), below eq. (11): a (n, dim, dim), slopes (dim, n, dim) -> (dim, dim).

    The exact a* is symmetric; an antisymmetric part is training error, drops out of a homogenized equation
    with constant coefficients, and is dropped here.
    """
    tensor = a.mean(axis=0) + np.einsum("nik,jnk->ij", a, slopes) / len(a)
    return (tensor + tensor.T) / 2


def homogenized_coefficients(
    problem, correctors: Correctors, average: Callable = average_of_flux, count: int | None = None
) -> Coefficients:
    """Step 2: a* at every node from the correctors' gradients, and r* = mean(r N).

    average: as `average_of_flux`.  count: midpoints an axis of the means; None: those of `cell_quadrature`.
    """
    y, nodes = cell_quadrature(problem.dim, problem.period, count), correctors.nodes
    a = tensor_of(*at_nodes(problem.coefficient, nodes, y)).reshape(len(nodes), *y.shape, -1)
    chi, slopes = correctors.cells(y)
    if problem.reaction is None:
        samples, reaction = np.stack([average(*pair) for pair in zip(a, slopes, strict=True)]), 0.0
    else:
        samples, reaction = a.mean(axis=1), float(np.mean(problem.reaction(y) * chi[0, 0]))
    return Coefficients(samples, correctors.weights, reaction)


# --- step 3: the homogenized equation ---------------------------------------------------------------


def solve_equation(
    problem, coefficients, training: Training, rng, params=None, train=train, name="homogenized", jet=network_jet
) -> Network:
    """Step 3: train a network on u_t - d_i(a_ij d_j u) + c u = f, B(u) = b on the boundary, eq. (3).

    coefficients: see `equation_loss`.  params: to start from; None: random ones.  name: of the training.
    """
    start = params or init_network((problem.dim + (problem.initial is not None), *training.hidden, 1), rng)
    loss = equation_loss(problem, coefficients, training)
    return Network(train(name, loss._replace(jet=jet), start, training, rng), jet)


def equation_loss(problem, coefficients: Callable, training: Training) -> Loss:
    """Eq. (3) for u_t - d_i(a_ij d_j u) + c u = f: the equation at inner points of a grid, B(u) = b at the others.

    coefficients(x) -> a (n, dim, dim), d_i a_ij (n, dim), c.  Where there is time, it is the last input.
    Section 2 has the points of the equation in Omega and the others on its boundary.  It matters: where f is not
    zero in a corner, no smooth function satisfies the equation and the boundary condition there.
    """
    timed, dim = problem.initial is not None, problem.dim
    points = grid([*problem.domain, (0.0, problem.final_time)] if timed else problem.domain, training.points)
    at_boundary = on_boundary(points[:, :dim], problem.domain)
    at_start = timed & (points[:, -1] == 0) & ~at_boundary
    inner, boundary, start = points[~at_boundary & ~at_start], points[at_boundary], points[at_start]
    w1, w2, w3 = training.weights

    a, b, c = coefficients(inner[:, :dim])
    f = checked_values("source", source_of(problem), inner)
    conormal, given = boundary_data(problem, coefficients, boundary)
    flux = conormal.any(axis=1)
    known, values, weights = boundary[~flux], given[~flux], np.full(np.sum(~flux), w2 / len(boundary))
    if timed:
        b = np.hstack([b, np.full((len(b), 1), -1.0)])  # of the derivative in time: d_i(a_ij d_j u) - u_t - c u + f = 0
        known = np.concatenate([known, start])
        values = np.append(values, checked_values("initial", problem.initial, start[:, :dim]))
        weights = np.append(weights, np.full(len(start), w3 / len(start)))
    terms = [equation_term(inner, a, b, -c, f, w1), value_term(known, values, weights)]
    if flux.any():
        none = np.zeros((flux.sum(), 0, 0))  # no second derivatives
        terms.append(equation_term(boundary[flux], none, conormal[flux], 0.0, -given[flux], w2 * flux.mean()))
    return Loss(tuple(terms))


def boundary_data(problem, coefficients, points):
    """B(u) = b, section 2, at points of the boundary, with time last where there is time: n . a (n, d), where a flux
    n . a grad u is known, 0 where u is; b (n,).  Where faces meet a value counts."""
    conormal, b, x = np.zeros(points.shape), np.zeros(len(points)), points[:, : problem.dim]
    for face in sorted(faces_of(problem.boundary, problem.domain), key=lambda face: not face.flux):
        on = x[:, face.axis] == face.at
        b[on] = checked_values("boundary", face.data, x[on])
        conormal[on] = 0
        if face.flux:
            conormal[on, : problem.dim] = (2 * face.side - 1) * coefficients(x[on])[0][:, face.axis]
    return conormal, b


# --- the classical PINN, transfer learning, reconstruction ------------------------------------------


def classical_pinn(problem, training: Training, seed, params=None, train=train, jet=network_jet) -> Network:
    """The PINN on the multiscale equation, section 2.1; transfer learning if it starts from the params of step 3.

    seed, train, jet: as of nh_pinn.
    """
    check_problem(problem)
    check_equation_training(training, problem.dim, problem.initial is not None)
    rng = np.random.default_rng(seed)
    return solve_equation(problem, multiscale(problem), training, rng, params, train, "classical", jet)


def multiscale(problem) -> Callable:
    """x (n, dim) -> a, its divergence, r / eps: coefficients of the multiscale equation, eqs. (4), (18) and (20)."""

    def coefficients(x):
        a, b = tensor_and_divergence(lambda p: problem.coefficient(p, p / problem.eps), x)
        return a, b, 0.0 if problem.reaction is None else problem.reaction(x / problem.eps) / problem.eps

    return coefficients


def reconstruct(problem, u0, slope, second, expansion):
    """u_0 + eps chi_j d_j u_0, or u_0 (1 + eps N): eq. (5) to first order with u_1 of eq. (7), and its gradient.

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

if TYPE_CHECKING:  # for readers and editors; `__getattr__` below is what runs
    from nhpinn_tools import *  # noqa: F403

__version__ = "2.0.0"
TOOLS = ("Homogenized", "Solution", "Table", "Tortuosity", "TwoPhase", "certify", "homogenize", "homogenize_at",
         "load", "solve", "table", "tortuosity")  # fmt: skip
__all__ = ["Coefficients", "Correctors", "Flux", "State", "Training", "adam", "average_of_flux", "cell_loss",
           "classical_pinn", "equation_loss", "homogenized_coefficients", "multiscale", "nh_pinn", "periodic_pairs",
           "reconstruct", "slow_nodes", "solve_cells", "solve_equation", "train", *TOOLS]  # fmt: skip


def __getattr__(name):
    """nhpinn.solve and the other tools, imported when they are first asked for: the one arrow that points upwards."""
    if name in TOOLS:
        return getattr(importlib.import_module("nhpinn_tools"), name)
    raise AttributeError(f"module 'nhpinn' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
