"""What the paper claims, and what came out: CLAIMS.md from saved results, written by published.py.

A claim is a sentence of the paper and a function that judges it: from the numbers of the results to a verdict
and the evidence for it.  No number is typed in but the paper's own, and no verdict without a condition on
numbers, so that other results give another table; where a result is missing, the verdict says so.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lab import files, tables
from lab.panels import Missing, in_words
from problems import EXPERIMENTS, PROBLEMS

REPRODUCED, PARTLY, NOT = "reproduced", "partly", "not reproduced"
ARTEFACT, UNKNOWN = "an artefact of the reference", "not measured"
OURS = "ours"  # the place of what the paper does not claim
RUN = "python run_all.py --budget paper --seeds 3 --studies"
EQUAL = 0.1  # the relative difference below which two errors count as equal, and a spread as none
GREATLY = 3  # the factor between two errors from which one is greatly better; the paper's oversampling gains 3.7 to 4.6
ALL = tuple(PROBLEMS)
ELLIPTIC = ("const1d", "elliptic2d", "slow1d")
REACTIONS = ("reaction10", "reaction50")
FOUR = ("elliptic2d", "slow1d", *REACTIONS)  # the problems of section 5


class Results(NamedTuple):
    """Saved results: rows of summary.json by (problem, quantity, recipe), and all results by (problem, method)."""

    rows: dict
    results: dict

    def row(self, problem, quantity, recipe="adam"):
        if (problem, quantity, recipe) not in self.rows:
            raise Missing(f"{quantity} of {problem}, recipe {recipe}")
        return self.rows[problem, quantity, recipe]

    def value(self, problem, quantity, recipe="adam"):
        return self.row(problem, quantity, recipe)["value"]

    def each(self, problems, quantity, recipe="adam"):
        return {problem: self.value(problem, quantity, recipe) for problem in problems}

    def of(self, problem, method):
        """The results of all seeds."""
        if not self.results.get((problem, method)):
            raise Missing(f"{problem} {method}")
        return self.results[problem, method]

    def least(self, problems, method, quantity):
        """The least error on the way of a training: {problem: (error, its epoch, loss there, loss at the end)}."""
        return {problem: min(result["least"][quantity] for result in self.of(problem, method)) for problem in problems}

    def study(self, problem, method, key, **where):
        """Rows of a study by their label: {label: {quantity: mean over seeds}}; only those with the values `where`."""
        rows = [row for result in self.of(problem, method) for row in result["study"]]
        rows = [row for row in rows if all(row[name] == value for name, value in where.items())]
        return {
            label: {
                name: np.mean([row[name] for row in rows if row[key] == label])
                for name, value in rows[0].items()
                if isinstance(value, float)
            }
            for label in dict.fromkeys(row[key] for row in rows)
        }


class Claim(NamedTuple):
    place: str  # in the paper; OURS: what holds in the place of a claim, or besides
    judge: Callable  # Results, *problems -> verdict, evidence; its docstring is the claim
    problems: tuple
    figures: str  # names of pictures that run_all.py draws


def equal(a, b):
    return abs(a / b - 1) < EQUAL


def verdict_of(held):
    """The verdict from the conditions of a claim, one for each case."""
    return REPRODUCED if all(held) else PARTLY if any(held) else NOT


def paper(problem, quantity):
    return EXPERIMENTS[problem].paper[quantity]


def listed(names, show):
    return "; ".join(f"{name} {show(name)}" for name in names)


def numbers(values, form):
    """Values by name, in a format."""
    return listed(values, lambda name: format(values[name], form))


def beside_paper(found, problem, quantity, recipe="adam"):
    """A quantity with the paper's number in parentheses, where it has one."""
    printed = EXPERIMENTS[problem].paper.get(quantity)
    return f"{found.value(problem, quantity, recipe):.3g}" + (f" ({printed:.3g})" if printed else "")


def ours(found, quantity, *names):
    """The same of several problems."""
    words = quantity.replace("_plain", " without oversampling")
    return f"{words}, ours (paper): " + listed(names, lambda name: beside_paper(found, name, quantity))


# ---------------------------------------------------------------------------------------------------
# Judges
# ---------------------------------------------------------------------------------------------------


