"""For a coefficient of one's own: `homogenize`, its tensor between bounds; `homogenize_at` for slowly varying ones."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import numpy as np

import fem_cells
import nhpinn
from nhpinn_functions import at_node, cell_quadrature, check_cells, check_periodic, midpoints, shown, tensor_of
from nhpinn_tools import bounds, element_bounds, features, files, fourier, images, phases, pictures, pixels, pores
from nhpinn_tools.bounds import on_unit_cell
from nhpinn_tools.calls import one_thread, usual_arithmetic, warn
from nhpinn_tools.checks import (
    as_points,
    call_of,
    check_arguments,
    check_executor,
    check_homogenize,
    check_not_elements,
    checked_points,
    says_what_it_takes,
    takes_x_alone,
)
from nhpinn_tools.images import image_of
from nhpinn_tools.phases import TwoPhase, coefficient_of
from nhpinn_tools.recipes import cell_training, counted, element_cells, progress, train_aloud
from nhpinn_tools.spectrum import series_of, values_of


@dataclass(frozen=True, eq=False, repr=False)
class Homogenized:
    """A homogenized tensor between its bounds, and its correctors; in units of the coefficient and of y."""

    tensor: np.ndarray  # (dim, dim)
    lower: np.ndarray  # (dim, dim): below the homogenized tensor in the Loewner order
    upper: np.ndarray  # (dim, dim): above it
    gap: float  # between the bounds, relative, in the direction where it is largest
    quadrature: float  # what another quadrature changes in them, relative; what an image of a function changes in means
    cells: Callable  # as in Correctors, of one node: y (n, dim) -> (1, dim, n), (1, dim, n, dim)
    recipe: str
    percolates: np.ndarray | None = None  # (dim, dim): onto what does, see pores.py; None: there are no pores
    two_point: np.ndarray | None = None  # (dim, dim): below the tensor; of images with pores, see pores.py
    period: np.ndarray | None = None  # (dim,): of the cell

    @property
    def error(self):
        """How far the tensor may be from the homogenized one, relative: gap and quadrature; what lies outside of its
        bounds, as that of the paper's step 2 may, has the distance to the farther one in place of the gap."""
        reach = (fem_cells.relative_size(self.tensor - bound, bound) for bound in (self.lower, self.upper))
        return (max(self.gap, *reach) if self.outside else self.gap) + self.quadrature

    @property
    def outside(self):
        """Whether the tensor is not between its bounds."""
        least = min(np.linalg.eigvalsh(A).min() for A in (self.upper - self.tensor, self.tensor - self.lower))
        return least < -1e-12 * np.trace(self.upper)

    def corrector(self, y):
        """chi_j at points y (n, dim), or at one (dim,), periodic, mean zero, in units of y: (n, j), or (j,)"""
        return as_points(y, self.cells(checked_points("y", y, len(self.tensor)))[0][0].T)

    def gradient(self, y):
        """d chi_j / d y_k at points y (n, dim), or at one: (n, j, k), or (j, k).

        The field of mean e_j is e_j + gradient(y)[:, j].
        """
        return as_points(y, self.cells(checked_points("y", y, len(self.tensor)))[1][0].swapaxes(0, 1))

    def __str__(self):
        lines = lines_of(self.tensor, "tensor ")
        rest = "" if self.percolates is None else blocked(self.percolates)
        text = f"gap of the bounds {self.gap:.2g}, quadrature {self.quadrature:.2g}, by {self.recipe}{rest}"
        far = f"\nerror up to {self.error:.2g}: the tensor is outside of its bounds" if self.outside else ""
        return f"tensor {lines}\n{text}{far}"

    __repr__ = __str__

    def save(self, file):
        """To an .npz of arrays and settings, for nhpinn.load."""
        files.save(self, file)

    def plot(self, count=None):
        """A figure of the fields e_j + grad chi_j over the cell, their sizes where they are vectors, `count` points an
        axis; in three dimensions on the middle plane of the third axis.  Raises ImportError where there is no
        matplotlib."""
        return pictures.figure_of_cell(self, count)


def blocked(percolates):
    """A line on the directions that the projection onto those that percolate leaves out; none if there are none."""
    values, vectors = np.linalg.eigh(percolates)
    directions = [np.array2string(v + 0.0, precision=3, suppress_small=True) for v in vectors[:, values < 0.5].T]
    axes = [str(axis) for axis, row in enumerate(percolates) if not row.any()]
    if not directions:
        return ""
    return "\n0 exactly, as nothing percolates, along " + (
        f"axis {', '.join(axes)}" if len(axes) == len(directions) else " and ".join(directions)
    )


