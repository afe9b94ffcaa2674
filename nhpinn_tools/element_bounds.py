"""Two-sided bounds of the homogenized tensor by finite elements: images, refined inside their voxels, and functions.

Both are minima of an energy, by the elements of fem_cells.py, where the energies are written down: the upper one over
potentials, the inverse of the lower one over fluxes without divergence.
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg

from fem import Field, counts
from fem_cells import (
    at_gauss_points,
    cell_mesh,
    check_cell,
    check_period_of_mesh,
    distance,
    energies,
    form_of,
    least_fields,
    nodal_values,
)


class ElementBounds(NamedTuple):
    """lower <= a* <= upper, as symmetric matrices."""

    lower: np.ndarray  # (dim, dim)
    tensor: np.ndarray  # (dim, dim) between them: the best guess
    upper: np.ndarray  # (dim, dim)
    gap: float  # between lower and upper, relative to their mean, in the direction where it is largest
    quadrature: float  # what a finer rule changes in them, likewise; 0 for an image, whose integrals are exact
    field: Field  # the correctors, periodic, mean zero
    stream: Field | None = None  # in the plane: psi_j, and (d_1, -d_0) (y_j + psi_j) are fluxes of `lower`


# Order, and cuts of a voxel beside its sides, at whose corners fields are singular; each level lies within the next.
LEVELS = ((1, ()), (2, ()), (3, ()), (3, (0.05,)), (5, (0.05,)), (6, (0.003, 0.05)))
MOST_UNKNOWNS, MOST_LOCAL = 600_000, 5000  # of an image; functions of a voxel: their matrix has 200 MB


def bounds_of_image(image, dim, *, period=1.0, tolerance=1e-2, size=MOST_UNKNOWNS, levels=LEVELS):
    """ElementBounds of an image (m_1, ..., m_dim) or (m_1, ..., m_dim, dim, dim), constant in every voxel: exact ones,
    refined inside the voxels until the gap is below the tolerance, falls no more, as at corners of a contrast of 1e4,
    or there would be more than `size` unknowns."""
    found, gaps = None, [np.inf]
    for level, cuts in levels:
        mesh = cell_mesh(dim, image.shape[:dim], period, level)
        mesh = mesh._replace(cuts=(0.0, *cuts, *(1 - x for x in cuts[::-1]), 1.0))
        local = (level * (2 * len(cuts) + 1)) ** dim
        large = local * np.prod(image.shape[:dim]) > size or local > MOST_LOCAL
        if found and (large or gaps[-1] <= tolerance or gaps[-1] > 0.95 * gaps[-2]):
            break
        check_cell(mesh, dim if dim == 3 else 1, sampled=False)
        found = bounds_on(mesh, image)
        gaps.append(found.gap)
    return found


def bounds_on(mesh, image):
    """The ElementBounds of an image (m_1, ..., m_dim), or with (dim, dim) behind, by the elements of a mesh of it."""
    dim = len(mesh.bounds)
    s = np.moveaxis(image[None], (-2, -1), (0, 1)) if image.ndim > dim else image[None]
    upper, lower, fields = _sandwich(s, mesh)
    return _found(mesh, upper, lower, 0.0, fields)


def _found(mesh, upper, lower, quadrature, fields):
    field, *stream = (Field(mesh, nodal_values(each)) for each in fields[: 1 + (len(mesh.bounds) == 2)])
    return ElementBounds(lower, _between(upper, lower), upper, distance(upper, lower), quadrature, field, *stream)


def bounds_of_function(coefficient, dim, n, *, period=1.0, order=4, gauss=None):
    """ElementBounds of a function y (n, dim) -> (n,) or (n, dim, dim), by n elements per axis of this order: for what
    the Gauss points, order + 1 an axis or `gauss` of them, see of it; `quadrature` says how far two rules differ."""
    mesh = cell_mesh(dim, n, period, order)._replace(gauss=gauss)
    check_cell(mesh, dim)
    s = at_gauss_points(coefficient, mesh)
    check_period_of_mesh("coefficient", coefficient, mesh)
    *rough, fields = _sandwich(s, mesh)
    finer = mesh._replace(gauss=max(mesh.order + 3, (mesh.gauss or 0) + 1))
    upper, lower = _both(_forms(at_gauss_points(coefficient, finer), finer), fields, finer)
    doubt = max(distance(upper, rough[0]), distance(lower, rough[1]))
    return _found(mesh, upper, lower, doubt, fields)


def _between(upper, lower):
    """The geometric mean of two tensors, which lies between them and whose inverse is that of their inverses."""
    root = linalg.sqrtm(upper).real
    back = np.linalg.inv(root)
    return root @ linalg.sqrtm(back @ lower @ back).real @ root


def _sandwich(s, mesh):
    """Upper and lower bound and the fields of both, solved until the solver adds a tenth of the gap or nothing.

    Where it is slow, as for a contrast of 1e4, what is left to gain is several times what four steps have gained.
    The gap is that of the norms: where the bounds are close in one direction alone, a gap of 70 % in another must not
    let the solver stop.
    """
    forms, delta, fields = _forms(s, mesh), 1e-3, None
    while True:
        fields = least_fields(forms, delta, fields)
        upper, lower = _both(forms, fields, mesh)
        gap = float(np.linalg.norm(upper - lower, 2) / np.linalg.norm((upper + lower) / 2, 2))
        if delta <= max(0.02 * gap, 1e-15):
            return upper, lower, fields
        delta = max(0.01 * gap, 1e-15)


def _forms(s, mesh):
    """In the plane a flux is the gradient of a stream function, turned: one component instead of two."""
    inverse = _inverted(s, len(mesh.bounds))
    planar = len(mesh.bounds) == 2
    return form_of(s, mesh), form_of(_turn(inverse), mesh) if planar else form_of(inverse, mesh, fluxes=True)


def _both(forms, fields, mesh):
    """Upper and lower bound by these fields, rounded outwards.

    A value at a node is known to eps times the period, so that a slope errs by eps times the longest period over the
    shortest element, and in the norm of the energy by the root of the contrast more.  Ten eps are of the sums.
    """
    upper, dual = (energies(form, u) for form, u in zip(forms, fields, strict=True))
    lower = np.linalg.inv(dual)
    periods, contrast = np.diff(mesh.bounds)[:, 0], forms[0].s.max() * forms[1].s.max()
    rounding = np.finfo(float).eps * (10 + periods.max() / np.min(periods / counts(mesh)) * np.sqrt(contrast))
    return (1 + rounding) * upper, (1 - rounding) * (_turn(lower) if len(lower) == 2 else lower)


def _inverted(s, dim):
    if s.ndim == 1 + dim:
        return 1 / s
    return np.moveaxis(np.linalg.inv(np.moveaxis(s, (0, 1), (-2, -1))), (-2, -1), (0, 1))


def _turn(s):
    """R s R^T for the quarter turn R: (2, 2) or (2, 2, Q, n, n); one number a point, (Q, n, n), stays as it is."""
    return s if s.ndim == 3 else np.array([[s[1, 1], -s[1, 0]], [-s[0, 1], s[0, 0]]])
