"""Pictures, drawn from saved results alone: the paper's figures by its numbers, and new ones.

    draw(results, experiments, folder) -> the Pictures, and the names of those whose results are missing

A picture is a row of panels, each of its own with its legend: `drawings` lists all of them, panels.py has the panels.
Results are those of run_all.py, as loaded from its JSON files.
"""

import io
import re
from functools import partial
from typing import NamedTuple

from lab import files, panels

PANEL = (3.5, 1.75)  # inches: width of a panel, the column of a journal, and height of its axes
MARGINS, LEGEND_ROW = (0.78, 0.46, 0.17, 0.25), 0.19  # around the axes (left, bottom, right, top), inches
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.titley": 1,  # or its place is found again in every drawing
    "axes.formatter.useoffset": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.1,
    "figure.dpi": 160,
    "svg.fonttype": "none",  # text stays text: half the size, and a third of the time
    "svg.hashsalt": "nhpinn",  # the same picture is the same file
}


class Drawing(NamedTuple):
    name: str  # of the file
    problem: str | None  # None: all; the panels then take (axes, experiments, {problem: results})
    caption: str
    panels: tuple
    study: bool = False  # shown with the studies, not with its problem


class Picture(NamedTuple):
    name: str
    problem: str | None  # with which it is shown; None: with the studies
    caption: str
    panels: list  # SVG as text


def errors(*quantities, last=None):
    return partial(panels.history, quantities=quantities, last=last)


# --- All pictures ----------------------------------------------------------------------------------

LEARNED, CLASSICAL, BOTH = (
    partial(panels.solution, methods=methods) for methods in (["adam"], ["classical"], ["adam", "classical"])
)
EVERY = partial(panels.history, quantities=("e1", "transfer", "classical"), optional=("chi1", "chi1_plain", "N"))


def zoomed(*quantities, last):
    return errors(*quantities), errors(*quantities, last=last)


FIRST = "The coefficient, the classical PINN beside the fine solution, and its error while it trains."
HERE = "The coefficient over the box, and NH-PINN on the fine solution."
IN_TIME = "The reaction over the box, and NH-PINN on the fine solution at the final time."
FAILING = "The classical PINN: its error while it trains, and where it ends beside the fine solution."
ERROR_OF = "Error of {} while it trains, and at the end alone."
CORRECTOR = "The corrector N: its error at the end of its training, and N beside that of finite elements."
NH_PINN = "NH-PINN's last training: its error against the fine solution, e1, and against a homogenized one, e3."
TRANSFER = "The error of the classical PINN as it trains on from NH-PINN's solution."


def reaction_figures(first, *lasts):
    """Figures 14 to 18, and 19 to 23 with the smaller eps."""
    rows = (
        (IN_TIME, panels.coefficient, LEARNED),
        (FAILING, *(errors("classical", last=last) for last in lasts), CLASSICAL),
        (CORRECTOR, errors("N", last=7000), panels.corrector),
        (NH_PINN, *zoomed("e1", "e3", last=2000)),
        (TRANSFER, errors("transfer")),
    )
    return dict(enumerate(rows, first))


PAPER = {  # problem -> {number of the figure: (caption, panels)}
    "const1d": {
        1: (FIRST, panels.coefficient, CLASSICAL, errors("classical")),
    },
    "elliptic2d": {
        2: ("The coefficient on the square, and the fine solution.", panels.coefficient, panels.fine_image),
        3: (ERROR_OF.format("the classical PINN"), *zoomed("classical", last=1500)),
        4: (ERROR_OF.format("the corrector χ₁"), *zoomed("chi1", "chi1_plain", last=4000)),
        5: (ERROR_OF.format("the corrector χ₂"), *zoomed("chi2", "chi2_plain", last=4000)),
        6: (NH_PINN, *zoomed("e1", "e3", last=1200)),
        7: ("The fine solution minus that of NH-PINN: blue where NH-PINN is too large.", panels.error_image),
        8: (TRANSFER, errors("transfer")),
    },
    "slow1d": {
        9: (HERE, panels.coefficient, LEARNED),
        10: (FAILING, *zoomed("classical", last=500), CLASSICAL),
        11: ("a* and its derivative, learned and exact.", *(partial(panels.effective, order=i) for i in (0, 1))),
        12: (NH_PINN, errors("e1", "e3")),
        13: (TRANSFER, errors("transfer")),
    },
    "reaction10": reaction_figures(14, 7000, 1000),
    "reaction50": reaction_figures(19, 10000, 7000),
}
ALL = "NH-PINN and the classical PINN beside the fine solution, and the errors of all trainings."
CORRECTED = "In three periods, u₀ is smooth and its reconstruction oscillates with the fine solution; errors of both."


def drawings(experiments):
    """Every picture there could be."""
    rows, corrected = [], [partial(panels.reconstruction, distance=distance) for distance in (False, True)]
    for name in experiments:
        rows += [Drawing(name, name, ALL, (BOTH, EVERY)), Drawing(f"{name}-corrected", name, CORRECTED, corrected)]
        for i, (caption, *shown) in PAPER.get(name, {}).items():
            rows.append(Drawing(f"fig{i:02}", name, f"Fig. {i} of the paper. {caption}", shown))
    return [row for row in rows + studies() if row.problem is None or row.problem in experiments]


