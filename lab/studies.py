"""Studies beyond the paper's experiments: why they come out as they do.

    sweep       errors and times against eps
    law         why the classical PINN fails: the loss averaged over the fast variable, and its minimiser
    losses      which average a loss learns: strong form, energy and first-order system
    layers      what oversampling does: matching of values, of derivatives, and periodic features
    robustness  learning rates and weights, with oversampling and without

Each study is a method like those of experiments.py, with a table of its own under "study", a list of rows.
"""

import time
from itertools import product

import numpy as np

import fem
import nhpinn
from lab import experiments, minimisers, training
from lab.experiments import of_trainings
from lab.minimisers import exact_minimiser, feature_count
from lab.settings import averages_are_trained
from lab.training import final_averages
from nhpinn_functions import at_node, centre, faces_of, midpoint_axes, midpoints, on_boundary
from nhpinn_networks import Loss, Term, init_network, network, operator_jet
from nhpinn_tools import recipes
from nhpinn_tools.equations import bubble_jet
from nhpinn_tools.features import waves

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

LAW_BANDWIDTHS = (1, 2, 5, 10, 20, 40, 80, 160)
SHIFTS = 16  # per axis of the cell, in means over y
EPS = (1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)
REFINEMENT = {1: 1.0, 2: 0.25, 3: 0.5}  # of fine solutions, for errors of order one


def derivatives_in(problem):
    """The derivatives of u in the multiscale equation, as in `minimisers.Spline.on_grid`; time is the last axis."""
    dim = range(problem.dim)
    timed = [(problem.dim,)] if problem.initial else []
    return [(i, j) for i in dim for j in dim] + [(j,) for j in dim] + timed + ([()] if problem.reaction else [])


def equation_at(problem, x):
    """The coefficients of these derivatives, and of f, in the residual at x (n, dim): (n, K + 1)."""
    a, b, c = nhpinn.multiscale(problem)(x)
    one = np.ones((len(x), 1))
    timed = [-one] if problem.initial else []
    return np.hstack([a.reshape(len(x), -1), b, *timed, *([-c[:, None]] if problem.reaction else []), one])


def gram_at(problem, points, sampled=False):
    """mean_y l l^T for the coefficients l of `equation_at` and f, or l l^T at y = x / eps if sampled."""
    x = points[:, : problem.dim]
    shifts = np.zeros((1, problem.dim)) if sampled else midpoints(problem.dim, problem.period, SHIFTS)
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


def classical_minimiser(experiment, elements, sampled=False):
    """The minimiser of the loss of the classical PINN over functions that do not oscillate: minimisers.Spline.

    Averaged over y, on a mesh fine enough to be exact; or the loss as it is, sampled at its points, over splines with
    so few elements that they cannot follow the fast variable.  Where there is time, it is the last axis.
    """
    problem, settings = experiment.problem, experiment.classical
    timed = problem.initial is not None
    bounds = (*problem.domain, *([(0.0, problem.final_time)] if timed else []))
    lengths = [high - low for low, high in bounds]
    volume, space = np.prod(lengths), range(problem.dim)
    w1, w2, w3 = settings["weights"]

    def zero(x):
        return np.zeros(len(x))

    sides = [
        minimisers.Side(i, end, w2 * lengths[i] / volume / (2 * problem.dim), zero) for i in space for end in (0, 1)
    ]
    if timed:
        sides.append(minimisers.Side(problem.dim, 0, w3 * lengths[-1] / volume, lambda p: problem.initial(p[:, :-1])))
    rules = None
    if sampled:
        axes = [np.linspace(low, high, settings["points"])[1:-1] for low, high in problem.domain]
        axes += [np.linspace(*bounds[-1], settings["points"])[1:]] if timed else []
        rules = [(x, np.full(len(x), length / len(x))) for x, length in zip(axes, lengths, strict=True)]
    splines = minimisers.Splines(bounds, elements)
    gram = lambda x: w1 / volume * gram_at(problem, x, sampled)  # noqa: E731
    return minimisers.averaged_minimiser(gram, derivatives_in(problem), sides, splines, rules)


def at_eps(experiment, eps):
    return experiment._replace(problem=experiment.problem._replace(eps=eps))


def scales(setup):
    """The eps of a study: those that leave an interior, a period away from the boundary, of a period at least."""
    experiment, dim = setup.experiment, setup.problem.dim
    fitting = [eps for eps in EPS if min(experiments.periods(at_eps(experiment, eps).problem)) >= 3]
    return setup.few(fitting, lambda eps: cells_an_axis(at_eps(experiment, eps).problem) ** dim)


