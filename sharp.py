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
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from autograd import elementwise_grad
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from jets import backward, coordinate_jet, flatten, forward, init_network, network_jet, operator_jet, unflatten
from losses import Term, equation_term

# ---------------------------------------------------------------------------------------------------
# Trial functions
# ---------------------------------------------------------------------------------------------------


class Trial(NamedTuple):
    """u = lift + bubble * network(features): a function with its boundary values, or its period, built in."""

    params: list
    features: Callable  # jet of the coordinates (channels, n, d) -> jet of the network's inputs
    bubble: Callable | None = None  # points (n, d) -> (n,), written with autograd.numpy; None: 1
    lift: Callable | None = None  # the same; None: 0


def periodic_features(jet, period, slow=0):
    """sin and cos of 2 pi y_i / period; the first `slow` coordinates stay as they are."""
    angle = 2 * np.pi / period * jet[..., slow:]
    sine, cosine = np.sin(angle[0]), np.cos(angle[0])
    waves = [_function_of(angle, sine, cosine, -sine), _function_of(angle, cosine, -sine, -cosine)]
    return np.concatenate([jet[..., :slow], *waves], axis=-1)


def scaled_features(jet, bounds, frequency=None):
    """Coordinates scaled to [-1, 1]; with a frequency also sin and cos of frequency * x_1, for a source that has it."""
    low, high = np.transpose(bounds)
    scaled = 2 * jet / (high - low)
    scaled[0] -= (high + low) / (high - low)
    return (
        scaled
        if frequency is None
        else np.concatenate([scaled, periodic_features(jet[..., :1], 2 * np.pi / frequency)], axis=-1)
    )


def _function_of(jet, value, first, second):
    """The jet of f(u) from the jet of u and f, f', f'' at u."""
    out = first * jet
    out[0] = value
    out[-1] += second * np.sum(jet[1:-1] ** 2, axis=0)
    return out


def function_jet(function, jet):
    """The jet (channels, n) of a function of points, by nested automatic differentiation."""
    x, directions, b = jet[0], jet[1:-1], jet[-1]
    slope = elementwise_grad(function)
    gradient = slope(x)
    out = np.concatenate([function(x)[None], np.einsum("knd,nd->kn", directions, gradient), [np.sum(b * gradient, 1)]])
    for i in np.flatnonzero(np.any(directions != 0, axis=(0, 1))):
        second = elementwise_grad(lambda p, i=i: slope(p)[:, i])(x)
        out[-1] += np.einsum("kn,knd,nd->n", directions[..., i], directions, second)
    return out


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
    parts = [
        np.sqrt(term.weight) * (np.sum(term.mix * forward(params, term.jet, [])[..., 0], axis=0) - term.target)
        for term in terms
    ]
    return np.concatenate(parts)


def residual_and_jacobian(params, terms):
    """The residuals (n,) and their derivatives (n, parameters), one reverse pass a term."""
    residuals, rows = [], []
    for term in terms:
        tape, root = [], np.sqrt(term.weight)
        mix = root * term.mix
        out = forward(params, term.jet, tape)[..., 0]
        residuals.append(np.sum(mix * out, axis=0) - root * term.target)
        layers = []
        for z, G in backward(params, tape, mix[..., None]):
            layers += [np.matmul(z.transpose(1, 2, 0), G.transpose(1, 0, 2)).reshape(len(root), -1), G[0]]
        rows.append(np.concatenate(layers, axis=1))
    return np.concatenate(residuals), np.concatenate(rows)


class Fit(NamedTuple):
    """The record of a least-squares training."""

    loss: list  # at the start and after every iteration
    seconds: list
    errors: dict  # name -> list, where errors were asked for
    reason: str  # why it stopped


def levenberg_marquardt(params, terms, iterations, *, stall=1e-3, target=1e-28, errors=None):
    """Minimise the sum of squares of the residuals of all terms.  -> parameters, Fit

    With geodesic acceleration (Transtrum and Sethna 2012): the valleys of these losses are narrow and bend, and
    the second derivative of the residual along a step tells where to.  A step is taken if it lowers the loss;
    the damping falls by 5 then, and doubles otherwise.  Stops after `iterations`, where ten of them lower the
    loss by less than the fraction `stall`, where it is `target` of the first one, or where no damping helps.
    Raises FloatingPointError where the first loss is not finite.
    """
    like, vector, damping = params, flatten(params), 1e-2
    start, fit, reason = time.perf_counter(), Fit([], [], {}, ""), f"{iterations} iterations"

    for iteration in range(iterations + 1):
        now = terms(iteration)

        def residual(v, now=now):
            return residual_vector(unflatten(v, like), now)

        r, J = residual_and_jacobian(unflatten(vector, like), now)
        fit.loss.append(float(r @ r))
        fit.seconds.append(time.perf_counter() - start)
        for name, value in (errors(unflatten(vector, like)) if errors else {}).items():
            fit.errors.setdefault(name, []).append(float(value))
        if not np.isfinite(fit.loss[-1]):
            raise FloatingPointError(f"the loss is {fit.loss[-1]} at iteration {iteration} of {iterations}")
        if fit.loss[-1] <= target * fit.loss[0]:
            reason = f"the loss is {target:g} of the first one"
            break
        if iteration >= 10 and fit.loss[-1] > (1 - stall) * fit.loss[-11]:
            reason = f"ten iterations lowered the loss by less than {stall:g}"
            break
        if iteration < iterations:
            step, damping = _step(residual, vector, r, J, damping)
            if step is None:
                reason = "no step lowers the loss"
                break
            vector = vector + step
    return unflatten(vector, like), fit._replace(reason=reason)


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
            return J.T @ cho_solve(factor, g) if rows < columns else cho_solve(factor, J.T @ g)

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
    points: int  # per axis
    iterations: int = 150
    stall: float = 1e-3
    frequency: float | None = None  # of a source that oscillates, for the homogenized equation


