"""What is added to random features, see equations.py: values on faces, and what smooth functions cannot follow.

    values      the blending of Coons: G = g on the value faces, from splines of g on each of them
    corners     of a rectangle, where the equation, or a flux, contradicts the values: powers times logarithms
    in time     at the ends of an interval, where the equation contradicts an initial value: error functions

A lift is a function of jets: that of the coordinates (channels, n, d) -> its own (channels, n), see nhpinn_networks.py.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.interpolate import NdBSpline, make_interp_spline
from scipy.special import erf, erfc

from nhpinn_functions import checked_values, grid, on_face, pair_of
from nhpinn_networks import coordinate_jet, operator_jet
from nhpinn_tools.features import composed, product_jet

# --- values on faces ----------------------------------------------------------------------------------

KNOTS = {2: (33, 1025), 3: (17, 129)}  # of a spline of g, an axis of the face: at first, at most
CLOSE = 1e-10  # what such a spline may miss, relative to the largest value


class Blending(NamedTuple):
    """The lift that is g on the value faces of a box."""

    domain: tuple
    faces: tuple  # of Face: low and high of axis after axis
    splines: tuple  # of g - middle on each value face, None of the others: lifts that do not change across the face
    middle: float  # between the least and the largest value: constants are met to the last digit
    miss: float  # the largest error of the splines at random points of the faces
    share: Callable  # see `linear`: 1 on its face, 0 on the opposite one if that is a value face

    def __call__(self, jet):
        out = self._along(len(self.domain), jet)
        out[0] += self.middle
        return out

    def _along(self, axes, jet):
        """The blending along the first axes: what it misses on the faces of the last of them is added, by its share."""
        if axes == 0:
            return 0 * jet[..., 0]
        axis, before = axes - 1, self._along(axes - 1, jet)
        pair, out = pair_of(self.faces, axis), before
        length = np.ptp(self.domain[axis])
        for face, spline in zip(pair, pair_of(self.splines, axis), strict=True):
            if not face.flux:
                edge = jet.copy()
                edge[..., axis] = 0
                edge[0, :, axis] = face.at
                distance = (jet[..., axis] - edge[..., axis]) * (1 - 2 * face.side) / length
                share = self.share(face, pair[1 - face.side], distance, jet)
                out = out + product_jet(share, spline(edge) - self._along(axis, edge))
        return out


def linear(face, opposite, distance, jet):
    """From face to face; constant where the other one is a flux face."""
    share = 0 * distance if opposite.flux else -distance
    share[0] += 1
    return share


def blending(faces, domain, share=linear):
    ends = [np.linspace(low, high, 17) for low, high in domain]
    values = np.concatenate(
        [checked_values("boundary", face.data, on_face(face, ends)) for face in faces if not face.flux]
    )
    middle = (values.min() + values.max()) / 2 if share is linear else 0.0
    rng = np.random.default_rng(0)
    found = [(None, 0.0) if face.flux else spline_of(face, domain, middle, rng) for face in faces]
    splines, misses = zip(*found, strict=True)
    return Blending(domain, faces, splines, middle, max(misses), share)


def spline_of(face, domain, middle, rng):
    """A spline of g - middle on a face, of as many knots as it takes, and its largest error at random points."""
    others = [axis for axis in range(len(domain)) if axis != face.axis]
    if not others:
        return partial(constant_jet, face.data(np.array([[face.at]]))[0] - middle), 0.0
    x = rng.uniform(*np.transpose(domain), (2000, len(domain)))
    x[:, face.axis] = face.at
    exact = checked_values("boundary", face.data, x) - middle
    count, most = KNOTS[len(domain)]
    while True:
        axes = [np.linspace(low, high, count) for low, high in domain]
        values = (checked_values("boundary", face.data, on_face(face, axes)) - middle).reshape([count] * len(others))
        if np.ptp(values) == 0 == np.ptp(exact):
            return partial(constant_jet, values.flat[0]), 0.0
        knots = []
        for k, axis in enumerate(others):
            line = make_interp_spline(axes[axis], values, 5, axis=k)
            knots.append(line.t)
            values = np.moveaxis(line.c, 0, k)
        spline = NdBSpline(tuple(knots), values, 5)
        miss = np.abs(spline(x[:, others]) - exact).max()
        if miss <= CLOSE * np.abs(exact).max() or 2 * count - 1 > most:
            return partial(spline_jet, spline, others), miss
        count = 2 * count - 1


def constant_jet(value, jet):
    out = 0 * jet[..., 0]
    out[0] = value
    return out


def spline_jet(spline, others, jet):
    """The jet of a function of the coordinates `others` alone."""
    unit, x = np.eye(len(others), dtype=int), jet[0][:, others]
    first = [spline(x, nu=e) for e in unit]
    second = [[spline(x, nu=e + f) for f in unit] for e in unit]
    return composed([jet[..., axis] for axis in others], spline(x), first, second)


# --- corners ------------------------------------------------------------------------------------------


class Corner(NamedTuple):
    """What a solution does in a corner of a rectangle, but for smooth functions."""

    at: np.ndarray  # (2,)
    tensor: np.ndarray  # (2, 2), diagonal
    axis: int | None  # that a flux face is normal to; None: values on both edges
    strength: float  # what is left of the source; or, over the root of a_axis,axis, of the flux


def corners_of(problem, values):
    """The corners of a rectangle where a lift of the values on faces leaves a source, see `corner_jet`; those where it
    leaves a flux, see `flux_corner_jet`: two lists of Corner.

    Values on both edges fix both second derivatives in the corner, and the equation a third sum of them; a value on
    one edge fixes what flows through the other one.  Lengths are divided by the roots of a_11 and a_22; for a_12 != 0
    the corner has another angle, and there is no lift.
    """
    spots = grid(problem.domain, 2)
    a, b, c = problem.coefficients(spots)
    if problem.dim != 2 or np.abs(a[:, 0, 1]).max() > 1e-6 * np.sqrt(a[:, 0, 0] * a[:, 1, 1]).min():
        return [], []
    jet = values(operator_jet(spots, a, b))
    source = checked_values("source", problem.source, spots) + jet[-1] - c * jet[0]
    sources, fluxes, size = [], [], np.abs(jet[0] - values.middle).max()
    for k, spot in enumerate(spots):
        one, other = (face for face in problem.faces if spot[face.axis] == face.at)
        if not (one.flux or other.flux):
            sources.append(Corner(spot, a[k], None, source[k]))
        elif not (one.flux and other.flux):
            face = one if one.flux else other
            miss, a_nn = flux_left(face, a[k : k + 1], values, spot[None])[0], a[k, face.axis, face.axis]
            if abs(miss) > 1e-10 * a_nn * size / np.ptp(problem.domain[face.axis]):  # else it is rounding
                fluxes.append(Corner(spot, a[k], face.axis, miss / np.sqrt(a_nn)))
    return sources, fluxes


def flux_left(face, a, lift, x, t=None):
    """h - n . a grad of a lift, at points x of a flux face and a time t, for a there."""
    return checked_values("boundary", face.data, x) - lift(conormal_jet(face, a, x, t))[1]


def conormal_jet(face, a, x, t=None):
    """The jet of the coordinates at points x of a face, whose first derivative is n . a grad."""
    normal = (2 * face.side - 1) * a[:, face.axis]
    if t is not None:
        x, normal = np.insert(x, x.shape[1], t, axis=1), np.insert(normal, x.shape[1], 0.0, axis=1)
    return coordinate_jet(x, normal[None], 0 * x)


def corners_jet(corners, domain, jet):
    """The sum of what corners add."""
    total, (low, high) = 0 * jet[..., 0], np.transpose(domain)
    for at, tensor, axis, strength in corners:
        lengths = (high - low) / np.sqrt(np.diag(tensor))
        size, near = lengths.max(), list(distances(domain, at, jet))
        x, y = (k * u for k, u in zip(lengths / size, near, strict=True))
        if axis is None:
            local, scale = corner_jet(x, y), size**2
        else:  # inwards from the flux face x = 0, where n points outwards
            local, scale = flux_corner_jet(x, y) if axis == 0 else flux_corner_jet(y, x), -size
        total = total + strength * scale * product_jet(product_jet(cutoff(near[0]), cutoff(near[1])), local)
    return total


def distances(domain, corner, jet):
    """The jets of the distances from a corner of the box, axis by axis, divided by the lengths of the box."""
    for i, (low, high) in enumerate(domain):
        sign, x = (1 if corner[i] == low else -1) / (high - low), jet[..., i] * 1.0
        x[0] -= corner[i]
        yield sign * x


def cutoff(x):
    """The jet of a polynomial: 1 at x = 0, 0 from x = 1 on, three times differentiable."""
    s = np.minimum(x[0], 1)
    value = (1 - s) ** 4 * (1 + 4 * s + 10 * s**2 + 20 * s**3)
    return composed([x], value, [-140 * (1 - s) ** 3 * s**3], [[-420 * (1 - s) ** 2 * s**2 * (1 - 2 * s)]])


def corner_jet(x, y):
    """The jet of w = -y^2 / 2 - Im(z^2 log z) / pi, z = x + i y, from those of x and y: -lap w = 1, 0 on both edges."""
    z = x[0] + 1j * y[0]
    z = np.where(z == 0, 1e-30, z)
    value, first, second = z * z * np.log(z) / np.pi, (2 * z * np.log(z) + z) / np.pi, (2 * np.log(z) + 3) / np.pi
    return composed(
        [x, y],
        -(y[0] ** 2) / 2 - value.imag,
        [-first.imag, -y[0] - first.real],
        [[-second.imag, -second.real], [-second.real, second.imag - 1]],
    )


def flux_corner_jet(x, y):
    """The jet of w = 2 Im(z log z) / pi, z = x + i y: lap w = 0, w = 0 for y = 0, d_x w = 1 for x = 0."""
    z = x[0] + 1j * y[0]
    z = np.where(z == 0, 1e-30, z)
    value, first, second = (2 / np.pi * u for u in (z * np.log(z), np.log(z) + 1, 1 / z))
    second = [[second.imag, second.real], [second.real, -second.imag]]
    return composed([x, y], value.imag, [first.imag, first.real], second)


# --- in time ------------------------------------------------------------------------------------------
#
# In each lift time stands still from `frozen` on, when it is smooth; x is a distance from a face over the length of the
# box, and a that of the equation over the length squared.


def sudden_change(problem, frozen):
    """The blending that takes the initial value on the value faces to g, at once; None where they agree."""
    domain = problem.domain
    changes = [face._replace(data=partial(change, face, problem.initial)) for face in problem.faces]
    x = np.random.default_rng(0).uniform(*np.transpose(domain), (500, len(domain)))
    jump, size, rates = 0.0, np.abs(problem.initial(x)).max(), {}
    for face in changes:
        x[:, face.axis] = face.at
        if not face.flux:
            jump = max(jump, np.abs(face.data(x)).max())
        a = problem.coefficients(x.mean(axis=0)[None])[0][0, face.axis, face.axis]
        rates[face.axis, face.side] = a / np.ptp(domain[face.axis]) ** 2
    return blending(tuple(changes), domain, partial(sudden, rates, frozen)) if jump > 1e-10 * size else None


def change(face, initial, x):
    return face.data(x) - checked_values("initial", initial, x)


def sudden(rates, frozen, face, opposite, distance, jet):
    """erfc(e), e = x / sqrt(4 a t): 1 on the face, 0 at first; it solves u_t = a u_xx, and is cut off."""
    return product_jet(cutoff(distance), erfc_jet(distance, time_jet(jet, frozen), rates[face.axis, face.side]))


def bell_of(x, t, a):
    """sqrt(4 a t), e = x / sqrt(4 a t), and the derivative of erf at e, from the jets of x and t."""
    root = np.sqrt(4 * a * t[0])
    e = x[0] / root
    return root, e, 2 / np.sqrt(np.pi) * np.exp(-(e**2))


def erfc_jet(x, t, a):
    """The jet of erfc(e), from those of x and t."""
    root, e, bell = bell_of(x, t, a)
    cross = bell * (1 / 2 - e**2) / (t[0] * root)
    second = [[2 * e * bell / root**2, cross], [cross, bell * e * (2 * e**2 - 3) / (4 * t[0] ** 2)]]
    return composed([x, t], erfc(e), [-bell / root, bell * e / (2 * t[0])], second)


def time_jet(jet, frozen):
    """The jet of the time, the last coordinate, that stands still from `frozen` on."""
    t = jet[..., -1] * (jet[0, :, -1] <= frozen)
    t[0] = np.clip(jet[0, :, -1], 1e-30 * frozen, frozen)
    return t


def layer_jet(x, t, a):
    """The jet of t (1 - 4 i2erfc(e)): u_t - a u_xx = 1, u = 0 for x = 0 and for t = 0."""
    root, e, bell = bell_of(x, t, a)
    return composed(
        [x, t],
        t[0] * (1 - (1 + 2 * e**2) * erfc(e) + e * bell),
        [root / a * (bell / 2 - e * erfc(e)), erf(e)],
        [[-erfc(e) / a, bell / root], [bell / root, -bell * e / (2 * t[0])]],
    )


def flux_layer_jet(x, t, a):
    """The jet of sqrt(4 a t) ierfc(e): u_t = a u_xx, d_x u = -1 for x = 0, u = 0 for t = 0."""
    root, e, bell = bell_of(x, t, a)
    second = [
        [bell / root, -bell * e / (2 * t[0])],
        [-bell * e / (2 * t[0]), a * bell * (2 * e**2 - 1) / (2 * root * t[0])],
    ]
    return composed([x, t], root * (bell / 2 - e * erfc(e)), [-erfc(e), a * bell / root], second)


class End(NamedTuple):
    """What happens near t = 0 at an end of an interval where the initial value breaks the equation, or the flux."""

    at: float
    flux: bool
    strength: float  # what the equation asks u_t to be there, where u_t = 0; or what n . a grad u lacks of h at t = 0
    a: float


def ends_jet(domain, ends, frozen, jet):
    """The sum of what ends add: the strength of each times `layer_jet`, or `flux_layer_jet` / a."""
    total, length, t = 0 * jet[..., 0], np.ptp(domain), time_jet(jet, frozen)
    for at, flux, strength, a in ends:
        x = next(distances(domain, [at], jet))
        local = flux_layer_jet(x, t, a / length**2) * length / a if flux else layer_jet(x, t, a / length**2)
        total = total + strength * product_jet(cutoff(x), local)
    return total
