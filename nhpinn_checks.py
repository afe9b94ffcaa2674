"""What is checked of a user's functions and settings, before any work is done; and the functions' derivatives.

A coefficient is a function of points (n, dim) that returns (n,), a scalar, or (n, dim, dim), a symmetric positive
definite tensor; it is differentiated by autograd.  What does not fit the theory gets one sentence that says so:
the argument, what was found, what was expected.  So does a user's function that raises: the sentence is a
ValueError, with the function's own exception as its cause.  Tolerances are relative to the size of the data.
"""

import warnings
from numbers import Integral, Real

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp

from nhpinn_networks import cell_quadrature, grid, midpoints, on_boundary

SMALLEST, LARGEST = 1e-100, 1e100  # of a coefficient or a length: products of them stay numbers

# --- functions of points ----------------------------------------------------------------------------


def called(name, function, points, *others):
    """function(points, ...), a user's function: a real array, or a ValueError that names it."""
    try:
        values = function(points.copy(), *others)  # a function that changes its argument changes nothing here
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{name}: raised {text}, at points of shape {points.shape}") from error
    if type(values) is not np.ndarray or values.dtype.kind not in "iuf":
        found = f"{values.dtype} values" if isinstance(values, np.ndarray) else type(values).__name__
        raise ValueError(f"{name}: returned {found}, expected a numpy array of real numbers")
    return values.astype(float)


def checked_values(name, function, points):
    """function(points), a source, reaction or initial value: (n,), real and finite, or a ValueError."""
    values = called(name, function, points)
    if values.shape != (len(points),) or not np.all(np.isfinite(values)) or np.abs(values).max(initial=0) > LARGEST:
        raise ValueError(
            f"{name}: returned shape {values.shape}, up to {np.abs(values).max(initial=0):.3g}, at points of shape "
            f"{points.shape}; expected ({len(points)},), finite, at most {LARGEST:g}"
        )
    return values


def tensor_of(field, points):
    """A coefficient at points (n, d) as (n, d, d), checked: shape, finite, symmetric, elliptic."""
    with np.errstate(invalid="ignore"):  # infinity times the zeros of the identity
        a = as_tensor(called("coefficient", field, points), points.shape)
    check_elliptic(a, points)
    return a


def as_tensor(values, shape):
    """A scalar or tensor coefficient at points of this shape, as a tensor (n, d, d)."""
    n, dim = shape
    if anp.shape(values) == (n,):
        return anp.reshape(values, (n, 1, 1)) * np.eye(dim)
    if anp.shape(values) == (n, dim, dim):
        return values
    raise ValueError(
        f"coefficient: returned shape {anp.shape(values)} at points of shape {shape}, "
        f"expected ({n},) or ({n}, {dim}, {dim})"
    )


def check_elliptic(a, points):
    if not np.all(np.isfinite(a)):
        raise ValueError(f"coefficient: not finite at {points[np.argmin(np.isfinite(a).all(axis=(1, 2)))]}")
    if np.any(np.abs(a - np.swapaxes(a, 1, 2)).max(axis=(1, 2)) > 1e-10 * np.abs(a).max(axis=(1, 2))):
        raise ValueError("coefficient: the tensor is not symmetric; expected a_ij = a_ji")
    if np.abs(a).max() > LARGEST:
        raise ValueError(f"coefficient: found {np.abs(a).max():.3g}, expected at most {LARGEST:g}: change its unit")
    least, largest = extreme_eigenvalues(a)
    if not np.all(least >= np.maximum(SMALLEST, 1e-12 * largest)):  # a tensor's rounding is 1e-16
        worst = np.argmin(least / largest) if least.min() >= SMALLEST else least.argmin()
        raise ValueError(
            f"coefficient: not elliptic, its least eigenvalue is {least[worst]:.6g} at {points[worst]}; "
            "expected a positive definite coefficient everywhere"
        )


def extreme_eigenvalues(a):
    """The least and the largest of symmetric matrices (n, d, d); ten times as fast as LAPACK for d < 3."""
    if a.shape[1] > 2:
        eigenvalues = np.linalg.eigvalsh(a)
        return eigenvalues[:, 0], eigenvalues[:, -1]
    first, last = a[:, 0, 0], a[:, -1, -1]
    radius = np.hypot((first - last) / 2, a[:, 0, -1] if a.shape[1] == 2 else 0.0)
    return (first + last) / 2 - radius, (first + last) / 2 + radius