def classical_fails(found, *names):
    """the accuracy of PINN degenerates on multiscale equations"""
    final, best = found.each(names, "classical"), found.least(names, "classical", "classical")
    solved = [name for name in names if best[name][0] < 0.1]
    evidence = ours(found, "classical", *names)
    if solved:
        evidence += ". But with the paper's own settings " + listed(
            solved, lambda n: f"falls to {best[n][0]:.2g} at epoch {best[n][1]}, before its training breaks down"
        )
    return verdict_of([final[name] > 0.5 and name not in solved for name in names]), evidence


def fails_at_random(found, *names):
    """the error of the classical PINN varies from run to run"""
    varies, evidence = [], []
    for quantity in ("classical", "transfer"):
        rows = {name: found.row(name, quantity) for name in names}
        spread = {name: row["std"] / row["value"] for name, row in rows.items() if row["std"] is not None}
        if not spread:
            raise Missing(f"{quantity} with more than one seed")
        varies += [each > EQUAL for each in spread.values()]
        evidence.append(f"{quantity}: {numbers(spread, '.2g')}")
    return verdict_of(varies), "standard deviation over seeds / mean of the error, " + ". ".join(evidence)


def transfer_shows(found, *names):
    """transfer learning explains why: the loss is at fault, not the optimizer"""
    transfer, law = found.each(names, "transfer"), found.each(names, "classical_predicted_points", "fem")
    finest = found.of("elliptic2d", "law")[0]["resolution"][-1]
    evidence = (
        "error of the classical PINN started from NH-PINN's solution / of the minimiser of its loss over functions "
        "that do not oscillate: "
        + listed(names, lambda n: f"{transfer[n]:.3f} / {law[n]:.3f}")
        + f". The same loss at the same points, over splines with {finest['elements a period']:g} elements a period "
        f"(elliptic2d): {finest['error']:.2g}"
    )
    lower = {}
    for name, (error, epoch, at_best, at_end) in found.least(names, "adam", "transfer").items():
        if error * GREATLY < transfer[name] and at_best * GREATLY < at_end:
            lower[name] = f"{at_best:.2g} at error {error:.2g} (epoch {epoch}), {at_end:.2g} at the end"
    if lower:
        evidence += ". Where the training leaves a good solution against its loss: " + listed(lower, lower.get)
    ends_there = [equal(transfer[name], law[name]) for name in names]
    if not any(ends_there):
        return NOT, evidence
    if finest["error"] * GREATLY < law["elliptic2d"]:
        return PARTLY, evidence + ". So the loss misleads functions that do not follow the cells, and only these"
    return REPRODUCED if all(ends_there) else PARTLY, evidence


def arithmetic_mean(found, name):
    """it fails as coarse finite elements do: what a smooth network sees is the arithmetic mean"""
    mesh = found.of(name, "fem")[0]["coarse_mesh"]
    rows = found.study(name, "losses", "loss", minimiser="Adam")
    classical, law = found.value(name, "classical"), found.value(name, "classical_predicted", "fem")
    arithmetic = rows["energy"]["predicted"]
    evidence = (
        "in the example of section 2.2 "
        f"coarse elements reach {mesh['ratio']:.3f} of the solution (8/17 = {8 / 17:.3f}). The arithmetic mean would "
        f"give {name} an error of {arithmetic:.3f}; the classical PINN has {classical:.3f}. The squared residual "
        f"averaged over y, with its term of order eps^-2, predicts {law:.3f}; the energy loss: predicted "
        f"{arithmetic:.4f}, trained {rows['energy']['trained']:.4f}"
    )
    return REPRODUCED if equal(classical, arithmetic) and not equal(classical, law) else NOT, evidence


