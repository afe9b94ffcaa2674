"""Certificates in L2 of solutions that depend on time, or have a reaction, in one dimension.

    rho u_t - (a u_x)_x = f in an interval,    u = g or n a u_x = h at its ends,    u = u_I at t = 0,

with a(x, x/eps) and rho(x, x/eps).  For any V(x, t) that has the values g, and any flux s with  -s_x = f - rho V_t
and the fluxes h, E = u - V solves the same equation with the load m_x, m = s - a V_x.  With S(t) the solution operator,
self-adjoint in |.|, the norm of L2 with the weight rho, with rates of decay of at least lam,

    |S(t) (m_x / rho)| <= k(t) |m|_1/a,    k(t) = sup over l >= lam of l^(1/2) exp(-l t),    |m|_1/a^2 = int m^2 / a,

so that a part m that is large for a short time, or oscillates, counts little.  At the final time T

    |E(T)|  <=  k(T) |m_0|_1/a  +  int_0^T k(T - t) |m(t)|_1/a dt,     m_0,x = rho E(0),                            (1)

where exp(-lam T) |E(0)| may take the place of the first term.  lam is the least of a over the largest of rho times
(pi / L)^2, with one flux (pi / 2L)^2.  In one dimension s and m_0 are integrals along the line, with the best constant
at every t where no flux is known, so that the balance holds exactly.

Without time, for  -(a u_x)_x + mu rho u = f  and  -s_x = f - mu rho V:   |E| <= sup over l >= lam of
l^(1/2) / (l + mu) times |m|_1/a.                                                                                 (2)

V is a sum of products, V = sum_k X_k(x) T_k(t).  The homogenized solution u0 is interpolated at Chebyshev points x_k,
with the cardinal polynomials L_k, and corrected to second order,

    X_k = L_k + eps chi L_k' + eps^2 c_1 L_k'',   T_k = u0(x_k, t);     X_k = eps^2 c_2 L_k,   T_k = u0_t(x_k, t),

with (a (c_1' + chi))' = 0 and (a c_2')' = rho - mean(rho) in y where the coefficients do not depend on x, and with
c_1 = c_2 = 0 where they do.  In `solve_heat` c_2 = 0, and all but L_k fades in while correctors form.  What V then
misses of g at the ends is taken off by combinations of its own columns that stand for 1 and z, (a* z')' = 0.

That is right for what stands still, but early what oscillates at an end is not felt across the box.  So `solve_heat`
also tries, and takes where its bound is lower, u0 - c (u0 - u_s)' - 2 b t u0_t in the place of u0, with u_s the
solution without time: a box whose ends are moved by c, eps chi at ends of values, 0 at those of fluxes, where
c / (a*/rho*)^(1/2) is linear, with the slope b, in the time that diffusion takes, the integral of (rho*/a*)^(1/2).
"""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from scipy import integrate

from fem import gauss, takes_time, tensor_grid
from nhpinn_functions import at_node, checked_values, faces_of, midpoints, source_of, tensor_of
from nhpinn_tools.bounds import at_fine_scale
from nhpinn_tools.quadrature import interpolation_around, panel_around, running_integrals
from nhpinn_tools.spectrum import antiderivative, series_through

NODES = 65  # Chebyshev points of u0
PANELS, POINTS = 8, (4, 6)  # panels a period; Gauss points a panel, of the check and of the bound
FIRST, A_DECADE = 1e-8, 7  # the first interval of time, relative; intervals a decade
TIMES = 3, 4  # Gauss points in each, of the check and of the bound
LATE = 4  # decades of intervals that shrink towards the final time, where k is singular
STEP = 1 / 64  # back in time, relative, of differences in the place of t u0_t
CELL = 257  # midpoints of a cell, of the second corrector
BLOCK = 10**6  # numbers in an array
SCATTERED_IN_TIME = 2**15  # points that look for what the rules do not see


