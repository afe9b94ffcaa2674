"""Neural homogenization-based physics-informed networks (NH-PINN).

The method of Leung, Lin and Zhang, J. Comput. Phys. 470 (2022) 111539, for

    u_t - d_i( a_ij(x, x/eps) d_j u ) + r(x/eps) u / eps = f   in a box,  u = 0 on its boundary,

with or without the time derivative and the reaction; a and r are periodic in y = x/eps.  Three steps:

    1. cell problems      -d_i( a_ij (d_j chi_k + delta_jk) ) = 0,  chi_k periodic, mean zero   eqs. (9), (10)
                          or  -D lap N = -r                                                     eq. (A.2)
    2. coefficients       a*_ij = mean_Y( a_ij + a_ik d_k chi_j ),   r* = mean_Y( r N )
    3. homogenized        u_t - d_i( a*_ij d_j u ) + r* u = f                                   eqs. (11), (A.3)

Steps 1 and 3 minimise mean squared residuals over the parameters of a tanh network, eq. (3); so does
the classical PINN, which puts the network into the multiscale equation directly.

Reading order: jets.py for networks and their derivatives, losses.py for loss terms and points, adam.py for the
training; then here the three steps; coefficients.py for what is checked of a coefficient, sharp.py for the other
recipe; and last, here again, `homogenize` for a coefficient of one's own.
"""

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from scipy.interpolate import CubicSpline

import sharp
from adam import NO_CHECKPOINT, History, Training, check_points, checked_weights, no_checkpoints, train
from coefficients import (
    check_dim,
    check_integer,
    check_periodic,
    check_positive,
    check_problem,
    check_resolved,
    checked_reaction,
    checked_values,
    coefficient_at,
    jump_between,
    shown,
    tensor_and_divergence,
    tensor_of,
)
from jets import gradient, init_network, network
from losses import cell_midpoints, equation_term, grid, on_boundary, periodic_pairs, periodic_term, value_term

# ---------------------------------------------------------------------------------------------------
# The three steps.  `problem` is any record with the fields
#     dim, domain ((low, high), ...), period, eps, coefficient(x, y), reaction(y) or None, source(x),
#     initial(x) or None, final_time, slow (True: the coefficient depends on x as well as on y);
# functions take points (n, dim) and return (n,), the coefficient (n,) or (n, dim, dim).
# ---------------------------------------------------------------------------------------------------


class Correctors(NamedTuple):
    """Step 1: the correctors chi_j(x, y), or N(y), as a batch of networks, one for each (x, j)."""

    params: list  # of (W, b) with leading axes (X, J)
    slow: np.ndarray  # (X, dim): the points x
    period: float
    mean: np.ndarray  # (X, J): means over the cell, subtracted from the networks' values
    history: History

    def __call__(self, y):
        """Values at y (n, dim): (X, J, n), with zero mean over the cell."""
        return network(self.params, y) - self.mean[..., None]

    def expansion(self, x, y):
        """Values (J, n), and derivatives in y and in x (J, n, dim), as of sharp.Correctors.

        x, y (n, dim).  Between the points x whose cell problems were solved a cubic spline interpolates.
        """
        y = y % self.period
        return expanded(self.slow, self(y), gradient(self.params, y), x)


class Effective(NamedTuple):
    """Step 2: the coefficients of the homogenized equation."""

    samples: np.ndarray  # (X, dim, dim): a* at the points x of the cell problems
    tensor: Callable  # points (n, dim) -> a* (n, dim, dim)
    divergence: Callable  # points (n, dim) -> d_i a*_ij (n, dim)
    reaction: float  # r*


def nh_pinn(problem, cell, homogenized, seed, cell_errors=None, solution_errors=None, checkpoints=no_checkpoints):
    """The method: cell problems, homogenized coefficients, homogenized equation.

    cell, homogenized: Training of steps 1 and 3.  cell_errors(params) and solution_errors(coefficients),
    which returns a function of the parameters, give errors to be recorded during the trainings, whose
    checkpoints are named "cell" and "homogenized".
    -> Correctors, Effective, parameters and History of the network for u_0.
    """
    check_problem(problem)
    cell_rng, solution_rng = generators(seed)
    slow = slow_points(problem, homogenized)
    correctors = solve_cells(problem, cell, cell_rng, slow, cell_errors, checkpoints("cell"))
    coefficients = homogenized_coefficients(problem, correctors)
    errors = solution_errors(coefficients) if solution_errors else None
    params, history = solve_equation(
        problem, homogenized_at(coefficients), homogenized, solution_rng, errors, None, checkpoints("homogenized")
    )
    return correctors, coefficients, params, history