def tensor_and_divergence(field, points):
    """a_ij (n, d, d) and b_j = d_i a_ij (n, d) of a coefficient written with autograd.numpy.

    Raises ValueError where a does not fit, see `tensor_of`, TypeError where it cannot be differentiated.
    """
    a, slopes = tensor_and_slopes(field, points)
    return a, np.einsum("ijni->nj", slopes)


def tensor_and_slopes(field, points):
    """a (n, d, d), and its derivatives: d a_ij / d y_k at point n is slopes[i, j, n, k]."""
    dim, a = points.shape[1], tensor_of(field, points)
    slopes = np.zeros((dim, dim, *points.shape))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "independent of input": a constant has slope 0; others: see below
            pullback, _ = make_vjp(lambda p: as_tensor(field(p), p.shape))(points)
            for i, j in np.ndindex(dim, dim):
                unit = np.zeros_like(a)
                unit[:, i, j] = 1
                slopes[i, j] = pullback(unit)
    except Exception as error:  # the function works on arrays, but not under differentiation
        raise TypeError(
            f"coefficient: could not be differentiated ({error}); write it with autograd.numpy in place of numpy"
        ) from error
    if not np.all(np.isfinite(slopes)):
        raise TypeError("coefficient: could not be differentiated, its derivative is not finite everywhere")
    return a, slopes


def at_nodes(coefficient, nodes, y):
    """At all pairs of x (X, dim) and y (n, dim): the coefficient as a function of y alone, and those y (X n, dim)."""
    x = np.repeat(nodes, len(y), axis=0)
    return lambda y: coefficient(x.copy(), y), np.tile(y, (len(nodes), 1))


def check_periodic(name, function, dim, period, count=7, copies=1):
    """Raises ValueError where function(y) differs from function(y + period e_i) on sampled points.

    copies: how many times over the function takes the points, see `at_nodes`.
    """
    points = np.tile(midpoints(dim, period, count), (copies, 1))
    values = called(name, function, points)
    for axis, length in enumerate(np.broadcast_to(period, dim)):
        jump = np.abs(called(name, function, points + length * np.eye(dim)[axis]) - values).max()
        if not jump <= 1e-8 * np.abs(values).max():
            raise ValueError(
                f"{name}: not periodic, y and y + {length:g} along axis {axis} differ by {jump:.3g}; "
                f"expected the period {length:g}, as of a function of y % {length:g}"
            )


def check_resolved(field, points, spacing, copies=1):
    """Raises ValueError where `jump_between` finds something."""
    if sentence := jump_between(field, points, spacing, copies):
        raise ValueError(f"coefficient: {sentence}; expected a smooth one, or more points")


def jump_between(field, points, spacing, copies=1):
    """Where a coefficient's change from point to point is not the integral of its slope: a sentence, or None.

    The strong form sees the coefficient through its derivative at the points: a jump between two of them,
    or an oscillation that they do not resolve, would be lost without notice.
    spacing: a number, or one an axis; copies: how many times over `points` holds a grid, see `at_nodes`.
    """
    dim = points.shape[1]
    for axis, length in enumerate(np.broadcast_to(spacing, dim)):
        step = length * np.eye(dim)[axis]
        nearby = [tensor_and_slopes(field, points + fraction * step) for fraction in (0, 0.5, 1)]
        (first, s0), (_, s1), (last, s2) = [(a, slopes[..., axis]) for a, slopes in nearby]
        integral = np.moveaxis(s0 + 4 * s1 + s2, -1, 0) * length / 6  # Simpson's rule
        first, miss = (array.reshape(copies, -1, dim, dim) for array in (first, np.abs(last - first - integral)))
        size, swing = np.abs(first).max(axis=(1, 2, 3)), np.ptp(first, axis=1).max(axis=(1, 2))
        if np.any(miss.max(axis=(1, 2, 3)) > 0.1 * swing + 1e-12 * size):
            return (
                f"jumps, or varies too fast for points {length:.3g} apart along axis {axis}: its change "
                f"and the integral of its derivative differ by {miss.max():.3g}"
            )
    return None


# --- a problem --------------------------------------------------------------------------------------


