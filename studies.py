"""Studies beyond the paper's experiments: why they come out as they do.

    sweep       errors and times against eps
    law         why the classical PINN fails: the loss averaged over the fast variable, and its minimiser
    losses      which average a loss learns: strong form, energy and first-order system
    layers      what oversampling does: matching of values, of derivatives, and periodic features
    robustness  learning rates and weights, with oversampling and without

Each study is a method like those of experiments.py: (problem, task) -> a dictionary of plain data, with a
table of its own under "study", a list of rows.
"""

import time
from itertools import product

import adam
import jets
import losses
import numpy as np

import experiments
import fem
import nhpinn
import sharp

# ---------------------------------------------------------------------------------------------------
# The law of the failure.  A network learns low frequencies first, so what its loss sees of an oscillating
# coefficient is an average.  For u fixed on the scale eps the loss (3) of the classical PINN is
#
#     w_1 mean_x mean_y |a_ij d_ij u + b_j d_j u + f|^2 + w_2 ...,      b_j = (d/dx_i + 1/eps d/dy_i) a_ij(x, y)
#
# in which mean(b_i b_j) is of order eps^-2 and forces the gradient to zero.  For a(y) with mean(b_i b_j) = beta
# delta_ij and u = 0 on the boundary, the minimiser solves an equation of second order,
#
#     -mean(a^2) lap u + beta u = mean(a) f,
#
# a reaction-diffusion equation (the condition mean(a^2) lap u + mean(a) f = 0, which a minimiser meets on the
# boundary, and the equation of fourth order say that the difference of both sides is harmonic and vanishes
# there): u is of order eps^2 and the relative error of the classical PINN is one minus that.  In the same way
# the term r u / eps of a reaction adds mean(r^2) u^2 / eps^2 to a loss that is otherwise that of the heat
# equation.
# ---------------------------------------------------------------------------------------------------

SHIFTS = 16  # per axis of the cell, in means over y
EPS = (1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)
REFINEMENT = {1: 1.0, 2: 0.25, 3: 0.5}  # of fine solutions, for errors of order one


def derivatives_in(problem):
    """The derivatives of u in the multiscale equation, as in `fem.Field.on_grid`; time is the last axis."""
    dim = range(problem.dim)
    timed = [(problem.dim,)] if problem.initial else []
    return [(i, j) for i in dim for j in dim] + [(j,) for j in dim] + timed + ([()] if problem.reaction else [])


def equation_at(problem, x):
    """The coefficients of these derivatives, and of f, in the residual at x (n, dim): (n, K + 1)."""
    a, b, c = nhpinn.multiscale_at(problem)(x)
    one = np.ones((len(x), 1))
    timed = [-one] if problem.initial else []
    return np.hstack([a.reshape(len(x), -1), b, *timed, *([-c[:, None]] if problem.reaction else []), one])


def gram_at(problem, points, sampled=False):
    """mean_y l l^T for the coefficients l of `equation_at` and f, or l l^T at y = x / eps if sampled."""
    x = points[:, : problem.dim]
    shifts = np.zeros((1, problem.dim)) if sampled else losses.cell_midpoints(problem.dim, problem.period, SHIFTS)
    at = x if sampled or problem.slow else x[:1]
    everywhere = shifted(problem, np.tile(shifts, (len(at), 1)))  # a mean over y is one over all positions of the cells
    rows = equation_at(everywhere, np.repeat(at, len(shifts), axis=0)).reshape(len(at), len(shifts), -1)
    G = np.einsum("nsk,nsl->nkl", rows, rows) / len(shifts)
    scale = np.ones((len(x), G.shape[1]))
    scale[:, -1] = problem.source(x)
    return scale[:, :, None] * scale[:, None, :] * G


def shifted(problem, shift):
    """The problem with its cells moved by -shift, (dim,), or by one shift for each point, (n, dim)."""
    reaction = problem.reaction and (lambda y: problem.reaction(y + shift))
    return problem._replace(coefficient=lambda x, y: problem.coefficient(x, y + shift), reaction=reaction)