def cells_an_axis(problem):
    """The number of cells along the axis that has most."""
    return round(experiments.periods(problem).max())


def predicted(experiment, a_period=None):
    """The minimiser on the test grid, at the final time; of the sampled loss with a_period elements a cell."""
    problem, sampled = experiment.problem, a_period is not None
    elements = round(a_period * cells_an_axis(problem)) if sampled else max(32, round(1.5 / problem.eps))
    axes = experiments.error_axes(experiment) + ([np.array([problem.final_time])] if problem.initial else [])
    return classical_minimiser(experiment, elements, sampled).on_grid(*axes)


def run_law(setup, checkpoints=training.no_checkpoints):
    """The predicted error of the classical PINN, against eps, and against the resolution of the fast variable."""
    experiment = setup.experiment
    u, v = experiments.fine_values(experiment), predicted(experiment)
    error = {n: fem.relative_error(predicted(experiment, n), u) for n in setup.few(resolutions(experiment))}
    at_points = {"classical_predicted_points": error[1]} if 1 in error else {}
    return {
        "recipe": "fem",
        "quantities": {"classical_predicted": fem.relative_error(v, u), **at_points},
        "study": [law_at(setup, at_eps(experiment, eps), checkpoints) for eps in scales(setup)],
        "resolution": [{"elements a period": n, "error": error[n]} for n in error],
        "bandwidth": law_of_bandwidth(setup, u),
        "fields": {"solution": v, "reference": u},
    }


def law_of_bandwidth(setup, u):
    """The loss of the classical PINN, minimised exactly over functions of growing bandwidth, on the points of its
    training and on enough of them: rows."""
    problem, (settings, _) = setup.problem, setup.trainings["classical"]
    bounds = [*problem.domain, *([] if problem.initial is None else [(0.0, problem.final_time)])]
    x, rows = experiments.error_inputs(setup.experiment), []
    for label, points in (("the paper's", settings.points), ("enough", enough_points(problem))):
        loss = nhpinn.equation_loss(problem, nhpinn.multiscale(problem), settings._replace(points=points))
        for bandwidth in setup.few(LAW_BANDWIDTHS, lambda s: feature_count(bounds, problem.dim, s)):
            least = exact_minimiser(loss, bounds, problem.dim, bandwidth, np.random.default_rng(0))
            error = fem.relative_error(least(x)[0], u)
            rows.append({"points": label, "bandwidth": bandwidth, "loss": least.loss, "error": error})
    return rows


def enough_points(problem, most=30000):
    """About 32 points a period along each axis of space, at least 1001 in one dimension; 31 in time."""
    timed = problem.initial is not None
    count = max(101 if timed or problem.dim > 1 else 1001, 32 * cells_an_axis(problem) + 1)
    return (min(count, round(most ** (1 / problem.dim))),) * problem.dim + (31,) * timed


def resolutions(experiment):
    """Elements a period for the loss at its points, as long as these determine the minimiser."""
    points, count = experiment.classical["points"] - 2, cells_an_axis(experiment.problem)
    most = points - minimisers.Splines._field_defaults["order"]  # elements, when there are as many unknowns as points
    return [n for n in (1, 0.5, 2, 3, 4, 6, 8) if 1 <= round(n * count) <= most]


def law_at(setup, experiment, checkpoints):
    """One row of the sweep, of the setup's experiment at another eps; stationary problems are trained as well, with 8
    points a period, in 2D with 1024 points an epoch and under the budget `paper` alone.

    classical_shape is the error without the mean of the boundary values: the smaller eps is, the longer a constant
    takes to fade, since the averaged equation forbids slopes alone, and only the boundary term sees a constant.
    """
    problem = experiment.problem
    u = experiments.fine_values(experiment, REFINEMENT[problem.dim])
    row = {"eps": problem.eps, "classical_predicted": fem.relative_error(predicted(experiment), u)}
    if averages_are_trained(setup):
        (settings, options), histories = setup.trainings["classical"], {}
        settings = settings._replace(points=max(settings.points, 8 * cells_an_axis(problem) + 1))
        options = options._replace(batch=1024 if problem.dim > 1 else options.batch)
        errors = {"classical": experiments.solution_errors(experiment, {"classical": u})}
        train = training.recorder(options, errors, histories, lambda _: checkpoints(f"eps {problem.eps:g}"))
        rng, x = np.random.default_rng(setup.stream("law")), experiments.error_inputs(experiment)
        v = network(nhpinn.classical_pinn(problem, settings, rng, None, train).params, x)
        shape = fem.relative_error(v - v[on_boundary(x, problem.domain)].mean(), u)
        row |= final_averages(histories["classical"], options)
        row |= {"classical_shape": shape, "points": settings.points}
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
BANDWIDTHS = (1, 2, 5, 10, 40)  # of exact minimisers, in units of 1 / x
LOSS_TRAINING = {"rate": 2e-3, "decay": 0.1}  # of all three, ours
POINTS_A_CELL = {1: 24, 2: 8}  # per axis: residuals that oscillate are small between few points, and large elsewhere