def law_holds(found, *names):
    """the classical PINN learns the minimiser, among functions that do not oscillate, of its averaged loss"""
    predicted = found.each(names, "classical_predicted", "fem")
    points = found.each(names, "classical_predicted_points", "fem")
    trained = found.each(names, "classical")
    evidence = "error predicted from the mean over y / from the loss's own points / trained (paper): " + listed(
        names, lambda n: f"{predicted[n]:.4f} / {points[n]:.4f} / {trained[n]:.4f} ({paper(n, 'classical'):.4f})"
    )
    best = {n: error for n, (error, *_) in found.least(names, "classical", "classical").items()}
    if left := {n: best[n] for n in names if best[n] < predicted[n] and not equal(best[n], predicted[n])}:
        evidence += ". Trainings that do resolve the cells on the way, with least error: " + numbers(left, ".2g")
    apart = {n: distance(found, n) for n in names}
    evidence += ". Distance of the trained function from the predicted one, relative to that: " + numbers(apart, ".2g")
    close = [apart[n] < EQUAL and n not in left for n in names]
    return verdict_of(close), evidence


def distance(found, name):
    """|trained - predicted| / |predicted| of the classical PINN on the test grid: a sharper test than errors near 1."""
    predicted = np.array(found.of(name, "law")[0]["fields"]["solution"])
    trained = [np.array(result["fields"]["solution"]) for result in found.of(name, "classical")]
    return np.mean([np.linalg.norm(u - predicted) for u in trained]) / np.linalg.norm(predicted)


def three_causes(found, *names):
    """the loss misleads smooth functions alone, and the paper's points are too few for all others"""
    held, evidence = [], []
    for name in names:
        rows = [row for result in found.of(name, "law") for row in result["bandwidth"]]
        enough, few = ([row for row in rows if (row["points"] == "enough") == kind] for kind in (True, False))
        law, smooth = found.value(name, "classical_predicted", "fem"), min(enough, key=lambda row: row["bandwidth"])
        best, least = min(enough, key=lambda row: row["error"]), min(few, key=lambda row: row["loss"])
        held += [equal(smooth["error"], law), best["error"] < 0.1, least["error"] > 0.5]
        evidence.append(
            f"{name} {law:.3f} / {smooth['error']:.3f} / {best['error']:.2g} (s = {best['bandwidth']}) / "
            f"{least['error']:.2g} (s = {least['bandwidth']}, loss {least['loss']:.1g})"
        )
    return verdict_of(held), (
        "the loss of the classical PINN minimised exactly, without training, over random features of bandwidth s. "
        "Error of the law / of the smoothest minimiser / of the best, both at enough points / of the one of least loss "
        "at the paper's points: " + "; ".join(evidence)
    )


def failure_is_proved(found, *names):
    """the failure of the classical PINN, proved without a fine solution"""
    lower, upper = (found.each(names, f"classical_certified_{end}") for end in ("lower", "upper"))
    evidence = "bounds of its relative error in the energy norm, means over seeds: " + listed(
        names, lambda n: f"[{lower[n]:.4f}, {upper[n]:.4f}]"
    )
    return verdict_of([bound > 0.5 for bound in lower.values()]), evidence


def success_is_proved(found, *names):
    """the accuracy of NH-PINN, proved without a fine solution"""
    adam, sharp = (found.each(names, "certified", recipe) for recipe in ("adam", "sharp"))
    lower = found.each(names, "classical_certified_lower")
    evidence = "guaranteed bound of the relative error of the reconstruction in the energy norm, adam / sharp: "
    evidence += listed(names, lambda n: f"{adam[n]:.3g} / {sharp[n]:.3g}")
    return verdict_of([bar[name] * GREATLY < lower[name] for name in names for bar in (adam, sharp)]), evidence


def averages_of_losses(found, *names):
    """the strong form, the energy and the first-order system learn three different averages"""
    means = {
        f"{name}, {loss}": row
        for name in names
        for loss, row in found.study(name, "losses", "loss", minimiser="Adam").items()
    }

    def show(label):
        row = means[label]
        return f"{row['predicted']:.4f} / {row['trained']:.4f} / {row['from_predicted']:.4f}"

    evidence = "error predicted / trained / distance of the trained function from the predicted one: "
    # nearer to the prediction than to the solution: less than half the distance between these two
    close = [row["from_predicted"] < row["predicted"] / 2 for row in means.values()]
    return verdict_of(close), evidence + listed(means, show)