def lines_of(tensor, prefix):
    """A tensor with ten digits of its diagonal, between whose entries the others are measured, and no -0."""
    diagonal = np.abs(np.diag(tensor))
    size = np.sqrt(np.outer(diagonal, diagonal))
    largest = size.max() or 1.0
    size = np.where(size == 0, largest, size)
    rounded = size * np.round(tensor / size, 10) + 0.0
    digits = 9 - math.floor(math.log10(largest))
    fixed = 1 < digits < 14 and diagonal.min() > 1e-4 * diagonal.max()  # else powers of ten
    return np.array2string(rounded, precision=digits if fixed else 9, suppress_small=fixed, prefix=prefix)


TOLERANCES = {"fourier": 1e-6, "sharp": 1e-6, "adam": 1e-2, "image": 1e-2, "pores": 1e-2, "two phases": 1e-4}


@says_what_it_takes
@usual_arithmetic
@one_thread
def homogenize(
    coefficient, dim: int, *, period=1.0, recipe=None, tolerance=None, seed=0, values=None, sample=False, **settings
) -> Homogenized:
    """The homogenized tensor of a periodic coefficient, with bounds on both sides.

    coefficient: a function of y (n, dim) -> (n,) or (n, dim, dim), written with autograd.numpy, smooth, elliptic, and
    periodic as it stands, with this period (a number, or one an axis); or an image of any shape
    (m_1, ..., m_dim), with or without (dim, dim) behind it, whose axis i runs along y_i (axis 0: the rows of a
    picture), so that (2, 2) is one of four pixels; or an image of labels, with values={label: conductivity or tensor};
    or a TwoPhase, for interfaces between smooth phases.  An image fills the period: it is stretched to a square unless
    period says otherwise, (0.75, 1) for 60 x 80 square pixels.  Pixels may conduct exactly 0: then the tensor is the
    arithmetic mean of its bounds, and 0 in both in the directions in which nothing percolates.
    sample: an image is no periodic cell, but a sample with fixed values on two opposite faces and sealed sides, for
    each axis in turn; its tensor is diagonal, and that of the periodic image in which its mirror images follow it.
    recipe: None, the quickest that has bounds; or by name: of a function "fourier" (trigonometric polynomials), "sharp"
    (random features) or "adam" (the paper's; settings are fields of Training); of a TwoPhase "sharp" or "fem" (finite
    elements on an image of it); images have finite elements in any case.
    tolerance: of the gap of the bounds and what their quadrature adds; None: 1e-6 for functions, 1e-4 for a TwoPhase,
    1e-2 for images and for adam; images of functions and of a TwoPhase have 1e-2 at best.

    The bounds hold for any correctors; a warning says where they stay further apart than the tolerance.  Raises
    ValueError or TypeError for a coefficient outside the theory and for bad settings.

        found = nhpinn.homogenize(lambda y: 2 + np.sin(2 * np.pi * y[:, 0]), dim=2)    # np: autograd.numpy
        found.tensor, found.lower, found.upper, found.error
    """
    check_homogenize(dim, period, recipe, tolerance, seed)
    if callable(coefficient):
        check_arguments("coefficient", coefficient, "y", "; homogenize_at takes one of (x, y)")
    period = np.broadcast_to(np.asarray(period, float), dim)
    kind, solve, coefficient = _way(coefficient, period, recipe, values, sample)
    if unknown := set(settings) - set(nhpinn.Training._fields if kind == "adam" else ()):
        fields = ", whose settings are fields of Training, for functions and recipe='adam' alone"
        raise TypeError(f"homogenize: found {', '.join(sorted(unknown))}, expected {call_of(homogenize)}{fields}")
    tolerance = tolerance or TOLERANCES[kind]
    found = solve(coefficient, period, tolerance, seed, **settings)
    if found.recipe == "fem" and kind in ("fourier", "sharp", "two phases"):
        return found  # a warning has said so
    if not found.gap + found.quadrature <= tolerance:
        warn(
            f"homogenize: the bounds are {found.gap:.2g} apart and their quadrature moves by {found.quadrature:.2g}, "
            f"relative to the tensor, expected at most {tolerance:g}; {ADVICE[kind]}"
        )
    elif not found.error <= tolerance:
        warn(
            f"homogenize: the tensor, a mean over points of the cell, may err by {found.error:.2g}, expected at most "
            f"{tolerance:g}; its bounds, which are {found.gap:.2g} apart, are better; {ADVICE[kind]}"
        )
    return found


