"""The tortuosity factor of a sample, with bounds: how much slower something diffuses through it than through no walls.

    tau_i = mean( D ) / D_eff,i        for one diffusivity D in all pores:  tau_i = porosity D / D_eff,i

D_eff,i is the flux through the sample along axis i, per area of its whole cross-section and per drop of the
concentration by length, with fixed concentrations on its two ends and sealed sides.
"""

from typing import NamedTuple

import numpy as np

from nhpinn_functions import check_period, check_positive, shown
from nhpinn_tools import images, pores
from nhpinn_tools.calls import warn


class Tortuosity(NamedTuple):
    """Of a sample, along each of its axes: values (dim,), with bounds (2, dim), lower and upper."""

    porosity: float  # the share of the voxels in which something diffuses
    diffusivity: np.ndarray  # effective, in units of that of the voxels; 0 exactly where nothing percolates
    diffusivity_bounds: np.ndarray
    tortuosity: np.ndarray  # tau, without units, at least 1; infinite where nothing percolates
    tortuosity_bounds: np.ndarray
    two_point: np.ndarray  # the effective diffusivity by the finite volumes of other codes, never above the true one

    def __str__(self):
        columns = zip(self.diffusivity, *self.diffusivity_bounds, self.tortuosity, *self.tortuosity_bounds, strict=True)
        rows = [
            f"axis {axis}: diffusivity {D:.5g} ({low:.5g} to {high:.5g}), "
            f"tortuosity {tau:.4g} ({least:.4g} to {most:.4g})"
            for axis, (D, low, high, tau, least, most) in enumerate(columns)
        ]
        return "\n".join([f"porosity {self.porosity:.4g}", *rows])

    __repr__ = __str__


def tortuosity(image, *, period=None, values=None, tolerance=1e-2) -> Tortuosity:
    """The tortuosity factor of a sample along each axis, tau = porosity D / D_eff, guaranteed between bounds.

    image: of any shape (m_1, ..., m_dim), dim up to 3; True or 1 where something diffuses, False or 0 where nothing
    does; or diffusivities >= 0, as floats; or labels, with values={label: diffusivity}.
    period: the lengths of the sample, a number or one an axis; None: its voxels are cubes.
    tolerance: of the relative gap between the bounds; a warning says where it is larger.

    For several diffusivities D stands for their mean over the pores, so that porosity D is that over the sample.
    Raises ValueError or TypeError for what is no such image.

        nhpinn.tortuosity(np.random.default_rng(0).random((40, 40, 40)) < 0.7)
    """
    image = np.asarray(image)
    dim = image.ndim
    if dim not in (1, 2, 3):
        raise ValueError(f"image: found shape {image.shape}, expected 1 to 3 axes")
    if values is None and period is None and image.dtype.kind == "f" and images.like_colours(image):
        raise ValueError(
            f"image: found shape {image.shape}, that of a picture in colour, expected one number in each pixel, as "
            "picture.mean(axis=2) has; a thin volume takes period="
        )
    if values is None and image.dtype.kind in "biu":
        labels = np.unique(image).tolist()
        if other := [label for label in labels if label not in (0, 1)]:
            raise ValueError(
                f"values: found None for the label {shown(other[0])}, expected values={{label: diffusivity, ...}}, or "
                "image.astype(float), if they are diffusivities"
            )
        values = {label: float(label) for label in labels}
    check_positive("tolerance", tolerance)
    image = images.image_of(image, dim, values)
    if image.ndim > dim:
        raise ValueError("values: found tensors, expected numbers for the tortuosity")
    period = np.array(image.shape, float) if period is None else period
    check_period(period, dim)
    found = pores.bounds(image, np.broadcast_to(np.asarray(period, float), dim), tolerance, sample=True)
    if found.gap > tolerance:
        warn(f"tortuosity: the bounds are {found.gap:.2g} apart, relative to the diffusivity, expected {tolerance:g}")
    bounds = np.array([found.lower.diagonal(), found.upper.diagonal()])
    diffusivities = np.array([bounds.mean(axis=0), *bounds[::-1]])
    factors = np.divide(image.mean(), diffusivities, out=np.full((3, dim), np.inf), where=diffusivities > 0)
    porosity = float(np.mean(image > 0))
    return Tortuosity(porosity, bounds.mean(axis=0), bounds, factors[0], factors[1:], found.two_point.diagonal())