def better_than_classical(found, *names):
    """NH-PINN greatly improves on the classical PINN"""
    ratio = {name: found.value(name, "classical") / found.value(name, "e1") for name in names}
    evidence = f"classical error / e1: {numbers(ratio, '.0f')}. " + ours(found, "e1", *names)
    return verdict_of([factor > GREATLY for factor in ratio.values()]), evidence


def as_accurate_as_printed(found, *names):
    """the predictions are very accurate, the smaller eps the further ahead of the classical PINN"""
    within = [found.value(name, quantity) <= paper(name, quantity) for quantity in ("e3", "e1") for name in names]
    gain = {name: found.value(name, "classical") / found.value(name, "e1") for name in REACTIONS}
    evidence = f"{ours(found, 'e3', *names)}. {ours(found, 'e1', *names)}. classical error / e1: {numbers(gain, '.0f')}"
    return verdict_of([*within, gain["reaction50"] > gain["reaction10"]]), evidence


def oversampling_helps(found, name):
    """oversampling greatly improves periodic problems in more than one dimension"""
    gain = {q: found.value(name, f"{q}_plain") / found.value(name, q) for q in ("chi1", "chi2")}
    rows = found.study(name, "layers", "periodicity")
    evidence = (
        "; ".join(ours(found, q, name) for q in ("chi1", "chi1_plain", "chi2", "chi2_plain"))
        + ". chi1 by way to periodicity: "
        + "; ".join(f"{in_words(label)} {row['chi1']:.2g}" for label, row in rows.items())
        + ". Values on faces leave the jump of the normal derivative free; a layer of oversampling asks for it times h"
    )
    return verdict_of([factor > GREATLY for factor in gain.values()]), evidence


def oversampling_is_robust(found, name):
    """with oversampling the error is robust to learning rate and weights"""
    rows = [row for result in found.of(name, "robustness") for row in result["study"]]
    errors = {kind: [r["chi1"] for r in rows if bool(r["layers"]) == kind] for kind in (True, False)}
    evidence = "; ".join(
        f"chi1 {'with' if kind else 'without'} oversampling, {len(e)} settings: from {min(e):.2g} to {max(e):.2g}, "
        f"median {np.median(e):.2g}"
        for kind, e in errors.items()
    )
    evidence += "; a quarter of the epochs in each"
    better = np.median(errors[True]) < np.median(errors[False])
    spread = {kind: max(e) / min(e) for kind, e in errors.items()}
    steady = spread[True] < GREATLY and spread[True] < spread[False]
    return REPRODUCED if better and steady else PARTLY if better else NOT, evidence


def few_points(found, name):
    """a few training points are enough, around 400"""
    quantities = ("chi1", "chi2", "e3")
    cell, solution = (getattr(EXPERIMENTS[name], part)["points"] ** 2 for part in ("cell", "homogenized"))
    features = found.study(name, "layers", "periodicity")["features"]["chi1"]
    evidence = (
        f"{cell} points a cell problem, {solution} for the homogenized equation: "
        + listed(quantities, lambda quantity: beside_paper(found, name, quantity))
        + f"; with the period built in, the same points give chi1 {features:.2g}"
    )
    return verdict_of([found.value(name, quantity) <= paper(name, quantity) for quantity in quantities]), evidence


def high_dimension_is_hard(found, *names):
    """periodic problems are easy in one dimension and hard in more"""
    line, square = (found.study(name, "layers", "periodicity")["0 layers"]["chi1"] for name in names)
    evidence = (
        f"chi1 with 0 layers and the other settings as they are: {line:.2g} in one dimension, where the equation makes "
        f"the derivative periodic once the values are; {square:.2g} in two, where it does not"
    )
    return REPRODUCED if square > GREATLY * line else PARTLY if square > line else NOT, evidence


