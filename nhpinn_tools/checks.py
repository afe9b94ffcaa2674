"""What is checked of the arguments of the tools before any work is done.

One sentence names the argument, what was found and what was expected.
"""

import inspect
import pickle
from concurrent.futures import ProcessPoolExecutor
from functools import wraps

import numpy as np

from fem import takes_time
from nhpinn_functions import (
    at_nodes,
    called,
    centre,
    check_box,
    check_integer,
    check_period,
    check_periodic,
    check_positive,
    check_problem,
    checked_values,
    faces_of,
    grid,
    midpoints,
    shown,
    tensor_of,
)
from nhpinn_tools.calls import warn
from nhpinn_tools.ground_state import has_ground_state
from nhpinn_tools.images import pixels_of
from nhpinn_tools.phases import Phases, TwoPhase, unit_cell


def says_what_it_takes(function):
    """The function; its sentence about an argument that is missing, or that it does not know, names them all."""
    signature = inspect.signature(function)

    @wraps(function)
    def checked(*args, **kwargs):
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{function.__name__}: {error}, expected {call_of(function)}") from None
        return function(*args, **kwargs)

    return checked


def call_of(function):
    """How a function is called, for a sentence: its name and its arguments, without their types."""
    signature, empty = inspect.signature(function), inspect.Parameter.empty
    parameters = [parameter.replace(annotation=empty) for parameter in signature.parameters.values()]
    return f"{function.__name__}{signature.replace(parameters=parameters, return_annotation=empty)}"


def check_arguments(name, function, arguments, instead=""):
    """Raises TypeError for a user's function that cannot be called with these arguments, a text such as "x, y".

    instead: what else the user may have meant.
    """
    asked = arguments.split(", ")
    try:
        signature = inspect.signature(function)
        signature.bind(*asked)
    except ValueError:  # one of those that do not say
        return
    except TypeError:
        raise TypeError(f"{name}: found a function of {signature}, expected one of ({arguments}){instead}") from None
    found = list(signature.parameters.values())[: len(asked)]
    named = [parameter.name for parameter in found]
    swapped = named != asked and set(named) == set(asked)
    if swapped or any(p.default is not p.empty and p.name != each for p, each in zip(found, asked, strict=False)):
        raise TypeError(
            f"{name}: found a function of {signature}, expected one of ({arguments}), in this order{instead}"
        )


