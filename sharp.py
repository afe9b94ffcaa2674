"""The recipe `sharp`: the same residuals, minimised by Levenberg-Marquardt over networks that cannot miss
their boundary values or their period.

    trial functions    u = lift + bubble * network(features)                                     Trial
                       features sin, cos of 2 pi y_i / period: exactly periodic;  a bubble that vanishes on the
                       boundary, a lift with the initial value and with the singularities of the corners
    optimizer          (J^T J + damping I) delta = -J^T r, with J from one reverse pass          levenberg_marquardt
    strong form        the residual of d_i(a_ij (d_j chi + xi_j)) = 0, for smooth coefficients
    energy form        S^T (xi + grad chi), a = S S^T: its square is a(xi + grad chi).(xi + grad chi); first
                       derivatives alone, for coefficients that jump

A residual depends on its own point alone.  So one reverse pass of the summed residual holds every row of the
Jacobian: row n is, for each layer, the sum over the channels of (input of the layer) x (gradient at its output).

The bounds at the end hold for any periodic trial functions, trained or not.
"""

import time
import warnings
from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
from adam import NO_CHECKPOINT, no_checkpoints
from autograd import elementwise_grad
from autograd.scipy.special import erfc
from coefficients import (
    check_hidden,
    check_integer,
    check_twice_differentiable,
    checked_values,
    coefficient_at,
    shown,
    tensor_and_divergence,
    tensor_of,
)
from jets import backward, coordinate_jet, flatten, forward, init_network, network_jet, operator_jet, unflatten
from losses import Term, cell_midpoints, equation_term, grid, on_boundary, residual
from numpy.polynomial import legendre
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh

# ---------------------------------------------------------------------------------------------------
# Trial functions
# ---------------------------------------------------------------------------------------------------


class Trial(NamedTuple):
    """u = lift + bubble * network(features): a function with its boundary values, or its period, built in."""

    params: list
    features: Callable  # jet of the coordinates (channels, n, d) -> jet of the network's inputs
    bubble: Callable | None = None  # points (n, d) -> (n,), written with autograd.numpy; None: 1
    lift: Callable | None = None  # the same; None: 0


def periodic_features(jet):
    """sin and cos of 2 pi y_i: exactly periodic on the unit cell."""
    angle = 2 * np.pi * jet
    sine, cosine = np.sin(angle[0]), np.cos(angle[0])
    waves = [_function_of(angle, sine, cosine, -sine), _function_of(angle, cosine, -sine, -cosine)]
    return np.concatenate(waves, axis=-1)


def scaled_features(jet, bounds):
    """The coordinates, scaled to [-1, 1]."""
    low, high = np.transpose(bounds)
    scaled = 2 * jet / (high - low)
    scaled[0] -= (high + low) / (high - low)
    return scaled


def _function_of(jet, value, first, second):
    """The jet of f(u) from the jet of u and f, f', f'' at u."""
    out = first * jet
    out[0] = value
    out[-1] += second * np.sum(jet[1:-1] ** 2, axis=0)
    return out


def function_jet(function, jet):
    """The jet (channels, n) of a function of points, by nested automatic differentiation."""
    x, directions, b = jet[0], jet[1:-1], jet[-1]
    slope = _derivative(function)
    gradient = slope(x)
    out = np.concatenate([function(x)[None], np.einsum("knd,nd->kn", directions, gradient), [np.sum(b * gradient, 1)]])
    for i in np.flatnonzero(np.any(directions != 0, axis=(0, 1))):
        second = _derivative(lambda p, i=i: slope(p)[:, i])(x)
        out[-1] += np.einsum("kn,knd,nd->n", directions[..., i], directions, second)
    return out


def _derivative(function):
    def slope(p):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "independent of input": a constant has slope 0
            return elementwise_grad(function)(p)

    return slope


def trial_jet(trial, jet):
    """The jet (channels, n) of a trial function."""
    out = network_jet(trial.params, trial.features(jet))[..., 0]
    if trial.bubble is not None:
        B = function_jet(trial.bubble, jet)
        out, v = B[0] * out, out
        out[1:] += B[1:] * v[0]
        out[-1] += 2 * np.sum(B[1:-1] * v[1:-1], axis=0)
    return out if trial.lift is None else out + function_jet(trial.lift, jet)