def generators(seed):
    """The random generators of steps 1 and 3."""
    return np.random.default_rng(seed).spawn(2)


def slow_points(problem, homogenized):
    """The points x whose cell problems are solved: the grid of step 3, or one point if x plays no part."""
    if not problem.slow:
        return np.zeros((1, problem.dim))
    return grid(problem.domain, homogenized.points)


def solve_cells(problem, training, rng, slow, errors=None, checkpoint=NO_CHECKPOINT):
    """Step 1: train the correctors of all cell problems together, eqs. (9) to (12).

    slow (X, dim): the points x.  Networks of one j start from the same parameters at every x, so that
    their training errors vary smoothly with x.
    """
    dim, period = problem.dim, problem.period
    names = ("equation", "periodic", "oversampling")[: 3 if training.layers else 2]
    weights = checked_weights(training, names)
    check_points(training, dim, len(slow))
    pairs = periodic_pairs(dim, period, training.points, training.layers)
    y = grid([(0.0, period)] * dim, training.points)
    a, b, f = checked_cell_data(problem, slow, y, period / (training.points - 1))
    terms = [
        equation_term(y, a[:, None], b[:, None], 0.0, f, weights[0]),
        periodic_term(pairs, weights[1], weights[2] if training.layers else 0.0),
    ]
    start = init_network((dim, *training.hidden, 1), rng, (1, f.shape[1]))
    start = [tuple(np.repeat(array, len(slow), axis=0) for array in pair) for pair in start]
    params, history = train(start, terms, training, rng, errors, checkpoint)
    mean = network(params, cell_quadrature(dim, period)).mean(-1)
    return Correctors(params, slow, period, mean, history)


def cell_quadrature(dim, period):
    """The points of means over the cell."""
    return cell_midpoints(dim, period, {1: 64, 2: 64, 3: 20}[dim])


def checked_cell_data(problem, slow, y, spacing):
    """`cell_data` on a grid y of this spacing.  Raises ValueError where the grid does not resolve the coefficient."""
    data = cell_data(problem, slow, y)
    for x in slow:
        check_resolved(coefficient_at(problem, x), y, spacing)
    return data


def cell_data(problem, slow, y):
    """a (X, n, d, d), b = div_y a (X, n, d) and f (X, J, n) of the cell problems d_i(a_ij d_j chi) + f = 0.

    f_j = d_i a_ij for the correctors chi_j, eq. (9); f = -r for the corrector N of a reaction, eq. (A.2).
    Raises ValueError where the coefficient or the reaction does not fit the theory.
    """
    if problem.reaction is not None:
        r = checked_reaction(problem, y, cell_quadrature(problem.dim, problem.period))
    pairs = []
    for x in slow:
        pairs.append(tensor_and_divergence(coefficient_at(problem, x), y))
        check_periodic("coefficient", coefficient_at(problem, x), problem.dim, problem.period)
    a, b = (np.stack(part) for part in zip(*pairs, strict=True))
    if problem.reaction is None:
        return a, b, np.moveaxis(b, -1, -2)
    if np.any(b != 0):
        raise ValueError("coefficient: a problem with a reaction needs a constant coefficient (appendix A)")
    return a, b, -r[None, None]


def homogenized_coefficients(problem, correctors):
    """Step 2: a*_ij = mean(a_ij + a_ik d_k chi_j) and r* = mean(r N), with derivatives of the networks.

    The exact a* is symmetric; an antisymmetric part is training error, drops out of a homogenized equation
    with constant coefficients, and is dropped here.
    """
    y = cell_quadrature(problem.dim, problem.period)
    a, _, _ = cell_data(problem, correctors.slow, y)
    samples, reaction = a.mean(axis=1), 0.0
    if problem.reaction is None:
        samples = samples + np.einsum("xnik,xjnk->xij", a, gradient(correctors.params, y)) / len(y)
        samples = (samples + np.swapaxes(samples, 1, 2)) / 2
    else:
        reaction = float(np.mean(problem.reaction(y) * correctors(y)[0, 0]))
    if not problem.slow:
        return constant_coefficients(samples, reaction)
    spline = CubicSpline(correctors.slow[:, 0], samples)
    return Effective(samples, lambda x: spline(x[:, 0]), lambda x: spline(x[:, 0], 1)[:, 0], reaction)