def bubble(problem, x):
    """prod_i 4 (x_i - low_i) (high_i - x_i) / length_i^2, its gradient and Laplacian: a jet (channels, n)."""
    coordinates = operator_jet(x, np.broadcast_to(np.eye(problem.dim), (len(x), problem.dim, problem.dim)), 0 * x)
    return bubble_jet(faces_of(problem.boundary, problem.domain), coordinates)


def bubble_channels(problem, x):
    """The channels of u = phi N, phi the bubble, as combinations of those of N: (channels, channels, n)."""
    phi, *slope, laplacian = bubble(problem, x)
    u = np.zeros((problem.dim + 2, problem.dim + 2, len(x)))
    u[0, 0] = u[-1, -1] = phi
    u[-1, 0] = laplacian
    for i in range(problem.dim):
        u[1 + i, 0], u[1 + i, 1 + i], u[-1, 1 + i] = slope[i], phi, 2 * slope[i]
    return u


def averaged_loss(problem, name, axes):
    """A loss on a grid, for a network with outputs N, sigma_1, ... (the latter for the system of first order).

    u = phi N.  The jet has channels value, d_1, ..., Laplacian; a term mixes them output after output.
    """
    x, dim = fem.tensor_grid(axes), range(problem.dim)
    a, b, _ = nhpinn.multiscale(problem)(x)
    k, f, u = a[:, 0, 0], problem.source(x), bubble_channels(problem, x)
    jet = operator_jet(x, np.broadcast_to(np.eye(problem.dim), a.shape), np.zeros(x.shape))[..., None, :]

    def term(target, of_u, of_sigma=None):
        mix = of_u[..., None] if of_sigma is None else np.stack([of_u, *np.swapaxes(of_sigma, 0, 1)], axis=-1)
        return Term(jet, mix, target, np.full(len(x), 1 / len(x)))

    if name == "strong form":
        return Loss((term(-f, k * u[-1] + sum(b[:, i] * u[1 + i] for i in dim)),))
    if name == "energy":
        g = poisson_flux(problem, axes)
        return Loss(tuple(term(g[i] / np.sqrt(k), np.sqrt(k) * u[1 + i]) for i in dim))
    sigma = np.zeros((problem.dim + 1, problem.dim + 2, problem.dim, len(x)))  # of which residual, channel, component
    for i in dim:
        sigma[i, 0, i], sigma[-1, 1 + i, i] = 1 / k, 1
    zero = np.zeros(len(x))
    return Loss((*(term(zero, -u[1 + i], sigma[i]) for i in dim), term(-f, np.zeros_like(u[0]), sigma[-1])))


def poisson_flux(problem, axes):
    """A g with -div g = f: the gradient of the solution of Poisson's equation. (dim, n)"""
    w = experiments.solve_fem(problem, lambda x: np.ones(len(x)), None, 32)
    return np.stack([w.on_grid(*axes, along=(i,)) for i in range(problem.dim)])


def predicted_by(experiment, name):
    """The function that a loss learns, if what it sees is an average over y; for scalar a(y): values (n,)."""
    if name == "strong form":
        return predicted(experiment)
    problem = experiment.problem
    y = midpoints(problem.dim, problem.period, 64)
    a = at_node(problem.coefficient, centre(problem.domain))(y)
    m, V = np.mean(1 / a), np.var(1 / a)
    k, c = (a.mean(), 0.0) if name == "energy" else (1 / m, V / m)
    v = experiments.solve_fem(problem, lambda x: np.full(len(x), k), lambda x: np.full(len(x), c), 48)
    return v.on_grid(*experiments.error_axes(experiment))