def network_term(term, trial):
    """A term for u as a term for the network inside u: it stays linear in the network's jet."""
    mix, target = term.mix, term.target
    if trial.lift is not None:
        target = target - np.sum(mix * function_jet(trial.lift, term.jet), axis=0)
    if trial.bubble is not None:
        B = function_jet(trial.bubble, term.jet)
        value = np.sum(mix * B, axis=0)
        along = mix[1:-1] * B[0] + 2 * mix[-1] * B[1:-1]
        mix = np.concatenate([value[None], along, (mix[-1] * B[0])[None]])
    return Term(trial.features(term.jet), True, mix, target, term.weight)


# ---------------------------------------------------------------------------------------------------
# Levenberg-Marquardt
# ---------------------------------------------------------------------------------------------------


def residual_vector(params, terms):
    """All residuals, each times the root of its weight: the loss is the sum of their squares."""
    return np.concatenate([np.sqrt(term.weight) * residual(params, term) for term in terms])


def residual_and_jacobian(params, terms):
    """The residuals (n,) and their derivatives (n, parameters), one reverse pass a term."""
    residuals, rows = [], []
    for term in terms:
        tape, root = [], np.sqrt(term.weight)
        channels, n, outputs = forward(params, term.jet, tape).shape
        mix = (root * term.mix).reshape(channels, outputs, n)
        residuals.append(root * residual(params, term))
        layers = []
        for z, G in backward(params, tape, mix.swapaxes(1, 2)):
            layers += [np.matmul(z.transpose(1, 2, 0), G.transpose(1, 0, 2)).reshape(len(root), -1), G[0]]
        rows.append(np.concatenate(layers, axis=1))
    return np.concatenate(residuals), np.concatenate(rows)


class Fit(NamedTuple):
    """The record of a least-squares training."""

    loss: list  # at the start and after every iteration
    seconds: list
    errors: dict  # name -> list, where errors were asked for
    path: np.ndarray  # (iterations + 1, parameters): the parameters at the start and after every iteration
    reason: str  # why it stopped; empty until then
    starts: int = 1  # how many there were, if those before failed


def levenberg_marquardt(params, terms, iterations, *, stall=1e-3, target=1e-28, errors=None, checkpoint=NO_CHECKPOINT):
    """Minimise the sum of squares of the residuals of all terms.  terms: iteration -> terms.  -> parameters, Fit

    With geodesic acceleration (Transtrum and Sethna 2012): the valleys of these losses are narrow and bend, and
    the second derivative of the residual along a step tells where to.  A step is taken if it lowers the loss;
    the damping falls by 5 then, and doubles otherwise.  Stops after `iterations`, where ten of them lower the
    loss by less than the fraction `stall`, where it is `target` of the first one, or where no damping helps.
    Raises FloatingPointError where the loss is not finite.  Continued from its checkpoint, it returns the same.
    """
    like, vector = params, flatten(params)
    start = Fit([], [], {}, np.zeros((iterations + 1, len(vector))), "")
    start.path[0] = vector
    saved = checkpoint.load({"damping": 1e-2, **start._asdict()})
    damping, fit = saved.pop("damping"), Fit(**saved)
    clock, aside = time.perf_counter() - sum(fit.seconds[-1:]), 0.0
    while not fit.reason:
        iteration = len(fit.loss)
        vector, now = fit.path[iteration], terms(iteration)
        checkpoint.save({"damping": damping, **fit._asdict()}, False)
        r, J = residual_and_jacobian(unflatten(vector, like), now)
        fit.loss.append(float(r @ r))
        fit.seconds.append(time.perf_counter() - clock - aside)
        for name, value in (errors(unflatten(vector, like)) if errors else {}).items():
            fit.errors.setdefault(name, []).append(float(value))
        aside = time.perf_counter() - clock - fit.seconds[-1]
        reason, step = _reason_to_stop(fit.loss, iterations, stall, target), None
        if not reason:
            step, damping = _step(lambda v, now=now: residual_vector(unflatten(v, like), now), vector, r, J, damping)
            reason = "no step lowers the loss" if step is None else ""
        if step is not None:
            fit.path[iteration + 1] = vector + step
        fit = fit._replace(reason=reason)
    checkpoint.save({"damping": damping, **fit._asdict()}, True)
    path = fit.path[: len(fit.loss)]
    return unflatten(path[-1], like), fit._replace(path=path)


