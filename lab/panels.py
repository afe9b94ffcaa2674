"""Panels: each draws one plot from the saved results of one problem, or of all.

A panel is a function of (axes, experiment, results, settings of its own); `results` of a problem are
{method: [result of each seed]}.  A line is the mean over the seeds, the band around it their range, a thin dashed line
the number that the paper printed.  Panels reach into the results by `saved` and `at`, which raise Missing where there
is nothing to draw.
"""

import numpy as np
from scipy.interpolate import CubicSpline

from nhpinn_functions import grid

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"  # Okabe and Ito: distinct with every
PURPLE, SKY, BLACK, GREY = "#CC79A7", "#56B4E9", "#000000", "#666666"  # kind of colour vision
COLORS = (GREEN, ORANGE, PURPLE, SKY, BLACK)


class Missing(Exception):
    """Results that a picture or a claim needs are not there."""


# Errors during trainings: the quantity that each ends in -> label, color, method, training.
CURVES = {
    "classical": ("classical PINN", VERMILION, "classical", "classical"),
    "transfer": ("transfer learning", ORANGE, "adam", "transfer"),
    "e1": ("NH-PINN (e1)", BLUE, "adam", "homogenized"),
    "e3": ("its last step (e3)", SKY, "adam", "homogenized"),
    "N": ("corrector N", GREEN, "adam", "cell"),
    "chi1": ("χ₁ with oversampling", GREEN, "adam", "cell"),
    "chi2": ("χ₂ with oversampling", GREEN, "adam", "cell"),
    "chi1_plain": ("χ₁ without", PURPLE, "plain", "cell_plain"),
    "chi2_plain": ("χ₂ without", PURPLE, "plain", "cell_plain"),
}
WORDS = {  # what the results call otherwise
    "chi1": "corrector χ₁",
    "chi2": "corrector χ₂",
    "e1": "NH-PINN",
    "e1_corrected_interior": "its reconstruction, one period inside",
    "classical_predicted": "classical PINN",
    "periodicity": "what asks for periodicity",
    "layers": "layers of oversampling",
    "minimiser": "minimised by",
    "1 layers": "1 layer",
    "derivatives * h": "slopes, weighted by h",  # labels of the study `layers`
    "derivatives": "slopes",
    "features": "periodic inputs",
    "the paper's": "training",  # points in the study `law`
}


def in_words(name):
    return WORDS.get(name, name)


# --- Results ---------------------------------------------------------------------------------------


def by_problem(results):
    """{problem: {method: [result of each seed]}}, without the tasks that failed."""
    found = {}
    for result in sorted((r for r in results if "error" not in r), key=lambda r: r["task"]["seed"]):
        task = result["task"]
        found.setdefault(task["problem"], {}).setdefault(task["method"], []).append(result)
    return found


def saved(results, method, *keys):
    """What every seed of a method saved under keys: a list."""
    found = results.get(method)
    if not found:
        raise Missing(method)
    for key in keys:
        if any(key not in part for part in found):
            raise Missing(f"{method}: {' '.join(keys)}")
        found = [part[key] for part in found]
    return found


def at(results, method, *keys):
    """The same as arrays."""
    return [np.asarray(part, dtype=float) for part in saved(results, method, *keys)]


