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

Reading order: jets.py for networks and their derivatives; then here loss terms, points, training,
coefficients, the three steps, and `homogenize` for a coefficient of one's own.
"""

import math
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp
from scipy.interpolate import CubicSpline

from jets import flatten, forward, gradient, init_network, network, network_jet, operator_jet, pullback, unflatten

BLOCK_BYTES = 4096  # of a block of points, one number each: a block's arrays stay in the processor's cache


# ---------------------------------------------------------------------------------------------------
# Loss terms.  Every term of the paper's losses is sum_i weight_i |l_i(u) - target_i|^2, where l_i is a
# linear combination of the channels of a jet at point i: an equation (channels value, ..., L u), a
# boundary or initial value (one channel), or a periodic pair (two values, subtracted).
# ---------------------------------------------------------------------------------------------------


class Term(NamedTuple):
    """sum_i weight_i (sum_c mix_ci jet_ci(u) - target_i)^2"""

    jet: np.ndarray  # (..., channels, n, d): of the coordinates
    derivatives: bool  # False: the channels are independent points, of which only values are used
    mix: np.ndarray  # (..., channels, n)
    target: np.ndarray  # (..., n)
    weight: np.ndarray  # (n,): the weight of the term divided by its number of points


def equation_term(points, a, b, c, f, weight):
    """weight * mean_i |a_ij d_ij u + b_i d_i u + c u + f|^2, shapes as in `operator_jet`, c and f (..., n)."""
    jet = operator_jet(points, a, b)
    mix = np.zeros(jet.shape[:-1])
    mix[..., -1, :] = 1
    mix[..., 0, :] = c
    return Term(jet, True, mix, -f, np.full(len(points), weight / len(points)))


def value_term(points, values, weights):
    """sum_i weights_i |u(points_i) - values_i|^2."""
    return Term(points[None], False, np.ones((1, len(points))), values, weights)


def pair_term(pairs, weights):
    """sum_i weights_i |u(pairs[0, i]) - u(pairs[1, i])|^2, for pairs (2, n, d)."""
    n = pairs.shape[1]
    return Term(pairs, False, np.array([[1.0], [-1.0]]) * np.ones(n), np.zeros(n), weights)


def residual(params, term):
    """sum_c mix_ci jet_ci(u) - target_i: (..., n).  autograd differentiates it, for a loss of one's own."""
    return anp.sum(term.mix * _channels(network_jet(params, _inputs(term)), term), axis=-2) - term.target


def _inputs(term):
    """The term's jet of the coordinates; independent points become one channel."""
    jet = term.jet
    return jet if term.derivatives else jet.reshape((*jet.shape[:-3], 1, -1, jet.shape[-1]))


def _channels(out, term):
    """The jet of the network as (..., channels, n), whether the channels are one point's or independent points."""
    return anp.reshape(out, out.shape[: out.ndim - 3] + term.jet.shape[-3:-1])


def term_loss_and_gradient(params, term):
    """The term, summed over the networks of a batch, and its gradient with respect to their parameters.

    The residual r is linear in the jet: the loss has the gradient 2 weight r mix with respect to the jet.
    """
    tape = []
    out = forward(params, _inputs(term), tape)
    r = np.sum(term.mix * _channels(out, term), axis=-2) - term.target
    weighted = term.weight * r
    g = (2 * weighted)[..., None, :] * term.mix
    return np.sum(weighted * r), pullback(params, tape, g.reshape(out.shape))


def loss_and_gradient(params, terms, block=None):
    """The sum of the terms and its gradient as one vector, in blocks of points that fit into the cache."""
    block = block or BLOCK_BYTES // params[0][0].itemsize
    loss, total = 0.0, 0.0
    for term in terms:
        n = len(term.weight)
        for start in range(0, n, block):
            part = term if n <= block else _take(term, slice(start, start + block))
            value, gradients = term_loss_and_gradient(params, part)
            loss = loss + value
            total = total + flatten(gradients)
    return loss, total


