"""Pictures, drawn from saved results alone: the paper's figures by its numbers, and new ones.

    draw(results, problems, folder) -> the pictures drawn, and the names of those whose results are missing

A picture is a row of panels, and a panel is a function of (axes, problem, results), see `drawings`.  Results of a
problem are {method: [result of each seed]}.  A line is the mean over the seeds, the band around it their range, a thin
dashed line the number that the paper printed.  Panels reach into the results by `at`, which raises Missing where
there is nothing to draw: the picture is then left out.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"  # Okabe and Ito: distinct with every
PURPLE, SKY, BLACK, GREY = "#CC79A7", "#56B4E9", "#000000", "#666666"  # kind of colour vision
COLORS = (GREEN, ORANGE, PURPLE, SKY, BLACK)
PANEL = (3.5, 2.6)  # inches: the column of a journal
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.formatter.useoffset": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "figure.dpi": 160,
    "svg.hashsalt": "nhpinn",  # the same picture is the same file
}


class Missing(Exception):
    """Results that a picture needs are not there."""


class Drawing(NamedTuple):
    name: str  # of the files
    problem: str | None  # None: all; the panels then take (axes, problems, {problem: results})
    caption: str
    panels: tuple


# Errors during trainings: the quantity that each ends in -> label, color, method, training, name in the history.
CURVES = {
    "classical": ("classical PINN", VERMILION, "classical", "classical", "classical"),
    "transfer": ("transfer", ORANGE, "nhpinn", "transfer", "transfer"),
    "e1": ("NH-PINN, e1", BLUE, "nhpinn", "homogenized", "e1"),
    "e3": ("NH-PINN, e3", SKY, "nhpinn", "homogenized", "e3"),
    "N": ("corrector N", GREEN, "nhpinn", "cell", "N"),
}
for _chi in ("chi1", "chi2"):
    CURVES[_chi] = (f"{_chi}, oversampling", GREEN, "nhpinn", "cell", _chi)
    CURVES[f"{_chi}_plain"] = (f"{_chi}, plain", PURPLE, "plain", "cell_plain", _chi)
    CURVES[f"{_chi}_plain_same"] = (f"{_chi}, plain, same settings", GREY, "plain", "cell_plain_same", _chi)


# ---------------------------------------------------------------------------------------------------
# Results
# ---------------------------------------------------------------------------------------------------


def by_problem(results):
    """{problem: {method: [result of each seed]}}, without the tasks that failed."""
    found = {}
    for result in sorted((r for r in results if "error" not in r), key=lambda r: r["task"]["seed"]):
        task = result["task"]
        found.setdefault(task["problem"], {}).setdefault(task["method"], []).append(result)
    return found


def at(results, method, *keys):
    """What every seed of a method saved under keys: a list of arrays."""
    found = results.get(method)
    if not found:
        raise Missing(method)
    for key in keys:
        if any(key not in part for part in found):
            raise Missing(f"{method}: {' '.join(keys)}")
        found = [part[key] for part in found]
    return [np.asarray(part, dtype=float) for part in found]


def along_line(values, problem):
    """Values (seeds, n) on the test grid; in more dimensions those on the line through its middle along x1."""
    values = np.reshape(values, (len(values), *[problem.test_points] * problem.dim))
    return values[(..., *[problem.test_points // 2] * (problem.dim - 1))]


def values_of(results, problem, quantity, recipe):
    """A quantity of one problem, by seeds; of the recipe "paper" the printed number."""
    if recipe == "paper":
        return [problem.paper[quantity]] if quantity in problem.paper else []
    found = [result for seeds in results.values() for result in seeds if result.get("recipe") == recipe]
    return [result["quantities"][quantity] for result in found if quantity in result["quantities"]]


# ---------------------------------------------------------------------------------------------------
# Panels of one problem
# ---------------------------------------------------------------------------------------------------


def band(axes, x, values, color, label):
    """The mean of values (seeds, n) as a line, their range as a band."""
    if len(values) > 1:
        axes.fill_between(x, np.min(values, axis=0), np.max(values, axis=0), color=color, alpha=0.3, lw=0)
    axes.plot(x, np.mean(values, axis=0), color=color, label=label)


def reference(axes, x, values, label="fine solution"):
    axes.plot(x, values, color=GREY, lw=3, alpha=0.5, label=label)


def history(axes, problem, results, quantities, last=None, optional=()):
    """Errors against epochs: all, or the last ones.  Optional quantities are drawn where there are results."""
    shown = []
    for quantity in (*quantities, *optional):
        label, color, method, part, error = CURVES[quantity]
        try:
            epochs = at(results, method, "history", part, "epochs")[0]
            errors = np.stack(at(results, method, "history", part, "errors", error))
        except Missing:
            if quantity in optional:
                continue
            raise
        keep = epochs >= epochs[-1] - (last or epochs[-1])
        band(axes, epochs[keep], errors[:, keep], color, label)
        shown.append(errors[:, keep])
        if quantity in problem.paper and not optional:
            axes.axhline(problem.paper[quantity], color=color, ls="--", lw=0.9)
            axes.plot([], [], color=GREY, ls="--", lw=0.9, label="paper")
    shown = np.concatenate([errors.ravel() for errors in shown])
    if shown.max() > 10 * shown.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set(title=f"last {last} epochs" if last else "all epochs", xlabel="epoch", ylabel="relative L2 error")


def errors(*quantities, last=None):
    return partial(history, quantities=quantities, last=last)


def solution(axes, problem, results, methods):
    """The fine solution and those of networks."""
    x = np.linspace(*problem.domain[0], problem.test_points)
    reference(axes, x, along_line(at(results, methods[0], "fields", "reference")[:1], problem)[0])
    for method in methods:
        label, color = {"nhpinn": ("NH-PINN", BLUE), "classical": ("classical PINN", VERMILION)}[method]
        band(axes, x, along_line(at(results, method, "fields", "solution"), problem), color, label)
    label_solution(axes, problem, "solution")


def label_solution(axes, problem, title):
    axes.set(title=title, xlabel="x" if problem.dim == 1 else "x1, on the middle line")
    axes.set_ylabel("u" if problem.initial is None else f"u at t = {problem.final_time:g}")


def reconstruction(axes, problem, results, distance):
    """First-order reconstruction of the first seed: three periods in the middle, or distances to the fine solution."""
    method = "sharp" if "sharp" in results else "nhpinn"
    fine, u0, corrected = (
        along_line(at(results, method, "fields", field)[:1], problem)[0]
        for field in ("reference", "solution", "corrected")
    )
    x, (low, high) = np.linspace(*problem.domain[0], problem.test_points), problem.domain[0]
    near = np.abs(x - (low + high) / 2) <= 1.5 * problem.eps * problem.period
    if not distance:
        reference(axes, x[near], fine[near])
    for label, color, values in (("homogenized u0", BLUE, u0), ("first-order reconstruction", GREEN, corrected)):
        if distance:
            axes.plot(x, np.abs(values - fine), color=color, label=label)
        else:
            axes.plot(x[near], values[near], color=color, label=label)
    label_solution(axes, problem, "distance to the fine solution" if distance else "three periods in the middle")
    if distance:
        largest = np.abs(u0 - fine).max()
        axes.set(yscale="log", ylim=(1e-4 * largest, 2 * largest), ylabel="|u - fine solution|")


def coefficient(axes, problem, results):
    """a(x, x/eps), or r(x/eps), on the domain; in 2D as an image."""
    lines = [np.linspace(*ends, 4000 if problem.dim == 1 else 240) for ends in problem.domain]
    x = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, problem.dim)
    name = "a(x, x/eps)" if problem.slow else "a(x/eps)" if problem.reaction is None else "r(x/eps)"
    values = problem.coefficient(x, x / problem.eps) if problem.reaction is None else problem.reaction(x / problem.eps)
    title = f"{name}, eps = 1/{1 / problem.eps:.0f}"
    if problem.dim == 2:
        image(axes, problem, values, title)
    else:
        axes.plot(lines[0], values, color=BLACK, lw=0.7)
        axes.set(xlabel="x", ylabel=name, title=title)


def image(axes, problem, values, title, **colors):
    """Values on a uniform grid of a rectangle."""
    extent, count = [*problem.domain[0], *problem.domain[1]], round(len(values) ** 0.5)
    shown = axes.imshow(
        np.reshape(values, (count, count)).T, origin="lower", extent=extent, interpolation="bilinear", **colors
    )
    axes.figure.colorbar(shown, ax=axes)
    axes.set(xlabel="x1", ylabel="x2", title=title)


def fine_image(axes, problem, results):
    image(axes, problem, at(results, "classical", "fields", "reference")[0], "fine solution u")


def error_image(axes, problem, results):
    """The fine solution minus that of NH-PINN, for the first seed."""
    u, p = (at(results, "nhpinn", "fields", field)[0] for field in ("reference", "solution"))
    span = {"vmin": -np.abs(u - p).max(), "vmax": np.abs(u - p).max(), "cmap": "RdBu_r"}
    image(axes, problem, u - p, f"error, seed {results['nhpinn'][0]['task']['seed']}", **span)


def corrector(axes, problem, results):
    """N on the cell of a problem in 1D."""
    exact, y = at(results, "nhpinn", "fields", "corrector_reference")[0][0], np.linspace(0, problem.period, 401)
    reference(axes, y, exact, "N, finite elements")
    band(axes, y, np.stack(at(results, "nhpinn", "fields", "corrector"))[:, 0], GREEN, "corrector N")
    axes.set(xlabel="y", ylabel="N", title="N on its cell")


def effective(axes, problem, results, order):
    """The homogenized coefficient in 1D, or its derivative, learned and exact, by splines as in step 3."""
    samples = np.stack(at(results, "nhpinn", "coefficients", "tensor"))[:, :, 0, 0]
    x, points = (np.linspace(*problem.domain[0], count) for count in (801, samples.shape[1]))
    reference(axes, x, CubicSpline(x, problem.effective(x[:, None]))(x, order), "exact")
    band(axes, x, CubicSpline(points, samples.T)(x, order).T, BLUE, "NH-PINN")
    axes.set(xlabel="x", ylabel="da*/dx" if order else "a*", title="its derivative" if order else "coefficient a*(x)")


def bounds(axes, problem, results, gap):
    """Bounds of the homogenized tensor while the correctors train, a line for each seed."""
    for iteration, lower, upper in zip(
        *(at(results, "sharp", "history", "cell", part) for part in ("epochs", "lower", "upper")), strict=True
    ):
        if gap:
            axes.semilogy(iteration, np.linalg.norm(upper - lower, 2, axis=(1, 2)), color=GREEN, label="gap")
        else:
            axes.plot(iteration, upper[:, 0, 0], color=VERMILION, label="upper bound")
            axes.plot(iteration, lower[:, 0, 0], color=BLUE, label="lower bound")
    axes.set(xlabel="iteration", ylabel="|upper - lower|, spectral norm" if gap else "a*, first entry")
    axes.set_title("gap of the bounds" if gap else "bounds")


def error_in_time(axes, problem, results, error):
    """A corrector's error against time: both recipes, a line for each seed, and saved curves of other software."""
    lines = []
    for label, color, method in (("nhpinn, adam", VERMILION, "nhpinn"), ("nhpinn, sharp", BLUE, "sharp")):
        seconds, values = (at(results, method, "history", "cell", *keys) for keys in (["seconds"], ["errors", error]))
        lines += [(label, color, *pair) for pair in zip(seconds, values, strict=True)]
    others = results["others"][0].items() if "others" in results else ()
    lines += [(label, color, *np.transpose(p)) for color, (label, p) in zip(COLORS, others, strict=False)]
    for label, color, seconds, values in lines:
        axes.loglog(seconds, values, color=color, label=label)
    axes.set(xlabel="seconds", ylabel=f"relative L2 error of {error}", title="training")


