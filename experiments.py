"""The experiments of the paper: what a task (problem, method, seed, budget) computes.

    fem        references: fine-scale solution, homogenization error e4, and their refinement
    sharp      the three steps by the recipe `sharp`
    nhpinn     the three steps by the paper's recipe; then transfer learning: the classical PINN from step 3 on
    plain      cell problems without oversampling
    classical  the PINN on the multiscale equation

The errors are those of section 5.1, in the discrete L2 norm on the paper's test grid, with u_eps the
fine-scale reference, p the network of NH-PINN, w the finite element solution with NH-PINN's coefficients
and v the one with finite element coefficients:

    e1 = |p - u_eps| / |u_eps|   e2 = |w - u_eps| / |u_eps|   e3 = |p - w| / |w|   e4 = |v - u_eps| / |u_eps|

Each method returns a dictionary of plain data; run_all.py runs and saves them.
"""

import time
import zlib
from typing import NamedTuple

import adam
import jets
import losses
import numpy as np
from coefficients import coefficient_at, tensor_of

import fem
import nhpinn
import sharp


class Budget(NamedTuple):
    epochs: float  # fraction of the paper's epochs, and of the epochs over which errors are averaged
    batch: int | None  # equation points an epoch, drawn at random; None: all
    every: int  # epochs between two records of the errors
    text: str


BUDGETS = {
    "smoke": Budget(0.005, 256, 10, "every code path in a minute: 0.5 % of the epochs, the numbers mean nothing"),
    "standard": Budget(0.6, 1024, 20, "0.6 of the paper's epochs, at most 1024 random equation points in each"),
    "paper": Budget(1, None, 10, "the paper's points and epochs"),
}


class Task(NamedTuple):
    problem: str
    method: str
    seed: int
    budget: str


# ---------------------------------------------------------------------------------------------------
# References
# ---------------------------------------------------------------------------------------------------

ORDER = 4  # of all finite elements below
CELL_ELEMENTS = 16  # per axis of a cell problem
HOMOGENIZED_ELEMENTS = {1: 32, 2: 32, 3: 8}  # per axis, by dimension; of the fine-scale solution at least as many
STEPS = 2000  # in time
ELEMENTS_A_PERIOD = {1: 8, 2: 6, 3: 2}  # of the fine-scale solution, by dimension


def axes_of(problem):
    return [np.linspace(low, high, problem.test_points) for low, high in problem.domain]


def derivatives_of(field, axes):
    """Values (n,), gradient (n, dim) and second derivatives (n, dim, dim) of a Field on a tensor grid."""
    dim = range(len(axes))
    slope = np.stack([field.on_grid(*axes, along=(i,)) for i in dim], -1)
    second = np.stack([np.stack([field.on_grid(*axes, along=(i, j)) for j in dim], -1) for i in dim], -2)
    return field.on_grid(*axes), slope, second


def solve_fem(problem, coefficient, reaction, elements, steps=STEPS):
    """The problem's equation with the given coefficients, at the final time where there is time: a Field."""
    mesh = fem.Mesh(problem.domain, elements, ORDER)
    if problem.initial is None:
        return fem.solve_elliptic(coefficient, problem.source, mesh, reaction)
    return fem.solve_parabolic(coefficient, problem.source, problem.initial, problem.final_time, steps, mesh, reaction)


def fine_solution(problem, refinement=1.0):
    """u_eps, with elements (and time steps) in proportion to the number of periods in the domain."""
    eps = problem.eps
    periods = max((high - low) / (eps * problem.period) for low, high in problem.domain)
    elements = max(
        HOMOGENIZED_ELEMENTS[problem.dim], round(refinement * ELEMENTS_A_PERIOD[problem.dim] * np.ceil(periods))
    )
    reaction = problem.reaction and (lambda x: problem.reaction(x / eps) / eps)
    u = solve_fem(problem, lambda x: problem.coefficient(x, x / eps), reaction, elements, round(STEPS * refinement))
    return u, elements


def fem_coefficients(problem, cell_elements=CELL_ELEMENTS):
    """The homogenized coefficients by finite elements: (x -> a* (n, dim, dim)), r*."""

    def tensor_at(x):
        return fem.homogenized_tensor(
            coefficient_at(problem, x), problem.dim, cell_elements, period=problem.period, order=ORDER
        )

    r = 0.0
    if problem.reaction is not None:
        mesh = fem.cell_mesh(problem.dim, cell_elements, problem.period, ORDER)
        r = fem_reaction_corrector(problem, mesh)[1]
    if problem.slow:
        return lambda x: np.stack([tensor_at(point) for point in x]), r
    tensor = tensor_at(np.zeros(problem.dim))
    return lambda x: np.broadcast_to(tensor, (len(x), *tensor.shape)), r