def studies():
    """The pictures of the studies."""

    def of(method, across, *quantities, **where):
        return partial(panels.study, method=method, across=across, quantities=quantities, **where)

    kinds = [("loss", loss) for loss in ("strong form", "energy", "first order")]
    losses = [of("losses", "minimiser", "predicted", "trained", where=kind) for kind in kinds]
    law_eps = partial(panels.against_eps, method="law", quantity="classical_predicted", trained="classical_shape")
    sweep = partial(panels.against_eps, method="sweep", order=1)
    eps = [partial(sweep, quantity=quantity) for quantity in ("e1", "e1_corrected_interior")]
    in_2d, in_1d = of("layers", "periodicity", "chi1", "chi2"), of("layers", "periodicity", "chi1")
    rows = (
        ("law-eps", None, LAW, [law_eps]),
        ("law-bandwidth", "const1d", BANDWIDTH, [panels.bandwidth]),
        ("const1d-losses", "const1d", LOSSES.format("const1d"), losses),
        ("elliptic2d-losses", "elliptic2d", LOSSES.format("elliptic2d"), losses),
        ("layers", "elliptic2d", WAYS.format("elliptic2d"), [in_2d]),
        ("const1d-layers", "const1d", WAYS.format("const1d"), [in_1d]),
        ("robustness", "elliptic2d", ROBUSTNESS, [of("robustness", "layers", "chi1", "chi2")]),
        ("time", "elliptic2d", IN_SECONDS, [panels.error_in_time]),
        ("eps", None, "Error of u₀ by the recipe sharp against ε, and of its reconstruction, a period inside.", eps),
    )
    return [Drawing(*row, study=True) for row in rows]


LAW = (
    "Error of the classical PINN against ε. Lines: predicted. Open markers: trained, after the mean of its values on "
    "the boundary, which should be 0, is taken away."
)
BANDWIDTH = "Error of the exact minimiser of const1d's classical loss against the bandwidth of its functions."
LOSSES = "Three losses on {}: the error predicted for functions that do not oscillate, and the error found."
WAYS = "Errors of correctors of {} by what asks for periodicity; a dot for each training."
ROBUSTNESS = "Errors of correctors of elliptic2d, with oversampling and without; a dot for each rate and weight."
IN_SECONDS = "Error of a corrector of elliptic2d against seconds, by networks and by finite elements."


# --- Drawing ---------------------------------------------------------------------------------------


def draw(results, experiments, folder):
    """All pictures that the results allow, as SVG in a folder; results: the loaded JSON files of tasks.

    -> [Picture, ...], [a picture whose results are missing (the results), ...]
    Raises ImportError where there is no matplotlib.
    """
    import matplotlib

    found, drawn, skipped = panels.by_problem(results), [], []
    with matplotlib.rc_context(STYLE):
        for drawing in drawings(experiments):
            try:
                figures = compose(drawing, experiments, found)
            except panels.Missing as missing:
                skipped.append(f"{drawing.name} ({missing})")
                continue
            texts = save(figures, folder / f"{drawing.name}.svg")
            drawn.append(Picture(drawing.name, None if drawing.study else drawing.problem, drawing.caption, texts))
    return drawn, skipped


def compose(drawing, experiments, found):
    """A figure for each panel, with its legend below; all of them of one height, with axes in the same place."""
    from matplotlib.figure import Figure

    figures, rows, name = [], [], drawing.problem
    for panel in drawing.panels:
        figure = Figure()
        axes = figure.subplots()
        panel(axes, *((experiments[name], found.get(name, {})) if name else (experiments, found)))
        handles = {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        if handles:
            figure.legend(handles.values(), handles, loc="lower center", ncols=2, borderaxespad=0.1)
        rows.append((len(handles) + 1) // 2 + (3 if axes.xaxis.get_major_ticks(1)[0].label1.get_rotation() else 0))
        figures.append(figure)
    left, bottom, right, top = MARGINS
    bottom += LEGEND_ROW * max(rows)
    size = PANEL[0], PANEL[1] + bottom + top
    for figure in figures:
        figure.set_size_inches(size)
        figure.subplots_adjust(left / size[0], bottom / size[1], 1 - right / size[0], 1 - top / size[1])
    return figures


def save(figures, path):
    """Write the panels side by side as SVG.  -> SVG of each"""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    texts = []
    for figure in figures:
        text = io.StringIO()
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
        texts.append(text.getvalue()[text.getvalue().index("<svg") :])
    width, height = 72 * figures[0].get_size_inches()
    inner = (re.sub(r'"([\d.]+)pt"', r'"\1"', text, count=2) for text in texts)  # sizes in units of the outer viewBox
    beside = (text.replace("<svg", f'<svg x="{i * width}"', 1) for i, text in enumerate(inner))
    size = f'width="{len(texts) * width}pt" height="{height}pt" viewBox="0 0 {len(texts) * width} {height}"'
    whole = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n' + "".join(beside) + "</svg>\n"
    files.write(path, whole)
    return texts