def check_problem(problem):
    """Raises ValueError or TypeError for a problem's field that cannot be meant; see the head of nhpinn.py."""
    check_fields(problem)
    dim, domain, period = problem.dim, problem.domain, problem.period
    low, high = np.transpose(domain)
    for name in ("source", "initial"):
        if (function := getattr(problem, name)) is not None:
            checked_values(name, function, low + (high - low) * midpoints(dim, 1.0, 4))
    slow = depends_on_x(problem.coefficient, dim, domain, period)
    if slow and problem.slow is False:
        raise ValueError("slow: found False, but the coefficient depends on x; expected True, or None to find it out")
    if problem.reaction is not None:
        check_reaction(problem.reaction, dim, period)
        a = tensor_of(*at_nodes(problem.coefficient, low[None], midpoints(dim, period, 7)))
        if slow or np.ptp(a, axis=0).max() > 1e-10 * np.abs(a).max():
            raise ValueError("coefficient: a problem with a reaction needs a constant coefficient (appendix A)")


def check_fields(problem):
    check_dim(problem.dim)
    check_positive("eps", problem.eps)
    check_period(problem.period, problem.dim)
    if problem.initial is not None:
        check_positive("final_time", problem.final_time)
    check_box("domain", problem.domain, problem.dim)
    for name in ("coefficient", "source", "reaction", "initial"):
        function = getattr(problem, name)
        if not callable(function) and not (function is None and name in ("reaction", "initial")):
            raise TypeError(f"{name}: found {type(function).__name__}, expected a function of points")
    if problem.slow is not None and not isinstance(problem.slow, bool):
        raise ValueError(f"slow: found {shown(problem.slow)}, expected True, False or None, to find it out")


def depends_on_x(coefficient, dim, domain, period):
    """Whether a(x, y), which is checked for its shape and its period as well, differs between points x of the box."""
    count = {1: 16, 2: 7, 3: 4}[dim]
    low, high = np.transpose(domain)
    nodes = low + (high - low) * np.random.default_rng(0).uniform(size=(64, dim))
    field, points = at_nodes(coefficient, nodes, midpoints(dim, period, count))
    a = tensor_of(field, points).reshape(len(nodes), -1, dim * dim)
    check_periodic("coefficient", field, dim, period, count, len(nodes))
    return bool(np.any(np.ptp(a, axis=0).max(-1) > 1e-10 * np.abs(a[0]).max(-1)))


def check_reaction(reaction, dim, period):
    """r is periodic and its mean is zero."""
    checked_values("reaction", reaction, midpoints(dim, period, 7))
    check_periodic("reaction", reaction, dim, period)
    r = checked_values("reaction", reaction, cell_quadrature(dim, period))
    if not abs(r.mean()) <= 1e-8 * np.abs(r).max():
        raise ValueError(f"reaction: its mean over the cell is {r.mean():.6g}; (A.2) has a solution only if it is 0")


# --- settings ---------------------------------------------------------------------------------------


def shown(value):
    """A value on one line, for a sentence."""
    return " ".join(repr(value).split())


def check_cell_training(training, dim, problems=1):
    """Settings of step 1, for so many cell problems that are trained together."""
    check_integer("layers", training.layers, 0)
    check_training(training, ("equation", "periodic", "oversampling")[: 3 if training.layers else 2], dim, problems)
    if training.layers >= training.points - 2:
        raise ValueError(
            f"layers: found {training.layers} of oversampling, expected fewer than points - 2 = {training.points - 2} "
            "(section 4.1: N_o < N_f - 2)"
        )


def check_equation_training(training, dim, timed):
    """Settings of step 3, of the classical PINN and of transfer learning."""
    check_training(training, ("equation", "boundary", "initial")[: 3 if timed else 2], dim + timed)


def check_training(training, weights, inputs, problems=1):
    """weights: what they weigh, in eqs. (3) and (12).  All points, of a grid over the inputs, fit into the memory."""
    for name, least, most in (("epochs", 1, 10**9), ("points", 3, 10**4)):
        check_integer(name, getattr(training, name), least, most)
    if (total := training.points**inputs * problems) > 10**7:
        raise ValueError(f"points: found {training.points}, which make {total:.3g} in all; expected at most 1e7 in all")
    check_hidden(training.hidden)
    check_positive("rate", training.rate)
    check_positive("decay", training.decay)
    try:
        found = np.asarray(training.weights, dtype=float)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != (len(weights),) or not (found.min() >= 0 and abs(found.sum() - 1) < 1e-9):
        raise ValueError(
            f"weights: found {shown(training.weights)} with sum {found.sum():.12g}, "
            f"expected non-negative weights of ({', '.join(weights)}) that sum to one"
        )