def fem_reaction_corrector(problem, mesh):
    origin = np.zeros((1, problem.dim))
    return fem.reaction_corrector(problem.reaction, float(problem.coefficient(origin, origin)[0]), mesh)


def homogenized_solution(problem, tensor, r, refinement=1.0):
    """v or w: the homogenized equation with the coefficients a*(x), r*."""
    elements, steps = round(HOMOGENIZED_ELEMENTS[problem.dim] * refinement), round(STEPS * refinement)
    return solve_fem(problem, tensor, (lambda x: np.full(len(x), r)) if r else None, elements, steps)


def cell_fields(problem, x):
    """The correctors of the cell problem at one point x (dim,), by finite elements: a Field, columns chi_j, or N."""
    if problem.reaction is not None:
        field = fem_reaction_corrector(problem, corrector_mesh(problem))[0]
        return field._replace(nodal=field.nodal[:, None])
    return fem.correctors(coefficient_at(problem, x), corrector_mesh(problem))[0]


def corrector_mesh(problem):
    """Of twice the order of the other elements: the recipe `sharp` comes within 1e-8 of a corrector."""
    return fem.cell_mesh(problem.dim, CELL_ELEMENTS, problem.period, 2 * ORDER)


def fem_expansion(problem, slow):
    """The correctors at the test points, by finite elements, as Correctors.expansion."""
    axes = [x / problem.eps for x in axes_of(problem)]
    fields = [cell_fields(problem, x) for x in slow]
    chi = np.stack([field.on_grid(*axes).T for field in fields])
    chi_y = np.stack([np.stack([f.on_grid(*axes, along=(i,)).T for i in range(problem.dim)], -1) for f in fields])
    return nhpinn.expanded(slow, chi, chi_y, losses.grid(problem.domain, problem.test_points))


def reference_correctors(problem, axes):
    """chi_j, or N, by finite elements on a grid of the cell: (J, n)."""
    return cell_fields(problem, np.zeros(problem.dim)).on_grid(*axes).T


def corrected_errors(problem, fine, homogenized, expansion):
    """Errors of the first-order reconstruction, and of gradients with it (h1_corrected) and without (h1).

    fine, homogenized: (values, gradient, second derivatives) at the test points.  Relative, in the discrete L2
    norm, over the whole domain and over its interior, one period away from the boundary.
    """
    (u, u_slope, _), (u0, slope, second) = fine, homogenized
    value, corrected_slope = nhpinn.reconstruct(problem, u0, slope, second, expansion)
    x, (low, high) = losses.grid(problem.domain, problem.test_points), np.transpose(problem.domain)
    layer = problem.eps * problem.period * (1 - 1e-9)
    interior = np.all((x - low >= layer) & (high - x >= layer), axis=1)
    found = {}
    for suffix, where in (("", slice(None)), ("_interior", interior)):
        found["e1_corrected" + suffix] = fem.relative_error(value[where], u[where])
        found["h1" + suffix] = fem.relative_error(slope[where], u_slope[where])
        found["h1_corrected" + suffix] = fem.relative_error(corrected_slope[where], u_slope[where])
    return found


# ---------------------------------------------------------------------------------------------------
# Methods: problem, task -> result, a dictionary of plain data.  `checkpoints(name)` keeps the state of the
# training of that name, see adam.Checkpoint.
# ---------------------------------------------------------------------------------------------------


def run_fem(problem, task, checkpoints=adam.no_checkpoints):
    """The references, three times refined, so that a reader sees which digits stand still."""
    checks, axes = [], axes_of(problem)
    for refinement in (0.5, 1.0, 2.0):
        fine, elements = fine_solution(problem, refinement)
        tensor, r = fem_coefficients(problem, round(CELL_ELEMENTS * refinement))
        v = homogenized_solution(problem, tensor, r, refinement)
        checks.append({"elements": elements, "e4": fem.relative_error(v.on_grid(*axes), fine.on_grid(*axes))})
    slow = nhpinn.slow_points(problem, training(problem, "homogenized", task))
    corrected = corrected_errors(
        problem, derivatives_of(fine, axes), derivatives_of(v, axes), fem_expansion(problem, slow)
    )
    result = {"recipe": "fem", "quantities": {"e4": checks[-1]["e4"], **corrected}, "refinement": checks}
    if problem.name == "const1d":
        ratio, error = fem.coarse_mesh_failure()
        result["coarse_mesh"] = {"ratio": ratio, "error": error}
    return result