class Line(NamedTuple):
    """The equation, as functions of arrays of coordinates x (n,) and times t (m,)."""

    coefficient: Callable  # x -> a(x, x / eps)
    weight: Callable  # x -> rho(x, x / eps)
    source: Callable  # x, t, arrays of shapes that broadcast -> f
    initial: Callable | None  # x -> u_I; None: without time
    domain: tuple  # (low, high)
    fluxes: tuple  # of both ends: h, or None where the value is known
    period: float  # in x
    final_time: float = 0.0
    mu: float = 0.0  # of the reaction, without time
    doubt: float = 0.0  # a reaction of at most this size is left out of the equation: of the computed ground state


class Products(NamedTuple):
    """sum_k X_k(x) T_k(t)."""

    space: Callable  # x (n,) -> X (n, K), X' (n, K)
    time: Callable  # t (m,) -> T, T' (m, K)

    def at(self, x, t):
        """Values and slopes in x at points (x_i, t_i): (n,), (n,)."""
        times, where = np.unique(t, return_inverse=True)
        values, slopes, T = np.zeros(len(x)), np.zeros(len(x)), self.time(times)[0]
        for part in np.array_split(np.arange(len(x)), 1 + len(x) * T.shape[1] // BLOCK):
            X, slope = self.space(x[part])
            values[part] = np.einsum("nk,nk->n", X, T[where[part]])
            slopes[part] = np.einsum("nk,nk->n", slope, T[where[part]])
        return values, slopes


# --- V ------------------------------------------------------------------------------------------------


def chebyshev_nodes(domain):
    low, high = domain
    return low + (high - low) * (chebyshev.chebpts2(NODES) + 1) / 2


def cardinal(domain, x):
    """The polynomials that are 1 at one Chebyshev point and 0 at the others, and three derivatives: four of (n, K)."""
    low, high = domain
    V = chebyshev.chebvander(2 * (x - low) / (high - low) - 1, NODES - 1)
    return [V[:, : len(C)] @ C * (2 / (high - low)) ** m for m, C in enumerate(cardinal_derivatives())]


@cache
def cardinal_derivatives():
    """The Chebyshev coefficients of these polynomials on [-1, 1] and of three derivatives, by columns."""
    values = np.linalg.inv(chebyshev.chebvander(chebyshev.chebpts2(NODES), NODES - 1))
    return [chebyshev.chebder(values, m) for m in range(4)]


def of_first_order(L, eps, chi):
    """eps chi u0': X, X' (n, K).  L: of `cardinal`; chi: values, slopes in y and in x, at (x, x / eps)."""
    value, chi_y, chi_x = (part[:, None] for part in chi)
    return eps * value * L[1], (chi_y + eps * chi_x) * L[1] + eps * value * L[2]


def of_second_order(L, eps, c, order=0):
    """eps^2 c times a derivative of the interpolant: X, X' (n, K).  c: values and slopes in y of a function of y."""
    value, slope = (part[:, None] for part in c)
    return eps**2 * value * L[order], eps * slope * L[order] + eps**2 * value * L[order + 1]


def with_ends(products, line, tensor, values):
    """V with the values g at those ends where no flux is known; the first columns are L_k, the next their correctors.

    tensor: x -> a*; values: g at both ends, not used where there is a flux.
    """
    nodes, known = chebyshev_nodes(line.domain), [side for side in (0, 1) if line.fluxes[side] is None]
    ends, g = np.array(line.domain)[known], np.array([values[side] for side in known])
    fine = np.linspace(*line.domain, 4001)
    z = np.interp(nodes, fine, integrate.cumulative_simpson(1 / tensor(fine), x=fine, initial=0.0))
    rows = products.space(ends)[0]
    extra = np.zeros((rows.shape[1], len(known)))
    extra[: len(nodes)] = np.stack([np.ones_like(z), z], axis=1)[:, : len(known)]
    extra[len(nodes) : 2 * len(nodes)] = extra[: len(nodes)]  # and their correctors
    project = extra @ np.linalg.inv(rows @ extra)
    return Products(products.space, partial(less_ends, products.time, rows, project, g))


def less_ends(time, rows, project, g, t):
    """T less what it misses of g at the ends, and the derivative of that."""
    T, rate = time(t)
    return T + (g - T @ rows.T) @ project.T, rate - rate @ rows.T @ project.T


# --- the bounds ---------------------------------------------------------------------------------------


class LineBound(NamedTuple):
    """What is guaranteed, in L2 with the weight rho, at the final time where there is time."""

    error: float  # |u - V| is at most this
    quadrature: float  # by which other rules moved it: in it
    size: float  # |V|


def bound(line, V, breaks=()):
    """The bound (1) or (2) of V, by two rules in space and time: their difference is added.

    breaks: times at which V has kinks.
    """
    by_rule = bound_in_time if line.initial else bound_without_time
    intervals = time_breaks(line.final_time, breaks)
    hidden = unseen(line, intervals)
    coarse, fine = (by_rule(line, V, *rule, intervals, hidden) for rule in zip(POINTS, TIMES, strict=True))
    change = abs(fine.size - coarse.size) + (abs(fine.error - coarse.error) if np.isfinite(fine.error) else 0.0)
    return fine._replace(error=fine.error + change, quadrature=change)


class Rule(NamedTuple):
    """Gauss points of a line, and what is known on them."""

    edges: np.ndarray  # of panels
    count: int  # points a panel
    x: np.ndarray
    w: np.ndarray
    a: np.ndarray
    rho: np.ndarray
    X: np.ndarray  # (n, K)
    slopes: np.ndarray  # (n, K)
    lam: float
    free: bool  # whether no flux is known


def rule_of(line, V, count):
    (low, high) = line.domain
    edges = panels_of(line)
    x, w = gauss(edges, count)
    a, rho = line.coefficient(x), line.weight(x)
    free = all(h is None for h in line.fluxes)
    lam = a.min() / rho.max() * (np.pi / (high - low) / (1 if free else 2)) ** 2
    return Rule(edges, count, x, w, a, rho, *V.space(x), lam, free)


def panels_of(line):
    (low, high) = line.domain
    return np.linspace(low, high, 1 + max(64, int(np.ceil(PANELS * (high - low) / line.period))))


def unseen(line, intervals):
    """What the finer rule does not see of source and initial value, |f / rho| in L2 in space and time, and |u_I|.

    A pulse between its points would be in no residual.  Scattered points see it, as what the polynomials through the
    points of a panel and an interval differ by from f.
    """
    (low, high), number = line.domain, np.arange(1, SCATTERED_IN_TIME + 1)
    x = low + (high - low) * (number * 0.7548776662466927 % 1)  # x and t both fill their intervals evenly
    t = intervals[-1] * (number * 0.5698402909980532 % 1)
    (nodes, in_space), rho = interpolation_around(panel_around(panels_of(line), x), POINTS[-1], x), line.weight(x)
    if line.initial is None:
        moments, in_time = np.zeros((SCATTERED_IN_TIME, 1)), np.ones((SCATTERED_IN_TIME, 1))
    else:
        moments, in_time = interpolation_around(panel_around(intervals, t), TIMES[-1], t)
    f = line.source(nodes[:, :, None], moments[:, None, :])
    source = line.source(x, t) - np.einsum("nij,ni,nj->n", f, in_space, in_time)
    volume = (high - low) * (intervals[-1] if line.initial else 1.0)
    size = np.sqrt(volume * np.mean(source**2 / rho))
    if line.initial is None:
        return size, 0.0
    initial = line.initial(x) - np.sum(line.initial(nodes.ravel()).reshape(nodes.shape) * in_space, axis=1)
    return size, np.sqrt((high - low) * np.mean(initial**2 * rho))


def size_of(rule, s):
    """|m|_1/a of m (k, n), less the best constant where no flux is known."""
    inverse = rule.w / rule.a
    if rule.free:
        s = s - (s @ inverse / inverse.sum())[:, None]
    return np.sqrt(s**2 @ inverse)


def bound_in_time(line, V, points, times, intervals, hidden):
    rule, T = rule_of(line, V, points), line.final_time
    lam, none = rule.lam, tuple(None if h is None else 0.0 for h in line.fluxes)
    start = rule.X @ V.time(np.zeros(1))[0][0] - line.initial(rule.x)
    first = size_of(rule, along_line((rule.rho * start)[None], rule, none))[0]
    total = min(kernel(lam, T) * first, np.exp(-lam * T) * np.sqrt(np.sum(rule.w * rule.rho * start**2)))
    (t, weights), largest, (source, initial) = gauss(intervals, times), 0.0, hidden
    total += np.sqrt(-np.expm1(-2 * lam * T) / (2 * lam)) * source + np.exp(-lam * T) * initial
    for part in np.array_split(np.arange(len(t)), 1 + len(t) * len(rule.x) // BLOCK):
        now, rate = V.time(t[part])
        balance = (rate @ rule.X.T) * rule.rho - line.source(rule.x, t[part][:, None])
        s = along_line(balance, rule, line.fluxes)
        miss = size_of(rule, s - now @ rule.slopes.T * rule.a)
        total += (weights[part] * kernel(lam, T - t[part])) @ miss
        largest = max(largest, np.sqrt((now @ rule.X.T) ** 2 @ (rule.w * rule.rho)).max())
    final = rule.X @ V.time(np.array([T]))[0][0]
    total = np.exp(line.doubt * T) * (total + line.doubt * T * largest)
    return summary(rule, total, final)


def bound_without_time(line, V, points, _times, _intervals, hidden):
    rule, rate = rule_of(line, V, points), line.mu - line.doubt
    lam, now = rule.lam, V.time(np.zeros(1))[0]
    v = now @ rule.X.T
    s = along_line(line.mu * rule.rho * v - line.source(rule.x[None], np.zeros((1, 1))), rule, line.fluxes)
    miss = size_of(rule, s - now @ rule.slopes.T * rule.a)[0]
    final = summary(rule, 0.0, v[0])
    if lam + rate <= 0:
        return final._replace(error=np.inf)
    factor = np.sqrt(lam) / (lam + rate) if lam >= rate else 0.5 / np.sqrt(rate)
    rest = hidden[0] + line.doubt * final.size
    return final._replace(error=factor * miss + rest / (lam + rate))


def summary(rule, error, v):
    size = np.sqrt(np.sum(rule.w * rule.rho * v**2))
    return LineBound(float(error), 0.0, float(size))


def kernel(lam, t):
    """sup over l >= lam of l^(1/2) exp(-l t)."""
    with np.errstate(under="ignore"):
        return np.where(2 * lam * t < 1, 1 / np.sqrt(2 * np.e * t), np.sqrt(lam) * np.exp(-lam * t))


def time_breaks(final, breaks=()):
    """Intervals that grow geometrically from 0, where solutions are rough, and shrink towards the end."""
    decades = round(-np.log10(FIRST))
    early = final * np.logspace(-decades, 0, A_DECADE * decades)
    late = final * (1 - np.logspace(-LATE, -1, 2 * LATE))
    inner = [t for t in breaks if 0 < t < (1 - 1e-12) * final]  # steps that are added up end there but for rounding
    return np.unique(np.concatenate([[0.0], early, late, inner]))


def along_line(balance, rule, fluxes):
    """s with s_x = balance (m, n) at Gauss points, and the known fluxes; some s where none is."""
    s, whole = running_integrals(balance.T.reshape(-1, rule.count, len(balance)), rule.edges, rule.count)
    s, (low, high) = s.reshape(len(rule.x), -1).T, fluxes
    if low is not None:
        return s - low  # n = -1 there
    return s if high is None else s + high - whole[:, None]


# --- diffusion ----------------------------------------------------------------------------------------


class HeatSolution(NamedTuple):
    """V for an equation without a reaction, with a guaranteed bound of its error in L2 at the final time."""

    V: Products
    bound: LineBound
    problem: object
    norm_of_error = "L2, with the weight rho where there is one, at the final time"

    @property
    def error(self):
        """Guaranteed bound of |u - V| / |u| in L2 with the weight rho; inf where it is not below one."""
        return relative_to(self.bound)

    def reconstruction(self, points):
        """V (n,) and its gradient (n, 1) at points (n, 2), with time last."""
        value, slope = self.V.at(*points.T)
        return value, slope[:, None]

    def flux(self, points):
        """a V_x: (n, 1)"""
        return fine_coefficient(self.problem, points[:, 0])[:, None] * self.reconstruction(points)[1]


def relative_to(found):
    """The bound of |u - V| / |u| from those of |u - V| and |V|."""
    if found.error == 0:
        return 0.0
    rest = found.size - found.error
    return found.error / rest if rest > 0 else np.inf


def solve_heat(problem, correctors, coefficients, u0, rho=None):
    """HeatSolution of a problem in one dimension from what the three steps have found.

    u0: points (n, 2), time last -> value, gradient, second derivatives; rho: its mean over the cell, a function of
    points, or None for 1.
    """
    faces = faces_of(problem.boundary, problem.domain)
    ends = [float(face.data(np.array([[face.at]]))[0]) for face in faces]
    line = heat_line(problem, [end if face.flux else None for end, face in zip(ends, faces, strict=True)])
    second = second_series(problem, correctors) if len(correctors.nodes) == 1 else None
    nodes, tensor = chebyshev_nodes(line.domain), lambda x: coefficients.tensor(x[:, None])[:, 0, 0]
    slowness = lambda x: (rho(x[:, None]) if rho else 1.0) / tensor(x)  # noqa: E731
    forming = line.period**2 * slowness(nodes).min()  # a time in which correctors form
    if fits(line, ends):
        forming /= 4 * np.pi**2  # the slowest wave of a cell fades by a factor of e; else u0 is rough for longer
    chi = correctors.expansion(low_high := np.array(problem.domain).T, low_high / problem.eps)[0][0]
    shift = shift_of(line, slowness, problem.eps * np.where([face.flux for face in faces], 0.0, chi))
    space, steady = partial(heat_space, problem, correctors, second), steady_state(line, tensor, ends)
    kinks, found = np.asarray(getattr(u0, "times", ())), []
    for each in (shift, Shift(0 * shift.slopes, 0.0)):  # smooth initial values are sooner followed without
        time = partial(heat_time, u0, nodes, forming, each, steady)
        V = with_ends(Products(space, time), line, tensor, ends)
        found.append(HeatSolution(V, bound(line, V, [*kinks, *kinks / (1 - STEP)]), problem))
    return min(found, key=lambda solution: solution.bound.error)


def heat_line(problem, fluxes):
    """The equation of a problem as a Line."""
    ((low, high),), (period,) = problem.domain, problem.period
    source, moving = source_of(problem), takes_time(problem.source)

    def weight(x):
        points = x[:, None]
        return checked_values("rho", lambda p: problem.rho(p, p / problem.eps), points) if problem.rho else 0 * x + 1

    def load(x, t):
        each, moments = np.broadcast_arrays(x, t) if moving else (x, 0 * x)
        points = np.stack([each.ravel(), moments.ravel()], axis=1)
        return checked_values("source", source, points).reshape(each.shape) + 0 * t

    def initial(x):
        return checked_values("initial", problem.initial, x[:, None])

    coefficient = partial(fine_coefficient, problem)
    return Line(
        coefficient, weight, load, initial, (low, high), tuple(fluxes), problem.eps * period, problem.final_time
    )


def fine_coefficient(problem, x):
    """a(x, x / eps): (n,)"""
    return tensor_of(at_fine_scale(problem), x[:, None])[:, 0, 0]


def heat_space(problem, correctors, second, x):
    """X of L_k, and of its correctors."""
    eps, L, y = problem.eps, cardinal(problem.domain[0], x), x / problem.eps
    chi, chi_y, chi_x = correctors.expansion(x[:, None], y[:, None])
    parts = [of_first_order(L, eps, (chi[0], chi_y[0, :, 0], chi_x[0, :, 0]))]
    if second:
        parts.append(of_second_order(L, eps, second.on_line(y), 2))
    X, slopes = (sum(part) for part in zip(*parts, strict=True))
    return np.hstack([L[0], X]), np.hstack([L[1], slopes])


class Shift(NamedTuple):
    """By which the ends of the box are moved, where u0 + eps chi u0' has the values of u0."""

    slopes: np.ndarray  # (K, K): from values of u0 at the nodes to shift times u0' there
    stretch: float  # the derivative of shift / sqrt(a*/rho*) by the time that diffusion takes


def shift_of(line, slowness, ends):
    """The Shift that is `ends` at both ends.  slowness: x -> rho* / a*"""
    nodes, x = chebyshev_nodes(line.domain), np.linspace(*line.domain, 4001)
    root = np.sqrt(slowness(x))
    travel = integrate.cumulative_simpson(root, x=x, initial=0.0)
    low, high = ends * root[[0, -1]]
    stretch = (high - low) / travel[-1]
    shift = np.interp(nodes, x, (low + stretch * travel) / root)
    return Shift(shift[:, None] * cardinal(line.domain, nodes)[1], stretch)


def steady_state(line, tensor, ends):
    """The homogenized solution without time, with the source of the final time, at the nodes."""
    x = np.linspace(*line.domain, 4001)
    load = integrate.cumulative_simpson(line.source(x, line.final_time + 0 * x), x=x, initial=0.0)
    z, rest = (integrate.cumulative_simpson(part / tensor(x), x=x, initial=0.0) for part in (1.0 + 0 * x, load))
    if line.fluxes[0] is not None:
        u = -ends[0] * z - rest
        u += ends[1] - u[-1]
    else:
        flow = (ends[1] - ends[0] + rest[-1]) / z[-1] if line.fluxes[1] is None else ends[1] + load[-1]
        u = ends[0] + flow * z - rest
    return np.interp(chebyshev_nodes(line.domain), x, u)


def heat_time(u0, nodes, forming, shift, steady, t):
    """T of L_k, u0 and its shift at the nodes, and of correctors, which fade in with the shift; and their derivatives.

    t u0_t is a difference, since u0_t jumps where u0 has kinks, and V must not.
    """

    def at(t):
        value, slope = u0.value_and_gradient(tensor_grid([t, nodes])[:, ::-1])
        return value.reshape(len(t), -1), slope[:, 1].reshape(len(t), -1)

    (value, rate), (before, rate_before), s = at(t), at((1 - STEP) * t), (t / forming)[:, None]
    with np.errstate(under="ignore"):
        bell = np.exp(-(s**2))
    moved = (steady - value) @ shift.slopes.T + 2 * shift.stretch / STEP * (before - value)
    moving = -rate @ shift.slopes.T + 2 * shift.stretch / STEP * ((1 - STEP) * rate_before - rate)
    (w, w_t), (c, c_t) = (
        ((1 - bell) * part, (1 - bell) * its_rate + 2 * s / forming * bell * part)
        for part, its_rate in ((moved, moving), (value + moved, rate + moving))
    )
    return np.hstack([value + w, c]), np.hstack([rate + w_t, c_t])


def fits(line, values):
    """Whether the initial value is g at the ends where no flux is known."""
    known = [side for side in (0, 1) if line.fluxes[side] is None]
    inside, ends = line.initial(chebyshev_nodes(line.domain)), line.initial(np.array(line.domain)[known])
    return np.abs(ends - np.array(values)[known]).max() <= 1e-6 * np.abs(inside).max()


def second_corrector(a, chi, period):
    """c_1 of the head, (a (c_1' + chi))' = 0: values (m,) at the midpoints of the cell."""
    return antiderivative(np.mean(chi) / np.mean(1 / a) / a - chi, period)


def second_series(problem, correctors):
    """The Series of c_1 of a coefficient of y alone."""
    y = midpoints(1, correctors.period, CELL)
    a = tensor_of(at_node(problem.coefficient, correctors.nodes[0]), y)[:, 0, 0]
    period = np.broadcast_to(correctors.period, 1)
    return series_through(second_corrector(a, correctors.cells(y)[0][0, 0], period), period)