ADVICE = {
    "fourier": "it is steep within its cell; what nearly jumps comes closer as a TwoPhase or as an image",
    "sharp": "it is steep or oscillates within its cell: recipe='fourier' comes closer",
    "adam": "recipe='fourier' is faster and comes closer; more epochs and points help a little",
    "image": "fields are singular at corners of pixels; if the phases have smooth interfaces, a TwoPhase comes closer",
    "pores": "fields are singular at corners of pixels and edges of pores, and large images have elements of low order",
    "two phases": "random features do not resolve narrow gaps and corners, nor does the quadrature small inclusions: "
    "recipe='fem' has bounds by finite elements",
}


def _way(coefficient, period, recipe, values, sample):
    """What a coefficient is, the function that solves it by this recipe, and the coefficient as that one takes it."""
    dim, two, function = len(period), isinstance(coefficient, TwoPhase), callable(coefficient)
    if recipe in ("fourier", "adam") and not function:
        raise ValueError(
            f"recipe: found {recipe!r}, expected it for functions alone; a TwoPhase takes 'sharp' or 'fem'"
        )
    if values is not None and (two or function):
        raise ValueError(f"values: found {shown(values)}, expected None but for an image of labels")
    if sample and (two or function):
        raise ValueError(f"sample: found {shown(sample)}, expected False but for an image")
    if two:
        cell = phases.unit_cell(coefficient, dim, period)
        return "two phases", _by_image if recipe == "fem" else _by_interfaces, cell
    if not function:
        image = image_of(coefficient, dim, values)
        porous = sample or np.any(images.pores(image, dim))
        return ("pores", partial(_by_pores, sample), image) if porous else ("image", _by_pixels, image)
    check_not_elements(recipe)
    check_periodic("coefficient", coefficient, dim, period)
    recipe = recipe or "fourier"
    return recipe, _by_training if recipe == "adam" else partial(_by_correctors, recipe), coefficient


def _scaled_back(found, period, recipe):
    """Homogenized from bounds and correctors on the unit cell, see on_unit_cell."""
    lower, tensor, upper, gap, moved, cells = bounds.in_cell(found, period)
    cells = partial(_scaled_cells, cells, period)  # it can be sent to another process, as a closure cannot
    return Homogenized(tensor, lower, upper, gap, moved, cells, recipe, period=period)


def _scaled_cells(unit, period, y):
    value, slope = unit(y / period)
    return period[:, None] * value, period[:, None, None] * slope / period


def _by_correctors(recipe, coefficient, period, tolerance, seed):
    """By the correctors of a smooth coefficient; in one dimension by a mean; of what jumps the bounds of an image."""
    dim, field = len(period), on_unit_cell(coefficient, period)
    if dim == 1:
        return _scaled_back(bounds.harmonic_mean(field, tolerance), period, recipe)
    try:
        if recipe == "fourier":
            found = fourier.homogenize_cell(field, dim, tolerance)
            cells = series_of(values_of(found.chi)[None], np.ones(dim))
        else:
            found = features.homogenize_cell(field, dim, tolerance, np.random.default_rng(seed))
            cells = features.all_cells(found, found.C[:, None], np.ones(dim))
    except bounds.Unresolved as error:
        return _by_sampling(field, period, tolerance, "the coefficient jumps; a TwoPhase has exact interfaces", error)
    return _scaled_back(found.bounds._replace(cells=cells), period, recipe)


def _by_sampling(field, period, tolerance, why, unresolved=None):
    """The bounds of a field on the unit cell by one element a pixel, which no tolerance brings closer.

    Raises `unresolved` where other points show another field.
    """
    found = pixels.bounds_by_pixels(field, period, max(tolerance, TOLERANCES["image"]))
    if unresolved and found.quadrature > 0.05:
        raise unresolved
    warn_of_pixels(found, why)
    return _of_elements(found)


def warn_of_pixels(found, why):
    warn(
        f"homogenize: the bounds are by finite elements, {pixels.PIXELS[len(found.tensor)]} an axis, that interfaces "
        f"may cut; they are {found.gap:.2g} apart, and other quadrature points move them by {found.quadrature:.2g}; "
        f"{why}"
    )


def _by_pixels(image, period, tolerance, seed):
    return _of_elements(element_bounds.bounds_of_image(image, len(period), period=tuple(period), tolerance=tolerance))