def _take(term, index):
    """The part of a term at some of its points; index is a slice or an array of integers."""
    return Term(
        term.jet[..., index, :],
        term.derivatives,
        term.mix[..., index],
        term.target[..., index],
        term.weight[index],
    )


def random_part(term, batch, rng):
    """A term over at most `batch` random points, with weights that keep its expectation."""
    n = len(term.weight)
    if batch is None or n <= batch:
        return term
    part = _take(term, rng.choice(n, batch, replace=False, shuffle=False))
    return part._replace(weight=part.weight * (n / batch))


# ---------------------------------------------------------------------------------------------------
# Points
# ---------------------------------------------------------------------------------------------------


def grid(bounds, count):
    """A uniform grid with both ends on every axis: bounds ((low, high), ...) -> (count ** d, d)."""
    axes = [np.linspace(low, high, count) for low, high in bounds]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def cell_midpoints(dim, period, count):
    """The midpoints of count ** dim equal boxes of the cell: equal weights make a quadrature rule."""
    half = period / count / 2
    return grid([(half, period - half)] * dim, count)


def periodic_pairs(dim, period, count, layers):
    """Point pairs one period apart on the grid of a cell, section 4.1 of the paper.

    For every axis: the count ** (dim - 1) points of the face y_i = 0 with those of y_i = period, and for
    each of the `layers` oversampling layers l on each side, y_i = -l h with period - l h and
    y_i = period + l h with l h, where h = period / (count - 1).
    -> boundary (2, dim * count ** (dim - 1), dim), oversampled (2, 2 * layers * dim * count ** (dim - 1), dim)
    """
    if not 0 <= layers < count - 2:
        raise ValueError(
            f"layers: the number of oversampling layers is {layers}, it must be at least 0 and less than "
            f"points - 2 = {count - 2} (section 4.1: N_o < N_f - 2)"
        )
    h = period / (count - 1)
    across = grid([(0, period)] * (dim - 1), count) if dim > 1 else np.zeros((1, 0))

    def pairs(offsets):
        """For every axis and offset: the points at y_axis = offset, and their images one period further."""
        near = [np.insert(across, axis, offset, axis=1) for axis in range(dim) for offset in offsets]
        shift = [np.eye(dim)[axis] * period for axis in range(dim) for _ in offsets]
        near, shift = np.reshape(near, (-1, len(across), dim)), np.reshape(shift, (-1, 1, dim))
        return np.stack([near, near + shift]).reshape(2, -1, dim)

    ghosts = [side * layer * h for layer in range(1, layers + 1) for side in (-1, 1)]
    return pairs([0.0]), pairs(ghosts)


# ---------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------


class Training(NamedTuple):
    """How one network, or one batch of networks, is trained.  Weights sum to one, as in eq. (3)."""

    hidden: tuple  # widths of the hidden layers
    points: int  # grid points per axis, both ends included
    weights: tuple  # (equation, periodic, oversampling) or (equation, boundary, initial), in this order
    rate: float  # learning rate of Adam at the first epoch
    epochs: int
    average: int  # errors are reported as means over this many last epochs
    decay: float = 1.0  # the rate falls geometrically to decay * rate; 1: constant, as in the paper
    layers: int = 0  # oversampling layers on each side of the cell
    batch: int | None = None  # equation points drawn at random for an epoch; None: all of them
    dtype: str = "float32"  # of the parameters during training
    every: int = 10  # epochs between two records of the errors


class History(NamedTuple):
    """Records of a training, one every `Training.every` epochs and one at its end."""

    epochs: list
    loss: list
    errors: dict  # name -> list of floats


class AdamState(NamedTuple):
    """First and second moments of the gradient, and the number of steps so far."""

    m: np.ndarray
    v: np.ndarray
    step: int


def adam_init(vector):
    return AdamState(np.zeros_like(vector), np.zeros_like(vector), 0)