def study(axes, problem, results, method, across, quantity, by=None):
    """A quantity of the rows of a study for each value of one column, seeds by seeds; colours tell another column."""
    at(results, method, "seconds")
    rows = [row for result in results[method] for row in result["study"]]
    groups, places = (list(dict.fromkeys(row.get(column) for row in rows)) for column in (by, across))
    for group, color, marker in zip(groups, (BLUE, VERMILION, GREEN), "os^", strict=False):
        here = [row for row in rows if row.get(by) == group]
        x = [places.index(row[across]) + 0.15 * groups.index(group) for row in here]
        axes.semilogy(x, [row[quantity] for row in here], marker, color=color, ms=4, label=by and f"{group} {by}")
    axes.set_xticks(range(len(places)), places, rotation=30, ha="right")
    axes.set(ylabel=f"relative L2 error of {quantity}", title=f"seeds: {len(results[method])}")


# ---------------------------------------------------------------------------------------------------
# Panels of all problems
# ---------------------------------------------------------------------------------------------------

LAW = {  # (quantity, recipe) -> label, color, marker
    ("classical_predicted", "fem"): ("predicted", BLACK, "_"),
    ("classical", "adam"): ("classical PINN", VERMILION, "o"),
    ("transfer", "adam"): ("transfer", ORANGE, "s"),
    ("classical", "paper"): ("classical PINN, paper", VERMILION, "x"),
    ("transfer", "paper"): ("transfer, paper", ORANGE, "+"),
}
RECONSTRUCTED = {
    "relative L2 error": {
        ("e4", "fem"): ("u0", BLUE, "o"),
        ("e1_corrected", "fem"): ("first-order reconstruction", GREEN, "s"),
        ("e1_corrected_interior", "fem"): ("one period inside", GREEN, "^"),
    },
    "relative error of the gradient": {
        ("h1", "fem"): ("u0", BLUE, "o"),
        ("h1_corrected", "fem"): ("first-order reconstruction", GREEN, "s"),
        ("h1_corrected_interior", "fem"): ("one period inside", GREEN, "^"),
    },
}