def needs_y_alone(function):
    """Whether y is the one parameter that a function needs; others may be values bound in a loop."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return [p.name for p in parameters if p.default is p.empty] == ["y"]


RECIPES = ("fourier", "sharp", "adam", "fem")


def check_not_elements(recipe):
    """Raises ValueError where finite elements are asked for of a function."""
    if recipe == "fem":
        raise ValueError(
            "recipe: found 'fem', expected it for images alone; a smooth function takes None, 'fourier', 'sharp' or "
            "'adam', one that jumps is an image of its values or a TwoPhase"
        )


def check_homogenize(dim, period, recipe, tolerance, seed):
    check_integer("dim", dim, 1, 3)
    check_period(period, dim)
    if recipe is not None and recipe not in RECIPES:
        raise ValueError(
            f"recipe: found {shown(recipe)}, expected None or one of {RECIPES[:3]} for a function, 'fem' for an image"
        )
    if tolerance is not None:
        check_positive("tolerance", tolerance)
        if tolerance >= 1:
            warn(f"tolerance: found {tolerance:g}, expected one below 1, the error of zero: 5 percent are 0.05")
    check_integer("seed", seed, 0, np.inf)


def check_cells_fit(problem):
    lengths = np.diff(problem.domain)[:, 0]
    cells = problem.eps * np.broadcast_to(problem.period, problem.dim) / lengths
    worst = np.argmax(cells)
    if cells[worst] > 1 + 1e-9:
        raise ValueError(
            f"eps: found {problem.eps:g}, expected eps * period at most the box, {lengths[worst]:g} along axis {worst}"
        )


def takes_x_alone(coefficient):
    """Whether a slowly varying coefficient is a function of x, or of x and y; others may be values bound in a loop, as
    in lambda x, k=k: ...  Raises TypeError for what is neither."""
    try:
        signature = inspect.signature(coefficient)
    except (TypeError, ValueError) as error:  # some that are written in C
        raise TypeError(f"coefficient: {error}, expected a function of (x, y) or of (x)") from error
    needed = [p for p in signature.parameters.values() if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    positional = all(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in needed)
    if not positional or len(needed) not in (1, 2):
        raise TypeError(f"coefficient: found a function of {signature}, expected one of (x, y) or of (x)")
    if needs_y_alone(coefficient):
        raise TypeError(
            "coefficient: found a function of y alone, expected one of (x, y) or of (x); homogenize takes one of (y)"
        )
    if len(needed) == 2:
        check_arguments("coefficient", coefficient, "x, y")
    return len(needed) == 1


def check_executor(executor, coefficient):
    """coefficient: a function, or what it returns at one x: a TwoPhase comes back in the result."""
    if executor is not None and not callable(getattr(executor, "map", None)):
        raise TypeError(f"executor: found {type(executor).__name__}, expected a concurrent.futures.Executor, or None")
    if isinstance(executor, ProcessPoolExecutor):  # others may send what pickle cannot
        try:
            pickle.dumps(coefficient)
        except Exception as error:
            sentence = "expected for other processes functions that are defined by def, outside of any function"
            raise TypeError(f"coefficient: cannot be sent by the executor ({error}), {sentence}") from error


def checked_equation(problem, recipe, tolerance, seed, values=None):
    """A problem that `solve` has made of its arguments, with numbers where they were given and `slow`, whether the
    coefficient depends on x; an image as Pixels.  Raises ValueError or TypeError for what cannot be meant."""
    dim, box, period = problem.dim, problem.domain, problem.period
    if dim not in (1, 2, 3):
        raise ValueError(f"box: found {shown(box)}, expected 1 to 3 pairs (low, high)")
    check_box("box", box, dim)
    check_homogenize(dim, period, recipe, tolerance, seed)
    check_positive("eps", problem.eps)
    if problem.final_time is not None and problem.initial is None:
        raise ValueError(
            f"final_time: found {shown(problem.final_time)}, expected None without an initial value, as there is no u_t"
        )
    domain = tuple((float(low), float(high)) for low, high in box)
    period = tuple(map(float, np.broadcast_to(period, dim)))
    final = 1.0 if problem.final_time is None else problem.final_time
    problem = problem._replace(domain=domain, eps=float(problem.eps), period=period, final_time=final)
    smooth, problem = callable(problem.coefficient), checked_composite(problem, recipe, values)
    moving = problem.initial is not None and callable(problem.source) and takes_time(problem.source)
    named = ("coefficient", "x, y"), ("source", "x, t" if moving else "x"), ("reaction", "y"), ("initial", "x")
    for name, arguments in (*named, ("rho", "x, y")):
        if callable(function := getattr(problem, name)):
            alone = "; of x alone write lambda x, y: f(x)" * (arguments == "x, y")
            check_arguments(name, function, arguments, alone)
    for face in faces_of(problem.boundary, domain):
        check_arguments("boundary", face.data, "x", "; what depends on t or u, as convection does, is not covered")
    slow = check_equation(problem, recipe)
    check_rho(problem, recipe)
    check_cells_fit(problem)
    if smooth:
        warn_of_eps(problem)
    edge = grid(box, {1: 65, 2: 9, 3: 5}[dim])
    tensor_of(*at_nodes(problem.coefficient, edge, midpoints(dim, period, 7)))  # elliptic up to the boundary
    return problem._replace(slow=slow)


def warn_of_eps(problem):
    """Warns of a coefficient that repeats itself after eps periods, in y or in x: one is taken for the other."""
    step, rng = problem.eps * np.array(problem.period), np.random.default_rng(0)
    low, high = np.transpose(problem.domain)
    x = rng.uniform(low, np.maximum(low, high - step), (64, problem.dim))
    y = rng.uniform(0, problem.period, x.shape)

    def change(in_x, in_y):
        """The most by which it changes over these parts of a step along an axis."""
        moved = (problem.coefficient(x + in_x * along, y + in_y * along) for along in np.diag(step))
        return max(np.abs(a - problem.coefficient(x + 0, y + 0)).max() for a in moved)

    repeats = "coefficient: found one that repeats itself every eps * period"
    if problem.eps < 0.5 and change(0, 1) < 0.1 * change(0, 0.4):
        warn(f"{repeats} in y, expected every period; y is x / eps already: was it divided by eps again?")
    if change(1, 0) < 0.1 * change(0.4, 0):
        warn(f"{repeats} in x, expected one that varies slowly in x; what varies as x / eps is a function of y")


def checked_composite(problem, recipe, values):
    """The problem with Pixels in the place of an image, Phases in that of a TwoPhase; itself for a function."""
    function, two = callable(problem.coefficient), isinstance(problem.coefficient, TwoPhase)
    if values is not None and (function or two):
        raise ValueError(f"values: found {shown(values)}, expected None but for an image of labels")
    if function:
        check_not_elements(recipe)
        return problem
    dim, period, what = problem.dim, problem.period, "a TwoPhase" if two else "an image"
    if two:
        cell = unit_cell(problem.coefficient, dim, np.array(period))
        coefficient = Phases(problem.coefficient, cell, period)
    else:
        coefficient = pixels_of(problem.coefficient, dim, values, period, centre(problem.domain))
    if recipe not in (None, "fem"):
        raise ValueError(f"recipe: found {recipe!r}, expected None or 'fem' for {what}")
    if problem.reaction is not None:
        raise ValueError(f"reaction: found one beside {what}, expected None, or a constant coefficient beside it")
    return problem._replace(coefficient=coefficient)


def check_equation(problem, recipe):
    """check_problem; for a reaction that `solve` takes by its ground state what that asks for.  -> as check_problem"""
    if recipe is not None or problem.reaction is None or problem.dim > 1 or not callable(problem.reaction):
        return check_problem(problem)
    slow = check_problem(problem._replace(reaction=None))
    if not has_ground_state(problem):
        return check_problem(problem)
    if slow:
        raise ValueError("coefficient: depends on x, expected a function of y alone beside a reaction")
    check_periodic("reaction", problem.reaction, 1, problem.period)
    return slow


def check_rho(problem, recipe):
    """Raises ValueError or TypeError for a storage coefficient that cannot be meant."""
    rho, dim, period = problem.rho, problem.dim, problem.period
    if rho is None:
        return
    if not callable(rho):
        raise TypeError(f"rho: found {type(rho).__name__}, expected a function of y, or of x and y, or None")
    if problem.initial is None or recipe == "adam":
        place = "without an initial value, as there is no u_t" if problem.initial is None else "for recipe='adam'"
        raise ValueError(f"rho: found a function, expected None {place}")
    nodes = np.random.default_rng(0).uniform(*np.transpose(problem.domain), (32, dim))
    field, points = at_nodes(rho, nodes, midpoints(dim, period, 7))
    if not (least := checked_values("rho", field, points).min()) > 0:
        raise ValueError(f"rho: found {least:.3g}, expected positive values")
    check_periodic("rho", field, dim, period, copies=len(nodes))


def checked_gradient(gradient, x):
    """gradient(x) of a candidate: (n, dim) and finite, or a ValueError."""
    slope = called("gradient", gradient, x)
    if slope.shape != x.shape:
        raise ValueError(f"gradient: returned shape {slope.shape} at points of shape {x.shape}, expected the same")
    if not np.all(np.isfinite(slope)):
        raise ValueError("gradient: not finite everywhere, expected real numbers")
    return slope


def check_gradient(value, gradient, problem):
    """Raises ValueError where differences of a candidate's values are not its gradient; kinks at some points may be."""
    low, high = np.transpose(problem.domain)
    x = low + (high - low) * np.random.default_rng(0).uniform(0.01, 0.99, (100, problem.dim))
    step = np.eye(problem.dim) * np.maximum(1e-4 * problem.eps * np.array(problem.period), 1e-5 * (high - low))
    slope, size = gradient(x), np.abs(value(x)).max()
    for axis, half in enumerate(step):
        width, lost = half[axis], 1e-6 * size / half[axis]  # what single precision may lose
        miss = np.abs((value(x + half) - value(x - half)) / (2 * width) - slope[:, axis])
        if np.median(miss) > 0.1 * np.median(np.abs(slope[:, axis])) + 0.01 * np.abs(slope).max() + lost:
            raise ValueError(
                f"gradient: differs from differences of value by {np.median(miss):.3g} along axis {axis}, the median "
                f"of {len(x)} points; expected the gradient of value"
            )


def checked_points(name, points, dim="dim"):
    """Points (n, dim), finite; one point (dim,) is taken for (1, dim), where dim is known."""
    try:
        points = np.asarray(points, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: found {type(points).__name__}, expected points, real numbers (n, {dim})") from error
    if points.shape == (dim,):
        points = points[None]
    if points.ndim != 2 or dim not in ("dim", points.shape[1]):
        one = "" if dim == "dim" else f", or ({dim},) for one point"
        raise ValueError(f"{name}: found shape {points.shape}, expected (n, {dim}){one}")
    if not np.all(np.isfinite(points)):
        raise ValueError(f"{name}: not finite everywhere, expected real numbers")
    return points


def as_points(points, values):
    """Values (n, ...) at points (n, dim); without the first axis for one point (dim,)."""
    return values[0] if np.ndim(points) == 1 else values