def run_losses(setup, checkpoints=training.no_checkpoints):
    """Errors of networks trained on the three losses by Adam, and of exact minimisers, beside those predicted."""
    experiment, problem, u = setup.experiment, setup.problem, experiments.fine_values(setup.experiment)
    settings, options = setup.trainings["classical"]
    settings, options = settings._replace(weights=(1.0, 0, 0), **LOSS_TRAINING), options._replace(batch=1024)
    count, rows, histories = POINTS_A_CELL[problem.dim] * cells_an_axis(problem), [], {}
    axes = midpoint_axes(problem.domain, count)
    x = experiments.error_inputs(experiment)
    phi = bubble(problem, x)[0]
    for name in LOSSES:
        v, loss = predicted_by(experiment, name), averaged_loss(problem, name, axes)
        references = {"trained": u, "from_predicted": v}
        errors = experiments.solution_errors(experiment, references, phi)
        rng, outputs = np.random.default_rng(setup.stream(name)), loss.terms[0].mix.shape[-1]
        start = init_network((problem.dim, *settings.hidden, outputs), rng)
        history = training.run(loss, start, settings, options, rng, errors, checkpoints(name))[1]
        row = {"loss": name, "predicted": fem.relative_error(v, u)}
        rows.append(row | {"minimiser": "Adam"} | final_averages(history, options))
        for bandwidth in setup.few(BANDWIDTHS):
            least = exact_minimiser(loss, problem.domain, problem.dim, bandwidth, np.random.default_rng(0))
            found = experiments.relative_errors(phi * least(x)[0], references)
            rows.append(row | {"minimiser": f"bandwidth {bandwidth}"} | found)
        histories[name] = history
    return of_trainings({"losses": (settings, options)}, histories, quantities={}, study=rows)


# ---------------------------------------------------------------------------------------------------
# Oversampling.  A corrector and its first derivatives are periodic.  In one dimension the equation itself
# makes the derivative periodic once the values are; in two, a solution of the equation with matching values
# on opposite faces may have any jump of its normal derivative.  So values alone leave infinitely many
# solutions, and a second condition on every face has to select one: ghost layers at distance l h ask for
# it in the form of finite differences: a jump J of the derivative costs the square of l h J there, so that
# "derivatives * h" is what one ghost layer asks for, and more layers ask for it with more weight.
# ---------------------------------------------------------------------------------------------------

DISTANCE = 0.01  # of the central difference, in periods; a periodic function meets the condition exactly
OTHER_WAYS = ("derivatives * h", "derivatives", "features")


def with_layers(settings, layers, w1):
    """Settings of a cell problem with so many ghost layers, and w1 the weight of the equation."""
    weights = (w1, (1 - w1) / 2, (1 - w1) / 2) if layers else (w1, 1 - w1, 0)
    return settings._replace(oversampling=layers, weights=weights)


def asked_by(way, problem, loss, start, rng):
    """The loss of eq. (12) without layers, and a network, changed to ask for periodicity in another way: by values and
    normal derivatives (times h), half of the weight each, or by inputs sin and cos of 2 pi y / period, built in."""
    equation, pairs = loss.terms
    if way == "features":
        jet = waves(equation.jet[0, 0, :, :, 0] / problem.period)[None, None, :, :, None]
        widths = [W.shape[-1] for W, _ in start]
        built_in = equation._replace(jet=jet, weight=equation.weight / equation.weight.sum())
        return Loss((built_in,)), init_network((2 * problem.dim, *widths), rng, (1, problem.dim))
    faces, weight = np.swapaxes(pairs.jet[0], 0, 1), pairs.weight.sum() / 2
    period = np.broadcast_to(problem.period, problem.dim)
    if way == "derivatives * h":
        h = np.ptp(equation.jet[0, 0, 0, :2, 0, -1]) / period[-1] * period  # of every axis, a pair lies along one
        weight = weight * ((faces[1] != faces[0]) @ h) ** 2
    slopes = slope_term(faces, DISTANCE * period, weight)
    return Loss((equation, pairs._replace(weight=pairs.weight / 2), slopes)), start


def slope_term(faces, distance, weight):
    """mean of weight |d_n u at one face - d_n u at the other|^2, by central differences, for pairs (2, n, d).

    distance: of the differences, a number or one an axis.  weight: a number or one a pair.
    """
    normal, n = distance * (faces[1] != faces[0]), faces.shape[1]
    points = np.stack([faces[0] + normal, faces[0] - normal, faces[1] + normal, faces[1] - normal], axis=1)
    mix = np.array([1.0, -1.0, -1.0, 1.0]) / (2 * normal.sum(axis=1)[None, :, None])
    return Term(points[None], mix, np.zeros(n), np.broadcast_to(weight / n, n))


def cell_history(problem, settings, options, seed, checkpoint, way=None):
    """The History of the correctors under some settings, periodicity asked for by layers or in another way."""
    found = []

    def train(name, loss, start, settings, rng):
        begin, inputs = start, lambda y: y
        if way == "features":
            rng, inputs = np.random.default_rng(seed).spawn(2)[0], lambda y: waves(y[None] / problem.period)[0]
        if way is not None:
            loss, begin = asked_by(way, problem, loss, start, rng)
        errors = experiments.corrector_errors(problem, inputs)
        found.append(training.run(loss, begin, settings, options, rng, errors, checkpoint)[1])
        return start  # the correctors themselves are not asked for

    rng = np.random.default_rng(seed).spawn(2)[0]
    nhpinn.solve_cells(problem, settings, rng, centre(problem.domain)[None], train)
    return found[0]