def constant_coefficients(samples, reaction):
    """Coefficients that do not depend on x: samples (1, dim, dim), r*."""
    tensor = samples[0]
    return Effective(
        samples,
        lambda x: np.broadcast_to(tensor, (len(x), *tensor.shape)),
        lambda x: np.zeros(x.shape),
        reaction,
    )


def expanded(slow, chi, chi_y, x):
    """From chi (X, J, n) and chi_y (X, J, n, dim) for every slow point, those of each point x (n, dim), with chi_x."""
    if len(slow) == 1:
        return chi[0], chi_y[0], np.zeros_like(chi_y[0])
    n = np.arange(len(x))
    by_value, by_slope = CubicSpline(slow[:, 0], chi), CubicSpline(slow[:, 0], chi_y)
    chi_x = by_value(x[:, 0], 1)[n, :, n].T[..., None]
    return by_value(x[:, 0])[n, :, n].T, np.moveaxis(by_slope(x[:, 0])[n, :, n], 0, 1), chi_x


def reconstruct(problem, u0, slope, second, expansion):
    """u_0 + eps chi_j d_j u_0, or u_0 (1 + eps N): eq. (5) to first order, and its gradient.

    u0 (n,), slope (n, dim), second (n, dim, dim): the homogenized solution, its gradient and second derivatives.
    expansion: the correctors at (x, x / eps), see Correctors.expansion.
    -> (n,), (n, dim)
    """
    eps, (chi, chi_y, chi_x) = problem.eps, expansion
    if problem.reaction is None:
        factor, factor_slope = slope.T, np.moveaxis(second, -1, 0)  # of chi_j: d_j u_0
    else:
        factor, factor_slope = u0[None], slope[None]  # of N: u_0
    value = u0 + eps * np.einsum("jn,jn->n", chi, factor)
    oscillation = np.einsum("jnd,jn->nd", chi_y + eps * chi_x, factor)
    return value, slope + oscillation + eps * np.einsum("jn,jnd->nd", chi, factor_slope)


def nh_pinn_sharp(problem, cell, homogenized, seed, cell_errors=None, solution_errors=None, checkpoints=no_checkpoints):
    """The three steps by the recipe `sharp`; arguments as in `nh_pinn`, with sharp.Sharp for the settings.

    The checkpoints of the cell problems are named "cell1", ..., that of step 3 "homogenized".

    -> sharp.Correctors, Effective, sharp.Trial and sharp.Fit of u_0.
    """
    check_problem(problem)
    cell_rng, solution_rng = generators(seed)
    y = cell_midpoints(problem.dim, problem.period, sharp.checked(cell).points)
    checked_cell_data(problem, slow_points(problem, cell), y, problem.period / cell.points)
    correctors = sharp.solve_cells(problem, cell, cell_rng, cell_errors, checkpoints)
    coefficients = sharp_coefficients(problem, correctors)
    errors = solution_errors(coefficients) if solution_errors else None
    trial, fit = sharp.solve_equation(
        problem, homogenized_at(coefficients), homogenized, solution_rng, errors, checkpoints
    )
    return correctors, coefficients, trial, fit


def sharp_coefficients(problem, correctors, degree=48):
    """Step 2 of the recipe `sharp`: Effective; a slow a*(x) is interpolated by a polynomial at Chebyshev points."""
    dim, reaction = problem.dim, 0.0
    if problem.slow:
        (low, high), axes = problem.domain[0], chebyshev.chebpts1(degree + 1)
        x = low + (high - low) * (axes[:, None] + 1) / 2
        samples = sharp.tensor_at(problem, correctors, x)
        series = chebyshev.Chebyshev.fit(x[:, 0], samples[:, 0, 0], degree, domain=(low, high))
        slope = series.deriv()
        return Effective(samples, lambda x: series(x[:, :1])[..., None], lambda x: slope(x[:, :1]), 0.0)
    if problem.reaction is None:
        samples = sharp.tensor_at(problem, correctors, np.zeros((1, dim)))
    else:
        y = cell_quadrature(dim, problem.period)
        samples = tensor_and_divergence(coefficient_at(problem, 0.0), y[:1])[0]
        reaction = float(np.mean(problem.reaction(y) * correctors.expansion(None, y)[0][0]))
    return constant_coefficients(samples, reaction)