def run_nhpinn(problem, task, checkpoints=adam.no_checkpoints):
    cell, homogenized, classical = (training(problem, part, task) for part in ("cell", "homogenized", "classical"))
    fine, reference = derivatives_of(fine_solution(problem)[0], axes_of(problem)), fem_coefficients(problem)
    found, u = {}, fine[0]

    def solution_errors(coefficients):
        w = homogenized_solution(problem, coefficients.tensor, coefficients.reaction).on_grid(*axes_of(problem))
        found["e2"] = fem.relative_error(w, u)
        return errors_at_test_points(problem, {"e1": u, "e3": w})

    start = time.perf_counter()
    correctors, coefficients, params, history = nhpinn.nh_pinn(
        problem, cell, homogenized, stream(task, "nhpinn"), corrector_errors(problem), solution_errors, checkpoints
    )
    middle = time.perf_counter()
    transfer = train_classical(problem, task, "transfer", u, params, checkpoints("transfer"))[1]
    found["e_a"] = coefficient_error(problem, coefficients, correctors.slow, *reference)
    x, dim = losses.grid(problem.domain, problem.test_points), problem.dim
    u0, slope, second = jets.network_derivatives(params, test_inputs(problem))
    homogenized_at_end = u0, slope[:, :dim], second[:, :dim, :dim]
    found |= corrected_errors(problem, fine, homogenized_at_end, correctors.expansion(x, x / problem.eps))
    found |= averages(history, homogenized) | averages(correctors.history, cell) | averages(transfer, classical)
    return {
        "recipe": "adam",
        "quantities": found,
        "settings": {"cell": cell._asdict(), "homogenized": homogenized._asdict(), "classical": classical._asdict()},
        "seconds_by_part": {"nhpinn": middle - start, "transfer": time.perf_counter() - middle},
        "history": {
            "cell": saved_history(correctors.history),
            "homogenized": saved_history(history),
            "transfer": saved_history(transfer),
        },
        "clock": {"cell": correctors.history.seconds},
        "coefficients": {"tensor": coefficients.samples.tolist(), "reaction": coefficients.reaction},
        "fields": {"solution": u0, "reference": u, **corrector_fields(problem, correctors)},
    }


def run_sharp(problem, task, checkpoints=adam.no_checkpoints):
    """The three steps by the recipe `sharp`, in seconds."""
    cell, homogenized = (training(problem, part, task) for part in PARTS["sharp"])
    axes = axes_of(problem)
    fine, reference = derivatives_of(fine_solution(problem)[0], axes), fem_coefficients(problem)
    found, u, inputs = {}, fine[0], test_inputs(problem)
    values_only = jets.coordinate_jet(inputs, np.zeros((0, *inputs.shape)), np.zeros(inputs.shape))

    def solution_errors(coefficients):
        w = homogenized_solution(problem, coefficients.tensor, coefficients.reaction).on_grid(*axes)
        found["e2"] = fem.relative_error(w, u)

        def errors(trial):
            p = sharp.trial_jet(trial, values_only)[0]
            return {"e1": fem.relative_error(p, u), "e3": fem.relative_error(p, w)}

        return errors

    start, cell_errors = time.perf_counter(), sharp_corrector_errors(problem)
    correctors, coefficients, trial, fit = nhpinn.nh_pinn_sharp(
        problem, cell, homogenized, stream(task, "sharp"), cell_errors, solution_errors, checkpoints
    )
    seconds = time.perf_counter() - start
    fits = {f"sharp_cell{j + 1}": each for j, each in enumerate(correctors.fits)} | {"sharp_homogenized": fit}
    for each in fits.values():
        found |= {name: values[-1] for name, values in each.errors.items()}
    x = losses.grid(problem.domain, problem.test_points)
    slow = nhpinn.slow_points(problem, training(problem, "homogenized", task))
    found["e_a"] = coefficient_error(problem, coefficients, slow, *reference)
    u0, slope, second = jets.derivatives(lambda jet: sharp.trial_jet(trial, jet), inputs)
    homogenized_at_end = u0, slope[:, : problem.dim], second[:, : problem.dim, : problem.dim]
    expansion = correctors.expansion(x, x / problem.eps)
    found |= corrected_errors(problem, fine, homogenized_at_end, expansion)
    history = {part: saved_history(each) for part, each in fits.items()}
    if not problem.slow and problem.reaction is None:
        history["bounds"] = bounds_in_training(problem, correctors)
    corrected, _ = nhpinn.reconstruct(problem, *homogenized_at_end, expansion)
    return {
        "recipe": "sharp",
        "quantities": found,
        "settings": {"sharp_cell": cell._asdict(), "sharp_homogenized": homogenized._asdict()},
        "seconds_by_part": {"sharp": seconds},
        "history": history,
        "clock": {part: each.seconds for part, each in fits.items()},
        "coefficients": {"tensor": coefficients.samples.tolist(), "reaction": coefficients.reaction},
        "fields": {"solution": u0, "reference": u, "corrected": corrected},
    }


