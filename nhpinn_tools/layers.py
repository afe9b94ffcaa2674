"""Layers at the faces and corners of a box, and the fields v and s of a certificate with them.

With x, y = x / eps, the micro functions and the factors D_m of two_scale.py, and w_l = trigonometric functions of the
coordinates of y, of use near faces alone,

    v = u0 + eps chi_m W_m + eps w_l W_l,                     s_i = P_i + d_k( eps phi_kim Z_kim + eps w_l Z_kil )

    W_m = C_m D_m + sum of C_j D_j (F_jmh h),                 W_l = sum of C_j D_j (F_jlh h)

and Z likewise, for every pair k < i.  P is the homogenized flux (balance.py).  The layers are changes of the macro
factors W and Z, so that no micro function is evaluated twice.

    C    the cut, a product over faces of 1 - h_0, where h_0 is the hat that is 1 on the face: in W over the faces where
         u is known, in Z over those where n . s is and to which k or i is normal.  On a face where u is a constant,
         d_j u0 but for its normal j vanishes, and needs none.  So v = u0 on the former faces and n . s = n . P on the
         latter, whatever the factors F are
    h    hats: piecewise linear functions of some knots at distances up to one period, or half the box, from a face,
         and in corners of two dimensions their products
    F    factors that minimise |s - a grad v|_1/a over a sample of the periods at a face, then at a corner: small least
         squares.  Faces have all micro functions and waves w_l along them, corners those of the directions D_j

In a corner where a value meets a flux, first derivatives of u0 depend on the direction in which it is approached, and
second ones grow like 1 / r: eps chi_j d_j u0 would have no finite energy.  There the former are cut by 1 - t t', the
latter by its cube, with t = 1 on a face, linear, 0 a period from it.  In three dimensions edges have no layers of their
own: those fitted to a sample of an edge made the bound wider.
"""

from functools import reduce
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import linalg

from nhpinn_functions import compact_tensor_of
from nhpinn_tools.balance import homogenized_flux
from nhpinn_tools.bounds import at_fine_scale, product
from nhpinn_tools.quadrature import KNOTS, layer_width, panel_of
from nhpinn_tools.two_scale import Macro, curls, macro_at, micro_at

HARMONICS = {2: 2, 3: 1}  # of the waves along a face, for smooth coefficients
SAMPLE = {2: 6, 3: 2}  # periods along a face in the least squares of its layers
MOST_MEETING = {1: 0, 2: 2, 3: 1}  # faces with a layer where they meet
TAPERS = 1, 3  # the powers of the cuts of first and second derivatives in corners where a value meets a flux
FAINT = 1e-3  # of the largest D_j: smaller ones have no layer
NOTHING = 1e-6  # of what an ordinary function contributes: less is left of one that ought to be zero, and has no layer
CLOSE = 1e-8  # the square of what is left of a function beside the others: less would have a factor that is noise


class Layer(NamedTuple):
    faces: tuple  # one, or those that meet
    factors: np.ndarray  # F: (1 + pairs, directions, kinds, hats); v first, then the pairs of s


# --- hats, waves, cuts ------------------------------------------------------------------------------------


def hats(c, face, x):
    """The hat functions of a face's knots but the last, and their derivatives along its axis: (knots, n) each."""
    low, high = c.box[face.axis]
    knots, unit = KNOTS * layer_width((low, high), c.lengths[face.axis]), np.eye(len(KNOTS))[:, :-1]
    s, sign = (x[:, face.axis] - low, 1) if face.side == 0 else (high - x[:, face.axis], -1)
    k = panel_of(knots, s)
    before, after, width, inside = unit[k].T, unit[k + 1].T, np.diff(knots)[k], s < knots[-1]
    t = (s - knots[k]) / width
    return inside * (before + t * (after - before)), sign * inside * (after - before) / width


def hat_products(c, faces, x):
    """Products of the hats of faces that meet: (knots ** faces, n), gradients (d, ...)."""
    return products([(face.axis, *hats(c, face, x)) for face in faces], len(c.box), len(x))


def products(factors, d, n):
    """Products of a function of each of some axes, [(axis, functions (K, n), their derivatives), ...], and gradients
    (d, ...)."""
    value, slope = np.ones((1, n)), np.zeros((d, 1, n))
    for axis, functions, changes in factors:
        slope = (slope[:, :, None] * functions).reshape(d, -1, n)
        slope[axis] = (value[:, None] * changes).reshape(-1, n)
        value = (value[:, None] * functions).reshape(-1, n)
    return value, slope


def in_layer(c, faces, x):
    """Which of the points lie in the layer where these faces meet: indices."""
    near = np.ones(len(x), bool)
    for face in faces:
        near &= np.abs(x[:, face.axis] - face.at) < layer_width(c.box[face.axis], c.lengths[face.axis])
    return np.flatnonzero(near)