def adam_step(vector, gradient, state, rate, beta1=0.9, beta2=0.999, tiny=1e-8):
    """One step of Adam (Kingma and Ba 2015, in the form at the end of section 2): new vector, new state."""
    step = state.step + 1
    m = beta1 * state.m + (1 - beta1) * gradient
    v = beta2 * state.v + (1 - beta2) * gradient**2
    scale = rate * math.sqrt(1 - beta2**step) / (1 - beta1**step)  # a Python float keeps the precision of m
    return vector - scale * m / (np.sqrt(v) + tiny), AdamState(m, v, step)


class Checkpoint(NamedTuple):
    """Where a training keeps its state, a dictionary of arrays and plain data, in case it is interrupted."""

    load: Callable  # the state at the start -> the state to go on from, which has the same keys
    save: Callable  # (state, finished): called before every epoch and at the end; may keep it or not


NO_CHECKPOINT = Checkpoint(lambda start: start, lambda state, finished: None)


def no_checkpoints(name):
    """A function that trains several networks asks for the Checkpoint of each by its name."""
    return NO_CHECKPOINT


def train(params, terms, training, rng, errors=None, checkpoint=NO_CHECKPOINT):
    """Adam on the sum of the terms.  `errors(params)` -> {name: float} is recorded on the way.

    Returns the trained parameters (float64) and the History; raises FloatingPointError at the first
    epoch whose loss is not finite.  Interrupted and continued from its checkpoint, it returns the same.
    """
    terms = [cast(term, training.dtype) for term in terms]
    like = params
    vector = flatten(params).astype(training.dtype)
    state = adam_init(vector)
    history = History([], [], {})

    def progress(epoch):
        known = {"epoch": epoch, "vector": vector, **state._asdict(), "history": history._asdict()}
        return known | {"random": rng.bit_generator.state}

    def record(epoch, loss):
        history.epochs.append(epoch)
        history.loss.append(float(loss))
        for name, value in (errors(unflatten(vector, like)) if errors else {}).items():
            history.errors.setdefault(name, []).append(float(value))

    saved = checkpoint.load(progress(0))
    first, vector, history = saved["epoch"], saved["vector"], History(**saved["history"])
    state = AdamState(saved["m"], saved["v"], saved["step"])
    rng.bit_generator.state = saved["random"]
    for epoch in range(first, training.epochs):
        checkpoint.save(progress(epoch), False)
        parts = [random_part(term, training.batch, rng) if term.derivatives else term for term in terms]
        loss, slope = loss_and_gradient(unflatten(vector, like), parts)
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at epoch {epoch} of {training.epochs}: "
                f"the learning rate {training.rate:g} may be too large"
            )
        if epoch % training.every == 0:
            record(epoch, loss)
        rate = training.rate * training.decay ** (epoch / training.epochs)
        vector, state = adam_step(vector, slope, state, rate)
    if first < training.epochs:
        record(training.epochs, loss_and_gradient(unflatten(vector, like), parts)[0])
        checkpoint.save(progress(training.epochs), True)
    return unflatten(vector.astype(np.float64), like), history


def cast(term, dtype):
    """A term whose arrays have the type `dtype`."""
    return Term(*(part.astype(dtype) if isinstance(part, np.ndarray) else part for part in term))


def _checked_weights(training, names):
    """The weights of a training, checked with its other settings; see eqs. (3) and (12)."""
    for name in ("epochs", "every", "average", "points", "batch", "layers"):
        value, least = getattr(training, name), {"points": 3, "layers": 0}.get(name, 1)
        if not (isinstance(value, (int, np.integer)) and value >= least) and (name, value) != ("batch", None):
            raise ValueError(f"{name}: found {value!r}, expected an integer of at least {least}")
    for name in ("rate", "decay"):
        value = getattr(training, name)
        if not (isinstance(value, (int, float)) and 0 < value < np.inf):
            raise ValueError(f"{name}: found {value!r}, expected a positive number")
    weights = np.asarray(training.weights, dtype=float)
    if weights.shape != (len(names),) or not (weights.min() >= 0 and abs(weights.sum() - 1) < 1e-9):
        raise ValueError(
            f"weights: found {training.weights!r} with sum {weights.sum():.12g}, "
            f"expected non-negative weights of ({', '.join(names)}) that sum to one"
        )
    return training.weights


