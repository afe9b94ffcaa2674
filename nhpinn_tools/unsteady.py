"""Problems in time without a certificate: the expansion at the faces, and what it leaves out, as sizes to warn of.

    oscillation  |u - u_0| / |u_0| at the final time: what layers at the boundary, and initial values, would change
    growth       of the error in the exponent: the slowest mode decays like exp(-l t / rho*), rho* the mean of rho,
                 l = r* + sum_i a*_ii (pi / L_i)^2

The error of r*: phi = exp(eps N + eps^2 M) with -D : grad grad M = grad N . D grad N + r* is the ground state of
-D : grad grad phi + eps r phi = eps^2 mu phi up to eps^3, and mu - r* is the mean of
-2 eps grad N . D grad M - eps^2 grad M . D grad M with the weight phi^2.  The ground state multiplies diffusion by
1 / (mean(phi^2) mean(phi^-2)).  That of a*: to first order in eps what chi differs by between opposite faces, as the
length of the box does, which what parabolic.py makes has; to second order its square.  Sizes are estimates, not bounds.
"""

from functools import partial

import numpy as np

from nhpinn_functions import (
    CELL_POINTS,
    at_node,
    box_midpoints,
    cell_quadrature,
    centre,
    checked_values,
    faces_of,
    source_of,
    tensor_of,
)
from nhpinn_tools import spectrum
from nhpinn_tools.calls import warn
from nhpinn_tools.ground_state import zero_on_faces

LEAST_GROWTH, LEAST_OSCILLATION = 1e-2, 0.1  # that are warned of
CHECKS = {1: 4096, 2: 256, 3: 48}  # points an axis


def without_faces(oscillation, problem):
    """What oscillates, as a function of points (n, dim + 1), time last -> value (n,), gradient (n, dim), less layers of
    what it is on the faces with values, so that u has these values."""
    for face in faces_of(problem.boundary, problem.domain):
        if not face.flux:
            cell = problem.eps * np.broadcast_to(problem.period, problem.dim)[face.axis]
            oscillation = partial(less_layer, oscillation, face, cell)
    return oscillation


def less_layer(oscillation, face, cell, points):
    """What oscillates less (1 - s)^6 times what it is on the face, s from 0 there to 1 a period away."""
    value, slope = oscillation(points)
    s = np.abs(points[:, face.axis] - face.at) / cell
    near = np.flatnonzero(s < 1)
    if len(near):
        on, rest = points[near], 1 - s[near]
        on[:, face.axis] = face.at
        there, along = oscillation(on)
        along[:, face.axis] = 0.0
        value[near] -= rest**6 * there
        slope[near] -= rest[:, None] ** 6 * along
        slope[near, face.axis] += 6 * rest**5 * (1 - 2 * face.side) / cell * there
    return value, slope


def warn_of_time(solution):
    """Warns of what is estimated to be wrong with a Solution at the final time by 1 % or more."""
    problem, correctors, coefficients = solution.problem, solution.correctors, solution.coefficients
    x = box_midpoints(problem.domain, {1: 257, 2: 33, 3: 13}[problem.dim])
    homogenized = solution.homogenized(x)
    size = np.linalg.norm(homogenized)
    oscillation = np.linalg.norm(solution(x) - homogenized) / size if size > 0 else 0.0
    growth = exponent_error(problem, correctors, coefficients, solution.certificate is not None)
    if growth > LEAST_GROWTH:
        text = f"a factor of {np.exp(min(growth, 700)):.3g}" if growth > 0.5 else f"{np.expm1(growth):.2g}"
        warn(
            f"final_time: the rate at which the solution grows or decays is known to about {growth:.2g} / "
            f"{problem.final_time:g}, so that it may err by {text}, expected at most {LEAST_GROWTH:g}; a smaller eps, "
            "a weaker reaction or a shorter time has less"
        )
    cell = problem.eps * max(problem.period)
    start = cell**2 * storage(problem) / np.linalg.eigvalsh(coefficients.samples).max()
    width = initial_width(problem)
    for name, found, least in (("final_time", problem.final_time, start), ("initial", width, cell)):
        if found < least and oscillation > LEAST_GROWTH:
            what = "a time in which correctors form" if name == "final_time" else "a width of some periods"
            warn(
                f"{name}: found {found:.2g}, expected {what}, of more than {least:.2g}: the error may be as large as "
                f"what oscillates, {oscillation:.2g}"
            )
            return
    if oscillation > LEAST_OSCILLATION:
        warn(
            f"eps: what oscillates at the final time is {oscillation:.2g} of the solution, expected at most "
            f"{LEAST_OSCILLATION:g}: the error may be as large, as at the boundary nothing corrects it; a smaller eps "
            "has less"
        )