def features_of_cell(jet):
    return periodic_features(jet, 1.0)


def strong_term(a, b, j, y):
    """The residual of d_i(a_ik (d_k chi_j + delta_kj)) = 0 at y, eq. (9): a (n, d, d), b_k = d_i a_ik (n, d)."""
    return [equation_term(y, a, b, 0.0, b[:, j], 1 / (2 * np.pi) ** 4)]


def energy_terms(a, j, y):
    """S^T (e_j + grad chi_j) with a = S S^T, component by component: the sum of squares is the mean energy."""
    n, d = y.shape
    jet = operator_jet(y, a, np.zeros((n, d)))
    terms = []
    for k in range(d):
        mix = np.zeros(jet.shape[:-1])
        mix[1 + k] = 1
        terms.append(Term(jet, True, mix, -jet[1 + k, :, j], np.full(n, 1 / n)))
    return terms


def train_cell(terms, dim, settings, rng, errors=None):
    """A corrector as a Trial, and the Fit."""
    params = init_network((2 * dim, *settings.hidden, 1), rng)
    trial = Trial(params, features_of_cell)
    params, fit = levenberg_marquardt(
        params,
        lambda i: [network_term(t, trial) for t in terms(i)],
        settings.iterations,
        stall=settings.stall,
        errors=errors,
    )
    return trial._replace(params=params), fit


def in_blocks(function, points, block=4096):
    """function(points) where an array for all points at once would be large."""
    return np.concatenate([function(points[i : i + block]) for i in range(0, len(points), block)])


def gradients_of(trials, y):
    """grad chi_j of every corrector: (J, n, d)."""
    eye = np.eye(y.shape[1])

    def slopes(p):
        jet = coordinate_jet(p, np.broadcast_to(eye[:, None], (len(eye), *p.shape)), np.zeros(p.shape))
        return np.stack([trial_jet(trial, jet)[1:-1].T for trial in trials], axis=1)

    return np.moveaxis(in_blocks(slopes, y), 1, 0)


def bounds(a, slopes, count):
    """Two matrices between which, in the Loewner order, the homogenized tensor lies: lower, upper.

    a (n, d, d) and the slopes (J, n, d) of any periodic functions chi_j, on the midpoints of count ** d boxes.
        upper_ij = mean( (e_i + grad chi_i) . a (e_j + grad chi_j) )
    is the energy of a trial field.  For the lower bound the flux a (e_j + grad chi_j) is made free of divergence:
    its Fourier series, cut at a quarter of the grid's frequencies, without the part along the wave vector. With
    such fluxes sigma_j, M the matrix of their means and D_ij = mean(sigma_i . a^-1 sigma_j), lower = M D^-1 M^T.
    Both are exact but for the quadrature, the midpoint rule.
    """
    d = a.shape[1]
    fields = slopes + np.eye(d)[:, None]
    flux = np.einsum("nik,jnk->jni", a, fields)
    upper = np.einsum("ink,jnk->ij", fields, flux) / len(a)
    sigma = divergence_free(np.moveaxis(flux, -1, 1).reshape(d, d, *[count] * d))
    sigma = np.moveaxis(sigma.reshape(d, d, -1), 1, -1)
    M = sigma.mean(axis=1).T
    D = np.einsum("ink,nkl,jnl->ij", sigma, np.linalg.inv(a), sigma) / len(a)
    lower = M @ np.linalg.solve(D, M.T)
    return (lower + lower.T) / 2, (upper + upper.T) / 2


def divergence_free(flux):
    """The low half of the frequencies of a periodic field (J, d, *grid), without its gradient part."""
    d, count = flux.shape[1], flux.shape[-1]
    axes = tuple(range(2, 2 + d))
    wave = np.fft.fftfreq(count, 1 / count)
    k = np.stack(np.meshgrid(*[wave] * d, indexing="ij"))
    square = np.where((k**2).sum(0) == 0, 1, (k**2).sum(0))
    spectrum = np.fft.fftn(flux, axes=axes)
    spectrum -= k * (np.sum(k * spectrum, axis=1) / square)[:, None]
    spectrum *= np.all(np.abs(k) < count / 4, axis=0)
    return np.fft.ifftn(spectrum, axes=axes).real