def _reason_to_stop(loss, iterations, stall, target):
    if not np.isfinite(loss[-1]):
        raise FloatingPointError(f"the loss is {loss[-1]} at iteration {len(loss) - 1} of {iterations}")
    if loss[-1] <= target * loss[0]:
        return f"the loss is {target:g} of the first one"
    if len(loss) > 10 and loss[-1] > (1 - stall) * loss[-11]:
        return f"ten iterations lowered the loss by less than {stall:g}"
    return f"{iterations} iterations" if len(loss) > iterations else ""


def _step(residual, vector, r, J, damping):
    """A step that lowers the loss, and the damping for the next one; None where there is none."""
    rows, columns = J.shape
    normal = J @ J.T if rows < columns else J.T @ J
    while damping < 1e10:
        matrix = normal.copy()
        matrix[np.diag_indices(len(matrix))] += damping
        try:
            factor = cho_factor(matrix, overwrite_a=True, check_finite=False)
        except LinAlgError:  # the damping is lost in rounding
            damping *= 2
            continue

        def solve(g, factor=factor):
            """(J^T J + damping)^-1 J^T g, in the smaller of its two forms."""
            if rows < columns:
                return J.T @ cho_solve(factor, g, check_finite=False)
            return cho_solve(factor, J.T @ g, check_finite=False)

        step, h = -solve(r), 0.1
        bend = 2 / h * ((residual(vector + h * step) - r) / h - J @ step)  # the second derivative along the step
        acceleration = -solve(bend) / 2
        if np.linalg.norm(acceleration) <= 0.375 * np.linalg.norm(step):
            r_new = residual(vector + step + acceleration)
            if r_new @ r_new < r @ r:
                return step + acceleration, damping / 5
        damping *= 2
    return None, damping


# ---------------------------------------------------------------------------------------------------
# Cell problems, on the unit cell
# ---------------------------------------------------------------------------------------------------


class Sharp(NamedTuple):
    """How one network is trained by this recipe."""

    hidden: tuple  # widths of the hidden layers
    points: int | tuple  # an axis of the cell; for an equation one number an axis, with time the last
    iterations: int = 150
    stall: float = 1e-3  # the least fraction by which ten iterations have to lower the loss
    slow_points: int = 16  # an axis of x, for a coefficient that depends on it
    starts: int = 3  # at most: a training that fails begins again at other random parameters


def checked(settings, axes=None):
    """The settings, or a ValueError for those that cannot be meant.  axes: of an equation, None for a cell problem."""
    check_hidden(settings.hidden)
    if axes is not None and not (isinstance(settings.points, tuple) and len(settings.points) == axes):
        raise ValueError(f"points: found {shown(settings.points)}, expected a tuple of {axes} numbers, one an axis")
    for count in [settings.points] if axes is None else settings.points:
        check_integer("points", count, 3, 10**4)
    check_integer("iterations", settings.iterations, 1, 10**4)
    check_integer("slow_points", settings.slow_points, 1, 10**4)
    check_integer("starts", settings.starts, 1, 100)
    if not (isinstance(settings.stall, int | float) and settings.stall <= 1):
        raise ValueError(f"stall: found {shown(settings.stall)}, expected a number of at most 1")
    return settings


def check_size(points, inputs, settings):
    """Raises ValueError for a training whose Jacobian, or whose path, would not fit into the memory."""
    sizes = [inputs, *settings.hidden, 1]
    parameters = sum((m + 1) * k for m, k in pairwise(sizes))
    for name, count in (("points", points), ("iterations", settings.iterations + 1)):
        if count * parameters > 5e8:
            raise ValueError(
                f"{name}, hidden: found {count} {name} and {parameters} parameters, expected at most 5e8 for their "
                "product, which has to fit into the memory"
            )