def storage(problem):
    """The mean of rho over the cell at the centre of the box; 1 where there is none."""
    if problem.rho is None:
        return 1.0
    y = cell_quadrature(problem.dim, problem.period)
    return checked_values("rho", at_node(problem.rho, centre(problem.domain)), y).mean()


def initial_width(problem):
    """|g| / |grad g| of the initial value, in L2."""
    count = CHECKS[problem.dim]
    g = checked_values("initial", problem.initial, box_midpoints(problem.domain, count)).reshape([count] * problem.dim)
    slopes = np.gradient(g, *np.diff(problem.domain)[:, 0] / count)
    steepness = np.linalg.norm(slopes)
    return np.linalg.norm(g) / steepness if steepness > 0 else np.inf


def exponent_error(problem, correctors, coefficients, moved):
    """About by how much l t / rho* errs at the final time, see the head of this file.

    moved: whether the ends of the box are, to first order, as in parabolic.py.
    """
    lengths, T = np.diff(problem.domain)[:, 0], problem.final_time / storage(problem)
    a = coefficients.tensor(centre(problem.domain)[None])[0]
    rates = np.diag(a) * (np.pi / lengths) ** 2
    x, moments = box_midpoints(problem.domain, 4), box_midpoints([*problem.domain, (0.0, T)], 4)
    times = T * rates
    if np.any(checked_values("source", source_of(problem), moments)) or not zero_on_faces(problem):
        times = np.minimum(times, 1.0)  # what decays is forgotten
    if problem.reaction is not None:
        mu, slowed = reaction_error(problem, correctors)
        return abs(mu) * T + slowed * times.sum()
    chi = np.sqrt(np.mean(correctors.cells(cell_quadrature(problem.dim, problem.period))[0] ** 2, axis=2)).max(axis=0)
    shifts = np.empty(problem.dim)
    for i, ends in enumerate(problem.domain):
        faces = [np.where(np.arange(problem.dim) == i, end, x) for end in ends]
        low, high = (correctors.expansion(face, face / problem.eps)[0][i].mean() for face in faces)
        shifts[i] = 2 * abs(high - low)
    stretched = problem.eps * shifts / lengths
    return float(
        times @ ((3 / 4 * stretched**2 if moved else stretched) + 2 * (np.pi * problem.eps * chi / lengths) ** 2)
    )


def reaction_error(problem, correctors):
    """mu - r*, and the part of itself by which the ground state slows down diffusion."""
    d, eps, period = problem.dim, problem.eps, np.array(problem.period)
    y = cell_quadrature(d, period)
    D = tensor_of(lambda p: problem.coefficient(np.tile(centre(problem.domain), (len(p), 1)), p), y[:1])[0]
    N, slope = (each[0, 0] for each in correctors.cells(y))
    square = np.einsum("ni,ij,nj->n", slope, D, slope)
    forcing = spectrum.spectrum_of((square - square.mean()).reshape([CELL_POINTS[d]] * d), d)
    M = forcing._replace(modes=forcing.modes / spectrum.symbol(D / np.outer(period, period), CELL_POINTS[d]))
    turned = spectrum.values_of(spectrum.gradient(M)).reshape(d, -1).T / period @ D
    second = np.einsum("ni,ni->n", turned, eps * slope * 2 + eps**2 * turned @ np.linalg.inv(D))
    squared = np.exp(np.clip(2 * (eps * N + eps**2 * spectrum.values_of(M).ravel()), -300, 300))
    return -np.average(second, weights=squared), 1 - 1 / (squared.mean() * np.mean(1 / squared))
