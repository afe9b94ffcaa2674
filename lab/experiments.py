"""The experiments of the paper: what a task (problem, method, seed, budget) computes.

    fem        references: fine-scale solution, homogenization error e4, and their refinement
    sharp      the three steps by the recipe `sharp`
    adam       the three steps by the paper's recipe; then transfer learning: the classical PINN from step 3 on
    plain      cell problems without oversampling
    classical  the PINN on the multiscale equation

The errors are those of section 5.1, in the discrete L2 norm on the paper's test grid, with u_eps the
fine-scale reference, p the network of NH-PINN, w the finite element solution with NH-PINN's coefficients
and v the one with finite element coefficients:

    e1 = |p - u_eps| / |u_eps|   e2 = |w - u_eps| / |u_eps|   e3 = |p - w| / |w|   e4 = |v - u_eps| / |u_eps|

A method is a function of (Setup, checkpoints) that returns a dictionary of plain data; see settings.py and tasks.py.
"""

import time
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

import fem
import fem_cells
import nhpinn
from lab.minimisers import coarse_mesh_failure
from lab.training import final_averages, no_checkpoints, recorder
from nhpinn import Correctors
from nhpinn_functions import at_node, cell_quadrature, centre, faces_of, grid, one_node, spline_weights, tensor_of
from nhpinn_networks import network, value_and_gradient
from nhpinn_tools import certificates, recipes
from nhpinn_tools.ground_state import has_ground_state, solve_reaction
from nhpinn_tools.interpolation import chebyshev_points

# --- References ------------------------------------------------------------------------------------

ORDER = 4  # of solutions on boxes and of a*; correctors have twice as much, cell_convergence several
CELL_ELEMENTS = 16  # per axis of a cell problem
HOMOGENIZED_ELEMENTS = {1: 32, 2: 32, 3: 8}  # along the longest axis; of the fine-scale solution at least as many
STEPS = 2000  # in time
CELL_CONVERGENCE = [(order, n) for order in (1, 2, 4, 8) for n in (4, 8, 16, 32) if order * n <= 64]
ELEMENTS_A_PERIOD = {1: 8, 2: 6, 3: 2}  # of the fine-scale solution, by dimension


def error_axes(experiment):
    """The paper's test grid, on which errors are measured: an array of coordinates for every axis."""
    return [np.linspace(low, high, experiment.test_points) for low, high in experiment.problem.domain]


def error_points(experiment):
    """Its points (n, dim), last axis fastest."""
    return grid(experiment.problem.domain, experiment.test_points)


def error_inputs(experiment):
    """Its points as inputs of a network: with the final time where there is time."""
    problem, points = experiment.problem, error_points(experiment)
    return points if problem.initial is None else np.insert(points, problem.dim, problem.final_time, axis=1)


def cell_nodes(experiment):
    """The slow points whose cell problems are solved: (X, dim)"""
    problem = experiment.problem
    return nhpinn.slow_nodes(problem.domain, problem.slow, experiment.homogenized["points"])


def derivatives_of(field, axes):
    """Values (n,), gradient (n, dim) and second derivatives (n, dim, dim) of a Field on a tensor grid."""
    dim = range(len(axes))
    slope = np.stack([field.on_grid(*axes, along=(i,)) for i in dim], -1)
    second = np.stack([np.stack([field.on_grid(*axes, along=(i, j)) for j in dim], -1) for i in dim], -2)
    return field.on_grid(*axes), slope, second


def solve_fem(problem, coefficient, reaction, elements, steps=STEPS):
    """The problem's equation with the given coefficients, at the final time where there is time: a Field."""
    mesh, faces = fem.Mesh(problem.domain, elements, ORDER), faces_of(problem.boundary, problem.domain)
    if problem.initial is None:
        return fem.solve_elliptic(coefficient, problem.source, mesh, reaction, faces)
    in_time = problem.source, problem.initial, problem.final_time
    return fem.solve_parabolic(coefficient, *in_time, steps, mesh, reaction, faces)


def has_certificate(problem):
    return problem.initial is None and problem.reaction is None


def periods(problem):
    """The number of cells along each axis: (dim,)."""
    low, high = np.transpose(problem.domain)
    return (high - low) / (problem.eps * np.broadcast_to(problem.period, problem.dim))