def _of_elements(found):
    cells = partial(element_cells, [found.field])
    measures, period = (found.gap, found.quadrature), np.ptp(found.field.mesh.bounds, axis=1)
    return Homogenized(found.tensor, found.lower, found.upper, *measures, cells, "fem", period=period)


def _by_pores(sample, image, period, tolerance, seed):
    found = pores.bounds(image, period, tolerance, sample)
    tensor = (found.lower + found.upper) / 2
    measures = found.lower, found.upper, found.gap, 0.0
    return Homogenized(tensor, *measures, _no_correctors, "fem", found.percolates, found.two_point, period)


def _no_correctors(y):
    raise ValueError("corrector: found an image with pores, or a sample, expected one without for correctors")


WORTH_AN_IMAGE = {2: 0.02, 3: 0.2}  # the error of features with which an image competes


def _by_interfaces(cell, period, tolerance, seed):
    dim = len(period)
    if dim == 1:
        return _scaled_back(bounds.harmonic_mean(partial(coefficient_of, cell), tolerance), period, "sharp")
    try:
        found = phases.solve_two_phases(cell, dim, tolerance, seed)
    except bounds.Unresolved as error:
        return _by_image(cell, period, tolerance, seed, str(error))
    if found.error <= max(tolerance, WORTH_AN_IMAGE[dim]):
        return _scaled_back(found, period, "sharp")
    image = pixels.bounds_by_pixels(partial(coefficient_of, cell), period, TOLERANCES["image"])
    if image.gap + image.quadrature >= found.error:
        return _scaled_back(found, period, "sharp")
    reached = f"came no closer than {found.error:.2g}" if np.isfinite(found.error) else "found none"
    warn_of_pixels(image, f"random features {reached}")
    return _of_elements(image)


def _by_image(cell, period, tolerance, seed, why="recipe='sharp' has exact interfaces"):
    return _by_sampling(partial(coefficient_of, cell), period, tolerance, why)


def _by_training(coefficient, period, tolerance, seed, **settings):
    """The paper's recipe, on the unit cell and for a coefficient of mean one, so that its settings suit any size.

    The bounds are those of the correctors' trigonometric interpolants, since networks are periodic only nearly.
    """
    dim, field = len(period), on_unit_cell(coefficient, period)
    scale = np.trace(tensor_of(field, cell_quadrature(dim, 1.0)).mean(axis=0)) / dim
    problem = SimpleNamespace(dim=dim, period=1.0, reaction=None, coefficient=lambda x, y: field(y) / scale)
    training, rng, nodes = cell_training(dim)._replace(**settings), np.random.default_rng(seed), np.zeros((1, dim))
    check_cells(problem, training, nodes)
    try:
        correctors = nhpinn.solve_cells(problem, training, rng, nodes, train_aloud)
    except FloatingPointError as error:
        raise ValueError(f"rate: {error}") from error
    cells, count = correctors.cells, bounds.CELLS[dim]
    chi = cells(midpoints(dim, 1.0, count))[0][0].reshape(dim, *[count] * dim)
    found = bounds.tensor_bounds(field, chi, *bounds.means_and_midpoints(field, dim), tolerance)
    coefficients = nhpinn.homogenized_coefficients(problem, correctors, nhpinn.average_of_flux)
    tensor = scale * coefficients.samples[0]  # maybe out of bounds
    return _scaled_back(found._replace(tensor=tensor, cells=cells), period, "adam")


@says_what_it_takes
def homogenize_at(coefficient, points, *, dim=None, executor=None, **options):
    """A slowly varying coefficient at each of the points x (X, m): a list of Homogenized.

    coefficient: a function of x (n, m) and y (n, dim); or of one x (m,) alone, which returns what `homogenize` takes,
    such as an image or a TwoPhase.  dim: of the cell; None: m.
    executor: a concurrent.futures.Executor for the points, the same numbers with and without.
    """
    if not callable(coefficient):
        raise TypeError(f"coefficient: found {type(coefficient).__name__}, expected a function of x and y, or of x")
    points = checked_points("points", points)
    of_x_alone = takes_x_alone(coefficient)
    check_executor(executor, coefficient)
    if executor and of_x_alone and len(points) and isinstance(first := coefficient(points[0]), TwoPhase):
        check_executor(executor, first)
    task = partial(_homogenize_one, coefficient, of_x_alone, dim or points.shape[1], options)
    found = list(counted(executor, task, points))
    progress()
    return found


def _homogenize_one(coefficient, of_x_alone, dim, options, x):
    return homogenize(coefficient(x) if of_x_alone else at_node(coefficient, x), dim, **options)