def final_average(history, name, epochs):
    """The mean of an error over the records of the last `epochs` epochs, as the captions of the paper say."""
    kept = [e for e, at in zip(history.errors[name], history.epochs, strict=True) if at > history.epochs[-1] - epochs]
    return float(np.mean(kept))


# ---------------------------------------------------------------------------------------------------
# Coefficients
# ---------------------------------------------------------------------------------------------------


def tensor_and_divergence(field, points):
    """a_ij and b_j = d_i a_ij at points, by reverse differentiation of `field`.

    field: points (n, d) -> (n,) or (n, d, d), written with autograd.numpy -> a (n, d, d), b (n, d).
    Raises ValueError where a has the wrong shape, is not finite, not symmetric or not elliptic (positive
    definite), TypeError where it cannot be differentiated.
    """
    a, slopes = _values_and_slopes(field, points)
    return a, np.einsum("ijni->nj", slopes)


def _values_and_slopes(field, points):
    """a (n, d, d), and its derivatives: d a_ij / d y_k at point n is slopes[i, j, n, k]."""
    dim = points.shape[1]
    a = _as_tensor(field(points), points.shape)
    _check_elliptic(a, points)
    try:
        pullback, _ = make_vjp(lambda p: _as_tensor(field(p), p.shape))(points)
    except Exception as error:  # the function works on arrays, but not under differentiation
        raise TypeError(
            f"coefficient: could not be differentiated ({error}); write it with autograd.numpy in place of numpy"
        ) from error
    slopes = np.zeros((dim, dim, *points.shape))
    for i, j in np.ndindex(dim, dim):
        unit = np.zeros_like(a)
        unit[:, i, j] = 1
        slopes[i, j] = pullback(unit)
    if not np.all(np.isfinite(slopes)):
        raise ValueError("coefficient: its derivative is not finite everywhere")
    return a, slopes


def _as_tensor(values, shape):
    """A scalar or tensor coefficient at points of this shape, as a tensor (n, d, d)."""
    n, dim = shape
    if anp.shape(values) == (n,):
        return anp.reshape(values, (n, 1, 1)) * np.eye(dim)
    if anp.shape(values) == (n, dim, dim):
        return values
    raise ValueError(
        f"coefficient: returned shape {anp.shape(values)} at points of shape {shape}, "
        f"expected ({n},) or ({n}, {dim}, {dim})"
    )


def _check_elliptic(a, points):
    if np.iscomplexobj(a):
        raise ValueError("coefficient: complex; expected real values")
    if not np.all(np.isfinite(a)):
        where = points[np.argmin(np.isfinite(a).all(axis=(1, 2)))]
        raise ValueError(f"coefficient: not finite at {where}")
    if np.abs(a - np.swapaxes(a, 1, 2)).max() > 1e-10 * np.abs(a).max():
        raise ValueError("coefficient: the tensor is not symmetric; expected a_ij = a_ji")
    least = np.linalg.eigvalsh(a)[:, 0]
    if least.min() <= 0:
        raise ValueError(
            f"coefficient: not elliptic, its least eigenvalue is {least.min():.6g} at {points[least.argmin()]}; "
            "expected a positive definite coefficient everywhere"
        )


def checked_values(name, function, points):
    """function(points), a source, reaction or initial value: (n,), real and finite, or a ValueError."""
    values = np.asarray(function(points))
    if values.shape != (len(points),) or np.iscomplexobj(values) or not np.all(np.isfinite(values)):
        raise ValueError(
            f"{name}: returned shape {values.shape} and {values.dtype} at points of shape {points.shape}, "
            f"expected ({len(points)},), real and finite"
        )
    return values


def _check_periodic(name, function, dim, period, count=7):
    """Raises ValueError where function(y) differs from function(y + period e_i) on sampled points."""
    points = cell_midpoints(dim, period, count)
    values = np.asarray(function(points))
    for axis in range(dim):
        shifted = np.asarray(function(points + period * np.eye(dim)[axis]))
        jump = np.abs(shifted - values).max()
        if not jump <= 1e-8 * np.abs(values).max():
            raise ValueError(
                f"{name}: not periodic, y and y + {period:g} along axis {axis} differ by {jump:.3g}; "
                f"expected the period {period:g}"
            )