def classical_minimiser(problem, elements, sampled=False):
    """The minimiser of the loss of the classical PINN over functions that do not oscillate: fem.Field.

    Averaged over y, on a mesh fine enough to be exact; or the loss as it is, sampled at its points, over splines with
    so few elements that they cannot follow the fast variable.  Where there is time, it is the last axis.
    """
    settings, timed = problem.classical, problem.initial is not None
    bounds = (*problem.domain, *([(0.0, problem.final_time)] if timed else []))
    lengths = [high - low for low, high in bounds]
    volume, space = np.prod(lengths), range(problem.dim)
    w1, w2, *w3 = settings["weights"]

    def zero(x):
        return np.zeros(len(x))

    sides = [fem.Side(i, end, w2 * lengths[i] / volume / (2 * problem.dim), zero) for i in space for end in (0, 1)]
    if timed:
        sides.append(fem.Side(problem.dim, 0, w3[0] * lengths[-1] / volume, lambda p: problem.initial(p[:, :-1])))
    rules = None
    if sampled:
        axes = [np.linspace(low, high, settings["points"])[1:-1] for low, high in problem.domain]
        axes += [np.linspace(*bounds[-1], settings["points"])[1:]] if timed else []
        rules = [(x, np.full(len(x), length / len(x))) for x, length in zip(axes, lengths, strict=True)]
    mesh = fem.Mesh(bounds, elements, smooth=True)
    gram = lambda x: w1 / volume * gram_at(problem, x, sampled)  # noqa: E731
    return fem.averaged_minimiser(gram, derivatives_in(problem), sides, mesh, rules)


def periods(problem):
    """The number of cells along the first axis."""
    low, high = problem.domain[0]
    return round((high - low) / (problem.eps * problem.period))


def predicted(problem, sampled=False, a_period=1.0):
    """Values of the minimiser on the test grid, at the final time; if sampled, with a_period elements a cell."""
    elements = round(a_period * periods(problem)) if sampled else max(32, round(1.5 / problem.eps))
    axes = experiments.axes_of(problem) + ([np.array([problem.final_time])] if problem.initial else [])
    return classical_minimiser(problem, elements, sampled).on_grid(*axes)


def run_law(problem, task, checkpoints=adam.no_checkpoints):
    """The predicted error of the classical PINN, against eps, and against the resolution of the fast variable."""
    u, v = fine_values(problem), predicted(problem)
    error = {n: fem.relative_error(predicted(problem, True, n), u) for n in few(resolutions(problem), task)}
    return {
        "recipe": "fem",
        "quantities": {"classical_predicted": fem.relative_error(v, u), "classical_predicted_points": error[1]},
        "study": [law_at(problem._replace(eps=eps), task, checkpoints) for eps in few(EPS, task)],
        "resolution": [{"elements a period": n, "error": error[n]} for n in error],
        "fields": {"solution": v, "reference": u},
    }


def resolutions(problem):
    """Elements a period for the loss at its points, as long as these determine the minimiser."""
    points = problem.classical["points"] - 2
    return [n for n in (1, 0.5, 2, 3, 4, 6, 8) if round(n * periods(problem)) + experiments.ORDER <= points or n == 1]


def few(values, task):
    """All values, or the first in a budget that only tries the code."""
    return values if experiments.BUDGETS[task.budget].epochs >= 0.5 else values[:1]


def fine_values(problem, refinement=1.0):
    return experiments.fine_solution(problem, refinement)[0].on_grid(*experiments.axes_of(problem))


def law_at(problem, task, checkpoints):
    """One row of the sweep; stationary problems are trained as well, with 8 points a period, in 2D 1024 an epoch.

    classical_shape is the error without the mean of the boundary values: the smaller eps is, the longer a constant
    takes to fade, since the averaged equation forbids slopes alone, and only the boundary term sees a constant.
    """
    u = fine_values(problem, REFINEMENT[problem.dim])
    row = {"eps": problem.eps, "classical_predicted": fem.relative_error(predicted(problem), u)}
    if problem.initial is None:
        settings = experiments.training(problem, "classical", task)
        batch = 1024 if problem.dim > 1 else settings.batch
        settings = settings._replace(points=max(settings.points, 8 * periods(problem) + 1), batch=batch)
        rng, name = np.random.default_rng(experiments.stream(task, "law")), f"eps {problem.eps:g}"
        errors, equation = experiments.errors_at_test_points(problem, {"classical": u}), nhpinn.multiscale_at(problem)
        params, history = nhpinn.solve_equation(problem, equation, settings, rng, errors, None, checkpoints(name))
        x = experiments.test_inputs(problem)
        v = jets.network(params, x)
        shape = fem.relative_error(v - v[losses.on_boundary(x, problem.domain)].mean(), u)
        row |= experiments.averages(history, settings) | {"classical_shape": shape, "points": settings.points}
    return row