def bounds_in_training(problem, correctors, count=64):
    """How the bounds of the homogenized tensor close in, iteration by iteration, to the end of the shortest fit."""
    y = losses.cell_midpoints(problem.dim, 1.0, count)
    a = coefficients_at(problem, y)
    history = {"lower": [], "upper": []}
    for vectors in zip(*(fit.path for fit in correctors.fits), strict=False):
        pairs = zip(correctors.trials, vectors, strict=True)
        trials = [trial._replace(params=jets.unflatten(vector, trial.params)) for trial, vector in pairs]
        lower, upper = sharp.bounds(a, sharp.value_and_slope(trials, y)[1], count)
        history["lower"].append(lower.tolist())
        history["upper"].append(upper.tolist())
    return history


def coefficients_at(problem, y):
    """The coefficient, as a tensor, at points of the unit cell."""
    return tensor_of(lambda p: problem.coefficient(0 * p, problem.period * p), y)


def sharp_corrector_errors(problem):
    """j -> a function of the Trial of chi_j: its error on the cell; None for a slow one."""
    if problem.slow:
        return None
    axes = cell_axes(problem)
    references = reference_correctors(problem, axes)
    y = losses.grid([(0, problem.period)] * problem.dim, len(axes[0]))
    names = ["N"] if problem.reaction else [f"chi{j + 1}" for j in range(problem.dim)]

    def of_corrector(j):
        def errors(trial):
            correctors = sharp.Correctors([trial], problem.period, False, [])
            return {names[j]: fem.relative_error(correctors.expansion(None, y)[0][0], references[j])}

        return errors

    return of_corrector


def corrector_fields(problem, correctors):
    """The correctors on a grid of the cell, learned and by finite elements; nothing for a slow coefficient."""
    if problem.slow:
        return {}
    axes = cell_axes(problem)
    y = losses.grid([(0, problem.period)] * problem.dim, len(axes[0]))
    return {"corrector": correctors(y)[0], "corrector_reference": reference_correctors(problem, axes)}


def saved_history(training):
    """What a result keeps of an adam.History or a sharp.Fit; its seconds, other in every run, belong under "clock"."""
    return {name: value for name, value in training._asdict().items() if name not in ("seconds", "path")}


def averages(history, settings):
    """The errors of a training as the captions of the paper report them."""
    return {name: adam.final_average(history, name, settings.average) for name in history.errors}


def train_classical(problem, task, name, u, params, checkpoint):
    """The PINN on the multiscale equation, from scratch or from a trained network; its error against u is `name`."""
    rng = np.random.default_rng(stream(task, name))
    errors = errors_at_test_points(problem, {name: u})
    settings = training(problem, "classical", task)
    return nhpinn.solve_equation(problem, nhpinn.multiscale_at(problem), settings, rng, errors, params, checkpoint)


def run_plain(problem, task, checkpoints=adam.no_checkpoints):
    """Cell problems without oversampling: under the settings with it, and under the best found without."""
    same = training(problem, "cell", task)
    w1 = same.weights[0]
    runs = {
        "_plain": training(problem, "plain", task),
        "_plain_same": same._replace(layers=0, weights=(w1, 1 - w1)),
    }
    result = {"recipe": "adam", "quantities": {}, "settings": {}, "history": {}}
    for suffix, settings in runs.items():
        rng, _ = nhpinn.generators(stream(task, "nhpinn"))  # the start of the oversampled run
        slow = nhpinn.slow_points(problem, training(problem, "homogenized", task))
        errors, checkpoint = corrector_errors(problem), checkpoints("cell" + suffix)
        history = nhpinn.solve_cells(problem, settings, rng, slow, errors, checkpoint).history
        result["quantities"] |= {name + suffix: value for name, value in averages(history, settings).items()}
        result["settings"]["cell" + suffix] = settings._asdict()
        result["history"]["cell" + suffix] = saved_history(history)
    return result