def _check_resolved(field, points, spacing):
    """Raises ValueError where a coefficient's change from point to point is not the integral of its slope.

    The strong form sees the coefficient through its derivative at the points: a jump between two of them,
    or an oscillation that they do not resolve, would be lost without notice.
    """
    dim = points.shape[1]
    for axis in range(dim):
        step = spacing * np.eye(dim)[axis]
        nearby = [_values_and_slopes(field, points + fraction * step) for fraction in (0, 0.5, 1)]
        (first, s0), (_, s1), (last, s2) = [(a, slopes[..., axis]) for a, slopes in nearby]
        integral = np.moveaxis(s0 + 4 * s1 + s2, -1, 0) * spacing / 6  # Simpson's rule
        miss = np.abs(last - first - integral).max()
        if miss > 0.1 * np.ptp(first, axis=0).max() + 1e-12 * np.abs(first).max():
            raise ValueError(
                f"coefficient: jumps, or varies too fast for points {spacing:.3g} apart along axis {axis}: its change "
                f"and the integral of its derivative differ by {miss:.3g}; expected a smooth one, or more points"
            )


# ---------------------------------------------------------------------------------------------------
# The three steps.  `problem` is any record with the fields
#     dim, domain ((low, high), ...), period, eps, coefficient(x, y), reaction(y) or None, source(x),
#     initial(x) or None, final_time, slow (True: the coefficient depends on x as well as on y);
# functions take points (n, dim) and return (n,), the coefficient (n,) or (n, dim, dim).
# ---------------------------------------------------------------------------------------------------


class Correctors(NamedTuple):
    """Step 1: the correctors chi_j(x, y), or N(y), as a batch of networks, one for each (x, j)."""

    params: list
    slow: np.ndarray  # (X, dim): the points x
    mean: np.ndarray  # (X, J): means over the cell, subtracted from the networks' values
    history: History

    def __call__(self, y):
        """Values at y (n, dim): (X, J, n), with zero mean over the cell."""
        return network(self.params, y) - self.mean[..., None]


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
    if problem.dim > 1:
        raise ValueError(f"slow: a coefficient that depends on x needs dim = 1 here, found dim = {problem.dim}")
    return grid(problem.domain, homogenized.points)


def solve_cells(problem, training, rng, slow, errors=None, checkpoint=NO_CHECKPOINT):
    """Step 1: train the correctors of all cell problems together, eqs. (9) to (12).

    slow (X, dim): the points x.  Networks of one j start from the same parameters at every x, so that
    their training errors vary smoothly with x.
    """
    dim, period = problem.dim, problem.period
    names = ("equation", "periodic", "oversampling")[: 3 if training.layers else 2]
    weights = _checked_weights(training, names)
    boundary, ghosts = periodic_pairs(dim, period, training.points, training.layers)
    y = grid([(0.0, period)] * dim, training.points)
    a, b, f = cell_data(problem, slow, y)
    for x in slow:
        _check_resolved(lambda p, x=x: problem.coefficient(0 * p + x, p), y, period / (training.points - 1))
    # Section 4.1 divides both sums by the number of pairs on one side, and adds up the two sides.
    pair_weights = np.full(boundary.shape[1], weights[1] / boundary.shape[1])
    if training.layers:
        pair_weights = np.append(pair_weights, np.full(ghosts.shape[1], 2 * weights[2] / ghosts.shape[1]))
    terms = [
        equation_term(y, a[:, None], b[:, None], 0.0, f, weights[0]),
        pair_term(np.concatenate([boundary, ghosts], axis=1), pair_weights),
    ]
    start = init_network((dim, *training.hidden, 1), rng, (1, f.shape[1]))
    start = [tuple(np.repeat(array, len(slow), axis=0) for array in pair) for pair in start]
    params, history = train(start, terms, training, rng, errors, checkpoint)
    mean = network(params, cell_quadrature(dim, period)).mean(-1)
    return Correctors(params, slow, mean, history)