class Correctors(NamedTuple):
    """Step 1: the correctors chi_j(x, y), or N(y), as trial functions of (x, y / period), or of y / period alone."""

    trials: list  # J of Trial
    period: float
    slow: bool  # True: x is an input of the networks
    fits: list  # J of Fit

    def expansion(self, x, y):
        """Values (J, n), with mean zero over the cell, and derivatives in y and in x (J, n, dim).

        x, y (n, dim); x may be None where the coefficient is not slow.
        """
        (n, dim), inside = y.shape, cell_midpoints(y.shape[1], 1.0, QUADRATURE[y.shape[1]])
        value, slope = value_and_slope(self.trials, self._inputs(x, y / self.period))
        if not self.slow:
            mean = value_and_slope(self.trials, inside)[0].mean(1, keepdims=True)
            return self.period * (value - mean), slope, np.zeros_like(slope)
        around = self._inputs(np.repeat(x, len(inside), axis=0), np.tile(inside, (n, 1)))
        parts = value_and_slope(self.trials, around)
        mean, mean_x = (part.reshape(len(self.trials), n, len(inside), -1).mean(2) for part in parts)
        return (
            self.period * (value - mean[..., 0]),
            slope[..., dim:],
            self.period * (slope - mean_x)[..., :dim],
        )

    def _inputs(self, x, y):
        return np.hstack([x, y]) if self.slow else y


QUADRATURE = {1: 64, 2: 64, 3: 24}  # points an axis, for means over the cell


def value_and_slope(trials, points):
    """Values (J, n) and gradients (J, n, d) of trial functions."""
    eye = np.eye(points.shape[1])

    def both(p):
        jet = coordinate_jet(p, np.broadcast_to(eye[:, None], (len(eye), *p.shape)), np.zeros(p.shape))
        return np.stack([trial_jet(trial, jet)[:-1].T for trial in trials], axis=1)

    table = np.moveaxis(in_blocks(both, points), 1, 0)
    return table[..., 0], table[..., 1:]


def in_blocks(function, points, block=4096):
    """function(points) where an array for all points at once would be large."""
    return np.concatenate([function(points[i : i + block]) for i in range(0, len(points), block)])


def cell_term(x, y, a, b, f):
    """The residual of a_ij d_ij chi + b_i d_i chi + f = 0 on the unit cell; x (n, k), or None, are fixed inputs.

    y (n, d), a (n, d, d), b (n, d), f (n,).  It is divided by (2 pi)^2, the size of second derivatives on the cell.
    """
    jet = operator_jet(y, a, b)
    if x is not None:
        fixed = np.zeros((len(jet), *x.shape))
        fixed[0] = x
        jet = np.concatenate([fixed, jet], axis=-1)
    mix = np.zeros(jet.shape[:-1])
    mix[-1] = 1
    return Term(jet, True, mix, -f, np.full(len(y), 1 / len(y) / (2 * np.pi) ** 4))


def energy_terms(a, j, y):
    """S^T (e_j + grad chi_j) with a = S S^T, component by component: the sum of squares is the mean energy.

    a (n, d, d), y (n, d) -> d terms.
    """
    n, d = y.shape
    jet = operator_jet(y, a, np.zeros((n, d)))
    terms = []
    for k in range(d):
        mix = np.zeros(jet.shape[:-1])
        mix[1 + k] = 1
        terms.append(Term(jet, True, mix, -jet[1 + k, :, j], np.full(n, 1 / n)))
    return terms


FAILED = 1e-4  # of the first loss: a training of the strong form that ends above has failed


def train(trial, inputs, terms, settings, rng, errors=None, checkpoints=no_checkpoints, name=""):
    """A trial function with a trained network, and the Fit, from the best of as few random starts as it takes.

    A start fails if its loss does not become finite, or small, see FAILED; then the next parameters of rng are tried.
    The checkpoints are named by `name`, and for later starts by their number, too.
    """

    def attempt(start):
        params, fit = levenberg_marquardt(
            init_network((inputs, *settings.hidden, 1), rng),
            terms,
            settings.iterations,
            stall=settings.stall,
            errors=errors and (lambda params: errors(trial._replace(params=params))),
            checkpoint=checkpoints(name if start == 1 else f"{name}-{start}"),
        )
        return trial._replace(params=params), fit

    (best, fit), starts = best_of_starts(
        attempt,
        range(1, settings.starts + 1),
        lambda pair: pair[1].loss[-1],
        lambda pair: pair[1].loss[-1] <= FAILED * pair[1].loss[0],
    )
    return best, fit._replace(starts=starts)