def check_integer(name, value, least, most=10**9):
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= value <= most:
        raise ValueError(f"{name}: found {shown(value)}, expected an integer of at least {least} and at most {most}")


def check_positive(name, value, most=LARGEST):
    if isinstance(value, bool) or not isinstance(value, Real) or not SMALLEST <= value <= most:
        raise ValueError(f"{name}: found {shown(value)}, expected a positive number, {SMALLEST:g} to {most:g}")


def check_period(period, dim):
    """A number, or one an axis."""
    periods = period if isinstance(period, tuple | list) else (period,) * dim
    if len(periods) != dim:
        raise ValueError(f"period: found {shown(period)}, expected a positive number, or {dim} of them")
    for length in periods:
        check_positive("period", length)


def check_box(name, box, dim):
    try:
        bounds = np.asarray(box)
    except ValueError:  # of different lengths
        bounds = np.zeros(0)
    fits = bounds.shape == (dim, 2) and bounds.dtype.kind in "iuf"
    if not (fits and np.all((bounds[:, 0] < bounds[:, 1]) & (np.abs(bounds).max() < LARGEST))):
        raise ValueError(f"{name}: found {shown(box)}, expected {dim} pairs (low, high), low < high")


def check_hidden(hidden):
    """Widths of hidden layers: one at least, and a size that fits into the memory."""
    if not isinstance(hidden, tuple | list) or not 1 <= len(hidden) <= 100:
        raise ValueError(f"hidden: found {shown(hidden)}, expected the widths of 1 to 100 layers, as a tuple")
    for width in hidden:
        check_integer("hidden", width, 1, 10**4)


def check_dim(dim):
    if isinstance(dim, bool) or not isinstance(dim, Integral) or dim not in (1, 2, 3):
        raise ValueError(f"dim: found {shown(dim)}, expected 1, 2 or 3")


# --- what `homogenize` and `solve` take --------------------------------------------------------------


def check_homogenize(dim, period, recipe, tolerance, seed):
    check_dim(dim)
    check_period(period, dim)
    check_recipe(recipe)
    if tolerance is not None:
        check_positive("tolerance", tolerance)
    check_integer("seed", seed, 0, np.inf)


def check_solve(problem, recipe, tolerance, seed):
    """Raises ValueError or TypeError for a problem that `solve` has made of its arguments, if they cannot be meant."""
    dim, box, period = problem.dim, problem.domain, problem.period
    if dim not in (1, 2, 3):
        raise ValueError(f"box: found {shown(box)}, expected 1 to 3 pairs (low, high)")
    check_box("box", box, dim)
    check_homogenize(dim, period, recipe, tolerance, seed)
    check_positive("tolerance", tolerance)
    if not callable(problem.coefficient):
        raise TypeError(
            f"coefficient: found {type(problem.coefficient).__name__}, expected a smooth function of x and y; what "
            "takes images and a TwoPhase is homogenize"
        )
    check_problem(problem)
    lengths, edge = np.diff(box)[:, 0], grid(box, {1: 65, 2: 9, 3: 5}[dim])
    if np.any(problem.eps * np.broadcast_to(period, dim) > lengths * (1 + 1e-9)):
        raise ValueError(f"eps: found {problem.eps:g}, expected eps * period at most the box, {lengths.min():g}")
    if problem.initial is not None:
        sizes = np.abs(checked_values("initial", problem.initial, edge))
        if (most := sizes[on_boundary(edge, box)].max()) > 1e-8 * sizes.max():
            raise ValueError(f"initial: found {most:.3g} on the boundary, expected 0, as u is there")
    tensor_of(*at_nodes(problem.coefficient, edge, midpoints(dim, period, 7)))  # elliptic up to the boundary


def check_recipe(recipe):
    known = ("sharp", "adam", "fem")
    if not isinstance(recipe, str) or recipe not in known:
        raise ValueError(f"recipe: found {shown(recipe)}, expected one of {known}")