# ---------------------------------------------------------------------------------------------------
# Which average a loss learns.  With u fixed on the scale eps, and means over y:
#
#     strong form   |div(a grad u) + f|^2                           as above: u of order eps^2
#     energy        a |grad u|^2 / 2 - f u                          -div(mean(a) grad u) = f: the arithmetic mean
#     first order   |sigma / a - grad u|^2 + |div sigma + f|^2      grad u = m sigma, -lap phi + V phi = f for
#                                                                   sigma = grad phi, m = mean(1/a), V = var(1/a)
#
# The last is |grad u - m sigma|^2 + V |sigma|^2 + |div sigma + f|^2: the harmonic mean 1/m, which in one
# dimension is the homogenized coefficient, and a reaction V, which does not vanish with eps; on the boundary
# div sigma + f = 0, which makes the equation of fourth order one of second order as above.
#
# All three are sums of squares of quantities linear in the jet of a network, because the energy is, up to a
# constant, |a^(1/2) grad u - a^(-1/2) g|^2 / 2 for any g with -div g = f and u = 0 on the boundary; a is scalar.
# ---------------------------------------------------------------------------------------------------


LOSSES = ("strong form", "energy", "first order")
LOSS_TRAINING = {"rate": 2e-3, "decay": 0.1}  # of all three, ours
SMALL, ITERATIONS = (24, 24), 100  # network and most iterations of Levenberg-Marquardt
POINTS_A_CELL = {1: 24, 2: 8}  # per axis: residuals that oscillate are small between few points, and large elsewhere


def bubble(problem, x):
    """prod_i 4 (x_i - low_i) (high_i - x_i) / length_i^2, its gradient and Laplacian: (n,), (dim, n), (n,)."""
    low, high = np.transpose(problem.domain)
    t = 4 * (x - low) * (high - x) / (high - low) ** 2
    slope, second = 4 * (low + high - 2 * x) / (high - low) ** 2, -8 / (high - low) ** 2
    others = np.stack([np.delete(t, i, axis=1).prod(1) for i in range(problem.dim)], -1)
    return t.prod(1), (slope * others).T, (second * others).sum(1)


def bubble_channels(problem, x):
    """The channels of u = phi N, phi the bubble, as combinations of those of N: (channels, channels, n)."""
    phi, slope, laplacian = bubble(problem, x)
    u = np.zeros((problem.dim + 2, problem.dim + 2, len(x)))
    u[0, 0] = u[-1, -1] = phi
    u[-1, 0] = laplacian
    for i in range(problem.dim):
        u[1 + i, 0], u[1 + i, 1 + i], u[-1, 1 + i] = slope[i], phi, 2 * slope[i]
    return u


def loss_terms(problem, name, axes):
    """A loss on a grid, for a network with outputs N, sigma_1, ... (the latter for the system of first order).

    u = phi N.  The jet has channels value, d_1, ..., Laplacian; a term mixes them output after output.
    """
    x, dim = fem.product(axes), range(problem.dim)
    a, b, _ = nhpinn.multiscale_at(problem)(x)
    k, f, u = a[:, 0, 0], problem.source(x), bubble_channels(problem, x)
    jet = jets.operator_jet(x, np.broadcast_to(np.eye(problem.dim), a.shape), np.zeros(x.shape))

    def term(target, of_u, of_sigma=None):
        mix = of_u if of_sigma is None else np.concatenate([of_u[:, None], of_sigma], axis=1)
        return losses.Term(jet, True, mix.reshape(-1, len(x)), target, np.full(len(x), 1 / len(x)))

    if name == "strong form":
        return [term(-f, k * u[-1] + sum(b[:, i] * u[1 + i] for i in dim))]
    if name == "energy":
        g = poisson_flux(problem, axes)
        return [term(g[i] / np.sqrt(k), np.sqrt(k) * u[1 + i]) for i in dim]
    sigma = np.zeros((problem.dim + 1, problem.dim + 2, problem.dim, len(x)))  # of which residual, channel, component
    for i in dim:
        sigma[i, 0, i], sigma[-1, 1 + i, i] = 1 / k, 1
    zero = np.zeros(len(x))
    return [*(term(zero, -u[1 + i], sigma[i]) for i in dim), term(-f, np.zeros_like(u[0]), sigma[-1])]