def e2_below_e4(found, *names):
    """e2 < e4: homogenization by networks is more accurate than by finite elements"""
    names = [name for name in names if paper(name, "e2") < paper(name, "e4")]
    e4 = found.each(names, "e4", "fem")
    claimed = {n: 1 - paper(n, "e2") / paper(n, "e4") for n in names}
    wrong = {n: abs(paper(n, "e4") / e4[n] - 1) for n in names}
    mine = {n: found.value(n, "e2") / e4[n] - 1 for n in names}
    evidence = (
        "paper's e2 below its e4 by / paper's e4 away from the converged e4 by / our e2 away from it by: "
        + listed(names, lambda n: f"{claimed[n]:.2%} / {wrong[n]:.0%} / {mine[n]:+.2%}")
    )
    if all(wrong[n] > 10 * claimed[n] for n in names):
        return ARTEFACT, evidence
    return REPRODUCED if all(difference < 0 for difference in mine.values()) else NOT, evidence


def e1_below_e4(found, name):
    """e1 < e4: the error of NH-PINN is below that of finite elements"""
    converged, e1, printed = found.value(name, "e4", "fem"), found.value(name, "e1"), paper(name, "e1")
    evidence = (
        f"{name}: the paper has e1 {printed:.6f} and e4 {paper(name, 'e4'):.6f}; "
        f"the converged e4 is {converged:.6f}, our e1 is {e1:.6f}, {abs(e1 - converged):.1g} away from it, and "
        f"our e3 {found.value(name, 'e3'):.1g}"
    )
    if converged < printed:
        return ARTEFACT, evidence + ". The paper's e1 is above the converged e4"
    return REPRODUCED if e1 < converged else NOT, evidence


def e4_is_a_bound(found, *names):
    """e4 is a theoretical lower bound"""
    corrected, e4 = (found.each(names, quantity, "fem") for quantity in ("e1_corrected", "e4"))
    evidence = "first-order reconstruction u0 + eps chi_j d_j u0 / e4, by finite elements: " + listed(
        names, lambda n: f"{corrected[n]:.4f} / {e4[n]:.4f}"
    )
    evidence += ". e1 of u0 alone is above it but for what errors cancel: " + numbers(found.each(names, "e1"), ".4f")
    return NOT if any(corrected[n] < e4[n] for n in names) else REPRODUCED, evidence


def most_error_from_the_last_step(found, *names):
    """most of the error comes from solving the homogenized equation"""
    e3, e4 = found.each(names, "e3"), found.each(names, "e4", "fem")
    cell = {n: abs(found.value(n, "e2") - e4[n]) for n in names}
    evidence = "last training e3 / cell problems |e2 - e4| / homogenization e4: " + listed(
        names, lambda n: f"{e3[n]:.2g} / {cell[n]:.2g} / {e4[n]:.2g}"
    )
    return verdict_of([e3[n] > max(e4[n], cell[n]) for n in names]), evidence


def worse_when_eps_is_small(found, name, *reactions):
    """the classical PINN performs even worse when eps is small"""
    rows = found.study(name, "law", "eps")
    eps = sorted(rows, reverse=True)
    if len(eps) < 2:
        raise Missing(f"{name} law with more than one eps")
    evidence = f"{name}, error predicted / trained / trained, less the mean of its boundary values: " + "; ".join(
        f"eps = 1/{1 / e:g} {rows[e]['classical_predicted']:.4f} / {rows[e]['classical']:.4f} / "
        f"{rows[e]['classical_shape']:.4f}"
        for e in eps
    )
    evidence += ". " + ours(found, "classical", *reactions)
    rising = [rows[a][q] < rows[b][q] for q in ("classical_predicted", "classical_shape") for a, b in pairwise(eps)]
    rising += [first < second for first, second in pairwise(found.each(reactions, "classical").values())]
    return verdict_of(rising), evidence


def eps_does_not_matter(found, *names):
    """small eps has no great impact on the method"""
    evidence, rates = [], []
    for name in names:
        rows = found.study(name, "sweep", "eps")
        eps = sorted(rows, reverse=True)
        if len(eps) < 2:
            raise Missing(f"{name} sweep with more than one eps")
        e1 = [rows[e]["e1"] for e in eps]
        rates.append(np.log(e1[0] / e1[-1]) / np.log(eps[0] / eps[-1]))
        scales = f"from eps = 1/{1 / eps[0]:g} to 1/{1 / eps[-1]:g}"
        evidence.append(f"{name} {e1[0]:.2g} to {e1[-1]:.2g} {scales} (order {rates[-1]:.2f})")
    return verdict_of([rate > 0 for rate in rates]), "e1: " + "; ".join(evidence)