def an_axis(problem, longest):
    """Elements an axis, in proportion to the lengths of the box, with this number along the longest."""
    lengths = np.diff(problem.domain)[:, 0]
    counts = [max(4, round(count)) for count in longest * lengths / lengths.max()]
    return counts[0] if len(set(counts)) == 1 else tuple(counts)


def fine_solution(problem, refinement=1.0):
    """u_eps, with elements (and time steps) in proportion to the number of periods in the domain."""
    eps, dim = problem.eps, problem.dim
    at_scale = round(refinement * ELEMENTS_A_PERIOD[dim] * np.ceil(periods(problem).max()))
    elements = an_axis(problem, max(HOMOGENIZED_ELEMENTS[dim], at_scale))
    reaction = problem.reaction and (lambda x: problem.reaction(x / eps) / eps)
    u = solve_fem(problem, lambda x: problem.coefficient(x, x / eps), reaction, elements, round(STEPS * refinement))
    return u, elements


@lru_cache(maxsize=8)
def reference(problem, refinement):
    """The same, found once in a process for all tasks that do not measure how long it takes."""
    return fine_solution(problem, refinement)


def fine_values(experiment, refinement=1.0):
    """u_eps on the test grid."""
    return reference(experiment.problem, refinement)[0].on_grid(*error_axes(experiment))


@lru_cache(maxsize=8)
def fem_coefficients(problem, cell_elements):
    """The homogenized coefficients by finite elements."""
    dim, period, r = problem.dim, problem.period, 0.0
    points, weights = centre(problem.domain)[None], one_node(dim)
    if problem.slow:  # interpolated: there are too many points to solve a cell problem at each
        nodes = chebyshev_points(problem, 1e-10)
        points, weights = nodes.points, nodes.weights
    options = {"period": period, "order": ORDER}
    samples = [
        fem_cells.homogenized_tensor(at_node(problem.coefficient, x), dim, cell_elements, **options) for x in points
    ]
    if problem.reaction is not None:
        D = constant_tensor(problem)[0, 0]
        r = fem_cells.reaction_corrector(problem.reaction, D, fem_cells.cell_mesh(dim, cell_elements, period, ORDER))[1]
    return nhpinn.Coefficients(np.stack(samples), weights, r)


def homogenized_solution(problem, tensor, r, refinement=1.0):
    """v or w: the homogenized equation with the coefficients a*(x), r*."""
    elements, steps = an_axis(problem, round(HOMOGENIZED_ELEMENTS[problem.dim] * refinement)), round(STEPS * refinement)
    return solve_fem(problem, tensor, constant(r), elements, steps)


def cell_fields(problem, x, elements=CELL_ELEMENTS, order=2 * ORDER):
    """The correctors of the cell problem at one point x (dim,), by finite elements: a Field, columns chi_j, or N.

    Of twice the order of the other elements: the recipe `sharp` comes within 1e-8 of a corrector.
    """
    mesh = fem_cells.cell_mesh(problem.dim, elements, problem.period, order)
    if problem.reaction is None:
        return fem_cells.correctors(at_node(problem.coefficient, x), mesh)[0]
    N, _ = fem_cells.reaction_corrector(problem.reaction, constant_tensor(problem)[0, 0], mesh)
    return N._replace(nodal=N.nodal[:, None])


def constant_tensor(problem):
    """The coefficient beside a reaction, which is the same everywhere: (dim, dim)"""
    x = centre(problem.domain)
    return tensor_of(at_node(problem.coefficient, x), x[None])[0]


def constant(r):
    """A constant as a function of points; None for 0."""
    return (lambda x: np.full(len(x), r)) if r else None


def fem_correctors(problem, nodes):
    """The correctors at the slow points `nodes` (X, dim), by finite elements."""
    cells = partial(recipes.element_cells, [cell_fields(problem, x) for x in nodes])
    return Correctors(cells, spline_weights(nodes), nodes, problem.period)


# --- Errors ----------------------------------------------------------------------------------------