def poisson_flux(problem, axes):
    """A g with -div g = f: the gradient of the solution of Poisson's equation. (dim, n)"""
    w = experiments.solve_fem(problem, lambda x: np.ones(len(x)), None, 32)
    return np.stack([w.on_grid(*axes, along=(i,)) for i in range(problem.dim)])


def predicted_by(problem, name):
    """The function that a loss learns, if what it sees is an average over y; for scalar a(y): values (n,)."""
    if name == "strong form":
        return predicted(problem)
    y = losses.cell_midpoints(problem.dim, problem.period, 64)
    a = problem.coefficient(0 * y, y)
    m, V = np.mean(1 / a), np.var(1 / a)
    k, c = (a.mean(), 0.0) if name == "energy" else (1 / m, V / m)
    v = experiments.solve_fem(problem, lambda x: np.full(len(x), k), lambda x: np.full(len(x), c), 48)
    return v.on_grid(*experiments.axes_of(problem))


def run_losses(problem, task, checkpoints=adam.no_checkpoints):
    """Errors of networks trained on the three losses, by Adam and by Levenberg-Marquardt, beside those predicted."""
    settings = experiments.training(problem, "classical", task)._replace(weights=(1.0,), batch=1024, **LOSS_TRAINING)
    u, count = fine_values(problem), POINTS_A_CELL[problem.dim] * periods(problem)
    axes = [low + (high - low) * (np.arange(count) + 0.5) / count for low, high in problem.domain]
    rows, histories, clock = [], {}, {}
    for name in LOSSES:
        v, terms = predicted_by(problem, name), loss_terms(problem, name, axes)
        errors = errors_of_u(problem, {"trained": u, "from_predicted": v})
        rng, outputs = np.random.default_rng(experiments.stream(task, name)), len(terms[0].mix) // len(terms[0].jet)
        row = {"loss": name, "predicted": fem.relative_error(v, u)}

        start = jets.init_network((problem.dim, *settings.hidden, outputs), rng)
        history = adam.train(start, terms, settings, rng, errors, checkpoints(name))[1]
        rows.append(row | {"optimizer": "Adam"} | experiments.averages(history, settings))

        start = jets.init_network((problem.dim, *SMALL, outputs), rng)
        iterations = max(1, round(ITERATIONS * experiments.BUDGETS[task.budget].epochs))
        fit = sharp.levenberg_marquardt(
            start, lambda _, terms=terms: terms, iterations, errors=errors, checkpoint=checkpoints(name + " sharp")
        )[1]
        end = {name: values[-1] for name, values in fit.errors.items()}
        closest = min(fit.errors["from_predicted"])
        rows.append(row | {"optimizer": "Levenberg-Marquardt"} | end | {"closest": closest})
        histories[name] = {
            "adam": experiments.saved_history(history),
            "levenberg_marquardt": experiments.saved_history(fit),
        }
        clock[name] = fit.seconds
    return {
        "recipe": "adam",
        "quantities": {},
        "settings": {"losses": settings._asdict()},
        "history": histories,
        "clock": clock,
        "study": rows,
    }


def errors_of_u(problem, references):
    """A function of a network's parameters: relative errors of u = phi N against each reference."""
    x = experiments.test_inputs(problem)
    phi = bubble(problem, x)[0]

    def errors(params):
        u = phi * jets.network_jet(params, x[None].astype(params[0][0].dtype))[0, :, 0]
        return {name: fem.relative_error(u, reference) for name, reference in references.items()}

    return errors


# ---------------------------------------------------------------------------------------------------
# Oversampling.  A corrector and its first derivatives are periodic.  In one dimension the equation itself
# makes the derivative periodic once the values are; in two, a solution of the equation with matching values
# on opposite faces may have any jump of its normal derivative.  So values alone leave infinitely many
# solutions, and a second condition on every face has to select one: ghost layers at distance l h ask for
# it in the form of finite differences: a jump J of the derivative costs the square of l h J there, so that
# "derivatives * h" is what one ghost layer asks for, and more layers ask for it with more weight.
# ---------------------------------------------------------------------------------------------------