def best_of_starts(attempt, starts, error, good):
    """attempt(start) for one of the starts after the other, to the first result that is good.

    -> the result with the least error, and how many starts there were.  Raises FloatingPointError if all of them do.
    """
    results = []
    for count, start in enumerate(starts, 1):
        try:
            results.append(attempt(start))
        except FloatingPointError:
            if count == len(starts) and not results:
                raise
            continue
        if good(results[-1]):
            break
    return min(results, key=error), count


def train_cell(terms, settings, rng, slow=None, errors=None, checkpoints=no_checkpoints, name="cell"):
    """A corrector as a Trial, and the Fit.  terms: iteration -> the terms of its loss; slow: bounds of x, or None."""
    k = 0 if slow is None else len(slow)
    d = terms(0)[0].jet.shape[-1] - k

    def features(jet):
        waves = periodic_features(jet[..., k:])
        return waves if slow is None else np.concatenate([scaled_features(jet[..., :k], slow), waves], axis=-1)

    trial = Trial([], features)
    network_terms = lambda i: [network_term(term, trial) for term in terms(i)]  # noqa: E731
    return train(trial, k + 2 * d, network_terms, settings, rng, errors, checkpoints, name)


def solve_cells(problem, settings, rng, errors=None, checkpoints=no_checkpoints):
    """Step 1 for a problem, in the strong form: all its correctors, for every x of its domain if it is slow.

    errors: j -> a function of the Trial of chi_j that returns {name: float}, or None.  The checkpoints of the
    trainings are named "cell1", ...
    """
    dim, period = problem.dim, problem.period
    checked(settings)
    check_size((settings.points * settings.slow_points if problem.slow else settings.points) ** dim, 3 * dim, settings)
    y, x = cell_midpoints(dim, 1.0, settings.points), None
    if problem.slow:
        nodes, _ = gauss(problem.domain, (settings.slow_points,) * dim)
        x, y = np.repeat(nodes, len(y), axis=0), np.tile(y, (len(nodes), 1))
    at = np.zeros_like(y) if x is None else x
    a, b = tensor_and_divergence(lambda p: problem.coefficient(at, period * p), y)
    scale = np.trace(a.mean(axis=0)) / dim
    if problem.reaction is None:
        sources = b.T / scale
    else:  # D lap N = r in y = period * (y of the unit cell), N = period * (network)
        sources = -period * checked_values("reaction", problem.reaction, period * y)[None] / scale
    trials, fits = [], []
    for j, f in enumerate(sources):
        term = [cell_term(x, y, a / scale, b / scale, f)]
        slow, record = problem.domain if problem.slow else None, errors and errors(j)
        trial, fit = train_cell(lambda i, term=term: term, settings, rng, slow, record, checkpoints, f"cell{j + 1}")
        trials.append(trial)
        fits.append(fit)
    return Correctors(trials, period, problem.slow, fits)


def tensor_at(problem, correctors, x):
    """Step 2: a*(x) at points x (X, dim), as the mean energy: its error is the square of that of the correctors."""
    y = problem.period * cell_midpoints(problem.dim, 1.0, QUADRATURE[problem.dim])
    tensors = []
    for point in x:
        at = np.broadcast_to(point, y.shape)
        a, slopes = tensor_of(coefficient_at(problem, point), y), correctors.expansion(at, y)[1]
        tensors.append(energy(a, slopes))
    return np.stack(tensors)


def energy(a, slopes):
    """mean( (e_i + grad chi_i) . a (e_j + grad chi_j) ): a (n, d, d), slopes grad chi_i (d, n, d) -> (d, d)."""
    fields = slopes + np.eye(a.shape[1])[:, None]
    return np.einsum("ink,nkl,jnl->ij", fields, a, fields, optimize=True) / len(a)