def run_classical(problem, task, checkpoints=adam.no_checkpoints):
    settings, u = training(problem, "classical", task), fine_solution(problem)[0].on_grid(*axes_of(problem))
    params, history = train_classical(problem, task, "classical", u, None, checkpoints("classical"))
    return {
        "recipe": "adam",
        "quantities": averages(history, settings),
        "settings": {"classical": settings._asdict()},
        "history": {"classical": saved_history(history)},
        "fields": {"solution": jets.network(params, test_inputs(problem)), "reference": u},
    }


METHODS = {"fem": run_fem, "sharp": run_sharp, "classical": run_classical, "plain": run_plain, "nhpinn": run_nhpinn}


def training(problem, part, task):
    """The settings of one training of a problem under the task's budget: adam.Training or sharp.Sharp."""
    budget = BUDGETS[task.budget]
    if part in PARTS["sharp"]:
        settings = sharp.Sharp(**getattr(problem, part))
        return (
            settings if budget.epochs >= 0.5 else settings._replace(iterations=2, starts=1)
        )  # seconds: no need to save
    settings = adam.Training(**getattr(problem, part))
    return settings._replace(
        epochs=max(1, round(settings.epochs * budget.epochs)),
        average=max(1, round(settings.average * budget.epochs)),
        batch=budget.batch,
        every=budget.every,
    )


def stream(task, label):
    """Seeds for numpy's generator: independent between tasks, the same wherever and whenever a task runs."""
    return [task.seed, zlib.crc32(f"{task.problem} {label}".encode())]


def test_inputs(problem):
    """The test grid as inputs of a network: with the final time where there is time."""
    points = losses.grid(problem.domain, problem.test_points)
    return points if problem.initial is None else np.insert(points, problem.dim, problem.final_time, axis=1)


def errors_at_test_points(problem, references):
    """A function of a network's parameters: its relative errors against each reference."""
    points = test_inputs(problem)

    def errors(params):
        u = jets.network(params, points.astype(params[0][0].dtype))
        return {name: fem.relative_error(u, reference) for name, reference in references.items()}

    return errors


def corrector_errors(problem, inputs=lambda y: y):
    """A function of the cell networks' parameters: chi1, chi2, ... or N, relative errors on the cell.

    inputs: points y (n, dim) -> what the networks take.
    None for a slow coefficient, which has one corrector for every x: e_a says how good they are.
    """
    if problem.slow:
        return None
    axes = cell_axes(problem)
    points = losses.grid([(0, problem.period)] * problem.dim, len(axes[0]))
    inside = losses.cell_midpoints(problem.dim, problem.period, {1: 32, 2: 32, 3: 12}[problem.dim])  # for the mean
    points, inside = inputs(points), inputs(inside)
    references = reference_correctors(problem, axes)
    names = ["N"] if problem.reaction else [f"chi{j + 1}" for j in range(problem.dim)]

    def errors(params):
        dtype = params[0][0].dtype
        values = jets.network(params, points.astype(dtype))[0]
        values = values - jets.network(params, inside.astype(dtype))[0].mean(-1, keepdims=True)
        return {name: fem.relative_error(*pair) for name, *pair in zip(names, values, references, strict=True)}

    return errors


def cell_axes(problem):
    """The grid of the cell on which errors of correctors are measured, as fine as the paper's test grids."""
    return [np.linspace(0, problem.period, {1: 401, 2: 101, 3: 21}[problem.dim])] * problem.dim


def coefficient_error(problem, coefficients, slow, tensor, r):
    """e_a: the relative error of the homogenized coefficient, a* at the points x, or r*."""
    if problem.reaction is not None:
        return abs(coefficients.reaction - r) / abs(r)
    return fem.relative_error(coefficients.tensor(slow), tensor(slow))


PARTS = {
    "fem": [],
    "sharp": ["sharp_cell", "sharp_homogenized"],
    "classical": ["classical"],
    "plain": ["cell", "plain"],
    "nhpinn": ["cell", "homogenized", "classical"],
}