DISTANCE = 0.01  # of the central difference, in periods; a periodic function meets the condition exactly


def cell_variants(settings):
    """Ways to ask for periodicity: label -> (settings, matching), with weights that sum to one."""
    w1, rest = settings.weights[0], 1 - settings.weights[0]
    variants = {}
    for layers in range(5):
        weights = (w1, rest / 2, rest / 2) if layers else (w1, rest)
        variants[f"{layers} layers"] = settings._replace(layers=layers, weights=weights), "values"
    for label in ("derivatives * h", "derivatives"):
        variants[label] = settings._replace(layers=0, weights=(w1, rest / 2, rest / 2)), label
    variants["features"] = settings._replace(layers=0, weights=(1.0,)), "features"
    return variants


def cell_terms(problem, settings, matching):
    """The loss of the cell problems, eq. (12), with periodicity asked for by values (and ghost layers), by values and
    normal derivatives (times h), or built into the inputs sin and cos of 2 pi y / period."""
    dim, period, weights = problem.dim, problem.period, settings.weights
    y = losses.grid([(0.0, period)] * dim, settings.points)
    a, b, f = nhpinn.cell_data(problem, np.zeros((1, dim)), y)
    equation = losses.equation_term(y, a[:, None], b[:, None], 0.0, f, weights[0])
    if matching == "features":
        return [equation._replace(jet=sharp.periodic_features(equation.jet[0, 0] / period)[None, None])]
    pairs = losses.periodic_pairs(dim, period, settings.points, settings.layers)
    terms = [equation, losses.periodic_term(pairs, weights[1], weights[2] if settings.layers else 0.0)]
    if matching.startswith("derivatives"):
        h = period / (settings.points - 1) if matching.endswith("h") else 1.0
        terms.append(slope_term(pairs[0], DISTANCE * period, weights[2] * h**2))
    return terms


def slope_term(faces, distance, weight):
    """weight * mean |d_n u at one face - d_n u at the other|^2, by central differences, for pairs (2, n, d)."""
    normal = distance * (faces[1] != faces[0])
    points = np.stack([faces[0] + normal, faces[0] - normal, faces[1] + normal, faces[1] - normal])
    n = points.shape[1]
    mix = np.array([[1.0], [-1.0], [-1.0], [1.0]]) / (2 * distance) * np.ones(n)
    return losses.Term(points, False, mix, np.zeros(n), np.full(n, weight / n))


def train_cell(problem, settings, matching, seed, checkpoint):
    """Errors of the correctors over the training of one variant: History."""
    featured = matching == "features"

    def inputs(points):
        angles = 2 * np.pi / problem.period * points
        return np.hstack([np.sin(angles), np.cos(angles)]) if featured else points

    rng, _ = nhpinn.generators(seed)
    start = jets.init_network((problem.dim * (1 + featured), *settings.hidden, 1), rng, (1, problem.dim))
    errors = experiments.corrector_errors(problem, inputs)
    return adam.train(start, cell_terms(problem, settings, matching), settings, rng, errors, checkpoint)[1]


def run_layers(problem, task, checkpoints=adam.no_checkpoints):
    """Errors of the correctors against the number of ghost layers, and with other ways to periodicity."""
    settings, rows, histories = experiments.training(problem, "cell", task), [], {}
    for label, (variant, matching) in cell_variants(settings).items():
        history = train_cell(problem, variant, matching, experiments.stream(task, "nhpinn"), checkpoints(label))
        rows.append({"periodicity": label, **experiments.averages(history, variant)})
        histories[label] = experiments.saved_history(history)
    return {
        "recipe": "adam",
        "quantities": {},
        "settings": {"layers": settings._asdict()},
        "history": histories,
        "study": rows,
    }


RATES, WEIGHTS = (2e-3, 5e-4, 8e-3), (0.02, 0.1, 0.5)  # learning rates, and weights of the equation