def gauss(bounds, counts):
    """Gauss-Legendre points (n, d) in a box and their weights (n,)."""
    axes, weights = [], []
    for (low, high), count in zip(bounds, counts, strict=True):
        nodes, w = legendre.leggauss(count)
        axes.append(low + (high - low) * (nodes + 1) / 2)
        weights.append(w * (high - low) / 2)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    return points, reduce(np.kron, weights)


# ---------------------------------------------------------------------------------------------------
# The homogenized equation
# ---------------------------------------------------------------------------------------------------


def solve_equation(problem, coefficients, settings, rng, errors=None, checkpoints=no_checkpoints):
    """Step 3: u_t - d_i(a_ij d_j u) + c u = f, u = 0 on the boundary: a Trial and its Fit.

    coefficients(points) -> a (n, d, d), d_i a_ij (n, d), c.  Residuals at Gauss-Legendre points, weighted by the
    quadrature and by a bubble, the squares of which a solution that is singular at corners can still meet.
    """
    timed, dim = problem.initial is not None, problem.dim
    checked(settings, dim + timed)
    check_size(int(np.prod(settings.points)), dim + timed, settings)
    bounds = [*problem.domain, *([(0.0, problem.final_time)] if timed else [])]
    points, weights = gauss(bounds, settings.points)

    def space_bubble(p):
        factors = [
            4 * (p[:, i] - low) * (high - p[:, i]) / (high - low) ** 2 for i, (low, high) in enumerate(problem.domain)
        ]
        return reduce(lambda u, v: u * v, factors)

    def bubble(p):
        return space_bubble(p) * p[:, -1] / problem.final_time if timed else space_bubble(p)

    a, b, c = coefficients(points[:, :dim])
    f = checked_values("source", problem.source, points[:, :dim])
    if timed:
        checked_values("initial", problem.initial, points[:, :dim])
        check_twice_differentiable("initial", problem.initial, points[:, :dim])
        b = np.hstack([b, np.full((len(points), 1), -1.0)])
    term = equation_term(points, a, b, -c, f, 1.0)._replace(weight=weights * space_bubble(points))
    lift = parabolic_lift(problem, coefficients) if timed else elliptic_lift(problem, coefficients)

    def features(jet):
        return scaled_features(jet, bounds)

    trial = Trial([], features, bubble, lift)
    terms = [network_term(term, trial)]
    return train(trial, len(bounds), lambda i: terms, settings, rng, errors, checkpoints, "homogenized")


def cutoff(s):
    """1 at s = 0, 0 at s = 1, flat at both."""
    return (1 - s) ** 2 * (1 + 2 * s)


def elliptic_lift(problem, coefficients):
    """In two dimensions, what a solution does in the corners of a rectangle where f is not zero.

    u = 0 on both edges makes both second derivatives vanish there, the equation does not: u has the singular part
    w = -y^2 / 2 - Im(z^2 log z) / pi, z = x + i y, which solves -lap w = 1 and vanishes on both edges.  Lengths are
    divided by the roots of a_11 and a_22; for a_12 != 0 the corner has another angle, and there is no lift.
    """
    if problem.dim != 2:
        return None
    corners = grid(problem.domain, 2)
    a = coefficients(corners)[0]
    if np.abs(a[:, 0, 1]).max() > 1e-6 * np.abs(a).max():
        return None
    f, (low, high) = problem.source(corners), np.transpose(problem.domain)

    def lift(p):
        total = 0.0
        for corner, strength, tensor in zip(corners, f, a, strict=True):
            distance = [(p[:, i] - low[i]) if corner[i] == low[i] else (high[i] - p[:, i]) for i in range(2)]
            x, y = (distance[i] / np.sqrt(tensor[i, i]) for i in range(2))
            square = x * x + y * y + 1e-60
            w = -y * y / 2 - (x * y * anp.log(square) + (x * x - y * y) * anp.arctan2(y, x + 1e-30)) / np.pi
            total = total + strength * w * cutoff(distance[0] / (high[0] - low[0])) * cutoff(
                distance[1] / (high[1] - low[1])
            )
        return total

    return lift