def homogenized_at(coefficients):
    """Points -> (a*, its divergence, r*), the coefficients of step 3."""
    return lambda x: (coefficients.tensor(x), coefficients.divergence(x), coefficients.reaction)


def multiscale_at(problem):
    """Points -> (a, its divergence, r / eps) of the multiscale equation, for the classical PINN."""

    def coefficients(x):
        a, b = tensor_and_divergence(lambda p: problem.coefficient(p, p / problem.eps), x)
        return a, b, 0.0 if problem.reaction is None else problem.reaction(x / problem.eps) / problem.eps

    return coefficients


def solve_equation(problem, coefficients, training, rng, errors=None, params=None, checkpoint=NO_CHECKPOINT):
    """Train a network on u_t - d_i(a_ij d_j u) + c u = f with u = 0 on the boundary, eq. (3).

    coefficients(points) -> a (n, d, d), d_i a_ij (n, d), c.  Step 3 with `homogenized_at`; the classical
    PINN with `multiscale_at`; transfer learning if `params` is given, the trained network of step 3.
    -> parameters, History.  Where there is time, it is the network's last input.
    """
    bounds = list(problem.domain)
    if problem.initial is not None:
        bounds.append((0.0, problem.final_time))
    check_points(training, len(bounds))
    points = grid(bounds, training.points)
    terms = equation_terms(problem, coefficients, training, points)
    if params is None:
        params = init_network((len(bounds), *training.hidden, 1), rng)
    return train(params, terms, training, rng, errors, checkpoint)


def equation_terms(problem, coefficients, training, points):
    """The terms of eq. (3) on a grid: its inner points for the equation, the others for the known values.

    Section 2 has the points of the equation in Omega and the others on its boundary.  It matters: where f
    is not zero in a corner, no smooth function satisfies the equation and the boundary condition there.
    """
    timed, dim = problem.initial is not None, problem.dim
    names = ("equation", "boundary", "initial")[: 3 if timed else 2]
    weights = checked_weights(training, names)
    at_boundary = on_boundary(points[:, :dim], problem.domain)
    at_start = timed & (points[:, -1] == 0) & ~at_boundary
    inner, boundary, start = points[~at_boundary & ~at_start], points[at_boundary], points[at_start]

    x = inner[:, :dim]
    a, b, c = coefficients(x)
    f = checked_values("source", problem.source, x)
    known, values, share = boundary, np.zeros(len(boundary)), np.full(len(boundary), weights[1] / len(boundary))
    if timed:
        b = np.hstack([b, np.full((len(x), 1), -1.0)])
        known = np.concatenate([boundary, start])
        values = np.append(values, checked_values("initial", problem.initial, start[:, :dim]))
        share = np.append(share, np.full(len(start), weights[2] / len(start)))
    return [equation_term(inner, a, b, -c, f, weights[0]), value_term(known, values, share)]


# ---------------------------------------------------------------------------------------------------
# Steps 1 and 2 for a coefficient of one's own
# ---------------------------------------------------------------------------------------------------


class Homogenized(NamedTuple):
    """The homogenized tensor of a periodic coefficient, its bounds, and its correctors."""

    tensor: np.ndarray  # (dim, dim)
    lower: np.ndarray  # (dim, dim): below the homogenized tensor in the Loewner order
    upper: np.ndarray  # (dim, dim): above it
    corrector: Callable  # y (n, dim) -> chi (n, dim), periodic, mean zero
    form: str  # "strong" or "energy": what was minimised
    starts: int  # of the training, more than one if the first failed
    record: History | list  # of the training: History (adam), or a sharp.Fit for every corrector