def corrected_errors(experiment, fine, homogenized, correctors):
    """Errors of the first-order reconstruction, and of gradients with it (h1_corrected) and without (h1).

    fine, homogenized: (values, gradient, second derivatives) at the test points.  Relative, in the discrete L2
    norm, over the whole domain and over its interior, one period away from the boundary, if that has test points.
    -> {name: error}, values of the reconstruction
    """
    problem, x, (u, u_slope, _) = experiment.problem, error_points(experiment), fine
    expansion = correctors.expansion(x, x / problem.eps)
    value, corrected_slope = nhpinn.reconstruct(problem, *homogenized, expansion)
    (low, high), slope = np.transpose(problem.domain), homogenized[1]
    layer = problem.eps * np.broadcast_to(problem.period, problem.dim) * (1 - 1e-9)
    interior = np.all((x - low >= layer) & (high - x >= layer), axis=1)
    found = {}
    for suffix, where in (("", slice(None)), *([("_interior", interior)] if interior.any() else [])):
        found["e1_corrected" + suffix] = fem.relative_error(value[where], u[where])
        found["h1" + suffix] = fem.relative_error(slope[where], u_slope[where])
        found["h1_corrected" + suffix] = fem.relative_error(corrected_slope[where], u_slope[where])
    return found, value


def relative_errors(values, references):
    """{name: error} of values against each reference."""
    return {name: fem.relative_error(values, known) for name, known in references.items()}


def solution_errors(experiment, references, factor=1.0):
    """A function of the parameters of N: relative errors of factor * N against each reference on the test grid."""
    points = error_inputs(experiment)
    return lambda params: relative_errors(factor * network(params, points.astype(params[0][0].dtype)), references)


def cell_axes(problem):
    """The grid of the cell on which errors of correctors are measured, as fine as the paper's test grids."""
    count = {1: 401, 2: 101, 3: 21}[problem.dim]
    return [np.linspace(0, length, count) for length in np.broadcast_to(problem.period, problem.dim)]


class CellReference(NamedTuple):
    """chi_1, chi_2, ... or N by finite elements on a grid of the cell."""

    names: list
    points: np.ndarray  # (n, dim)
    values: np.ndarray  # (J, n)

    def errors(self, values):
        return {name: fem.relative_error(*pair) for name, *pair in zip(self.names, values, self.values, strict=True)}


@lru_cache(maxsize=8)
def cell_reference(problem):
    axes = cell_axes(problem)
    names = ["N"] if problem.reaction else [f"chi{j + 1}" for j in range(problem.dim)]
    return CellReference(names, fem.tensor_grid(axes), cell_fields(problem, centre(problem.domain)).on_grid(*axes).T)


def corrector_errors(problem, inputs=lambda y: y):
    """A function of the cell networks' parameters: chi1, chi2, ... or N, relative errors on the cell.

    inputs: points y (n, dim) -> what the networks take.
    None for a slow coefficient, which has one corrector for every x: e_a says how good they are.
    """
    if problem.slow:
        return None
    exact = cell_reference(problem)
    points = inputs(exact.points)
    inside = inputs(cell_quadrature(problem.dim, problem.period))  # for the mean

    def errors(params):
        dtype = params[0][0].dtype
        values = network(params, points.astype(dtype))[0]
        return exact.errors(values - network(params, inside.astype(dtype))[0].mean(-1, keepdims=True))

    return errors


def of_trainings(settings, histories, **rest):
    """A result of trainings by the paper's recipe.  settings: {part: (Training, Options)}; histories: {name: History}.

    The seconds of a History, other in every run, belong under "clock".
    """
    kept = {
        name: {key: value for key, value in h._asdict().items() if key != "seconds"} for name, h in histories.items()
    }
    settings = {part: training._asdict() | options._asdict() for part, (training, options) in settings.items()}
    return {"recipe": "adam", "settings": settings} | ({"history": kept} if kept else {}) | rest


# ---------------------------------------------------------------------------------------------------
# Methods.  `checkpoints(name)` keeps the state of the training of that name, see training.Checkpoint.
# ---------------------------------------------------------------------------------------------------