def parabolic_lift(problem, coefficients):
    """The initial value, and in one dimension what the solution does at the ends where that breaks the equation.

    Raises ValueError for an initial value that is not 0 on the boundary: u = lift + bubble * network could not be.

    At an end u_t = 0, yet the equation asks for u_t = s = f + d(a du) - c u there at t = 0: u has the singular part
    s t (1 - 4 i2erfc(x / sqrt(4 a t))), which solves u_t - a u_xx = s and vanishes at the end and at t = 0.
    """
    initial, dim = problem.initial, problem.dim
    points = grid(problem.domain, 9)
    sizes = np.abs(checked_values("initial", initial, points))
    largest = sizes[on_boundary(points, problem.domain)].max()
    if largest > 1e-8 * sizes.max():
        raise ValueError(f"initial: found {largest:.3g} on the boundary, expected 0, as u is there")
    if dim != 1:
        return lambda p: initial(p[:, :dim])
    ends, (low, high) = np.transpose(problem.domain), problem.domain[0]
    a, b, c = coefficients(ends)
    second = function_jet(initial, operator_jet(ends, a, b))[-1]
    strength = problem.source(ends) + second - c * initial(ends)

    def lift(p):
        total, t = initial(p[:, :1]), p[:, 1]
        for end, s, diffusion in zip(ends[:, 0], strength, a[:, 0, 0], strict=True):
            x = p[:, 0] - low if end == low else high - p[:, 0]
            eta = x / anp.sqrt(4 * diffusion * t + 1e-60)
            layer = (1 + 2 * eta**2) * erfc(eta) - 2 / np.sqrt(np.pi) * eta * anp.exp(-(eta**2))
            total = total + s * t * (1 - layer) * cutoff(x / (high - low))
        return total

    return lift


# ---------------------------------------------------------------------------------------------------
# Bounds
# ---------------------------------------------------------------------------------------------------


def bounds(a, slopes, count, part=slice(None)):
    """Two matrices between which, in the Loewner order, the homogenized tensor lies: lower, upper.

    a (n, d, d) and the slopes (d, n, d) of any periodic functions chi_j, on the midpoints of count ** d boxes.
    upper is the energy of the fields e_j + grad chi_j.  For lower the fluxes a (e_j + grad chi_j) are made free of
    divergence: their Fourier series, cut at a quarter of the grid's frequencies, without its gradient part.  With
    such fluxes sigma_j, M the matrix of their means and D_ij = mean(sigma_i . a^-1 sigma_j), lower = M D^-1 M^T.
    Both hold for any chi_j; they assume that the midpoint rule resolves a, its inverse and the slopes.  What is added
    to D lowers `lower` by the rounding errors.  part: the points over which both energies are averaged.
    """
    d = a.shape[1]
    flux = np.einsum("nik,jnk->jin", a, slopes + np.eye(d)[:, None])
    sigma = divergence_free(flux.reshape(d, d, *[count] * d)).reshape(d, d, -1)
    M = sigma.mean(axis=-1).T
    a, sigma, slopes = a[part], sigma[..., part], slopes[:, part]
    D = np.einsum("ikn,nkl,jln->ij", sigma, np.linalg.inv(a), sigma, optimize=True) / len(a)
    D += 1e-14 * np.trace(D) * np.eye(d)
    lower = M @ np.linalg.solve(D, M.T)
    return (lower + lower.T) / 2, energy(a, slopes)


def reuss_voigt(a):
    """The harmonic and the arithmetic mean of a (n, d, d): bounds by constant fluxes and constant fields."""
    return np.linalg.inv(np.linalg.inv(a).mean(axis=0)), a.mean(axis=0)


def divergence_free(flux):
    """The low half of the frequencies of periodic fields (J, d, *grid), without their gradient part."""
    d, count = flux.shape[1], flux.shape[-1]
    axes = tuple(range(2, 2 + d))
    wave = np.fft.fftfreq(count, 1 / count)
    k = np.stack(np.meshgrid(*[wave] * d, indexing="ij"))
    square = np.where((k**2).sum(0) == 0, 1, (k**2).sum(0))
    spectrum = np.fft.fftn(flux, axes=axes)
    spectrum -= k * (np.sum(k * spectrum, axis=1) / square)[:, None]
    spectrum *= np.all(np.abs(k) < count / 4, axis=0)
    return np.fft.ifftn(spectrum, axes=axes).real