def homogenize(coefficient, dim, *, period=1.0, recipe="sharp", seed=0, form="auto", tolerance=1e-3, **settings):
    """The homogenized tensor of a periodic coefficient by steps 1 and 2, with bounds on both sides.

    coefficient: y (n, dim) -> (n,) or (n, dim, dim), elliptic, with this period along every axis; or an array
    (m,) * dim or (m,) * dim + (dim, dim): its values on m ** dim equal boxes of the cell, an image for example.
    recipe: "sharp", or "adam", which is the paper's.  settings: fields of sharp.Sharp or of adam.Training.
    form: what sharp minimises: "strong", the residual of eq. (9), for a smooth coefficient written with
    autograd.numpy; "energy" for one that jumps; "auto" tries the first and finds out.

    With sharp the bounds come from the trained correctors (see `sharp.bounds`), the tensor is halfway between them,
    and a relative gap above `tolerance` is a warning.  They assume that the quadrature of the bounds, a midpoint
    rule finer than the training's, resolves the coefficient.  With adam the bounds are those of Reuss and Voigt, and
    a tensor that leaves them by more than `tolerance` of the mean is a warning.

    Raises ValueError or TypeError for a coefficient outside the theory and for bad settings, FloatingPointError where
    every start of sharp fails.
    """
    _check_arguments(coefficient, dim, period, recipe, form, tolerance, seed)
    field, pixels = unit_cell(coefficient, dim, period)
    a = tensor_of(field, cell_quadrature(dim, 1.0))
    scale = np.trace(a.mean(axis=0)) / dim
    if recipe == "adam":
        return _homogenize_adam(field, dim, period, scale, a, seed, tolerance, settings)
    choice = choose_form(field, dim, form)
    defaults = {"strong": sharp.STRONG, "energy": sharp.ENERGY}[choice][dim]
    fit = sharp.checked(replaced(defaults, settings))
    sharp.check_size(fit.points**dim * (dim if choice == "energy" else 1), 2 * dim, fit)

    def scaled(y):
        return field(y) / scale

    def solve(rng):
        return sharp.solve_cell(scaled, dim, choice, fit, rng, pixels)

    best, starts = sharp.best_of_starts(
        solve,
        np.random.default_rng(seed).spawn(fit.starts),
        lambda cell: cell.error,
        lambda cell: cell.error <= tolerance,
    )
    if not best.error <= tolerance:
        warnings.warn(
            f"homogenize: the bounds are {best.gap:.2g} apart and their quadrature moves by {best.quadrature:.2g}, "
            f"relative to the tensor; tolerance: {tolerance:g}. Try more points, iterations or hidden units "
            f"(now {fit})",
            stacklevel=2,
        )
    chi = sharp.Correctors(best.trials, period, False, best.fits)

    def corrector(y):
        return chi.expansion(None, _checked_points("y", y, dim))[0].T

    lower, upper = scale * best.lower, scale * best.upper
    return Homogenized((lower + upper) / 2, lower, upper, corrector, choice, starts, best.fits)


def _homogenize_adam(field, dim, period, scale, a, seed, tolerance, settings):
    """The paper's recipe, on the unit cell and for a coefficient of mean one, so that its settings suit any size."""
    lower, upper = sharp.reuss_voigt(a)
    problem = SimpleNamespace(dim=dim, period=1.0, slow=False, reaction=None, coefficient=lambda x, y: field(y) / scale)
    training = replaced(adam_settings(dim), settings)
    try:
        correctors = solve_cells(problem, training, np.random.default_rng(seed), np.zeros((1, dim)))
    except FloatingPointError as error:
        raise ValueError(f"rate: {error}") from error
    tensor = scale * homogenized_coefficients(problem, correctors).samples[0]
    beyond = -min(np.linalg.eigvalsh(tensor - lower)[0], np.linalg.eigvalsh(upper - tensor)[0])
    if beyond > tolerance * scale:
        warnings.warn(
            f"homogenize: the tensor found leaves the bounds of Reuss and Voigt by {beyond:.3g}; the training has not "
            "converged: try more epochs or points, or another seed",
            stacklevel=3,
        )

    def corrector(y):
        return period * correctors(_checked_points("y", y, dim) / period % 1)[0].T

    return Homogenized(tensor, lower, upper, corrector, "strong", 1, correctors.history)


