"""Reactions by the ground state of their cell, in one dimension.

    u_t - (a u_x)_x + r(x/eps) u / eps = f  in an interval,   u = 0 at both ends,   u = g at t = 0

The ground state is the positive periodic solution phi(y), mu of the least eigenvalue problem on the cell

    -(a phi')' + eps r phi = eps^2 mu phi,   mean(phi) = 1.                                                         (1)

Then u = phi(x/eps) exp(-mu t) W, and W satisfies a heat equation without a reaction, exactly:

    phi^2 W_t - (a phi^2 W_x)_x = exp(mu t) phi f,     W = g / phi at t = 0;                                         (2)

without time  -(a phi^2 W')' + mu phi^2 W = phi f  (Vanninathan 1981; Allaire and Capdeboscq 2000).  The paper expands
in eps r instead, appendix A, which is right for weak reactions and short times.  Homogenization of (2) needs no such
smallness: with rho* = mean(phi^2), 1 / a* = mean(1 / (a phi^2)) and the corrector (a phi^2 (1 + chi'))' = 0 it is

    rho* W0_t - a* W0_xx = exp(mu t) f,    W0 = g / rho* at t = 0,    W = W0 + eps chi W0_x + ...                    (3)

W0 is a sum of sines S_k, whose data are tested with phi (S_k + eps chi S_k') in the place of S_k, which makes them
right to first order in eps.  For the same reason they vanish where x = end + eps chi(end / eps), not at the ends.
Here a and r are functions of y alone; the mean of r need not be zero.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import linalg

from fem import gauss, on_face, takes_time
from nhpinn_functions import at_node, centre, checked_values, faces_of, midpoints, tensor_of
from nhpinn_tools import parabolic
from nhpinn_tools.equations import at_time
from nhpinn_tools.parabolic import Line, LineBound, Products, cardinal, chebyshev_nodes
from nhpinn_tools.spectrum import Series, antiderivative, derivative, series_through

POINTS = (33, 65, 129, 257, 513)  # of the cell, odd, one attempt after the other
SINES, PANELS = 512, 8  # of the homogenized solution; panels a period in the integrals of their data


def flux_free(source, a, period):
    """c with (a c')' = source less its mean, periodic, mean zero, from values (m,) on the cell: values (m,)."""
    q = antiderivative(source, period)
    return antiderivative((q - np.mean(q / a) / np.mean(1 / a)) / a, period)


class GroundState(NamedTuple):
    """phi and mu of (1), and the cell problems of (2)."""

    mu: float
    phi: Series
    corrector: Series  # chi, with mean(phi^2 chi) = 0
    second: Series  # (3,): of W0_xx, of W0_t and of the source, see `cell_functions`
    tensor: float  # a*
    weight: float  # rho*
    rates: np.ndarray  # (m,): (a phi^2 psi')' = -rate phi^2 psi
    modes: Series  # (m,): psi
    layer: np.ndarray  # (m,): 1 / phi - 1 / rho*, what W is in the beginning beside W0, by these modes
    first_order: float  # r* of the paper, mean(r N), eq. (A.3), and mean(r) / eps: what mu is for weak reactions
    N: Series  # of the paper, eq. (A.2)
    residual: float  # |-(a phi')' + eps r phi - eps^2 mu phi| / (eps^2 phi) at most: as if mu were wrong by so much


def ground_state(coefficient, reaction, period, eps):
    """coefficient(y), reaction(y) of points (n, 1): a GroundState, by as few points as leave rounding in (1) alone."""
    best = None
    for count in POINTS:
        found = ground_state_at(coefficient, reaction, period, eps, count)
        if best is not None and not found.residual < best.residual / 10:
            break
        best = found
    return best


def sampled(coefficient, reaction, y):
    return tensor_of(coefficient, y)[:, 0, 0], checked_values("reaction", reaction, y)


def ground_state_at(coefficient, reaction, period, eps, count):
    """By the midpoints of count parts of the cell."""
    a, r = sampled(coefficient, reaction, midpoints(1, period, count))
    slopes = derivative(np.eye(count), period)  # of what is 1 at one of the points
    values, vectors = linalg.eigh(slopes @ (a[:, None] * slopes.T) + eps * np.diag(r), subset_by_index=(0, 0))
    phi, mu = vectors[:, 0] / vectors[:, 0].mean(), values[0] / eps**2
    A, rho = a * phi**2, phi**2
    tensor, weight = 1 / np.mean(1 / A), np.mean(rho)
    chi = antiderivative(tensor / A, period)
    chi -= np.mean(rho * chi) / weight
    rates, modes = linalg.eigh(slopes @ (A[:, None] * slopes.T), np.diag(rho))
    N = flux_free(r, a, period)
    functions = phi, chi, cell_functions(A, rho, phi, chi, period), modes.T, N
    phi_y, *others = (series_through(each, [period]) for each in functions)
    corrector, second, modes_y, N_y = others
    return GroundState(
        mu, phi_y, corrector, second, tensor, weight, np.maximum(rates, 0.0), modes_y,
        ((1 / phi - 1 / weight) * rho) @ modes, np.mean(r * N) + np.mean(r) / eps, N_y,
        residual_of(phi_y, mu, coefficient, reaction, eps),
    )  # fmt: skip


def cell_functions(A, rho, source, chi, period):
    """The second order, eps^2 (c_1 W0_xx + c_2 W0_t + c_3 f): values (3, m).

    (A (c_1' + chi))' = 0,    (A c_2')' = rho - rho*,    (A c_3')' = -(source - mean(source)).
    """
    first = parabolic.second_corrector(A, chi, period)
    return np.stack([first, flux_free(rho, A, period), -flux_free(source, A, period)])


def residual_of(phi, mu, coefficient, reaction, eps):
    """That of (1), on four times as many points as phi can have: those of few points see no narrow peaks."""
    y = midpoints(1, phi.period, 4 * POINTS[-1] + 1)
    a, r = sampled(coefficient, reaction, y)
    values, slopes = phi.on_line(y[:, 0])
    if values.min() <= 0:
        return np.inf
    bend = derivative(a * slopes, *phi.period)
    return float(np.abs((eps * r * values - bend) / values - eps**2 * mu).max() / eps**2)


class Sines(NamedTuple):
    """W0 of (3), sum_k c_k(t) S_k(x), with c_k' = -rate_k c_k + load_k exp(mu t)."""

    low: float
    length: float
    initial: np.ndarray | None  # (K,); None without time
    load: np.ndarray  # (K,)
    rates: np.ndarray  # (K,)
    mu: float

    def at(self, x, t=None, order=0):
        """W0 or a derivative in time, at all x (n,) and t (m,): (m, n); without time (1, n)."""
        modes = np.sin(np.outer(x - self.low, np.arange(1, len(self.rates) + 1) * np.pi / self.length))
        if self.initial is None:
            return (self.load / (self.rates + self.mu))[None] @ modes.T
        return self.series(np.asarray(t, float)[:, None], order) @ modes.T

    def series(self, t, order):
        if order:
            growing = self.load * self.mu ** (order - 1) * np.exp(self.mu * t)
            return growing - self.rates * self.series(t, order - 1)
        return np.exp(-self.rates * t) * self.initial + self.load * growth(self.mu, self.rates, t)


def growth(mu, rates, t):
    """(exp(mu t) - exp(-rate t)) / (mu + rate), the integral of exp(mu s - rate (t - s)) over s in (0, t)."""
    total = mu + rates
    z = total * t
    near = np.abs(z) < 1e-3
    series = t * np.exp(-rates * t) * (1 + z / 2 + z**2 / 6 + z**3 / 24)
    return np.where(near, series, (np.exp(mu * t) - np.exp(-rates * t)) / np.where(total == 0, 1.0, total))


def homogenized_by_sines(state, source, initial, domain, eps):
    """W0 of (3): Sines.  source, initial: functions of points (n, 1); initial None: without time.

    Waves that are as short as the cells would follow them: their data are those of the mean.
    """
    ((low, high),) = domain
    ends = np.array([low, high])
    first, last = ends + eps * state.corrector.on_line(ends / eps)[0]
    period, number = eps * state.phi.period[0], np.arange(1, SINES + 1)
    k = number * np.pi / (last - first)
    slow = k < np.pi / period
    x, w = fine_rule(domain, period)
    load, start = np.zeros(SINES), np.zeros(SINES)
    for part in np.array_split(np.arange(len(x)), 1 + len(x) // 4096):
        z, weights = x[part], w[part]
        angle, y = np.outer(z - first, k), z / eps
        tests = np.sin(angle)
        tests[:, slow] += eps * state.corrector.on_line(y)[0][:, None] * np.cos(angle[:, slow]) * k[slow]
        tests[:, slow] *= state.phi.on_line(y)[0][:, None]
        load += (weights * checked_values("source", source, z[:, None])) @ tests
        if initial:  # short waves of the interval itself, at whose ends g vanishes
            tests[:, ~slow] = np.sin(np.outer(z - low, number[~slow] * np.pi / (high - low)))
            start += (weights * checked_values("initial", initial, z[:, None])) @ tests
    load, start = (2 / (last - first) / state.weight * part for part in (load, start))
    return Sines(first, last - first, start if initial else None, load, k**2 * state.tensor / state.weight, state.mu)


def fine_rule(domain, period):
    """Points and weights on an interval of cells of this period in x."""
    ((low, high),) = domain
    return gauss(np.linspace(low, high, 1 + max(SINES, int(np.ceil(PANELS * (high - low) / period)))), 4)


# --- the solution and its bound -----------------------------------------------------------------------


class ReactionSolution(NamedTuple):
    """v = phi exp(-mu t) V, with a guaranteed bound of its error in L2, at the final time where there is time."""

    state: GroundState
    homogenized: Sines  # W0
    V: Products
    bound: LineBound  # |phi (W - V)|, which is exp(mu t) |u - v|
    problem: object
    norm_of_error = "L2"  # the norm, as printed

    @property
    def error(self):
        """Guaranteed bound of |u - v| / |u| in L2; inf where it is not below one."""
        return parabolic.relative_to(self.bound)

    def reconstruction(self, points):
        """v (n,) and its gradient (n, 1) at points (n, 1), or (n, 2) with time last."""
        x, t, growth = self._coordinates(points)
        V, V_x = self.V.at(x, t)
        phi, slope = self.state.phi.on_line(x / self.problem.eps)
        return growth * phi * V, (growth * (slope / self.problem.eps * V + phi * V_x))[:, None]

    def flux(self, points):
        """a v_x: (n, 1)"""
        return parabolic.fine_coefficient(self.problem, points[:, 0])[:, None] * self.reconstruction(points)[1]

    def value(self, points):
        """exp(-mu t) W0, the solution without the oscillations of the cells: (n,)"""
        x, t, growth = self._coordinates(points)
        times, where = np.unique(t, return_inverse=True)
        out = np.zeros(len(points))
        for k, time in enumerate(times):
            out[where == k] = self.homogenized.at(x[where == k], np.array([time]))[0]
        return growth * out

    def certify(self, value):
        """Bounds of |u - w| / |u| of a candidate w in L2, at the final time: lower, upper.

        value: points as above -> w (n,).  By |v - w| and the bar; w is taken to be resolved by the points of the bar.
        """
        final = self.problem.final_time
        x, weights = fine_rule(self.problem.domain, self.problem.eps * self.state.phi.period[0])
        points = at_time(x[:, None], final if self.problem.initial else None)
        v = self.reconstruction(points)[0]
        apart, size = (np.sqrt(np.sum(weights * z**2)) for z in (v - value(points), v))
        bar = self.bound.error * np.exp(-self.state.mu * final if self.problem.initial else 0.0)
        lower = max(apart - bar, 0.0) / (size + bar)
        return float(lower), float((apart + bar) / (size - bar)) if size > bar else np.inf

    def _coordinates(self, points):
        """x, t and exp(-mu t)."""
        if self.problem.initial is None:
            return points[:, 0], np.zeros(len(points)), np.ones(len(points))
        return points[:, 0], points[:, 1], np.exp(-self.state.mu * points[:, 1])


def zero_on_faces(problem):
    """Whether u = 0 is what a problem says on all faces, at the points of a grid."""
    axes = [np.linspace(low, high, 17) for low, high in problem.domain]
    faces = faces_of(problem.boundary, problem.domain)
    return not any(face.flux or np.any(face.data(on_face(face, axes))) for face in faces)


def has_ground_state(problem):
    """Whether `solve_reaction` is for a problem: one dimension, u = 0 at both ends, a source that stands still, and no
    storage coefficient."""
    if problem.reaction is None or problem.dim > 1 or getattr(problem, "rho", None):
        return False
    moving = problem.initial is not None and takes_time(problem.source)
    return zero_on_faces(problem) and not moving


def solve_reaction(problem):
    """A ReactionSolution of a problem in one dimension with u = 0 at both ends and functions a and r of y alone.

    Raises ValueError where exp(-mu T) is no number.
    """
    (period,) = np.broadcast_to(np.asarray(problem.period, float), 1)
    coefficient = at_node(problem.coefficient, centre(problem.domain))
    state = ground_state(coefficient, problem.reaction, period, problem.eps)
    if problem.initial is not None and abs(state.mu) * problem.final_time > 600:
        raise ValueError(
            f"final_time: found {problem.final_time:g}, expected at most {600 / abs(state.mu):.3g}: by its reaction "
            f"the solution changes as exp({-state.mu:.6g} t)"
        )
    W0 = homogenized_by_sines(state, problem.source, problem.initial, problem.domain, problem.eps)
    line = line_of(problem, state, period)
    columns = steady_columns(problem, state)
    V = parabolic.with_ends(
        Products(columns.space, partial(columns.time, W0)), line, lambda x: 0 * x + state.tensor, (0.0, 0.0)
    )
    return ReactionSolution(state, W0, V, parabolic.bound(line, V), problem)


def line_of(problem, state, period):
    """(2) as an equation of nhpinn_tools/parabolic.py."""
    eps = problem.eps

    def phi(x):
        return state.phi.on_line(x / eps)[0]

    def weight(x):
        return phi(x) ** 2

    def coefficient(x):
        return parabolic.fine_coefficient(problem, x) * weight(x)

    def source(x, t):
        each = x.ravel()
        f = phi(each) * checked_values("source", problem.source, each[:, None])
        return (np.exp(state.mu * t) if problem.initial else 1.0) * f.reshape(x.shape)

    def initial(x):
        return checked_values("initial", problem.initial, x[:, None]) / phi(x)

    return Line(
        coefficient, weight, source, initial if problem.initial else None, problem.domain[0],
        (None, None), eps * period, problem.final_time, state.mu, state.residual,
    )  # fmt: skip


class Columns(NamedTuple):
    """The products of V: W0 corrected to second order, and with time a layer g psi(y) at t = 0, which fades within
    eps^2."""

    state: GroundState
    domain: tuple
    eps: float
    nodes: np.ndarray
    source: np.ndarray  # f at the nodes
    initial: np.ndarray | None  # g at the nodes
    fading: np.ndarray  # which modes of the layer are there

    def space(self, x):
        state, eps, y, L = self.state, self.eps, x / self.eps, cardinal(self.domain, x)
        first = parabolic.of_first_order(L, eps, (*state.corrector.on_line(y), 0 * y))
        c = zip(*state.second.on_line(y), strict=True)
        of_xx, of_t, of_f = (parabolic.of_second_order(L, eps, *each) for each in zip(c, (2, 0, 0), strict=True))
        corrected = [u + v for u, v in zip(first, of_xx, strict=True)]
        pairs = [L[:2], corrected, [part @ self.source[:, None] for part in of_f]]
        if self.initial is not None:
            g, slope = ((part @ self.initial)[:, None] for part in L[:2])
            psi, psi_y = (part[self.fading].T for part in state.modes.on_line(y))
            pairs += [of_t, (g * psi, slope * psi + g * psi_y / eps)]
        return tuple(np.hstack(part) for part in zip(*pairs, strict=True))

    def time(self, W0, t):
        if self.initial is None:
            T = np.hstack([W0.at(self.nodes), W0.at(self.nodes), np.ones((1, 1))])
            return T, 0 * T
        now, rate, bend = (W0.at(self.nodes, t, order) for order in range(3))
        mu, decay = self.state.mu, -self.state.rates[self.fading] / self.eps**2
        growing, layer = np.exp(mu * t)[:, None], self.state.layer[self.fading] * np.exp(np.outer(t, decay))
        return np.hstack([now, now, growing, rate, layer]), np.hstack([rate, rate, mu * growing, bend, decay * layer])


def steady_columns(problem, state):
    nodes = chebyshev_nodes(problem.domain[0])
    f = checked_values("source", problem.source, nodes[:, None])
    g = checked_values("initial", problem.initial, nodes[:, None]) if problem.initial else None
    fading = np.abs(state.layer) > 1e-12 * np.abs(state.layer).max(initial=1e-300)
    return Columns(state, problem.domain[0], problem.eps, nodes, f, g, fading)
