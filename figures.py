"""Pictures, drawn from saved results alone: one a problem, its solutions beside its errors.

Left: the fine solution, NH-PINN and the classical PINN on the test grid (in 2D along the middle line).
Right: relative errors during training: e1 of NH-PINN, then the classical PINN started from NH-PINN
(transfer), the classical PINN from scratch, and the correctors with and without oversampling.
"""

import numpy as np

BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#555555"  # Okabe and Ito


def draw(results, problems, folder):
    """One picture a problem as PNG and SVG; results: the loaded JSON files.  -> the paths written.

    Raises ImportError where there is no matplotlib.
    """
    import matplotlib

    matplotlib.use("Agg")
    paths = []
    for name, problem in problems.items():
        here = {r["task"]["method"]: r for r in reversed(results) if r["task"]["problem"] == name and "error" not in r}
        if "nhpinn" in here and "classical" in here:
            paths += save(draw_problem(problem, here), folder / name)
    return paths


def save(figure, stem):
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_suffix(suffix) for suffix in (".png", ".svg")]
    for path in paths:
        figure.savefig(path, dpi=150)
    return paths


def draw_problem(problem, results):
    """The picture of one problem from its results by method, of one seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    low, high = problem.domain[0]
    x = np.linspace(low, high, problem.test_points)
    nhpinn, classical = results["nhpinn"], results["classical"]
    left.plot(x, along_line(nhpinn["fields"]["reference"], problem), color=GREY, lw=3, alpha=0.5, label="fine solution")
    left.plot(x, along_line(nhpinn["fields"]["solution"], problem), color=BLUE, label="NH-PINN")
    left.plot(x, along_line(classical["fields"]["solution"], problem), color=VERMILION, ls="--", label="classical PINN")
    left.set_xlabel("x" if problem.dim == 1 else "x1, on the middle line")
    left.set_ylabel("u" if problem.initial is None else f"u at t = {problem.final_time:g}")
    left.legend(fontsize=8)
    left.set_title(f"{problem.name}, seed {nhpinn['task']['seed']}", fontsize=9)

    curves = [
        ("NH-PINN, e1", BLUE, "-", nhpinn["history"]["homogenized"], "e1"),
        ("transfer", ORANGE, "-", nhpinn["history"]["transfer"], "transfer"),
        ("classical PINN", VERMILION, "--", classical["history"]["classical"], "classical"),
    ]
    corrector = next(iter(nhpinn["history"]["cell"]["errors"]), None)
    if corrector:
        curves.append((f"{corrector}, oversampling", GREEN, "-", nhpinn["history"]["cell"], corrector))
    if "plain" in results and corrector:
        curves.append((f"{corrector}, plain", GREEN, ":", results["plain"]["history"]["cell_plain"], corrector))
    for label, color, style, history, quantity in curves:
        right.semilogy(history["epochs"], history["errors"][quantity], color=color, ls=style, lw=1, label=label)
    right.set_xlabel("epoch")
    right.set_ylabel("relative L2 error")
    right.grid(alpha=0.3)
    right.legend(fontsize=7)
    return figure


def along_line(values, problem):
    """Values on the test grid; in more than one dimension those on the line through its middle along x1."""
    values = np.reshape(values, (problem.test_points,) * problem.dim)
    return values[(slice(None), *[problem.test_points // 2] * (problem.dim - 1))]