def cell_quadrature(dim, period):
    """The points of means over the cell."""
    return cell_midpoints(dim, period, {1: 64, 2: 64, 3: 20}[dim])


def cell_data(problem, slow, y):
    """a (X, n, d, d), b = div_y a (X, n, d) and f (X, J, n) of the cell problems d_i(a_ij d_j chi) + f = 0.

    f_j = d_i a_ij for the correctors chi_j, eq. (9); f = -r for the corrector N of a reaction, eq. (A.2).
    Raises ValueError where the coefficient or the reaction does not fit the theory.
    """
    if problem.reaction is not None:
        r = _checked_reaction(problem, y)
    pairs = []
    for x in slow:
        pairs.append(tensor_and_divergence(lambda p, x=x: problem.coefficient(0 * p + x, p), y))
        _check_periodic("coefficient", lambda p, x=x: problem.coefficient(0 * p + x, p), problem.dim, problem.period)
    a, b = (np.stack(part) for part in zip(*pairs, strict=True))
    if problem.reaction is None:
        return a, b, np.moveaxis(b, -1, -2)
    if np.any(b != 0):
        raise ValueError("coefficient: a problem with a reaction needs a constant coefficient (appendix A)")
    return a, b, -r[None, None]


def _checked_reaction(problem, y):
    """r at y, checked for its shape, its period and its mean."""
    values = checked_values("reaction", problem.reaction, y)
    _check_periodic("reaction", problem.reaction, problem.dim, problem.period)
    r = problem.reaction(cell_quadrature(problem.dim, problem.period))
    if not abs(r.mean()) <= 1e-8 * np.abs(r).max():
        raise ValueError(f"reaction: its mean over the cell is {r.mean():.6g}; (A.2) has a solution only if it is 0")
    return values


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
        tensor, zero = samples[0], np.zeros(problem.dim)
        return Effective(
            samples,
            lambda x: np.broadcast_to(tensor, (len(x), *tensor.shape)),
            lambda x: np.broadcast_to(zero, x.shape),
            reaction,
        )
    spline = CubicSpline(correctors.slow[:, 0], samples)
    return Effective(samples, lambda x: spline(x[:, 0]), lambda x: spline(x[:, 0], 1)[:, 0], reaction)


class Expansion(NamedTuple):
    """A corrector chi_j(x, x/eps), or N(x/eps), at points x: values, derivatives in y and in x."""

    chi: np.ndarray  # (J, n)
    chi_y: np.ndarray  # (J, n, dim)
    chi_x: np.ndarray  # (J, n, dim)


def corrector_at(problem, correctors, x):
    """The correctors of step 1 at the points x (n, dim) of a solution, an Expansion.

    Between the points whose cell problems were solved a cubic spline interpolates.
    """
    y = x / problem.eps % problem.period
    chi, chi_y = correctors(y), gradient(correctors.params, y)
    if not problem.slow:
        return Expansion(chi[0], chi_y[0], np.zeros_like(chi_y[0]))
    return expand_slow(correctors.slow, chi, chi_y, x)


def expand_slow(slow, chi, chi_y, x):
    """From chi (X, J, n) and chi_y (X, J, n, dim) for every slow point, those that belong to each point x."""
    n = np.arange(len(x))
    by_value, by_slope = CubicSpline(slow[:, 0], chi), CubicSpline(slow[:, 0], chi_y)
    chi_x = by_value(x[:, 0], 1)[n, :, n].T[..., None]
    return Expansion(by_value(x[:, 0])[n, :, n].T, np.moveaxis(by_slope(x[:, 0])[n, :, n], 0, 1), chi_x)