def dots(axes, problems, found, marks, scale, ylabel="relative L2 error"):
    """Quantities of every problem, mean and range of the seeds; there has to be the first of them."""
    for place, ((quantity, recipe), (label, color, marker)) in enumerate(marks.items()):
        values = [values_of(found.get(name, {}), problem, quantity, recipe) for name, problem in problems.items()]
        if place == 0 and not any(values):
            raise Missing(quantity)
        for column, here in enumerate(values):
            if here:
                x = column + 0.12 * (place - (len(marks) - 1) / 2)
                axes.plot([x, x], [min(here), max(here)], color=color, lw=1)
                axes.plot(x, np.mean(here), color=color, marker=marker, ls="", label=label)
    axes.set_xticks(range(len(problems)), problems, rotation=20)
    axes.set(yscale=scale, ylabel=ylabel)


def against_eps(axes, problems, found, quantity, order=None):
    """A quantity from the rows with a column eps of every study, a line for each problem; order: theory's slope."""
    largest = 0.0
    for name, color, marker in zip(problems, COLORS, "os^vD", strict=False):
        studies = [result["study"] for seeds in found.get(name, {}).values() for result in seeds if "study" in result]
        rows = [row for rows in studies for row in rows if "eps" in row and quantity in row]
        eps = np.array(sorted({row["eps"] for row in rows}))
        if len(eps):
            values = [np.mean([row[quantity] for row in rows if row["eps"] == e]) for e in eps]
            axes.loglog(eps, values, color=color, marker=marker, ms=4, label=name)
            largest = max(largest, np.max(values / eps ** (order or 0)))
    if not largest:
        raise Missing(f"{quantity} against eps")
    if order:
        x = np.array([1 / 64, 1 / 4])
        axes.loglog(x, 2 * largest * x**order, color=GREY, ls="--", lw=0.9, label=f"slope {order:g}")
    axes.set(xlabel="eps", ylabel="relative error", title=quantity)


