"""Bounds of a coefficient that jumps where no element ends: one element a pixel, which sees how much of it is where.

Both bounds are energies of the true coefficient, by fields of low order, so that Gauss points in a pixel that an
interface cuts weigh the phases on both sides.  An image of one value a pixel stands for another coefficient, with a
staircase for an interface, and its bounds leave out what that changes.
"""

from functools import reduce

import numpy as np

from fem import gauss, tensor_grid
from fem_cells import relative_size
from nhpinn_functions import grid, midpoints, tensor_of
from nhpinn_tools.bounds import SCATTERED, means_apart, scattered_means
from nhpinn_tools.element_bounds import bounds_of_function, bounds_of_image

PIXELS = {1: 4096, 2: 240, 3: 40}  # an axis; 240 has many divisors, for what is made of squares
GAUSS = {1: 6, 2: 4, 3: 3}  # points an axis of a pixel; one more checks them


def bounds_by_pixels(field, period, tolerance):
    """ElementBounds of a field on the unit cell, in the units of its period (dim,).

    Where the field is constant in every pixel these are the exact ones of an image, refined inside its pixels down to
    the tolerance.  Else they are moved outwards by `quadrature`: by what another rule changes in them, or, if that is
    more, in the means of the coefficient; scattered points are one of these rules, and see what is on no grid.
    """
    dim, period = len(period), np.asarray(period)
    units, count = np.outer(period, period), PIXELS[dim]
    means, others = (scattered_means(field, dim, first) for first in (0, SCATTERED))
    # means over scattered points are known no better than these differ from those over others
    unknown = 2 * max(relative_size(one - other, other) for one, other in zip(means, others, strict=True))
    image = constant_in_pixels(field, dim, count)
    if image is not None:
        seen = means_apart(image, means) + unknown
        image = scalars(image * units)
        image = image.reshape(*[count] * dim, *image.shape[1:])
        return bounds_of_image(image, dim, period=tuple(period), tolerance=tolerance)._replace(quadrature=seen)

    def coefficient(y):
        return scalars(field(y / period) * units)

    found = bounds_of_function(coefficient, dim, count, period=tuple(period), order=1, gauss=GAUSS[dim])
    x, w = gauss(np.linspace(0, 1, count + 1), GAUSS[dim])
    seen = means_apart(tensor_of(field, tensor_grid([x] * dim)), means, reduce(np.kron, [w] * dim)) + unknown
    moved = max(found.quadrature, seen)
    lower, upper = found.lower / (1 + moved), found.upper * (1 + moved)
    gap = relative_size(upper - lower, (upper + lower) / 2)
    return found._replace(lower=lower, upper=upper, gap=gap, quadrature=moved)


def constant_in_pixels(field, dim, count):
    """The values (count ** dim, dim, dim) of a field that is constant in all pixels of the unit cell, or None."""
    middle = midpoints(dim, 1.0, count)
    values = tensor_of(field, middle)
    for corner in [*grid([(-1.0, 1.0)] * dim, 2), *0.37 * grid([(-1.0, 1.0)] * dim, 2)]:
        if not np.allclose(field(middle + corner * (0.5 - 1e-6) / count), values, rtol=1e-12, atol=0):
            return None
    return values


def scalars(a):
    """Tensors (n, d, d) as numbers (n,), if they are those times the identity: they are quicker."""
    return a[:, 0, 0] if np.array_equal(a, a[:, :1, :1] * np.eye(a.shape[1])) else a
