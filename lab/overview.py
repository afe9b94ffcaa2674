"""The picture of the README: const1d, the paper's first example, by the classical PINN and by NH-PINN.

    python -m lab.overview [docs/overview.png]

Both are trained here with the paper's settings, in double precision and from seed 0.  The fine solution, by finite
elements that resolve every period, is drawn and nothing else is made of it.
"""

import sys

import numpy as np

import fem
import nhpinn
from lab.experiments import error_axes, error_inputs, fine_solution
from lab.panels import BLACK, BLUE, GREEN, VERMILION
from lab.settings import split
from problems import EXPERIMENTS

EXPERIMENT = EXPERIMENTS["const1d"]
ZOOM = (0.25, 0.9)  # in x: a few periods


def computed():
    """a* and, on the test grid: values and slopes of the fine solution, of both networks and of the reconstruction."""
    problem = EXPERIMENT.problem
    cell, homogenized, classical = (
        split(getattr(EXPERIMENT, part))[0] for part in ("cell", "homogenized", "classical")
    )
    x, axes = error_inputs(EXPERIMENT), error_axes(EXPERIMENT)
    fine = fine_solution(problem)[0]
    correctors, coefficients, u0 = nhpinn.nh_pinn(problem, cell, homogenized, seed=0)
    value, slope, second = u0(x)
    corrected = nhpinn.reconstruct(problem, value, slope, second, correctors.expansion(x, x / problem.eps))
    pinn = nhpinn.classical_pinn(problem, classical, 0)(x)
    return coefficients.samples[0, 0, 0], {
        "fine": (fine.on_grid(*axes), fine.on_grid(*axes, along=(0,))),
        "classical": (pinn[0], pinn[1][:, 0]),
        "u0": (value, slope[:, 0]),
        "corrected": (corrected[0], corrected[1][:, 0]),
    }


def draw(a_star, found):
    """The coefficient, the solutions, and a few periods of their slopes."""
    import matplotlib.pyplot as plt

    problem, x = EXPERIMENT.problem, error_axes(EXPERIMENT)[0]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained")

    dense = np.linspace(*problem.domain[0], 4000)[:, None]
    left.plot(dense, problem.coefficient(dense, dense / problem.eps), color=BLACK, lw=0.8, label="$a(x/\\epsilon)$")
    left.axhline(a_star, color=BLUE, lw=2, label=f"$a^*$ = {a_star:.4f}, learned")
    left.set(title="the coefficient", xlabel="$x$", ylim=(1.4, 2.95))

    styles = {"fine": ("fine solution", "#BBBBBB", 6), "u0": ("NH-PINN, $u_0$", BLUE, 2)}
    styles["classical"] = ("classical PINN", VERMILION, 2)
    for name, (label, color, width) in styles.items():
        error = fem.relative_error(found[name][0], found["fine"][0])
        text = label if name == "fine" else f"{label}: error {100 * error:.2g} %"
        middle.plot(x, found[name][0], color=color, lw=width, label=text)
    middle.set(title="the solution $u$", xlabel="$x$", ylim=(-0.03, 0.78))

    near = (x >= ZOOM[0]) & (x <= ZOOM[1])
    styles["corrected"] = ("NH-PINN, $u_0 + \\epsilon \\chi u_0'$", GREEN, 2)
    for name, (label, color, width) in styles.items():
        right.plot(x[near], found[name][1][near], color=color, lw=width, label=label if name == "corrected" else None)
    right.set(title="its slope $du/dx$, five periods", xlabel="$x$", ylim=(-0.05, 0.95))
    for panel in (left, middle, right):
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(loc="upper center", fontsize=8.5, frameon=False, ncols=1 + (panel is left))
    return figure


if __name__ == "__main__":
    draw(*computed()).savefig(sys.argv[1] if sys.argv[1:] else "docs/overview.png", dpi=130)
