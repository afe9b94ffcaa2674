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

Networks, their derivatives, points and what is checked of a user's functions are in nhpinn_networks.py; what is
checked of problems and settings stands at the end of this file.
"""

import inspect
import math
import pickle
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from numbers import Integral, Real
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from autograd import value_and_grad

import fem
import nhpinn_bounds
import nhpinn_interfaces
import nhpinn_sharp
from nhpinn_interfaces import TwoPhase, coefficient_of
from nhpinn_networks import (
    LARGEST,
    POROUS,
    SMALLEST,
    CellNetworks,
    Correctors,
    Interpolation,
    Loss,
    Network,
    at_node,
    at_nodes,
    box_midpoints,
    called,
    cell_quadrature,
    centre,
    check_elliptic,
    check_periodic,
    check_resolved,
    checked_values,
    depends_on_x,
    equation_term,
    flatten,
    grid,
    init_network,
    midpoints,
    on_boundary,
    pair_term,
    shown,
    spline_weights,
    tensor_and_divergence,
    tensor_of,
    unflatten,
    value_and_gradient,
    value_term,
    warn,
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
    equation: Callable  # problem, coefficients, rng -> u_0: points -> value, gradient, second derivatives
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


# --- for a coefficient of one's own: homogenize -----------------------------------------------------


class Homogenized(NamedTuple):
    """A homogenized tensor between its bounds, and its correctors."""

    tensor: np.ndarray  # (dim, dim)
    lower: np.ndarray  # (dim, dim): below the homogenized tensor in the Loewner order
    upper: np.ndarray  # (dim, dim): above it
    gap: float  # between the bounds, relative, in the direction where it is largest
    quadrature: float  # what another quadrature changes in them, relative; what an image of a function changes in means
    cells: Callable  # as in Correctors, of one node: y (n, dim) -> (1, dim, n), (1, dim, n, dim)
    recipe: str

    @property
    def error(self):
        """How far the tensor may be from the homogenized one, relative: gap and quadrature."""
        return self.gap + self.quadrature

    def corrector(self, y):
        """chi_j at any points y (n, dim), periodic, mean zero: (n, j)"""
        return self.cells(checked_points("y", y, len(self.tensor)))[0][0].T

    def gradient(self, y):
        """d chi_j / d y_k at any points y (n, dim): (n, j, k); the field of mean e_j is e_j + gradient(y)[:, j]"""
        return self.cells(checked_points("y", y, len(self.tensor)))[1][0].swapaxes(0, 1)

    def __str__(self):
        lines = lines_of(self.tensor, "tensor ")
        return f"tensor {lines}\ngap of the bounds {self.gap:.2g}, quadrature {self.quadrature:.2g}, by {self.recipe}"

    __repr__ = __str__


def lines_of(tensor, prefix):
    """A tensor with ten digits of its largest entry, and no -0."""
    digits = 9 - math.floor(math.log10(np.abs(tensor).max()))
    fixed = 1 < digits < 14  # else powers of ten
    rounded = np.round(tensor, digits) + 0.0
    return np.array2string(rounded, precision=digits if fixed else 9, suppress_small=fixed, prefix=prefix)


TOLERANCES = {"sharp": 1e-6, "adam": 1e-2, "fem": 1e-6, "image": 1e-2, "two phases": 1e-4}


def homogenize(
    coefficient, dim, *, period=1.0, recipe="sharp", tolerance=None, seed=0, values=None, **settings
) -> Homogenized:
    """The homogenized tensor of a periodic coefficient, with bounds on both sides.

    coefficient: a function of y (n, dim) -> (n,) or (n, dim, dim), written with autograd.numpy, smooth, elliptic, and
    periodic as it stands, with this period (a number, or one an axis); or an image of any shape
    (m_1, ..., m_dim), with or without (dim, dim) behind it, whose axis i runs along y_i (axis 0: the rows of a
    picture); or an image of labels, with values={label: conductivity or tensor}; or a TwoPhase, for interfaces between
    smooth phases.
    recipe: "sharp" (random features), "adam" (the paper's, for functions; settings are fields of Training), "fem"
    (finite elements; of a TwoPhase those of an image of it); images have finite elements in any case.
    tolerance: of the gap of the bounds and what their quadrature adds; None: 1e-6 for functions, 1e-4 for a TwoPhase,
    1e-2 for images and for adam; images of functions and of a TwoPhase have 1e-2 at best.

    The bounds hold for any correctors; a warning says where they stay further apart than the tolerance.  Raises
    ValueError or TypeError for a coefficient outside the theory and for bad settings.
    """
    check_homogenize(dim, period, recipe, tolerance, seed)
    period = np.broadcast_to(np.asarray(period, float), dim)
    kind, solve, coefficient = _way(coefficient, period, recipe, values)
    if unknown := set(settings) - set(Training._fields if kind == "adam" else ()):
        raise TypeError(f"settings: found {sorted(unknown)}, expected fields of Training, for functions and adam alone")
    tolerance = tolerance or TOLERANCES[kind]
    found = solve(coefficient, period, tolerance, seed, **settings)
    if found.recipe == "fem" and kind in ("sharp", "two phases"):
        return found  # a warning has said so
    if not found.error <= tolerance:
        warn(
            f"homogenize: the bounds are {found.gap:.2g} apart and their quadrature moves by {found.quadrature:.2g}, "
            f"relative to the tensor, expected at most {tolerance:g}; {ADVICE[kind]}"
        )
    return found


ADVICE = {
    "sharp": "it is steep or oscillates within its cell: recipe='fem' may come closer",
    "adam": "recipe='sharp' is faster and comes closer; more epochs and points help a little",
    "fem": "a coefficient that jumps comes closer as an image or as a TwoPhase",
    "image": "fields are singular at corners of pixels; if the phases have smooth interfaces, a TwoPhase comes closer",
    "two phases": "features cannot follow narrow gaps and corners, nor quadrature small inclusions: recipe='fem' has "
    "the bounds of an image",
}


def _way(coefficient, period, recipe, values):
    """What a coefficient is, the function that solves it by this recipe, and the coefficient as that one takes it."""
    dim, phases, function = len(period), isinstance(coefficient, TwoPhase), callable(coefficient)
    if recipe == "adam" and not function:
        raise ValueError("recipe: found 'adam', expected it for functions alone; a TwoPhase takes 'sharp' or 'fem'")
    if values is not None and (phases or function):
        raise ValueError(f"values: found {shown(values)}, expected None but for an image of labels")
    if phases:
        cell = nhpinn_interfaces.unit_cell(coefficient, dim, period)
        return "two phases", _by_interfaces if recipe == "sharp" else _by_image, cell
    if not function:
        return "image", _by_pixels, image_of(coefficient, dim, values)
    check_periodic("coefficient", coefficient, dim, period)
    return recipe, {"sharp": _by_features, "adam": _by_training, "fem": _by_elements}[recipe], coefficient


def _scaled_back(bounds, period, recipe):
    """Homogenized from bounds and correctors on the unit cell, see nhpinn_sharp.on_unit_cell."""
    lower, tensor, upper, gap, moved, cells = nhpinn_bounds.in_cell(bounds, period)
    cells = partial(_scaled_cells, cells, period)  # it can be sent to another process, as a closure cannot
    return Homogenized(tensor, lower, upper, gap, moved, cells, recipe)


def _scaled_cells(unit, period, y):
    value, slope = unit(y / period)
    return period[:, None] * value, period[:, None, None] * slope / period


def _by_features(coefficient, period, tolerance, seed):
    dim, field = len(period), nhpinn_sharp.on_unit_cell(coefficient, period)
    if dim == 1:
        return _scaled_back(nhpinn_bounds.harmonic_mean(field, tolerance), period, "sharp")
    try:
        found = nhpinn_sharp.homogenize_cell(field, dim, tolerance, np.random.default_rng(seed))
    except nhpinn_bounds.Unresolved as error:
        return _by_sampling(field, period, tolerance, "it jumps; a TwoPhase has exact interfaces", error)
    cells = nhpinn_sharp.all_cells(found, found.C[:, None], np.ones(dim))
    return _scaled_back(found.bounds._replace(cells=cells), period, "sharp")


PIXELS = {1: 4096, 2: 256, 3: 40}  # an axis, of a coefficient that jumps


def _by_sampling(field, period, tolerance, why, unresolved=None):
    """The bounds of an image of a field on the unit cell, which no tolerance brings closer than those of images are.

    Raises `unresolved` if half the pixels show another one.
    """
    dim = len(period)
    counts = PIXELS[dim] // 2, PIXELS[dim]
    coarse, fine = (tensor_of(field, midpoints(dim, 1.0, count)) for count in counts)
    others = nhpinn_bounds.reuss_voigt(fine), nhpinn_bounds.scattered_means(field, dim)
    moved = max(map(nhpinn_bounds.means_apart, (coarse, fine), others))
    if unresolved and moved > 0.05:
        raise unresolved
    fine *= np.outer(period, period)
    if np.array_equal(fine, fine[:, :1, :1] * np.eye(dim)):  # a number in every pixel is quicker
        fine = fine[:, 0, 0]
    image = fine.reshape(*[counts[1]] * dim, *fine.shape[1:])
    found = _by_pixels(image, period, max(tolerance, TOLERANCES["image"]), 0)
    warn(
        f"homogenize: the bounds are those of an image of the coefficient of {counts[1]} pixels an axis, "
        f"{found.gap:.2g} apart; its means are {moved:.2g} from those of the coefficient; {why}"
    )
    return found._replace(quadrature=moved)


def _by_pixels(image, period, tolerance, seed):
    return _of_elements(fem.bounds(image, len(period), period=tuple(period), tolerance=tolerance))


def _of_elements(found):
    cells = partial(element_cells, [found.field])
    return Homogenized(found.tensor, found.lower, found.upper, found.gap, found.quadrature, cells, "fem")


def _by_elements(coefficient, period, tolerance, seed):
    dim = len(period)
    elements = {1: (16, 64, 256), 2: (8, 16, 32), 3: (4, 8, 12)}[dim]
    attempts = (fem.bounds(coefficient, dim, n, period=tuple(period), order=6) for n in elements)
    return nhpinn_bounds.closest(map(_of_elements, attempts), tolerance)


def _by_interfaces(cell, period, tolerance, seed):
    if len(period) == 1:
        return _scaled_back(nhpinn_bounds.harmonic_mean(partial(coefficient_of, cell), tolerance), period, "sharp")
    found = nhpinn_interfaces.solve_two_phases(cell, len(period), tolerance, seed)
    if found.error > 1:
        return _by_image(cell, period, tolerance, seed, f"those that features found are {found.gap:.2g} apart")
    return _scaled_back(found, period, "sharp")


def _by_image(cell, period, tolerance, seed, why="recipe='sharp' has exact interfaces"):
    return _by_sampling(partial(coefficient_of, cell), period, tolerance, why)


def _by_training(coefficient, period, tolerance, seed, **settings):
    """The paper's recipe, on the unit cell and for a coefficient of mean one, so that its settings suit any size.

    The bounds are those of the correctors' trigonometric interpolants, since networks are periodic only nearly.
    """
    dim, field = len(period), nhpinn_sharp.on_unit_cell(coefficient, period)
    scale = np.trace(tensor_of(field, cell_quadrature(dim, 1.0)).mean(axis=0)) / dim
    problem = SimpleNamespace(dim=dim, period=1.0, reaction=None, coefficient=lambda x, y: field(y) / scale)
    training, rng = cell_training(dim)._replace(**settings), np.random.default_rng(seed)
    try:
        correctors = solve_cells(problem, training, rng, np.zeros((1, dim)), train_aloud)
    except FloatingPointError as error:
        raise ValueError(f"rate: {error}") from error
    cells, count = correctors.cells, nhpinn_bounds.CELLS[dim]
    chi = cells(midpoints(dim, 1.0, count))[0][0].reshape(dim, *[count] * dim)
    bounds = nhpinn_bounds.tensor_bounds(field, chi, *nhpinn_bounds.means_and_midpoints(field, dim), tolerance)
    tensor = scale * homogenized_coefficients(problem, correctors, average_of_flux).samples[0]  # maybe out of bounds
    return _scaled_back(bounds._replace(tensor=tensor, cells=cells), period, "adam")


def homogenize_at(coefficient, points, *, dim=None, executor=None, **options):
    """A slowly varying coefficient at each of the points x (X, m): a list of Homogenized.

    coefficient: a function of x (n, m) and y (n, dim); or of one x (m,) alone, which returns what `homogenize` takes,
    such as an image or a TwoPhase.  dim: of the cell; None: m.
    executor: a concurrent.futures.Executor for the points, the same numbers with and without.
    """
    if not callable(coefficient):
        raise TypeError(f"coefficient: found {type(coefficient).__name__}, expected a function of x and y, or of x")
    points = checked_points("points", points)
    check_executor(executor, coefficient)
    needed = [p for p in inspect.signature(coefficient).parameters.values() if p.default is p.empty]
    of_x_alone = len(needed) == 1  # others may be values bound in a loop, as in lambda x, k=k: ...
    task = partial(_homogenize_one, coefficient, of_x_alone, dim or points.shape[1], options)
    found = list(counted(executor, task, points))
    progress()
    return found


def _homogenize_one(coefficient, of_x_alone, dim, options, x):
    return homogenize(coefficient(x) if of_x_alone else at_node(coefficient, x), dim, **options)


# --- for an equation of one's own: solve, certify ---------------------------------------------------


# A problem as `solve` makes one of its arguments, see the head of this file.
Equation = namedtuple("Equation", "coefficient source domain eps period reaction initial final_time dim slow")


def solve(
    coefficient, source, box, eps, *, period=1.0, reaction=None, initial=None, final_time=1.0,
    recipe="sharp", tolerance=1e-4, seed=0, executor=None,
):  # fmt: skip
    """u_t - d_i( a_ij(x, x/eps) d_j u ) + r(x/eps) u / eps = f in a box, u = 0 on its boundary: a Solution.

    coefficient(x, y), periodic in y, (n,) or (n, dim, dim); whether it depends on x is found out.  source(x); box
    ((low, high), ...); reaction(y), with a constant coefficient; initial(x): u at t = 0, without which there is no u_t.
    Functions take points (n, dim); the coefficient is written with autograd.numpy.
    recipe: "sharp", "adam" (the paper's) or "fem" (both steps classical).  tolerance: of the steps; what eps leaves is
    larger in general.
    executor: a concurrent.futures.Executor for the cell problems of a coefficient that depends on x, the same numbers
    with and without (adam trains them together, and needs none).

    Solution.error bounds |a^(1/2) grad(u - v)| / |a^(1/2) grad u| for the v that is returned, if there is no time and
    no reaction; nothing fine is solved.  The head of nhpinn_bounds.py says how, and what is assumed.
    """
    start, dim = time.perf_counter(), len(box) if isinstance(box, tuple | list) or np.ndim(box) else 0
    problem = Equation(coefficient, source, box, eps, period, reaction, initial, final_time, dim, slow=None)
    check_solve(problem, recipe, tolerance, seed)
    check_executor(executor, coefficient)
    domain = tuple((float(low), float(high)) for low, high in box)
    problem = problem._replace(domain=domain, eps=float(eps), period=tuple(map(float, np.broadcast_to(period, dim))))
    problem = problem._replace(slow=depends_on_x(coefficient, dim, domain, problem.period))
    field, means, midpoints_an_axis = smooth_field(problem)
    count = None if problem.slow else nhpinn_bounds.fewest_points(field, dim, means, midpoints_an_axis)
    if recipe == "adam":
        steps = adam_recipe(problem)
    else:
        steps = {"sharp": sharp_recipe, "fem": fem_recipe}[recipe](tolerance, executor)
    correctors, coefficients, u0 = nh_pinn(problem, steps._replace(count=count), seed)
    certificate = bounds = None
    if reaction is None:
        progress("certificate")
        bounds = nhpinn_bounds.bounds_at(centre(domain), correctors, field, means, midpoints_an_axis, tolerance)
        warn_of_means(coefficients.tensor(centre(domain)[None])[0], bounds, tolerance)
        if initial is None:
            certificate = nhpinn_bounds.certificate(problem, correctors, coefficients, u0)
    progress()
    warn_of_large(problem, correctors, certificate)
    return Solution(problem, correctors, coefficients, u0, certificate, bounds, recipe, time.perf_counter() - start)


def warn_of_large(problem, correctors, certificate):
    """Warns where the expansion in eps has not begun to help."""
    if certificate and certificate.error >= 1:
        warn(
            f"error: found a bound of {certificate.error:.3g}, expected one below 1, the error of zero: eps is not "
            "small against the waves of source and coefficient, or the homogenized equation is not resolved"
        )
    if problem.reaction is not None:
        N = correctors.cells(cell_quadrature(problem.dim, problem.period))[0]
        if (size := problem.eps * np.abs(N).max()) > 0.1:
            warn(
                f"reaction: eps N(x / eps) reaches {size:.2g}, expected at most 0.1: by that part of itself the "
                "solution oscillates, and the error may be as large; a smaller eps or a weaker reaction has less"
            )


def warn_of_means(tensor, bounds, tolerance):
    """Warns where the means of step 2 are others than those of the bounds, of more points."""
    miss = fem.relative_size(tensor - bounds.tensor, bounds.tensor)
    if miss > max(tolerance, bounds.error):
        warn(
            f"coefficient: the homogenized tensor differs by {miss:.2g} from the middle of its bounds, which are "
            f"{bounds.error:.2g} apart, expected at most {tolerance:g}; it is steep within its cell"
        )


def smooth_field(problem):
    """What shows that a problem is smooth in y, a field on the unit cell: the coefficient at the centre of the box, or
    beside a reaction, where that is constant, 2 and more of the reaction.  -> the field, its means at scattered points,
    the midpoints an axis that resolve it.  Raises ValueError if it jumps."""
    field = nhpinn_sharp.field_at(problem.coefficient, np.array(problem.period), centre(problem.domain))
    name, reaction = "coefficient" if problem.reaction is None else "reaction", problem.reaction
    if reaction:
        size = np.abs(reaction(cell_quadrature(problem.dim, problem.period))).max() or 1.0
        field = lambda y: 2 + reaction(y * np.array(problem.period)) / size  # noqa: E731
    try:
        return field, *nhpinn_bounds.means_and_midpoints(field, problem.dim)
    except nhpinn_bounds.Unresolved as error:
        sentence = f"{name}: jumps in y, or varies too fast for any quadrature, expected a smooth one"
        raise ValueError(sentence + "; what takes a TwoPhase or an image is homogenize" * (not reaction)) from error


class Solution(NamedTuple):
    """What `solve` returns.  Points x are (n, dim); with time, at the final time, or at t, a number or one a point."""

    problem: Equation
    correctors: Correctors
    coefficients: Coefficients
    u0: Callable  # points, with time last -> value, gradient, second derivatives
    certificate: nhpinn_bounds.Certificate | None
    bounds: nhpinn_bounds.Bounds | None  # of the homogenized tensor at the centre of the box
    recipe: str
    seconds: float

    @property
    def error(self):
        """Guaranteed bound of the relative error in the energy norm; None where there is time or a reaction."""
        return self.certificate and self.certificate.error

    def __call__(self, x, t=None):
        return self._value_and_gradient(x, t)[0]

    def gradient(self, x, t=None):
        return self._value_and_gradient(x, t)[1]

    def homogenized(self, x, t=None):
        return self.u0(self._points(x, t))[0]

    def flux(self, x, t=None):
        """That of the certificate, which balances the source but for the residual; a grad u where there is none."""
        points = self._points(x, t)
        if self.certificate:
            return self.certificate.flux(points)
        x = points[:, : self.problem.dim]
        a = nhpinn_bounds.fine_tensor(self.problem, x)
        return np.einsum("nij,nj->ni", a, self.gradient(x, t))

    def tensor(self, x):
        return self.coefficients.tensor(self._inside(x))

    def corrector(self, x, y):
        x, y = self._inside(x), checked_points("y", y, self.problem.dim)
        if len(x) != len(y):
            raise ValueError(f"y: found {len(y)} points, expected as many as x, {len(x)}")
        return self.correctors.expansion(x, y)[0].T

    def _inside(self, x):
        x, (low, high) = checked_points("x", x, self.problem.dim), np.transpose(self.problem.domain)
        if not len(x):
            raise ValueError("x: found no points, expected one at least")
        if np.any((x < low) | (x > high)):
            raise ValueError(f"x: found points outside of the box {self.problem.domain}, expected them inside")
        return x

    def _points(self, x, t):
        x, final = self._inside(x), self.problem.final_time
        if self.problem.initial is None:
            if t is not None:
                raise ValueError(f"t: found {shown(t)}, expected none, since there is no time")
            return x
        try:
            time = np.asarray(final if t is None else t, dtype=float)
        except (TypeError, ValueError):
            time = np.array(np.nan)
        if time.shape not in ((), x.shape[:1]) or not np.all((time >= 0) & (time <= final)):
            raise ValueError(f"t: found {shown(t)}, expected a time from 0 to {final:g}, or one a point")
        return np.column_stack([x, np.broadcast_to(time, len(x))])

    def _value_and_gradient(self, x, t):
        points, d = self._points(x, t), self.problem.dim
        if self.certificate:
            return self.certificate.reconstruction(points)
        (value, slope, second), x = self.u0(points), points[:, :d]
        expansion = self.correctors.expansion(x, x / self.problem.eps)
        return reconstruct(self.problem, value, slope[:, :d], second[:, :d, :d], expansion)

    def __str__(self):
        p, c, x = self.problem, self.certificate, centre(self.problem.domain)
        count = len(self.correctors.nodes) * (p.dim if p.reaction is None else 1)
        tensor = lines_of(self.tensor(x[None])[0], " " * 16)
        text = f"solution by {self.recipe} in {self.seconds:.1f} s, eps = {p.eps:g}, cell problems: {count}"
        text += f"\ntensor          {tensor}  at {x}"
        if self.bounds:
            text += f"\nits bounds      {self.bounds.error:.2g} apart, relative, quadrature included"
        if p.reaction is not None:
            text += f"\nreaction r*     {self.coefficients.reaction:.8g}"
        if c is None:
            why = "time" if p.initial is not None else "a reaction"
            return text + f"\nrelative error  unknown: the certificate is one of elliptic problems, and here is {why}"
        text += f"\nresidual        {c.residual:.2g} of the source, in the homogenized equation"
        return text + f"\nrelative error  at most {c.error:.3g} in the energy norm"

    __repr__ = __str__

    def plot(self, count=200):
        """A figure of u and of the homogenized solution, in three dimensions on a middle plane."""
        import matplotlib.pyplot as plt

        axes = [np.linspace(*pair, count) for pair in self.problem.domain[:2]]
        x = fem.tensor_grid(axes + [[np.mean(pair)] for pair in self.problem.domain[2:]])
        figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
        for panel, name, function in zip(panels, ("u", "homogenized"), (self, self.homogenized), strict=True):
            if len(axes) == 1:
                panel.plot(axes[0], function(x))
            else:
                picture = panel.pcolormesh(*axes, function(x).reshape(count, count).T, shading="gouraud")
                figure.colorbar(picture, ax=panel)
                panel.set_aspect("equal")
            panel.set_title(name)
        return figure


def certify(solution, value, gradient):
    """Two-sided bounds of the relative energy error of any other candidate for the same equation: lower, upper.

    value(x) -> (n,), gradient(x) -> (n, dim); the candidate need not vanish on the boundary.
    """
    if not isinstance(solution, Solution):
        raise TypeError(f"solution: found {type(solution).__name__}, expected what `solve` returned")
    if solution.certificate is None:
        raise ValueError("solution: found one with time or a reaction, expected one that has a certificate")
    if solution.certificate.norm[1] == 0:
        raise ValueError("solution: found one that is zero, expected one whose norm an error can be relative to")
    value, gradient = partial(checked_values, "value", value), partial(checked_gradient, gradient)
    check_gradient(value, gradient, solution.problem)
    return nhpinn_bounds.certify(solution.certificate, value, gradient)


# --- their recipes, and what long work says ---------------------------------------------------------


def progress(text=""):
    """Says on a terminal what is done at the moment, each time in place of the last."""
    if sys.stderr.isatty():
        print(f"\r{text:<70}", end="" if text else "\r", file=sys.stderr, flush=True)


def counted(executor, task, items):
    """map(task, items), by an executor if there is one, and more than one item."""
    for k, result in enumerate((executor.map if executor and len(items) > 1 else map)(task, items), 1):
        progress(f"cell problem {k} of {len(items)}")
        yield result


def train_aloud(name, loss, params, training, rng):
    for state in adam(loss, params, training):
        if state.epoch % 50 == 0:
            progress(f"{name}: epoch {state.epoch} of {training.epochs}, loss {state.loss:.3g}")
        params = state.params
    return params


def sharp_recipe(tolerance=1e-6, executor=None):
    """The same steps by random features and linear least squares, see nhpinn_sharp.py.  executor: as in `solve`"""
    return Recipe(
        lambda problem, rng: nhpinn_sharp.solve_cells(problem, tolerance, rng, partial(counted, executor)),
        nhpinn_bounds.energy,
        lambda problem, coefficients, rng: nhpinn_sharp.solve_equation(problem, coefficients, tolerance, rng),
    )


def cell_training(dim):
    """The Training of the paper's recipe for a coefficient of one's own."""
    points = {1: 101, 2: 23, 3: 11}[dim]
    return Training((64, 64, 64), points, (0.1, 0.45, 0.45), rate=2e-3, epochs=4000, decay=0.1, layers=2)


def adam_recipe(problem):
    """The paper's recipe with settings for an equation of one's own."""
    timed, dim = problem.initial is not None, problem.dim
    weights = (1 / 7, 5 / 7, 1 / 7) if timed else (0.01, 0.99)
    points = ({1: 41, 2: 15, 3: 8} if timed else {1: 101, 2: 21, 3: 11})[dim]
    equation = Training((64, 64, 64), points, weights, rate=2e-3, epochs=4000, decay=0.1)
    steps = paper_recipe(cell_training(dim), equation, {1: 33, 2: 5, 3: 3}[dim], train=train_aloud)
    x = grid(problem.domain, {1: 4001, 2: 101, 3: 31}[dim])
    if any(np.any(f(x)) for f in (problem.source, problem.initial) if f):
        return steps
    return steps._replace(equation=lambda *_: zero)


def zero(x):
    return 0 * x[:, 0], 0 * x, 0 * x[:, None] * x[:, :, None]


ELEMENTS = {1: (64, 6), 2: (16, 6), 3: (5, 4)}  # an axis, order: of a cell and of the box


def fem_recipe(tolerance=1e-6, executor=None):
    """The same steps by finite elements, for comparison.  tolerance: of the interpolation in x."""

    def cells(problem, rng):
        nodes, (elements, order) = nhpinn_sharp.chebyshev_points(problem, tolerance), ELEMENTS[problem.dim]
        mesh = fem.cell_mesh(problem.dim, elements, problem.period, order)
        task = partial(element_correctors, problem.coefficient, problem.reaction, mesh)
        cells = partial(element_cells, list(counted(executor, task, nodes.points)))
        return Correctors(cells, nodes.weights, nodes.points, problem.period)

    return Recipe(cells, nhpinn_bounds.energy, element_equation, check_isotropic)


def check_isotropic(problem):
    """Raises ValueError for a tensor beside a reaction: elements have N of a number D alone."""
    if problem.reaction is not None:
        a = constant_tensor(problem.coefficient, centre(problem.domain))
        if np.abs(a - a[0, 0] * np.eye(problem.dim)).max() > 1e-10 * np.abs(a).max():
            raise ValueError(
                f"coefficient: found the tensor {shown(a.tolist())} beside a reaction, expected a number for "
                "recipe='fem'; recipe='sharp' takes tensors"
            )


def element_correctors(coefficient, reaction, mesh, x):
    """The correctors at one x (dim,), or N: a Field."""
    if reaction is None:
        return fem.correctors(at_node(coefficient, x), mesh)[0]
    N, _ = fem.reaction_corrector(reaction, constant_tensor(coefficient, x)[0, 0], mesh)
    return N._replace(nodal=N.nodal[:, None])


def constant_tensor(coefficient, x):
    """The coefficient beside a reaction, which is the same everywhere, at one x (dim,): (dim, dim)"""
    return tensor_of(at_node(coefficient, x), x[None])[0]


def element_cells(fields, y):
    value, slope = zip(*(field.at(y, most=1) for field in fields), strict=True)
    return np.moveaxis(np.stack(value), 1, 2), np.moveaxis(np.stack(slope), 1, 2)


def element_equation(problem, coefficients, rng):
    """Step 3; with time, by Crank and Nicolson, anew for every time asked for."""
    mesh = fem.Mesh(problem.domain, *ELEMENTS[problem.dim])
    if problem.initial is None:
        return fem.solve_elliptic(coefficients.tensor, problem.source, mesh, constant(coefficients.reaction)).at
    return partial(elements_in_time, problem, coefficients, mesh)


def constant(r):
    """A constant as a function of points; None for 0."""
    return (lambda x: np.full(len(x), r)) if r else None


def elements_in_time(problem, coefficients, mesh, points):
    d, r = problem.dim, constant(coefficients.reaction)
    out = np.zeros(len(points)), np.zeros(points.shape), np.zeros((*points.shape, d + 1))
    for t in np.unique(points[:, -1]):
        steps, which = max(1, round(400 * t / problem.final_time)), points[:, -1] == t
        u = fem.solve_parabolic(coefficients.tensor, problem.source, problem.initial, t, steps, mesh, r)
        out[0][which], out[1][which, :d], out[2][which, :d, :d] = u.at(points[which, :d])
    return out


# --- what is checked before any work is done --------------------------------------------------------
#
# One sentence names the argument, what was found and what was expected.


def check_problem(problem):
    """Raises ValueError or TypeError for a problem's field that cannot be meant; see the head of this file."""
    check_integer("dim", problem.dim, 1, 3)
    check_positive("eps", problem.eps)
    check_period(problem.period, problem.dim)
    if problem.initial is not None:
        check_positive("final_time", problem.final_time)
    check_box("domain", problem.domain, problem.dim)
    for name in ("coefficient", "source", "reaction", "initial"):
        function = getattr(problem, name)
        if not callable(function) and not (function is None and name in ("reaction", "initial")):
            raise TypeError(f"{name}: found {type(function).__name__}, expected a function of points")
    if problem.slow is not None and not isinstance(problem.slow, bool):
        raise ValueError(f"slow: found {shown(problem.slow)}, expected True, False or None, to find it out")
    check_functions(problem)


def check_functions(problem):
    """The functions of a problem whose other fields fit."""
    dim, domain, period = problem.dim, problem.domain, problem.period
    checked_values("source", problem.source, box_midpoints(domain, 4))
    if problem.initial is not None:
        edge, inside = grid(domain, 9), np.random.default_rng(0).uniform(*np.transpose(domain), (729, dim))
        edge = edge[on_boundary(edge, domain)]
        most, size = (np.abs(checked_values("initial", problem.initial, x)).max() for x in (edge, inside))
        if most > 1e-8 * size:
            raise ValueError(f"initial: found {most:.3g} on the boundary, expected 0, as u is there")
    slow = depends_on_x(problem.coefficient, dim, domain, period)
    if slow and problem.slow is False:
        raise ValueError("slow: found False, but the coefficient depends on x; expected True, or None to find it out")
    if problem.reaction is not None:
        check_reaction(problem.reaction, dim, period)
        a = tensor_of(*at_nodes(problem.coefficient, np.array(domain)[None, :, 0], midpoints(dim, period, 7)))
        if slow or np.ptp(a, axis=0).max() > 1e-10 * np.abs(a).max():
            found = f"changes by {np.ptp(a, axis=0).max():.3g} in y{' and depends on x' * slow}"
            raise ValueError(f"coefficient: found one that {found}, expected a constant beside a reaction (appendix A)")


def check_reaction(reaction, dim, period):
    """r is periodic and its mean is zero."""
    r = checked_values("reaction", reaction, cell_quadrature(dim, period))
    check_periodic("reaction", reaction, dim, period)
    if not abs(r.mean()) <= 1e-8 * np.abs(r).max():
        raise ValueError(f"reaction: its mean over the cell is {r.mean():.6g}; (A.2) has a solution only if it is 0")


def check_cell_training(training, dim, problems=1):
    """Settings of step 1, for so many cell problems that are trained together."""
    check_integer("layers", training.layers, 0)
    check_training(training, ("equation", "periodic", "oversampling")[: 3 if training.layers else 2], dim, problems)
    if training.layers >= training.points - 2:
        raise ValueError(
            f"layers: found {training.layers} of oversampling, expected fewer than points - 2 = {training.points - 2} "
            "(section 4.1: N_o < N_f - 2)"
        )


def check_equation_training(training, dim, timed):
    """Settings of step 3, of the classical PINN and of transfer learning."""
    check_training(training, ("equation", "boundary", "initial")[: 3 if timed else 2], dim + timed)


def check_training(training, weights, inputs, problems=1):
    """weights: what they weigh, in eqs. (3) and (12).  All points, of a grid over the inputs, fit into the memory."""
    for name, least, most in (("epochs", 1, 10**9), ("points", 3, 10**4)):
        check_integer(name, getattr(training, name), least, most)
    if (total := training.points**inputs * problems) > 10**7:
        raise ValueError(f"points: found {training.points}, which make {total:.3g} in all; expected at most 1e7 in all")
    if not isinstance(training.hidden, tuple | list) or not 1 <= len(training.hidden) <= 100:
        raise ValueError(f"hidden: found {shown(training.hidden)}, expected the widths of 1 to 100 layers, as a tuple")
    for width in training.hidden:
        check_integer("hidden", width, 1, 10**4)
    check_positive("rate", training.rate)
    check_positive("decay", training.decay)
    try:
        found = np.asarray(training.weights, dtype=float)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != (len(weights),) or not (found.min() >= 0 and abs(found.sum() - 1) < 1e-9):
        raise ValueError(
            f"weights: found {shown(training.weights)} with sum {found.sum():.12g}, "
            f"expected non-negative weights of ({', '.join(weights)}) that sum to one"
        )


def check_integer(name, value, least, most=10**9):
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= value <= most:
        raise ValueError(f"{name}: found {shown(value)}, expected an integer of at least {least} and at most {most}")


def check_positive(name, value, most=LARGEST):
    value = value.item() if isinstance(value, np.generic) else value  # its own precision may not hold the bounds
    if isinstance(value, bool) or not isinstance(value, Real) or not SMALLEST <= value <= most:
        raise ValueError(f"{name}: found {shown(value)}, expected a positive number, {SMALLEST:g} to {most:g}")


def check_period(period, dim):
    """A number, or one an axis."""
    periods = list(period) if isinstance(period, tuple | list) or np.ndim(period) == 1 else (period,) * dim
    if len(periods) != dim:
        raise ValueError(f"period: found {shown(period)}, expected a positive number, or {dim} of them")
    for length in periods:
        check_positive("period", length)


def check_box(name, box, dim):
    try:
        bounds = np.asarray(box)
    except ValueError:  # of different lengths
        bounds = np.zeros(0)
    fits = bounds.shape == (dim, 2) and bounds.dtype.kind in "iuf"
    if not (fits and np.all((bounds[:, 0] < bounds[:, 1]) & (np.abs(bounds).max() < LARGEST))):
        raise ValueError(f"{name}: found {shown(box)}, expected {dim} pairs (low, high), low < high, below {LARGEST:g}")


def check_homogenize(dim, period, recipe, tolerance, seed):
    check_integer("dim", dim, 1, 3)
    check_period(period, dim)
    if not isinstance(recipe, str) or recipe not in ("sharp", "adam", "fem"):
        raise ValueError(f"recipe: found {shown(recipe)}, expected one of ('sharp', 'adam', 'fem')")
    if tolerance is not None:
        check_positive("tolerance", tolerance)
    check_integer("seed", seed, 0, np.inf)


def check_cells_fit(problem):
    lengths = np.diff(problem.domain)[:, 0]
    cells = problem.eps * np.broadcast_to(problem.period, problem.dim) / lengths
    worst = np.argmax(cells)
    if cells[worst] > 1 + 1e-9:
        raise ValueError(
            f"eps: found {problem.eps:g}, expected eps * period at most the box, {lengths[worst]:g} along axis {worst}"
        )


def check_executor(executor, coefficient):
    if executor is not None and not callable(getattr(executor, "map", None)):
        raise TypeError(f"executor: found {type(executor).__name__}, expected a concurrent.futures.Executor, or None")
    if isinstance(executor, ProcessPoolExecutor):  # others may send what pickle cannot
        try:
            pickle.dumps(coefficient)
        except Exception as error:
            sentence = "expected for other processes a function that is defined by def, outside of any function"
            raise TypeError(f"coefficient: cannot be sent by the executor ({error}), {sentence}") from error


def check_solve(problem, recipe, tolerance, seed):
    """Raises ValueError or TypeError for a problem that `solve` has made of its arguments, if they cannot be meant."""
    dim, box, period = problem.dim, problem.domain, problem.period
    if dim not in (1, 2, 3):
        raise ValueError(f"box: found {shown(box)}, expected 1 to 3 pairs (low, high)")
    check_box("box", box, dim)
    check_homogenize(dim, period, recipe, tolerance, seed)
    check_positive("tolerance", tolerance)
    if not callable(problem.coefficient):
        raise TypeError(
            f"coefficient: found {type(problem.coefficient).__name__}, expected a smooth function of x and y; what "
            "takes images and a TwoPhase is homogenize"
        )
    check_problem(problem)
    check_cells_fit(problem)
    edge = grid(box, {1: 65, 2: 9, 3: 5}[dim])
    tensor_of(*at_nodes(problem.coefficient, edge, midpoints(dim, period, 7)))  # elliptic up to the boundary


def checked_gradient(gradient, x):
    """gradient(x) of a candidate: (n, dim) and finite, or a ValueError."""
    slope = called("gradient", gradient, x)
    if slope.shape != x.shape:
        raise ValueError(f"gradient: returned shape {slope.shape} at points of shape {x.shape}, expected the same")
    if not np.all(np.isfinite(slope)):
        raise ValueError("gradient: not finite everywhere, expected real numbers")
    return slope


def check_gradient(value, gradient, problem):
    """Raises ValueError where differences of a candidate's values are not its gradient; kinks at some points may be."""
    low, high = np.transpose(problem.domain)
    x = low + (high - low) * np.random.default_rng(0).uniform(0.01, 0.99, (100, problem.dim))
    step = np.eye(problem.dim) * np.maximum(1e-4 * problem.eps * np.array(problem.period), 1e-5 * (high - low))
    slope, size = gradient(x), np.abs(value(x)).max()
    for axis, half in enumerate(step):
        width, lost = half[axis], 1e-6 * size / half[axis]  # what single precision may lose
        miss = np.abs((value(x + half) - value(x - half)) / (2 * width) - slope[:, axis])
        if np.median(miss) > 0.1 * np.median(np.abs(slope[:, axis])) + 0.01 * np.abs(slope).max() + lost:
            raise ValueError(
                f"gradient: differs from differences of value by {np.median(miss):.3g} along axis {axis}, the median "
                f"of {len(x)} points; expected the gradient of value"
            )


def checked_points(name, points, dim="dim"):
    try:
        points = np.asarray(points, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: found {type(points).__name__}, expected points, real numbers (n, {dim})") from error
    if points.ndim != 2 or dim not in ("dim", points.shape[1]):
        raise ValueError(f"{name}: found shape {points.shape}, expected (n, {dim})")
    if not np.all(np.isfinite(points)):
        raise ValueError(f"{name}: not finite everywhere, expected real numbers")
    return points


def image_of(coefficient, dim, values=None):
    """An image, an array or lists, of conductivities, tensors or labels: (m_1, ..., m_dim), or with (dim, dim) behind.

    Raises ValueError or TypeError for what is no image of a positive definite coefficient, with a bad pixel.
    """
    if np.ma.is_masked(coefficient):
        raise ValueError("coefficient: found masked pixels, expected a value for each, as coefficient.filled(k) has")
    try:
        image = np.asarray(coefficient)
    except ValueError:  # lists of different lengths
        image = np.empty(0, dtype=object)
    if values is not None:
        image = _labelled(image, dim, values)
    elif image.dtype.kind == "b":
        raise ValueError("values: found None for a picture of True and False, expected values={False: k_0, True: k_1}")
    tensors = image.ndim == dim + 2 and image.shape[dim:] == (dim, dim)
    if image.dtype.kind not in "iuf" or not (image.ndim == dim or tensors) or image.size == 0:
        raise TypeError(
            f"coefficient: found {type(coefficient).__name__} of shape {image.shape} and type {image.dtype}, expected "
            f"a function of points (n, {dim}), a TwoPhase, or an image: real numbers on {dim} axes, with or without "
            f"({dim}, {dim}) behind them"
        )
    if (
        values is None
        and image.shape == (dim, dim)
        and np.allclose(image, image.T)
        and np.linalg.eigvalsh(image).min() > 0
    ):
        raise ValueError(
            f"coefficient: found {shown(image.tolist())}, which is an image of 2 x 2 pixels or one constant tensor; "
            "expected np.kron(image, np.ones((2, 2))) for the image; a constant tensor is its own homogenized tensor"
        )
    check_pixels(image, dim)
    return image.astype(float)


def _labelled(image, dim, values):
    if not isinstance(values, Mapping):
        raise TypeError(f"values: found {shown(values)}, expected a dictionary from labels to numbers or tensors")
    if image.ndim != dim or image.dtype.kind not in "biu":
        raise TypeError(
            f"coefficient: found {image.dtype} of shape {image.shape}, expected whole numbers or True and False on "
            f"{dim} axes, since values are given"
        )
    labels, where = np.unique(image, return_inverse=True)
    if missing := [label.item() for label in labels if label.item() not in values]:
        raise ValueError(f"values: found none for the label {shown(missing[0])}, expected one for each in the image")
    try:
        table = [np.asarray(values[label.item()], dtype=float) for label in labels]
    except (TypeError, ValueError):
        table = [np.zeros(0)]
    if any(entry.shape not in ((), (dim, dim)) for entry in table):
        raise ValueError(f"values: found {shown(values)}, expected numbers or tensors ({dim}, {dim})")
    if any(entry.ndim for entry in table):
        table = [entry if entry.ndim else entry * np.eye(dim) for entry in table]
    return np.array(table)[where.reshape(image.shape)]


def check_pixels(image, dim):
    """Every pixel is symmetric, finite and positive definite; sentences have the index of one that is not."""
    tensors = image.reshape(-1, *(image.shape[dim:] or (1, 1)))

    def pixel(k):
        return f"pixel {tuple(map(int, np.unravel_index(k, image.shape[:dim])))}"

    blocked = np.isinf(tensors).any(axis=(1, 2)) | (tensors == 0).all(axis=(1, 2))
    if np.any(blocked):
        k = np.argmax(blocked)
        labels = "; or values={0: ..., 1: ...}, if these are labels" if image.dtype.kind in "iu" else ""
        raise ValueError(f"coefficient: found {tensors[k].max():g} in {pixel(k)}, {POROUS}{labels}")
    check_elliptic(tensors.astype(float, copy=False), pixel)