def reconstruct(problem, u0, slope, second, expansion):
    """u_0 + eps chi_j d_j u_0, or u_0 (1 + eps N): eq. (5) to first order, and its gradient.

    u0 (n,), slope (n, dim), second (n, dim, dim): the homogenized solution, its gradient and second derivatives.
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
    weights = _checked_weights(training, names)
    low, high = np.transpose(problem.domain)
    at_boundary = np.any((points[:, :dim] == low) | (points[:, :dim] == high), axis=1)
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
    lower: np.ndarray  # (dim, dim): the harmonic mean, below every homogenized tensor in the Loewner order
    upper: np.ndarray  # (dim, dim): the arithmetic mean, above it (Reuss and Voigt)
    corrector: Callable  # y (n, dim) -> chi (n, dim), the networks on the cell, repeated; mean zero
    history: History


POINTS_A_CELL = {1: 101, 2: 23, 3: 11}  # grid points per axis, by dimension


def homogenize(coefficient, dim, *, period=1.0, recipe="adam", seed=0, **settings):
    """The homogenized tensor of a periodic coefficient by steps 1 and 2.

    coefficient: y (n, dim) -> (n,) or (n, dim, dim), written with autograd.numpy, smooth, elliptic, with
    this period along every axis.  settings: fields of `Training`, in place of the defaults below.  The cell
    problem is solved on the unit cell with a coefficient of mean one, which changes no corrector but for
    its unit of length, so that the defaults suit any size of coefficient and cell.

    Raises ValueError or TypeError for a coefficient outside the theory and for bad settings,
    FloatingPointError for a training that fails; warns where the tensor found leaves its bounds.
    """
    training = _checked_homogenize(coefficient, dim, period, recipe, settings)
    y = period * cell_quadrature(dim, 1.0)
    a = _as_tensor(coefficient(y), y.shape)
    _check_elliptic(a, y)
    _check_periodic("coefficient", coefficient, dim, period)
    upper, lower = a.mean(axis=0), np.linalg.inv(np.linalg.inv(a).mean(axis=0))
    scale = float(np.trace(upper) / dim)
    problem = SimpleNamespace(
        dim=dim, period=1.0, slow=False, reaction=None, coefficient=lambda x, y: coefficient(period * y) / scale
    )
    correctors = solve_cells(problem, training, np.random.default_rng(seed), np.zeros((1, dim)))
    tensor = scale * homogenized_coefficients(problem, correctors).samples[0]
    beyond = -min(np.linalg.eigvalsh(tensor - lower)[0], np.linalg.eigvalsh(upper - tensor)[0])
    if beyond > 0.01 * scale:
        warnings.warn(
            f"homogenize: the tensor found leaves the bounds of Reuss and Voigt by {beyond:.3g}; the training has not "
            "converged: try more epochs or points, or another seed",
            stacklevel=2,
        )

    def corrector(y):
        y = np.asarray(y, dtype=float)
        if y.ndim != 2 or y.shape[1] != dim:
            raise ValueError(f"y: found shape {y.shape}, expected (n, {dim})")
        return period * correctors(y / period % 1)[0].T

    return Homogenized(tensor, lower, upper, corrector, correctors.history)


def _checked_homogenize(coefficient, dim, period, recipe, settings):
    """The Training of `homogenize`, once its arguments have been checked."""
    if recipe != "adam":
        raise ValueError(f"recipe: found {recipe!r}, expected 'adam'")
    if unknown := set(settings) - set(Training._fields):
        raise TypeError(f"settings: unknown {sorted(unknown)}, expected fields of Training: {Training._fields}")
    if type(dim) is not int or dim not in POINTS_A_CELL:
        raise ValueError(f"dim: found {dim!r}, expected 1, 2 or 3")
    if not callable(coefficient):
        raise TypeError(f"coefficient: found {type(coefficient).__name__}, expected a function of points (n, dim)")
    if not (isinstance(period, (int, float)) and 0 < period < np.inf):
        raise ValueError(f"period: found {period!r}, expected a positive number")
    return Training(
        hidden=(64, 64, 64),
        points=POINTS_A_CELL[dim],
        layers=2,
        weights=(0.1, 0.45, 0.45),
        rate=2e-3,
        decay=0.1,
        epochs=4000,
        average=300,
    )._replace(**settings)