def run_fem(setup, checkpoints=no_checkpoints):
    """The references at three refinements, so that a reader sees which digits stand still."""
    experiment, problem = setup.experiment, setup.problem
    checks, axes = [], error_axes(experiment)
    for refinement in (0.5, 1.0, 2.0):
        fine, elements = reference(problem, refinement)
        coefficients = fem_coefficients(problem, round(CELL_ELEMENTS * refinement))
        v = homogenized_solution(problem, coefficients.tensor, coefficients.reaction, refinement)
        checks.append({"elements": elements, "e4": fem.relative_error(v.on_grid(*axes), fine.on_grid(*axes))})
    correctors = fem_correctors(problem, cell_nodes(experiment))
    corrected, _ = corrected_errors(experiment, derivatives_of(fine, axes), derivatives_of(v, axes), correctors)
    result = {"recipe": "fem", "quantities": {"e4": checks[-1]["e4"], **corrected}, "refinement": checks}
    if not problem.slow and problem.dim < 3:
        result["cells"], result["clock"] = cell_convergence(setup)
    if problem.name == "const1d":
        ratio, error = coarse_mesh_failure()
        result["coarse_mesh"] = {"ratio": ratio, "error": error}
    return result


def cell_convergence(setup):
    """Finite elements on the cell problem, what networks have to be compared with: errors, {"cells": seconds}."""
    problem, rows, seconds = setup.problem, [], []
    exact, axes = cell_reference(problem), cell_axes(problem)
    for order, elements in setup.few(CELL_CONVERGENCE):
        start = time.perf_counter()
        field = cell_fields(problem, centre(problem.domain), elements, order)
        seconds.append(time.perf_counter() - start)
        rows.append({"order": order, "elements": elements, **exact.errors(field.on_grid(*axes).T)})
    return rows, {"cells": seconds}


def run_sharp(setup, checkpoints=no_checkpoints):
    """The three steps by the recipe `sharp`."""
    problem, tolerance, start = setup.problem, setup.experiment.tolerance, time.perf_counter()
    recipe = recipes.sharp_recipe(tolerance)
    cell_rng, equation_rng = np.random.default_rng(setup.stream("sharp")).spawn(2)
    correctors = recipe.cells(problem, cell_rng)  # step 1
    seconds = {"cell": time.perf_counter() - start}
    coefficients = nhpinn.homogenized_coefficients(problem, correctors, recipe.average)  # step 2
    u0 = recipe.equation(problem, coefficients, equation_rng)  # step 3
    w = homogenized_values(setup.experiment, coefficients)
    result = of_steps(setup.experiment, correctors, coefficients, w, u0)
    if has_ground_state(problem):  # another way to the same equation, with a bar
        result["quantities"]["guaranteed"] = solve_reaction(problem).error
    settings = {"sharp": {"tolerance": tolerance}}
    return {"recipe": "sharp", **result, "seconds_by_part": seconds, "settings": settings}


def run_adam(setup, checkpoints=no_checkpoints):
    """The three steps by the paper's recipe, and transfer learning: the classical PINN from step 3 on."""
    experiment, problem, histories, start = setup.experiment, setup.problem, {}, time.perf_counter()
    (cell, _), (homogenized, _), (classical, of_transfer) = (
        setup.trainings[part] for part in ("cell", "homogenized", "classical")
    )
    options = {part: options for part, (_, options) in setup.trainings.items()} | {"transfer": of_transfer}
    errors = {"cell": corrector_errors(problem)}

    def train(name, *rest):
        return recorder(options[name], errors, histories, checkpoints)(name, *rest)

    cell_rng, equation_rng = np.random.default_rng(setup.stream("nhpinn")).spawn(2)
    correctors = nhpinn.solve_cells(problem, cell, cell_rng, cell_nodes(experiment), train)  # step 1
    seconds = {"cell": time.perf_counter() - start}
    coefficients = nhpinn.homogenized_coefficients(problem, correctors)  # step 2
    u, w = fine_values(experiment), homogenized_values(experiment, coefficients)
    errors["homogenized"] = solution_errors(experiment, {"e1": u, "e3": w})
    u0 = nhpinn.solve_equation(problem, coefficients.at, homogenized, equation_rng, train=train)  # step 3

    errors["transfer"] = solution_errors(experiment, {"transfer": u})
    rng = np.random.default_rng(setup.stream("transfer"))
    nhpinn.classical_pinn(problem, classical, rng, u0.params, lambda name, *rest: train("transfer", *rest))
    result = of_steps(experiment, correctors, coefficients, w, u0) | {"seconds_by_part": seconds}
    for name, history in histories.items():  # in place of the errors at the end
        result["quantities"] |= final_averages(history, options[name])
    return of_trainings(setup.trainings, histories, **result, clock={"cell": histories["cell"].seconds})