def error_climbs(found, *names):
    """a climb in the error of the classical PINN during its training"""
    best, final = found.least(names, "classical", "classical"), found.each(names, "classical")
    evidence = "least error of the classical PINN on the way (epoch) / at the end: " + listed(
        names, lambda n: f"{best[n][0]:.2g} ({best[n][1]}) / {final[n]:.2g}"
    )
    return verdict_of([best[n][0] < final[n] and not equal(best[n][0], final[n]) for n in names]), evidence


def finite_elements_cost_more(found, problem):
    """finite elements of high order may cost more than networks to solve the cell problems"""
    fem, sharp, adam = (found.of(problem, method)[0] for method in ("fem", "sharp", "adam"))
    seconds, errors = fem["clock"]["cells"], [row["chi1"] for row in fem["cells"]]
    taken = {"sharp": sharp["seconds_by_part"]["cell"], "adam": adam["clock"]["cell"][-1]}
    faster, evidence = [], []
    best, last = min(zip(errors, seconds, strict=True))  # where no mesh reaches an error, it is the nearest
    for recipe, time in taken.items():
        error = found.value(problem, "chi1", recipe)
        least = min((t for t, e in zip(seconds, errors, strict=True) if e <= error), default=last)
        faster.append(least > time)
        theirs = f"for which they take {least:.2g} s" if best <= error else f"their best {best:.1e} in {last:.2g} s"
        evidence.append(f"{recipe} {error:.1e} in {time:.2g} s, {theirs}")
    orders = ", ".join(f"{order}" for order in sorted({row["order"] for row in fem["cells"]}))
    evidence = f"chi1 of {problem}, finite elements of order {orders} and networks: " + "; ".join(evidence)
    return verdict_of(faster), evidence


def e2_shows_correctors(found, *names):
    """e2 close to e4 shows that the cell problems are solved very accurately"""
    gap = {n: abs(found.value(n, "e2") / found.value(n, "e4", "fem") - 1) for n in names}
    corrector = {n: found.value(n, "N" if PROBLEMS[n].reaction else "chi1") for n in names}
    evidence = "|e2 / e4 - 1| / error of the corrector / error of the coefficient: " + listed(
        names, lambda n: f"{gap[n]:.1e} / {corrector[n]:.1e} / {found.value(n, 'e_a'):.1e}"
    )
    return verdict_of([corrector[n] < GREATLY * gap[n] for n in names]), evidence


def energy_estimate(found, *names):
    """the energy norm of the remainder after the first corrector is at most of order eps^(1/2)"""
    rates = {n: found.of(n, "sweep")[0]["rates"].get("h1_corrected") for n in names}
    if alone := [n for n in names if rates[n] is None]:
        raise Missing(f"{alone[0]} sweep with more than one eps")
    evidence = "order in eps of the error of the gradient, first-order reconstruction by networks: "
    return verdict_of([rate > 0.5 * (1 - EQUAL) for rate in rates.values()]), evidence + numbers(rates, ".2f")