def run_robustness(problem, task, checkpoints=adam.no_checkpoints):
    """Errors of the correctors for several learning rates and weights, with ghost layers and without.

    A quarter of the epochs each, with a decay of the learning rate over them.
    """
    settings, rows = experiments.training(problem, "cell", task), []
    settings = settings._replace(epochs=max(1, settings.epochs // 4))
    for layers, rate, w1 in product((settings.layers, 0), few(RATES, task), few(WEIGHTS, task)):
        weights = (w1, (1 - w1) / 2, (1 - w1) / 2) if layers else (w1, 1 - w1)
        variant, name = settings._replace(layers=layers, rate=rate, weights=weights), f"{layers} {rate:g} {w1:g}"
        history = train_cell(problem, variant, "values", experiments.stream(task, "nhpinn"), checkpoints(name))
        rows.append({"layers": layers, "rate": rate, "weight": w1, **experiments.averages(history, variant)})
    return {"recipe": "adam", "quantities": {}, "settings": {"robustness": settings._asdict()}, "study": rows}


# ---------------------------------------------------------------------------------------------------
# The scale.  Section 5.2.2 says that a small eps has no great impact on the method: cell problems and
# homogenized equation do not know of it.  So one solution of them serves every eps; what changes with eps is
# the error that homogenization makes, and what the fine-scale solution costs.
# ---------------------------------------------------------------------------------------------------


# Of fine solutions, whose gradients are compared as well: in 2D at eps = 1/16 they err by 1e-3, values by 6e-6
SWEEP_REFINEMENT = {1: 1.0, 2: 0.67, 3: 0.5}
SWEEP_POINTS = {1: 16, 2: 8, 3: 4}  # of the test grid at least, an axis and a period: gradients oscillate


def run_sweep(problem, task, checkpoints=adam.no_checkpoints):
    """Errors and times of NH-PINN by the recipe `sharp` against eps, and the rates at which the errors fall."""
    cell, homogenized = (experiments.training(problem, part, task) for part in ("sharp_cell", "sharp_homogenized"))
    start = time.perf_counter()
    correctors, _, trial, _ = nhpinn.nh_pinn_sharp(
        problem, cell, homogenized, experiments.stream(task, "sharp"), checkpoints=checkpoints
    )
    seconds, dim, rows, clock = time.perf_counter() - start, problem.dim, [], []
    for eps in few(EPS, task):
        at, start = problem._replace(eps=eps), time.perf_counter()
        at = at._replace(test_points=max(problem.test_points, SWEEP_POINTS[dim] * periods(at) + 1))
        x, axes = losses.grid(at.domain, at.test_points), experiments.axes_of(at)
        field, _ = experiments.fine_solution(at, SWEEP_REFINEMENT[dim])
        clock.append({"seconds of NH-PINN": seconds, "of finite elements": time.perf_counter() - start})
        fine = experiments.derivatives_of(field, axes)
        u0, slope, second = jets.derivatives(lambda jet: sharp.trial_jet(trial, jet), experiments.test_inputs(at))
        ours = u0, slope[:, :dim], second[:, :dim, :dim]
        errors = experiments.corrected_errors(at, fine, ours, correctors.expansion(x, x / eps))
        errors = {"e1": fem.relative_error(u0, fine[0]), **errors}
        rows.append({"eps": eps, **errors})
    logs = np.log([row["eps"] for row in rows])
    rates = {
        name: float(np.polyfit(logs, np.log([row[name] for row in rows]), 1)[0]) if len(rows) > 1 else float("nan")
        for name in rows[0]
        if name.startswith(("e1", "h1"))
    }
    settings = {"sharp_cell": cell._asdict(), "sharp_homogenized": homogenized._asdict()}
    return {"recipe": "sharp", "quantities": {}, "settings": settings, "study": rows, "clock": clock, "rates": rates}


# Every method that there is, with the trainings that its work and its name depend on
METHODS = experiments.METHODS | {
    "law": run_law,
    "sweep": run_sweep,
    "losses": run_losses,
    "layers": run_layers,
    "robustness": run_robustness,
}
PARTS = experiments.PARTS | {
    "law": ["classical"] * 3,
    "sweep": ["sharp_cell", "sharp_homogenized"],
    "losses": ["classical"] * 6,
    "layers": ["cell"] * 8,
    "robustness": ["cell"] * 5,
}
PROBLEMS_OF = {"losses": ("const1d", "elliptic2d"), "layers": ("const1d", "elliptic2d"), "robustness": ("elliptic2d",)}