# ---------------------------------------------------------------------------------------------------
# All pictures
# ---------------------------------------------------------------------------------------------------

LEARNED, CLASSICAL, BOTH = (
    partial(solution, methods=methods) for methods in (["nhpinn"], ["classical"], ["nhpinn", "classical"])
)
EVERY = partial(history, quantities=("e1", "transfer", "classical"), optional=("chi1", "chi1_plain", "N"))


def zoomed(*quantities, last):
    return errors(*quantities), errors(*quantities, last=last)


def reaction_figures(first, *lasts):
    """Figures 14 to 18, and 19 to 23 with the smaller eps."""
    rows = (
        ("reaction and solution", coefficient, LEARNED),
        ("classical PINN", *(errors("classical", last=last) for last in lasts), CLASSICAL),
        ("cell problem", errors("N", last=7000), corrector),
        ("errors of NH-PINN", *zoomed("e1", "e3", last=2000)),
        ("classical PINN started from NH-PINN", errors("transfer")),
    )
    return dict(enumerate(rows, first))


PAPER = {  # problem -> {number of the figure: (caption, panels)}
    "const1d": {1: ("classical PINN", coefficient, CLASSICAL, errors("classical"))},
    "elliptic2d": {
        2: ("coefficient and fine solution", coefficient, fine_image),
        3: ("classical PINN", *zoomed("classical", last=1500)),
        4: ("oversampling, chi1", *zoomed("chi1", "chi1_plain", "chi1_plain_same", last=4000)),
        5: ("oversampling, chi2", *zoomed("chi2", "chi2_plain", "chi2_plain_same", last=4000)),
        6: ("errors of NH-PINN", *zoomed("e1", "e3", last=1200)),
        7: ("where the error of NH-PINN is", error_image),
        8: ("classical PINN started from NH-PINN", errors("transfer")),
    },
    "slow1d": {
        9: ("coefficient and solution", coefficient, LEARNED),
        10: ("classical PINN", *zoomed("classical", last=500), CLASSICAL),
        11: ("homogenized coefficient", partial(effective, order=0), partial(effective, order=1)),
        12: ("errors of NH-PINN", errors("e1", "e3")),
        13: ("classical PINN started from NH-PINN", errors("transfer")),
    },
    "reaction10": reaction_figures(14, 7000, 1000),
    "reaction50": reaction_figures(19, 10000, 7000),
}