def checked_points(name, points, dim="dim"):
    try:
        points = np.asarray(points, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: found {type(points).__name__}, expected points, real numbers (n, {dim})") from error
    if points.ndim != 2 or dim not in ("dim", points.shape[1]):
        raise ValueError(f"{name}: found shape {points.shape}, expected (n, {dim})")
    if not np.all(np.isfinite(points)):
        raise ValueError(f"{name}: not finite everywhere, expected real numbers")
    return points


def image_of(coefficient, dim, values=None):
    """An image, an array or lists, of conductivities, tensors or labels: (m_1, ..., m_dim), or with (dim, dim) behind.

    Raises ValueError or TypeError for what is no image of a positive definite coefficient, with its first bad pixel.
    """
    if np.ma.isMaskedArray(coefficient) and np.ma.getmaskarray(coefficient).any():
        count = int(np.ma.getmaskarray(coefficient).sum())
        raise TypeError(
            f"coefficient: found an array with {count} masked pixels, expected a value for each; "
            "fill them with a conductivity, coefficient.filled(k)"
        )
    try:
        image = np.asarray(coefficient)
    except ValueError:  # lists of different lengths
        image = np.empty(0, dtype=object)
    if values is not None:
        image = _labelled(image, dim, values)
    elif image.dtype.kind == "b":
        raise ValueError("values: found None for a picture of True and False, expected values={False: k_0, True: k_1}")
    tensors = image.ndim == dim + 2 and image.shape[dim:] == (dim, dim)
    if image.dtype.kind not in "iuf" or not (image.ndim == dim or tensors) or image.size == 0:
        raise TypeError(
            f"coefficient: found {type(coefficient).__name__} of shape {image.shape} and type {image.dtype}, expected "
            f"a function of points (n, {dim}), a TwoPhase, or an image: real numbers on {dim} axes, with or without "
            f"({dim}, {dim}) behind them"
        )
    if image.shape == (dim, dim) and np.allclose(image, image.T) and np.linalg.eigvalsh(image).min() > 0:
        raise ValueError(
            f"coefficient: found {shown(image.tolist())}, which is an image of 2 x 2 pixels or one constant tensor; "
            "expected np.kron(image, np.ones((2, 2))) for the image; a constant tensor is its own homogenized tensor"
        )
    check_pixels(image, dim)
    return image.astype(float)


def _labelled(image, dim, values):
    if image.ndim != dim or image.dtype.kind not in "biu":
        raise TypeError(
            f"coefficient: found {image.dtype} of shape {image.shape}, expected whole numbers or True and False on "
            f"{dim} axes, since values are given"
        )
    labels, where = np.unique(image, return_inverse=True)
    if missing := [label.item() for label in labels if label.item() not in values]:
        raise ValueError(f"values: found none for the label {shown(missing[0])}, expected one for each in the image")
    table = [np.asarray(values[label.item()], dtype=float) for label in labels]
    if any(entry.ndim for entry in table):
        table = [entry if entry.ndim else entry * np.eye(dim) for entry in table]
    if any(entry.shape not in ((), (dim, dim)) for entry in table):
        raise ValueError(f"values: found {shown(values)}, expected numbers or tensors ({dim}, {dim})")
    return np.array(table)[where.reshape(image.shape)]


POROUS = (
    "expected a positive and finite conductivity; give pores, or perfect conductors, a factor of 1e-4, or 1e4, of the "
    "other phase: the error is about as small"
)


def check_pixels(image, dim):
    """Every pixel is symmetric, finite and positive definite."""
    labels = "; or values={0: ..., 1: ...}, if these are labels" if image.dtype.kind in "iu" else ""
    tensors = image if image.ndim > dim else image[..., None, None]

    def refuse(bad, expected):
        if np.any(bad):
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(f"coefficient: found {shown(image[index].tolist())} in pixel {index}, {expected}")

    refuse(np.isnan(tensors).any(axis=(-2, -1)), "expected a number everywhere")
    refuse(
        np.isinf(tensors).any(axis=(-2, -1)) | (tensors == 0).all(axis=(-2, -1)),
        POROUS + labels,
    )
    asymmetry = np.abs(tensors - np.swapaxes(tensors, -1, -2)).max(axis=(-2, -1))
    refuse(asymmetry > 1e-10 * np.abs(tensors).max(axis=(-2, -1)), "expected a symmetric tensor")
    refuse(np.linalg.eigvalsh(tensors)[..., 0] <= 0, "expected a positive definite coefficient, which is elliptic")