def homogenized_values(experiment, coefficients):
    """w: finite elements with the coefficients of NH-PINN, on the test grid."""
    w = homogenized_solution(experiment.problem, coefficients.tensor, coefficients.reaction)
    return w.on_grid(*error_axes(experiment))


def of_steps(experiment, correctors, coefficients, w, u0):
    """Quantities, fields and coefficients of a result of the three steps; w: see homogenized_values."""
    problem, dim = experiment.problem, experiment.problem.dim
    fine = derivatives_of(reference(problem, 1.0)[0], error_axes(experiment))
    u, (p, slope, second) = fine[0], u0(error_inputs(experiment))
    found = {"e2": fem.relative_error(w, u), "e1": fem.relative_error(p, u), "e3": fem.relative_error(p, w)}
    if has_certificate(problem):
        found["certified"] = certificates.certificate(problem, correctors, coefficients, u0).error
    nodes, exact = cell_nodes(experiment), fem_coefficients(problem, CELL_ELEMENTS)
    learned, wanted = (c.tensor(nodes) if problem.reaction is None else c.reaction for c in (coefficients, exact))
    found["e_a"] = fem.relative_error(learned, wanted)
    corrected, values = corrected_errors(experiment, fine, (p, slope[:, :dim], second[:, :dim, :dim]), correctors)
    found, fields = found | corrected, {"solution": p, "reference": u, "corrected": values}
    if not problem.slow:
        cell = cell_reference(problem)
        fields |= {"corrector": correctors.cells(cell.points)[0][0], "corrector_reference": cell.values}
        found |= cell.errors(fields["corrector"])
    samples = {"tensor": coefficients.samples.tolist(), "reaction": coefficients.reaction}
    return {"quantities": found, "fields": fields, "coefficients": samples}


def run_plain(setup, checkpoints=no_checkpoints):
    """Cell problems without oversampling, under the best settings found without."""
    problem, histories, (settings, options) = setup.problem, {}, setup.trainings["plain"]
    rng, _ = np.random.default_rng(setup.stream("nhpinn")).spawn(2)  # the start of the oversampled run
    train = recorder(options, {"cell": corrector_errors(problem)}, histories, checkpoints)
    nhpinn.solve_cells(problem, settings, rng, cell_nodes(setup.experiment), train)
    errors = final_averages(histories["cell"], options)
    quantities = {f"{name}_plain": value for name, value in errors.items()}
    return of_trainings({"cell_plain": (settings, options)}, {"cell_plain": histories["cell"]}, quantities=quantities)


def run_classical(setup, checkpoints=no_checkpoints):
    """The PINN on the multiscale equation."""
    experiment, problem, histories = setup.experiment, setup.problem, {}
    settings, options = setup.trainings["classical"]
    u, rng = fine_values(experiment), np.random.default_rng(setup.stream("classical"))
    errors = {"classical": solution_errors(experiment, {"classical": u})}
    trained = nhpinn.classical_pinn(problem, settings, rng, None, recorder(options, errors, histories, checkpoints))
    quantities, params = final_averages(histories["classical"], options), trained.params
    if has_certificate(problem):
        equation = problem.coefficient, problem.source, problem.domain, problem.eps
        known = nhpinn.solve(*equation, boundary=problem.boundary, period=problem.period)
        bounds = nhpinn.certify(known, lambda x: network(params, x), lambda x: value_and_gradient(params, x)[1])
        quantities |= zip(("classical_certified_lower", "classical_certified_upper"), bounds, strict=True)
    if has_ground_state(problem):
        bounds = solve_reaction(problem).certify(lambda x: network(params, x))
        quantities |= zip(("classical_guaranteed_lower", "classical_guaranteed_upper"), bounds, strict=True)
    fields = {"solution": network(params, error_inputs(experiment)), "reference": u}
    return of_trainings({"classical": (settings, options)}, histories, quantities=quantities, fields=fields)
