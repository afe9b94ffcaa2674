"""Pictures, drawn from saved results alone: the paper's figures by its numbers, and new ones.

    draw(results, experiments, folder) -> the pictures drawn, and the names of those whose results are missing

A picture is a row of panels with one legend: `drawings` lists all of them, panels.py has the panels.
Results are those of run_all.py, as loaded from its JSON files.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from lab.panels import (
    LAW,
    RECONSTRUCTED,
    Missing,
    against_eps,
    bandwidth,
    by_problem,
    coefficient,
    corrector,
    dots,
    effective,
    error_image,
    error_in_time,
    fine_image,
    history,
    reconstruction,
    solution,
    study,
)

PANEL = (3.5, 2.6)  # inches: the column of a journal
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.formatter.useoffset": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.1,
    "figure.dpi": 160,
    "svg.hashsalt": "nhpinn",  # the same picture is the same file
}


class Drawing(NamedTuple):
    name: str  # of the files
    problem: str | None  # None: all; the panels then take (axes, experiments, {problem: results})
    caption: str
    panels: tuple


def errors(*quantities, last=None):
    return partial(history, quantities=quantities, last=last)


# ---------------------------------------------------------------------------------------------------
# All pictures
# ---------------------------------------------------------------------------------------------------

LEARNED, CLASSICAL, BOTH = (
    partial(solution, methods=methods) for methods in (["adam"], ["classical"], ["adam", "classical"])
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
        4: ("oversampling, chi1", *zoomed("chi1", "chi1_plain", last=4000)),
        5: ("oversampling, chi2", *zoomed("chi2", "chi2_plain", last=4000)),
        6: ("errors of NH-PINN", *zoomed("e1", "e3", last=1200)),
        7: ("the fine solution minus that of NH-PINN", error_image),
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
LOSSES_OF = ("const1d", "elliptic2d")  # problems on which three losses are compared


def drawings(experiments):
    """Every picture there could be."""
    rows = []
    for name, experiment in experiments.items():
        rows.append(Drawing(name, name, f"{experiment.problem.title}: solutions and errors", (BOTH, EVERY)))
        for i, (caption, *panels) in PAPER.get(name, {}).items():
            rows.append(Drawing(f"fig{i:02}", name, f"Fig. {i} of the paper. {name}: {caption}", panels))
        corrected = [partial(reconstruction, distance=distance) for distance in (False, True)]
        rows.append(Drawing(f"{name}-corrected", name, f"{name}: first-order reconstruction", corrected))
    layers = [partial(study, method="layers", across="periodicity", quantities=("chi1", "chi2"))]
    layers1d = [partial(study, method="layers", across="periodicity", quantities=("chi1",))]
    robustness = [partial(study, method="robustness", across="layers", quantities=("chi1", "chi2"))]
    losses = [
        partial(study, method="losses", across="minimiser", quantities=("predicted", "trained"), where=("loss", loss))
        for loss in ("strong form", "energy", "first order")
    ]
    time = [partial(error_in_time, error="chi1")]
    law = [partial(dots, marks=LAW)]
    law_eps = [partial(against_eps, quantity="classical_predicted", points="classical_shape")]
    eps = [partial(against_eps, quantity=q, order=1) for q in ("e1", "e1_corrected_interior")]
    inside = [partial(dots, marks=marks, log=True, ylabel=label) for label, marks in RECONSTRUCTED.items()]
    rows += [
        Drawing("law-bandwidth", "const1d", "The classical PINN's loss, minimised exactly", [bandwidth]),
        Drawing("time", "elliptic2d", "Error of chi1 against time", time),
        Drawing("layers", "elliptic2d", "Ways to ask for periodicity", layers),
        Drawing("const1d-layers", "const1d", "Ways to ask for periodicity in one dimension", layers1d),
        Drawing("robustness", "elliptic2d", "Learning rates and weights, with ghost layers and without", robustness),
        *(Drawing(f"{name}-losses", name, f"{name}: what three losses learn", losses) for name in LOSSES_OF),
        Drawing("law", None, "The classical PINN, and the minimiser of its averaged loss", law),
        Drawing(
            "law-eps",
            None,
            "The same against eps; open markers: trained, less the mean of the boundary values",
            law_eps,
        ),
        Drawing("reconstruction", None, "First-order reconstruction by finite elements", inside),
        Drawing("eps", None, "Errors of NH-PINN and of its first-order reconstruction against eps, and cost", eps),
    ]
    return [row for row in rows if row.problem is None or row.problem in experiments]


def draw(results, experiments, folder):
    """All pictures that the results allow, as PNG and SVG in a folder; results: the loaded JSON files of tasks.

    -> [(path of the PNG, caption), ...], [a picture whose results are missing (the results), ...]
    Raises ImportError where there is no matplotlib.
    """
    import matplotlib

    found, drawn, skipped = by_problem(results), [], []
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        for drawing in drawings(experiments):
            try:
                figure = compose(drawing, experiments, found)
            except Missing as missing:
                skipped.append(f"{drawing.name} ({missing})")
            else:
                drawn.append((save(figure, folder / drawing.name), drawing.caption))
    return drawn, skipped


def compose(drawing, experiments, found):
    """A figure with its panels side by side and one legend below them."""
    from matplotlib.figure import Figure

    count, name = len(drawing.panels), drawing.problem
    figure = Figure(figsize=(PANEL[0] * count, PANEL[1]), layout="constrained")
    for axes, panel in zip(figure.subplots(1, count, squeeze=False)[0], drawing.panels, strict=True):
        panel(axes, *((experiments[name], found.get(name, {})) if name else (experiments, found)))
    if name:
        figure.axes[0].set_title(f"{name}: {figure.axes[0].get_title()}")
    pairs = (zip(*axes.get_legend_handles_labels(), strict=True) for axes in figure.axes)
    handles = {label: handle for pair in pairs for handle, label in pair}
    if handles:
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=2 * count)
    return figure


def save(figure, stem):
    """Write PNG, in 256 colours where there are lines alone, and SVG, with one layout for both.  -> path of the PNG"""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from PIL import Image  # comes with matplotlib

    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")
    canvas, path = FigureCanvasAgg(figure), stem.with_suffix(".png")
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    lines_alone = not any(axes.images for axes in figure.axes)
    (pixels.quantize(256) if lines_alone else pixels).save(path, dpi=[figure.dpi] * 2)
    FigureCanvasSVG(figure).print_svg(stem.with_suffix(".svg"), metadata={"Date": None})
    return path