def homogenize_at(coefficient, points, /, **options):
    """A slowly varying coefficient(x, y), both (n, dim): `homogenize` at each of the points (X, dim), a list."""
    if not callable(coefficient):
        raise TypeError(f"coefficient: found {type(coefficient).__name__}, expected a function of x and y")
    points = _checked_points("points", points)
    return [
        homogenize(lambda y, x=x: coefficient(np.broadcast_to(x, y.shape), y), points.shape[1], **options)
        for x in points
    ]


def unit_cell(coefficient, dim, period):
    """A coefficient as a function field(y) on the unit cell, checked, and its pixels an axis (1: a function)."""
    if callable(coefficient):
        field, pixels = (lambda y: coefficient(period * y)), 1
    else:
        try:
            values = np.asarray(coefficient)
        except ValueError:  # lists of different lengths
            values = np.empty(0, dtype=object)
        pixels = values.shape[0] if values.ndim in (dim, dim + 2) else 0
        if (
            values.shape not in ((pixels,) * dim, (pixels,) * dim + (dim, dim))
            or pixels < 1
            or values.dtype.kind not in "iuf"
        ):
            raise TypeError(
                f"coefficient: found {type(coefficient).__name__} of shape {values.shape} and type {values.dtype}, "
                f"expected a function of points (n, {dim}), or real numbers on a grid (m,) * {dim}, m >= 1"
            )

        def field(y):
            return values[tuple((np.floor(y * pixels).astype(int) % pixels).T)]

        period = 1.0
        tensor_of(lambda y: values.reshape(-1, *values.shape[dim:]), np.zeros((pixels**dim, dim)))  # checks every box
    tensor_of(lambda y: field(y / period), period * cell_quadrature(dim, 1.0))
    check_periodic("coefficient", lambda y: field(y / period), dim, period)
    return field, pixels


def choose_form(field, dim, form):
    """ "strong" for a coefficient that autograd differentiates and the training points resolve, else "energy"."""
    if form != "auto":
        return form
    count = sharp.STRONG[dim].points
    try:
        return "energy" if jump_between(field, cell_midpoints(dim, 1.0, count), 1 / count) else "strong"
    except TypeError:
        return "energy"


def _checked_points(name, points, dim="dim"):
    try:
        points = np.asarray(points, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: found {type(points).__name__}, expected points, real numbers (n, {dim})") from error
    if points.ndim != 2 or dim not in ("dim", points.shape[1]):
        raise ValueError(f"{name}: found shape {points.shape}, expected (n, {dim})")
    if not np.all(np.isfinite(points)):
        raise ValueError(f"{name}: not finite everywhere, expected real numbers")
    return points


def replaced(record, settings):
    """A record of settings with some of them replaced, by name."""
    if unknown := set(settings) - set(record._fields):
        name = type(record).__name__
        raise TypeError(f"settings: unknown {sorted(unknown)}, expected fields of {name}: {record._fields}")
    return record._replace(**settings)


def _check_arguments(coefficient, dim, period, recipe, form, tolerance, seed):
    for name, value, known in (("recipe", recipe, ("sharp", "adam")), ("form", form, ("auto", "strong", "energy"))):
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"{name}: found {shown(value)}, expected one of {known}")
    if recipe == "adam" and form == "energy":
        raise ValueError("form: found 'energy', expected 'strong', which is all that the recipe adam has")
    if not callable(coefficient) and (recipe == "adam" or form == "strong"):
        raise TypeError(
            f"coefficient: found {type(coefficient).__name__}, expected a function, "
            "since the strong form needs derivatives; an array has the recipe sharp in the form 'energy'"
        )
    check_dim(dim)
    check_positive("period", period)
    check_positive("tolerance", tolerance)
    check_integer("seed", seed, 0, np.inf)


def adam_settings(dim):
    """The Training of the paper's recipe for a coefficient of one's own."""
    points = {1: 101, 2: 23, 3: 11}[dim]
    return Training(
        hidden=(64, 64, 64),
        points=points,
        layers=2,
        weights=(0.1, 0.45, 0.45),
        rate=2e-3,
        decay=0.1,
        epochs=4000,
        average=300,
    )