def drawings(problems):
    """Every picture there could be."""
    rows = []
    for name, problem in problems.items():
        rows.append(Drawing(name, name, f"{problem.title}: solutions and errors", (BOTH, EVERY)))
        for i, (caption, *panels) in PAPER.get(name, {}).items():
            rows.append(Drawing(f"fig{i:02}", name, f"Fig. {i} of the paper, redrawn. {name}: {caption}", panels))
        panels = [partial(reconstruction, distance=distance) for distance in (False, True)]
        rows.append(Drawing(f"{name}-corrected", name, f"{name}: first-order reconstruction", panels))
        panels = [partial(bounds, gap=gap) for gap in (False, True)]
        rows.append(Drawing(f"{name}-bounds", name, f"{name}: bounds closing in", panels))
    layers = partial(study, method="layers", across="periodicity", quantity="chi1")
    law_eps = [partial(against_eps, quantity=q) for q in ("classical_predicted", "classical")]
    eps = [partial(against_eps, quantity=q, order=1) for q in ("e1", "e1_corrected")]
    inside = [partial(dots, marks=marks, scale="log", ylabel=label) for label, marks in RECONSTRUCTED.items()]
    rows += [
        Drawing("time", "elliptic2d", "A corrector's error against time", [partial(error_in_time, error="chi1")]),
        Drawing("layers", "elliptic2d", "Ways to periodicity: ghost layers, derivatives, features", [layers]),
        Drawing(
            "law",
            None,
            "The classical PINN, and the minimiser of its averaged loss",
            [partial(dots, marks=LAW, scale="linear")],
        ),
        Drawing("law-eps", None, "The same against eps: predicted, and trained", law_eps),
        Drawing("reconstruction", None, "First-order reconstruction by finite elements", inside),
        Drawing("eps", None, "NH-PINN against eps: its error, and that of its first-order reconstruction", eps),
    ]
    return [row for row in rows if row.problem is None or row.problem in problems]


def draw(results, problems, folder, others=None):
    """All pictures that the results allow, as PNG and SVG in a folder; results: the loaded JSON files of tasks.

    others: saved errors of other software against time on elliptic2d, {label: [[seconds, error of chi1], ...]}.
    -> [(path of the PNG, caption), ...], [a picture whose results are missing (the results), ...]
    Raises ImportError where there is no matplotlib.
    """
    import matplotlib

    found, drawn, skipped = by_problem(results), [], []
    if others:
        found.setdefault("elliptic2d", {})["others"] = [others]
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        for drawing in drawings(problems):
            try:
                figure = compose(drawing, problems, found)
            except Missing as missing:
                skipped.append(f"{drawing.name} ({missing})")
            else:
                drawn.append((save(figure, folder / drawing.name), drawing.caption))
    return drawn, skipped


def compose(drawing, problems, found):
    """A figure with its panels side by side and one legend below them."""
    from matplotlib.figure import Figure

    count, name = len(drawing.panels), drawing.problem
    figure = Figure(figsize=(PANEL[0] * count, PANEL[1]), layout="constrained")
    for axes, panel in zip(figure.subplots(1, count, squeeze=False)[0], drawing.panels, strict=True):
        panel(axes, *((problems[name], found.get(name, {})) if name else (problems, found)))
    if name:
        figure.axes[0].set_title(f"{name}: {figure.axes[0].get_title()}")
    pairs = (zip(*axes.get_legend_handles_labels(), strict=True) for axes in figure.axes)
    handles = {label: handle for pair in pairs for handle, label in pair}
    if handles:
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=2 * count)
    return figure


def save(figure, stem):
    """Write PNG and SVG, with one layout for both; -> the path of the PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    FigureCanvasAgg(figure).print_png(stem.with_suffix(".png"))
    FigureCanvasSVG(figure).print_svg(stem.with_suffix(".svg"), metadata={"Date": None})
    return stem.with_suffix(".png")