def run_layers(setup, checkpoints=training.no_checkpoints):
    """Errors of the correctors against the number of ghost layers, and with other ways to periodicity."""
    (settings, options), rows, histories = setup.trainings["cell"], [], {}
    variants = {f"{layers} layers": (layers, None) for layers in range(5)} | {way: (0, way) for way in OTHER_WAYS}
    for label, (layers, way) in variants.items():
        variant, seed = with_layers(settings, layers, settings.weights[0]), setup.stream("nhpinn")
        history = cell_history(setup.problem, variant, options, seed, checkpoints(label), way)
        rows.append({"periodicity": label, **final_averages(history, options)})
        histories[label] = history
    return of_trainings({"layers": (settings, options)}, histories, quantities={}, study=rows)


RATES, WEIGHTS = (2e-3, 5e-4, 8e-3), (0.02, 0.1, 0.5)  # learning rates, and weights of the equation


def run_robustness(setup, checkpoints=training.no_checkpoints):
    """Errors of the correctors for several learning rates and weights, with layers of oversampling and without.

    A quarter of the epochs each, with a decay of the learning rate over them.
    """
    (settings, options), rows = setup.trainings["cell"], []
    settings = settings._replace(epochs=max(1, settings.epochs // 4))
    for layers, rate, w1 in product((settings.oversampling, 0), setup.few(RATES), setup.few(WEIGHTS)):
        variant, name = with_layers(settings, layers, w1)._replace(rate=rate), f"{layers} {rate:g} {w1:g}"
        history = cell_history(setup.problem, variant, options, setup.stream("nhpinn"), checkpoints(name))
        rows.append({"layers": layers, "rate": rate, "weight": w1, **final_averages(history, options)})
    return of_trainings({"robustness": (settings, options)}, {}, quantities={}, study=rows)


# ---------------------------------------------------------------------------------------------------
# The scale.  Section 5.2.2 says that a small eps has no great impact on the method: cell problems and
# homogenized equation do not know of it.  So one solution of them serves every eps; what changes with eps is
# the error that homogenization makes, and what the fine-scale solution costs.
# ---------------------------------------------------------------------------------------------------


# Of fine solutions, whose gradients are compared as well: in 2D at eps = 1/16 they err by 1e-3, values by 6e-6
SWEEP_REFINEMENT = {1: 1.0, 2: 0.67, 3: 0.5}
SWEEP_POINTS = {1: 16, 2: 8, 3: 4}  # of the test grid at least, an axis and a period: gradients oscillate


def run_sweep(setup, checkpoints=training.no_checkpoints):
    """Errors and times of NH-PINN by the recipe `sharp` against eps, and the rates at which the errors fall."""
    experiment, problem, start = setup.experiment, setup.problem, time.perf_counter()
    tolerance = experiment.tolerance
    correctors, _, u0 = recipes.three_steps(problem, recipes.sharp_recipe(tolerance), setup.stream("sharp"))
    seconds, dim, rows, clock = time.perf_counter() - start, problem.dim, [], []
    for eps in scales(setup):
        at, start = at_eps(experiment, eps), time.perf_counter()
        at = at._replace(test_points=max(experiment.test_points, SWEEP_POINTS[dim] * cells_an_axis(at.problem) + 1))
        field, _ = experiments.fine_solution(at.problem, SWEEP_REFINEMENT[dim])
        clock.append({"seconds of NH-PINN": seconds, "of finite elements": time.perf_counter() - start})
        fine = experiments.derivatives_of(field, experiments.error_axes(at))
        p, slope, second = u0(experiments.error_inputs(at))
        at_end = p, slope[:, :dim], second[:, :dim, :dim]
        errors, _ = experiments.corrected_errors(at, fine, at_end, correctors)
        rows.append({"eps": eps, "e1": fem.relative_error(p, fine[0]), **errors})
    logs = np.log([row["eps"] for row in rows])
    names = [name for name in rows[0] if name != "eps"] if len(rows) > 1 else []
    rates = {name: float(np.polyfit(logs, np.log([row[name] for row in rows]), 1)[0]) for name in names}
    settings = {"sharp": {"tolerance": tolerance}}
    return {"recipe": "sharp", "quantities": {}, "settings": settings, "study": rows, "clock": clock, "rates": rates}