CLAIMS = (
    Claim("contribution 1", classical_fails, ALL, "fig01 fig03 fig10 fig15 fig20"),
    Claim("contribution 1, section 5.2.3", transfer_shows, ALL, "fig08 fig13 fig18 fig23"),
    Claim("section 2.2", arithmetic_mean, ("const1d",), "const1d-losses"),
    Claim(OURS, law_holds, ALL, "law-eps"),
    Claim(OURS, three_causes, ALL, "law-bandwidth"),
    Claim(OURS, failure_is_proved, ELLIPTIC, "fig01 fig03 fig10"),
    Claim(OURS, success_is_proved, ELLIPTIC, "fig06 fig12"),
    Claim(OURS, averages_of_losses, ("const1d", "elliptic2d"), "const1d-losses elliptic2d-losses"),
    Claim("introduction", fails_at_random, ALL, "fig01 fig03 fig10"),
    Claim("section 5.4", worse_when_eps_is_small, ("const1d", *REACTIONS), "law-eps fig15 fig20"),
    Claim("contribution 2", better_than_classical, FOUR, "fig06 fig12 fig17 fig22"),
    Claim("contribution 3", oversampling_helps, ("elliptic2d",), "fig04 fig05 layers"),
    Claim("section 4", high_dimension_is_hard, ("const1d", "elliptic2d"), "const1d-layers layers"),
    Claim("section 5.2", oversampling_is_robust, ("elliptic2d",), "robustness"),
    Claim("introduction", few_points, ("elliptic2d",), "fig04 fig05 fig06"),
    Claim("contribution 4", as_accurate_as_printed, FOUR, "fig06 fig12 fig17 fig22"),
    Claim("contribution 5, sections 5.2.1 and 5.4", e2_below_e4, FOUR, "fig06 fig17 fig22"),
    Claim("section 5.3.1", e1_below_e4, ("slow1d",), "fig12"),
    Claim("sections 5.2 to 5.4", error_climbs, REACTIONS, "fig15 fig20"),
    Claim("section 3", energy_estimate, ALL, "eps"),
    Claim("section 5.2.1", finite_elements_cost_more, ("elliptic2d",), "time"),
    Claim("section 5.2.1", e2_shows_correctors, ("elliptic2d", *REACTIONS), "fig04 fig05 fig16 fig21"),
    Claim("section 5.1", e4_is_a_bound, ALL, ""),
    Claim("section 5.2.1", most_error_from_the_last_step, FOUR, "fig06 fig12 fig17 fig22"),
    Claim("section 5.2.2", eps_does_not_matter, ALL, "eps"),
)


# ---------------------------------------------------------------------------------------------------
# The table
# ---------------------------------------------------------------------------------------------------


def gather(results):
    """Results, from those by task."""
    rows = {(row["problem"], row["quantity"], row["recipe"]): row for row in tables.summarize(results, EXPERIMENTS)}
    by_method = {}
    for task, result in results.items():
        small = files.reduced(result, PROBLEMS[task.problem].dim)
        by_method.setdefault((task.problem, task.method), []).append(small)
    return Results(rows, by_method)


def judged(claim, found):
    try:
        return claim.judge(found, *claim.problems)
    except (Missing, LookupError) as missing:  # a result without what the claim needs of it
        return UNKNOWN, f"no result saved for {missing}"


def verdicts(results):
    """(Claim, verdict, evidence) of every claim, from results by task; none where there are no results."""
    found = gather(results)
    return [(claim, *judged(claim, found)) for claim in CLAIMS] if results else []


def markdown(results):
    """CLAIMS.md as text."""
    budgets = ", ".join(sorted({task.budget for task in results}))
    commits = ", ".join(sorted({result.get("commit", "unknown") for result in results.values()}))
    lines = [
        "# What the paper claims, and what came out",
        "",
        "Written by `python -m lab.published`; every number and every verdict comes from saved results "
        f"({len(results)} tasks, budget {budgets}, commit {commits}). Errors are relative, in the discrete L2 norm, "
        f"means over seeds. Two of them count as equal if they differ by less than {EQUAL:.0%}, and one as greatly "
        f"better from a factor of {GREATLY} on. e1 to e4, chi1, chi2 and N are named as in the paper.",
        "",
        f'A claim whose place is "{OURS}" is not of the paper: it says what holds in the place of one that does not, '
        "or what is proved besides. Below each, the command that measures it, and the pictures of it in `results/`.",
        "",
    ]
    listing = list(enumerate(verdicts(results), 1))
    rows = [[str(i), claim.judge.__doc__, claim.place, f"**{verdict}**"] for i, (claim, verdict, _) in listing]
    lines += tables.markdown_table(["", "claim", "place", "verdict"], rows)
    for i, (claim, verdict, evidence) in listing:
        figures = ", ".join(f"`figures/{name}.svg`" for name in claim.figures.split())
        lines += ["", f"**{i}. {claim.judge.__doc__}** ({claim.place}): {verdict}.", ""]
        command = RUN + ("" if claim.problems == ALL else f" --only {' '.join(claim.problems)}")
        lines += [f"{evidence}.", "", f"`{command}`" + f"; {figures}" * bool(figures)]
    return "\n".join(lines) + "\n"