def face_waves(c, axis, x):
    """Products of 1, cos, sin of coordinates of y other than axis, a few a period: (L, n), gradients (d, L, n)."""
    n, d = x.shape
    factors = []
    for i in set(range(d)) - {axis}:
        k = 2 * np.pi / c.lengths[i] * np.arange(1, 1 + (c.waves or HARMONICS[d]))[:, None]
        turns = np.cumprod(np.tile(np.exp(1j * k[0] * x[:, i]), (len(k), 1)), axis=0)  # quicker than sines
        cos, sin = turns.real, turns.imag
        waves = np.concatenate([np.ones((1, n)), cos, sin])
        factors.append((i, waves, np.concatenate([np.zeros((1, n)), -k * sin, k * cos])))
    return products(factors, d, n)


def cut_factors(c, macro):
    """C D_m of v, then of the pairs of s: (1 + pairs, M, n), gradients (d, ...)."""
    d, M = len(c.box), c.factors
    pairs = list(combinations(range(d), 2))
    value = np.repeat(macro.D[None], 1 + len(pairs), axis=0)
    slope = np.repeat(macro.slope[:, None], 1 + len(pairs), axis=1)
    for face, directions in zip(c.faces, c.directions, strict=True):
        rows = [1 + q for q, pair in enumerate(pairs) if face.axis in pair] if face.flux else [0]
        at = in_layer(c, (face,), macro.x)
        spot = np.ix_(rows, [*directions, *range(d, M)], at)
        hat, change = (part[0] for part in hats(c, face, macro.x[at]))
        slope[(slice(None), *spot)] *= 1 - hat
        slope[(face.axis, *spot)] -= change * value[spot]
        value[spot] *= 1 - hat
    if c.rough:
        for one, two in combinations(c.faces, 2):
            if one.axis != two.axis and one.flux != two.flux:
                for factors, power in zip((slice(d), slice(d, M)), TAPERS, strict=True):
                    cut, along = taper(c, one, two, macro.x, power)
                    slope[:, :, factors] = slope[:, :, factors] * cut + along[:, None, None] * value[:, factors]
                    value[:, factors] *= cut
    return value, slope


def taper(c, one, two, x, power):
    """(1 - t t')^power and its gradient: (n,), (d, n)."""
    (s, ds), (t, dt) = ([(1 - KNOTS[:-1]) @ part for part in hats(c, face, x)] for face in (one, two))
    slope = np.zeros((len(c.box), len(x)))
    slope[one.axis], slope[two.axis] = ds * t, dt * s
    return (1 - s * t) ** power, -power * (1 - s * t) ** (power - 1) * slope


# --- v and s ----------------------------------------------------------------------------------------------


class Fields(NamedTuple):
    """At n points."""

    macro: Macro  # u0 and the points
    v: np.ndarray  # (n,)
    slope: np.ndarray  # (d, n): grad v
    curl: np.ndarray  # (d, n): s - P


def fields_at(c, axes, grid):
    found = fields_of(c, macro_at(c, axes, grid), *micro_at(c, axes, grid))
    if c.elements is None:
        return found
    value, *slopes = c.elements.at(axes, grid, (), *[(i,) for i in range(len(axes))])
    w, psi = np.moveaxis(slopes, 1, 0)[[0, -1]]
    curl = found.curl + curls(psi[:, None])[:, 0] if len(axes) == 2 else found.curl
    return found._replace(v=found.v + value[0], slope=found.slope + w, curl=curl)


def fields_of(c, macro, micro, change):
    d = len(c.box)
    if d == 1:  # the ends are met by u0, see two_scale.ends_with_data
        v = macro.u0 + (micro[0] * macro.D).sum(0)
        slope = macro.D + (change[:, 0] * macro.D + micro[0] * macro.slope).sum(1)
        return Fields(macro, v, slope, np.zeros(slope.shape))
    W, dW = cut_factors(c, macro)
    value, slope = sum_of_products(micro, change, W, dW)
    for layer in c.layers:
        at = in_layer(c, layer.faces, macro.x)
        if len(at):
            J, x = directions_of(c, layer.faces), macro.x[at]
            functions = layer_functions(c, layer.faces, x, micro[:, :, at], change[..., at])
            sums = sums_over_kinds(layer, functions, hat_products(c, layer.faces, x))
            more = sum_of_products(*sums, W[:, J][..., at], dW[:, :, J][..., at])
            value[:, at] += more[0]
            slope[:, :, at] += more[1]
    return Fields(macro, macro.u0 + value[0], macro.D[:d] + slope[:, 0], curls(slope[:, 1:]).sum(1))


def sum_of_products(micro, change, W, dW):
    """sum_m micro_m W_m (1 + pairs, n) and its gradient (d, 1 + pairs, n), for arrays (1 + pairs, M, n)."""
    return np.einsum("pmn,pmn->pn", micro, W), np.einsum("ipmn,pmn->ipn", change, W) + np.einsum(
        "pmn,ipmn->ipn", micro, dW
    )