def along_line(values, experiment):
    """Values (seeds, n) on the test grid; in more dimensions those on the line through its middle along x1."""
    count, dim = experiment.test_points, experiment.problem.dim
    return np.reshape(values, (len(values), *[count] * dim))[(..., *[count // 2] * (dim - 1))]


# --- Panels of one problem -------------------------------------------------------------------------


def band(axes, x, values, color, label):
    """The mean of values (seeds, n) as a line, a single value as a dot; their range as a band."""
    if len(values) > 1:
        axes.fill_between(x, np.min(values, axis=0), np.max(values, axis=0), color=color, alpha=0.3, lw=0)
    axes.plot(x, np.mean(values, axis=0), color=color, label=label, marker="o" if len(x) == 1 else None)


def log_scale(axes):
    """A logarithmic y axis where values differ, with 0.1, 0.2, 0.5, 1, ... where powers of ten alone would be few."""
    from matplotlib.ticker import LogLocator

    low, high = axes.get_ylim()
    if high < 3 * low:
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(power_of_ten)
    low, high = axes.get_ylim()
    if high < 50 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()


def power_of_ten(value, position):
    """A label of a logarithmic axis; as a formula, matplotlib's own, it would take ten times as long."""
    return "10" + f"{np.log10(value):.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def reference(axes, x, values, label="fine solution", **style):
    axes.plot(x, values, color=GREY, lw=3, alpha=0.5, label=label, **style)


def history(axes, experiment, results, quantities, last=None, optional=()):
    """Errors against epochs: all, or the last ones of the paper's, in a shorter training the same part of it.

    Optional quantities are drawn where there are results.
    """
    shown = []
    for quantity in (*quantities, *optional):
        label, color, method, part = CURVES[quantity]
        try:
            epochs = at(results, method, "history", part, "epochs")[0]
            errors = np.stack(at(results, method, "history", part, "errors", quantity.removesuffix("_plain")))
        except Missing:
            if quantity in optional:
                continue
            raise
        settings = {"transfer": "classical", "cell_plain": "plain"}.get(part, part)
        recent = round(min(last / getattr(experiment, settings)["epochs"] if last else 1, 1) * epochs[-1])
        keep = epochs >= epochs[-1] - recent
        band(axes, epochs[keep], errors[:, keep], color, label)
        shown.append(errors[:, keep])
        if quantity in experiment.paper and not optional:
            axes.axhline(experiment.paper[quantity], color=color, ls="--", lw=0.9)
            axes.plot([], [], color=GREY, ls="--", lw=0.9, label="paper")
    shown = np.concatenate([errors.ravel() for errors in shown])
    if shown.max() > 10 * shown.min():
        log_scale(axes)
    title = f"errors, last {recent} epochs" if last and recent < epochs[-1] else "errors, all epochs"
    axes.set(title=title, xlabel="epoch", ylabel="relative L2 error")


def error_line(experiment):
    """The coordinates along `along_line`."""
    return np.linspace(*experiment.problem.domain[0], experiment.test_points)


def solution(axes, experiment, results, methods):
    """The fine solution and those of networks."""
    x = error_line(experiment)
    reference(axes, x, along_line(at(results, methods[0], "fields", "reference")[:1], experiment)[0])
    for method in methods:
        label, color = {"adam": ("NH-PINN", BLUE), "classical": ("classical PINN", VERMILION)}[method]
        band(axes, x, along_line(at(results, method, "fields", "solution"), experiment), color, label)
    label_solution(axes, experiment.problem, "the solution")


def label_solution(axes, problem, title):
    axes.set(title=title, xlabel="x" if problem.dim == 1 else "x₁, on the middle line")
    axes.set_ylabel("u" if problem.initial is None else f"u at t = {problem.final_time:g}")


def reconstruction(axes, experiment, results, distance):
    """First-order reconstruction of the first seed: three periods where it differs most from u0, or distances."""
    problem, method = experiment.problem, "sharp" if "sharp" in results else "adam"
    fine, u0, corrected = (
        along_line(at(results, method, "fields", field)[:1], experiment)[0]
        for field in ("reference", "solution", "corrected")
    )
    x, (low, high) = error_line(experiment), problem.domain[0]
    half = min(1.5 * problem.eps * np.broadcast_to(problem.period, problem.dim)[0], (high - low) / 2)
    most = np.clip(x[np.argmax(np.abs(corrected - u0))], low + half, high - half)
    near = np.abs(x - most) <= half
    few = near.sum() < 30  # ten a period: a line would be a polygon
    style = {"ls": "", "marker": "o"} if few else {}
    if not distance:
        reference(axes, x[near], fine[near], ms=9, **style)
    for label, color, values in (("homogenized u₀", BLUE, u0), ("first-order reconstruction", GREEN, corrected)):
        if distance:
            axes.plot(x, np.abs(values - fine), color=color, label=label)
        else:
            axes.plot(x[near], values[near], color=color, label=label, ms=4, **style)
    periods = "three periods, on the test grid" if few else "three periods"
    label_solution(axes, problem, "distance to the fine solution" if distance else periods)
    if distance:
        largest = np.abs(u0 - fine).max()
        axes.set(ylim=(1e-4 * largest, 2 * largest), ylabel="distance")
        log_scale(axes)


def coefficient(axes, experiment, results):
    """a(x, x/eps), or r(x/eps), on the domain; in 2D as an image."""
    problem = experiment.problem
    x = grid(problem.domain, 4000 if problem.dim == 1 else 240)
    name = "a(x, x/ε)" if problem.slow else "a(x/ε)" if problem.reaction is None else "r(x/ε)"
    values = problem.coefficient(x, x / problem.eps) if problem.reaction is None else problem.reaction(x / problem.eps)
    title = f"{'coefficient' if problem.reaction is None else 'reaction'} {name}, ε = 1/{1 / problem.eps:.0f}"
    if problem.dim == 2:
        image(axes, problem, values, title)
    else:
        axes.plot(x[:, 0], values, color=BLACK, lw=0.7)
        axes.set(xlabel="x", ylabel=name, title=title)


def image(axes, problem, values, title, **colors):
    """Values on a uniform grid of a rectangle."""
    extent, count = [*problem.domain[0], *problem.domain[1]], round(len(values) ** 0.5)
    shown = axes.imshow(
        np.reshape(values, (count, count)).T, origin="lower", extent=extent, interpolation="bilinear", **colors
    )
    axes.figure.colorbar(shown, ax=axes)
    axes.set(xlabel="x₁", ylabel="x₂", title=title)


def fine_image(axes, experiment, results):
    image(axes, experiment.problem, at(results, "classical", "fields", "reference")[0], "the fine solution")


def error_image(axes, experiment, results):
    """The fine solution minus that of NH-PINN, for the first seed."""
    u, p = (at(results, "adam", "fields", field)[0] for field in ("reference", "solution"))
    title, most = f"fine solution − NH-PINN, seed {results['adam'][0]['task']['seed']}", np.abs(u - p).max()
    image(axes, experiment.problem, u - p, title, vmin=-most, vmax=most, cmap="RdBu_r")


def corrector(axes, experiment, results):
    """N on the cell of a problem in 1D."""
    exact = at(results, "adam", "fields", "corrector_reference")[0][0]
    y = np.linspace(0, experiment.problem.period, len(exact))
    reference(axes, y, exact, "by finite elements")
    learned = np.stack(at(results, "adam", "fields", "corrector"))[:, 0, :-1]  # the last one is that of y = 0
    band(axes, y[:-1], learned, GREEN, "NH-PINN")
    axes.set(xlabel="y", ylabel="N", title="corrector N on its cell")


def effective(axes, experiment, results, order):
    """The homogenized coefficient in 1D, or its derivative, learned and exact, by splines as in step 3."""
    problem = experiment.problem
    samples = np.stack(at(results, "adam", "coefficients", "tensor"))[:, :, 0, 0]
    x, points = (np.linspace(*problem.domain[0], count) for count in (801, samples.shape[1]))
    reference(axes, x, CubicSpline(x, problem.effective(x[:, None]))(x, order), "exact")
    band(axes, x, CubicSpline(points, samples.T)(x, order).T, BLUE, "NH-PINN")
    axes.set(
        xlabel="x",
        ylabel="da*/dx" if order else "a*",
        title="derivative of a*" if order else "homogenized coefficient a*",
    )


def error_in_time(axes, experiment, results):
    """The first corrector's error against time: a line for adam, dots for sharp and for finite elements."""
    seconds = np.mean(at(results, "adam", "clock", "cell"), axis=0)
    band(axes, seconds, np.stack(at(results, "adam", "history", "cell", "errors", "chi1")), BLUE, "NH-PINN, adam")
    sharp = at(results, "sharp", "seconds_by_part", "cell"), at(results, "sharp", "quantities", "chi1")
    axes.plot(*sharp, "o", color=SKY, label="NH-PINN, sharp")
    elements = [row["chi1"] for row in saved(results, "fem", "cells")[0]]
    axes.plot(at(results, "fem", "clock", "cells")[0], elements, "x", color=BLACK, label="finite elements")
    axes.set(xlabel="seconds", ylabel="relative L2 error", title="error of corrector χ₁ against time", xscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    log_scale(axes)


def bandwidth(axes, experiment, results):
    """The error of the exact minimiser of the classical PINN's loss against the bandwidth of the functions."""
    rows = saved(results, "law", "bandwidth")[0]
    for points, color in zip(dict.fromkeys(row["points"] for row in rows), (VERMILION, BLUE), strict=False):
        line = [(row["bandwidth"], row["error"]) for row in rows if row["points"] == points]
        axes.plot(*zip(*line, strict=True), "o-", ms=4, color=color, label=f"{in_words(points)} points")
    axes.set(xlabel="bandwidth of the functions", ylabel="relative L2 error", title="exact minimiser", xscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    log_scale(axes)


def study(axes, experiment, results, method, across, quantities, where=()):
    """Quantities in the rows of a study for each value of one column, a dot for each row.

    where: (column, value) of the rows that are drawn; the value is the title.
    """
    rows = [row for rows in saved(results, method, "study") for row in rows]
    rows = [row for row in rows if not where or row[where[0]] == where[1]]
    places = list(dict.fromkeys(row[across] for row in rows))
    for i, (quantity, color, marker) in enumerate(zip(quantities, (BLUE, VERMILION), "o^", strict=False)):
        x = [places.index(row[across]) + 0.2 * i - 0.1 for row in rows]
        axes.plot(x, [row[quantity] for row in rows], marker, color=color, ms=4, label=in_words(quantity))
    ticks = [in_words(place) for place in places]
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if max(len(str(t)) for t in ticks) > 3 else {}
    axes.set_xticks(range(len(ticks)), ticks, **turned)
    axes.set(xlabel=in_words(across), ylabel="relative L2 error", xlim=(-0.6, len(places) - 0.4))
    seeds = f"{len(results[method])} seeds" if len(results[method]) > 1 else "one seed"
    axes.set_title(f"{where[1]}, {seeds}" if where else f"errors, {seeds}")
    log_scale(axes)


# --- Panels of all problems ------------------------------------------------------------------------


def against_eps(axes, experiments, found, method, quantity, trained=None, order=None):
    """A quantity in the rows of a study against eps, a line for each problem.

    trained: another quantity, drawn as open markers.  order: that of theory, as the slope of a guide above all lines.
    """
    lines = {}  # (quantity, problem) -> eps -> values of the seeds
    for name in experiments:
        for row in (row for result in found.get(name, {}).get(method, ()) for row in result["study"]):
            for shown in [q for q in (quantity, trained) if q in row]:
                lines.setdefault((shown, name), {}).setdefault(row["eps"], []).append(row[shown])
    if not lines:
        raise Missing(f"{quantity} against eps")
    for (shown, name), line in lines.items():
        place = list(experiments).index(name) % len(COLORS)
        if shown == trained:
            style = {"ls": "", "ms": 8, "mfc": "none", "label": f"{name}, trained"}
        else:
            style = {"ms": 4, "label": name}
        means = [np.mean(line[e]) for e in sorted(line)]
        axes.plot(sorted(line), means, color=COLORS[place], marker="os^vD"[place], **style)
    eps = np.array(sorted({e for line in lines.values() for e in line}))
    if order:
        most = max(np.mean(values) / e**order for line in lines.values() for e, values in line.items())
        axes.plot(eps, 1.5 * most * eps**order, color=GREY, ls=":", lw=0.9, label=f"slope {order:g}")
        log_scale(axes)
    axes.set(xscale="log", xlabel="ε", ylabel="relative L2 error", title=in_words(quantity))
    axes.set_xticks(eps, [f"1/{1 / e:.0f}" for e in eps])
    axes.set_xticks([], minor=True)