# ---------------------------------------------------------------------------------------------------
# The correctors of a coefficient of one's own
# ---------------------------------------------------------------------------------------------------

STRONG = {1: Sharp((24, 24), 64), 2: Sharp((32, 32), 24), 3: Sharp((32, 32), 12, 40)}
ENERGY = {
    1: Sharp((16, 16), 512, 30, starts=1),
    2: Sharp((16, 16), 96, 30, starts=1),
    3: Sharp((16, 16), 24, 20, starts=1),
}
BOUND_POINTS = {1: 512, 2: 128, 3: 48}  # an axis


def strong_form(field, dim, settings):
    """j -> (iteration -> terms) for a coefficient field(y) on the unit cell, on a fixed grid."""
    y = cell_midpoints(dim, 1.0, settings.points)
    a, b = tensor_and_divergence(field, y)
    terms = [[cell_term(None, y, a, b, b[:, j])] for j in range(dim)]
    return lambda j: lambda iteration: terms[j]


def energy_form(field, dim, settings, rng):
    """The same for the energy, on a lattice that moves at random in every iteration.

    On points that stay, a network would put a steep layer between two rows of them, and its energy there unseen.
    No two points of the lattice (Kronecker's, with the powers of a root of z^(d+1) = z + 1) share a coordinate.
    """
    ratio = {1: 1.618033988749895, 2: 1.324717957244746, 3: 1.2207440846057596}[dim]
    lattice = np.arange(settings.points**dim)[:, None] * ratio ** -np.arange(1.0, dim + 1)
    shifts = rng.random((settings.iterations + 1, dim))

    def terms(j, iteration):
        y = (lattice + shifts[iteration]) % 1
        return energy_terms(tensor_of(field, y), j, y)

    return lambda j: lambda iteration: terms(j, iteration)


class Cell(NamedTuple):
    """Trained correctors of one coefficient on the unit cell, with their bounds."""

    trials: list
    fits: list
    lower: np.ndarray  # (dim, dim)
    upper: np.ndarray  # (dim, dim)
    gap: float  # between the bounds, in the direction where it is largest for the tensor halfway
    quadrature: float  # how far bounds move from one quadrature to another, by the same measure

    @property
    def error(self):
        return self.gap + self.quadrature


def solve_cell(field, dim, form, settings, rng, pixels=1):
    """The correctors of field(y) -> (n,) or (n, d, d) on the unit cell, form "strong" or "energy", and the bounds.

    Cell.quadrature compares them with those of half the points an axis, and the means of a and of its inverse with
    those on another grid.
    """
    terms = strong_form(field, dim, settings) if form == "strong" else energy_form(field, dim, settings, rng)
    once = settings._replace(starts=1)  # whether a start has failed is seen from the bounds
    trials, fits = zip(*(train_cell(terms(j), once, rng) for j in range(dim)), strict=True)
    count = 2 * pixels * max(1, round(BOUND_POINTS[dim] / 2 / pixels))
    y = cell_midpoints(dim, 1.0, count)
    a, slopes = tensor_of(field, y), value_and_slope(trials, y)[1]
    lower, upper = bounds(a, slopes, count)
    halfway = (lower + upper) / 2
    coarse = np.all(np.stack(np.unravel_index(np.arange(len(y)), [count] * dim)) % 2 == 0, axis=0)
    moved = [*np.subtract(bounds(a, slopes, count, coarse), (lower, upper))]
    if pixels == 1:  # what every point of a grid misses, such as count periods, another grid sees
        moved += [*np.subtract(reuss_voigt(tensor_of(field, cell_midpoints(dim, 1.0, count - 1))), reuss_voigt(a))]
    quadrature = max(relative_size(each, halfway) for each in moved)
    return Cell(list(trials), list(fits), lower, upper, relative_size(upper - lower, halfway), quadrature)


def relative_size(difference, tensor):
    """The largest |xi . difference xi| / (xi . tensor xi) over all directions xi; inf if tensor is not positive."""
    try:
        return float(np.abs(eigh(difference, tensor, eigvals_only=True)).max())
    except LinAlgError:  # lost in rounding
        return np.inf