def layer_functions(c, faces, x, micro, change):
    """The functions of y that a layer has: (1 + pairs, kinds, n), gradients (d, ...)."""
    if len(faces) > 1:
        J = directions_of(c, faces)
        micro, change = micro[:, J], change[:, :, J]
        wave, along = np.ones((1, len(x))), np.zeros((len(c.box), 1, len(x)))
    else:
        wave, along = face_waves(c, faces[0].axis, x)
    rows = len(micro)
    wave = np.broadcast_to(c.eps * wave, (rows, *wave.shape))
    along = np.broadcast_to(c.eps * along[:, None], (len(along), rows, *along.shape[1:]))
    return np.concatenate([micro, wave], axis=1), np.concatenate([change, along], axis=2)


def directions_of(c, faces):
    return sorted({j for face, J in zip(c.faces, c.directions, strict=True) if face in faces for j in J})


def sums_over_kinds(layer, functions, hats):
    """sum over k, h of F_jkh h w_k for each direction j: (1 + pairs, directions, n), gradients (d, ...)."""
    F, (w, dw), (h, dh) = layer.factors, functions, hats
    G = F @ h
    slope = np.einsum("pjkn,ipkn->ipjn", G, dw)
    for axis in {face.axis for face in layer.faces}:
        slope[axis] += np.einsum("pjkn,pkn->pjn", F @ dh[axis], w)
    return np.einsum("pjkn,pkn->pjn", G, w), slope


def layer_products(c, faces, macro):
    """C_j D_j h: (1 + pairs, directions, hats, n), gradients (d, ...)."""
    J, (hat, change), (W, dW) = directions_of(c, faces), hat_products(c, faces, macro.x), cut_factors(c, macro)
    W, dW = W[:, J, None], dW[:, :, J, None]
    slope = dW * hat
    for axis in {face.axis for face in faces}:
        slope[axis] += W * change[axis]
    return W * hat, slope


# --- the factors of the layers ----------------------------------------------------------------------------


def with_layers(c, sample):
    """c with the layers of its faces, then of the corners in which they meet.

    sample: faces -> points of every axis, weights: a part of the box, at these faces.
    """
    for count in range(1, 1 + MOST_MEETING[len(c.box)]):
        meeting = [faces for faces in combinations(c.faces, count) if len({face.axis for face in faces}) == count]
        c = c._replace(layers=c.layers + tuple(fitted(c, faces, *sample(faces)) for faces in meeting))
    return c


def fitted(c, faces, axes, weights):
    """The Layer of these faces that makes |s - a grad v|_1/a least over the points of a grid."""
    macro, (micro, change) = macro_at(c, axes, True), micro_at(c, axes, True)
    found, (P, _) = fields_of(c, macro, micro, change), homogenized_flux(c, macro, axes, True)
    a = compact_tensor_of(at_fine_scale(c), macro.x)
    root, size = np.linalg.cholesky(a), np.sqrt(reduce(np.kron, weights))[:, None, None]
    back, root = size * np.linalg.inv(root), size * root.swapaxes(1, 2)
    rest = product(back, P + found.curl) - product(root, found.slope)
    slope = layer_slopes(c, faces, macro, *layer_functions(c, faces, macro.x, micro, change))
    d, shape, n = len(c.box), slope.shape[1:-1], len(macro.x)  # shape: (1 + pairs, J, kinds, hats)
    slope = slope.reshape(d, shape[0], -1, n)
    v, s = -product(root, slope[:, :1]), product(back, curls(slope[:, 1:]))
    rows = np.concatenate([v, s], axis=1).reshape(d, -1, n)
    size = np.sqrt((rows**2).sum((0, 2))).reshape(shape)
    units = c.lengths.max() / c.eps * np.array([1] + [np.abs(a).max()] * (shape[0] - 1))
    size = without_faint(size, units, c.factors if len(faces) == 1 else shape[1]).ravel()
    rows /= size[:, None]
    G, rhs = sum(z @ z.T for z in rows), -sum(z @ y for z, y in zip(rows, rest, strict=True))
    factors = linalg.lstsq(G, rhs, cond=CLOSE, lapack_driver="gelsy")[0]  # that of singular values may not converge
    return Layer(faces, (factors / size).reshape(shape))


def layer_slopes(c, faces, macro, functions, change):
    """The gradients of all C_j D_j h times the functions: (d, 1 + pairs, J, kinds, hats, n)."""
    value, slope = layer_products(c, faces, macro)
    value, slope = value[:, :, None], slope[:, :, :, None]
    return value * change[:, :, None, :, None] + slope * functions[:, None, :, None]


def without_faint(size, units, count):
    """The sizes (1 + pairs, J, kinds, hats) of the functions of a layer, infinite, which makes the factor zero, where
    u0 hardly changes in a direction j, or where a function hardly differs from zero.

    units: of chi and of phi, which are the first `count` kinds; the others are waves.
    """
    for part, unit in zip(size, units, strict=True):
        most = part[:, -1].max(axis=1)
        part[most <= FAINT * most.max()] = np.inf
        natural = part[:, -1].max(axis=1, where=np.isfinite(part[:, -1]), initial=0)[:, None, None]
        kinds = np.where(np.arange(part.shape[1]) < count, unit, 1.0)[:, None]
        part[part <= NOTHING * kinds * natural] = np.inf
    return size
