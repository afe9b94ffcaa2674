"""What the paper claims, and what came out: CLAIMS.md from saved results, written by published.py.

A claim is a sentence of the paper and a function that judges it: from the numbers of the results to a verdict
and the evidence for it, a table and a note.  No number is typed in but the paper's own, and no verdict without
conditions on numbers, so that other results give another table; the note names the conditions that do not hold, and
where a result is missing, the verdict says so.
"""

from collections.abc import Callable
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from lab import files, tables
from lab.panels import Missing, in_words
from lab.settings import BUDGETS
from problems import EXPERIMENTS, PROBLEMS

REPRODUCED, PARTLY, NOT = "reproduced", "partly", "not reproduced"
HOLDS, FAILS = "holds", "does not hold"  # the same of what is ours
ARTEFACT, NO_PROOF = "an artefact of the reference", "does not follow"
UNDECIDED, UNKNOWN = "not decided", "not measured"
ENERGY = "relative error in the energy norm"
OURS = "ours"  # the place of what the paper does not claim
RUN = "python run_all.py --budget paper --seeds 3 --studies"
EQUAL = 0.1  # the relative difference below which two errors count as equal, and a spread as none
GREATLY = 3  # the factor between two errors from which one is greatly better, see `markdown`
FAILED, SOLVED = 0.5, 0.1  # an error above the first is a failure, one below the second is none
ACCURATE = 0.01  # an error below is very accurate
BROKEN = (
    "The classical trainings of the reactions break down: those of reaction10 end by chance, those of reaction50 from "
    "random parameters at u = 0 (docs/not-reproduced.md)"
)
SWEPT = "One seed, by the recipe sharp; the two reactions differ in eps alone, so that one stands for both"
ALL = tuple(PROBLEMS)
ELLIPTIC = ("const1d", "elliptic2d", "slow1d")
REACTIONS = ("reaction10", "reaction50")
FOUR = ("elliptic2d", "slow1d", *REACTIONS)  # the problems of section 5
OTHER_EPS = (*ELLIPTIC, "reaction10")  # the problems that differ in more than eps


class Least(NamedTuple):
    """Where the error of a training was least, in its best seed, see files.reduced."""

    error: float
    epoch: int
    loss: float
    final_loss: float


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
        """The least error on the way of a training, of its best seed: {problem: Least}."""
        return {p: Least(*min(result["least"][quantity] for result in self.of(p, method))) for p in problems}

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
    """A claim, which is the docstring of its judge.

    judge(Results, *problems) -> held, columns, *notes: held is {case: whether it holds} or a verdict that follows from
    no cases, columns is {head: {row: value}}, notes are sentences without their periods, "" or None for none.
    """

    place: str  # in the paper; OURS: what holds in the place of a claim, or besides
    judge: Callable
    problems: tuple
    figures: str  # names of pictures that run_all.py draws


def equal(a, b):
    return abs(a / b - 1) < EQUAL


def verdict_of(held, ours):
    """The verdict from the conditions of a claim, one for each case."""
    every, none = (HOLDS, FAILS) if ours else (REPRODUCED, NOT)
    return every if all(held.values()) else PARTLY if any(held.values()) else none


def failing(held):
    """The cases that do not hold, as text."""
    return ", ".join(case for case, holds in held.items() if not holds)


def paper(problem, quantity):
    return EXPERIMENTS[problem].paper[quantity]


def beside_paper(found, names, *quantities):
    """Two columns for each quantity: ours, and what the paper prints, where it does."""
    columns = {}
    for quantity in quantities:
        printed = {name: EXPERIMENTS[name].paper.get(quantity) for name in names}
        columns[quantity] = found.each(names, quantity)
        columns[f"{quantity}, paper"] = {name: value for name, value in printed.items() if value}
    return columns


def columns_of(heads, lines):
    """Columns from lines, {row: a value for each head}."""
    return {head: {row: line[i] for row, line in lines.items()} for i, head in enumerate(heads)}


def on_the_way(least):
    """Columns with the least error on the way of trainings."""
    return {
        "least error after a fifth of the epochs, best seed": {name: best.error for name, best in least.items()},
        "its epoch": {name: f"{best.epoch}" for name, best in least.items()},
    }


def evidence_table(columns):
    """The columns of a claim as a Table without a title."""
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    lines = [[row, *(shown(column.get(row, "")) for column in columns.values())] for row in rows]
    return tables.Table("", ["", *columns], lines)


def shown(value):
    """A number as text: four decimals, below 0.1 three digits."""
    if isinstance(value, str | int):
        return str(value)
    return f"{value:.3g}" if abs(value) < 0.1 or abs(value) >= 10 else f"{value:.4f}"


# --- Judges ----------------------------------------------------------------------------------------


def classical_fails(found, *names):
    """the accuracy of PINN degenerates on multiscale equations"""
    final, least = found.each(names, "classical"), found.least(names, "classical", "classical")
    held = {f"{n} ({least[n].error:.3g} on the way)": final[n] > FAILED and least[n].error > SOLVED for n in names}
    return held, beside_paper(found, names, "classical") | on_the_way(least), BROKEN


def fails_at_random(found, *names):
    """the error of the classical PINN varies from run to run"""
    columns = {}
    for quantity in ("classical", "transfer"):
        rows = {name: found.row(name, quantity) for name in names}
        spread = {name: row["std"] / row["value"] for name, row in rows.items() if row["std"] is not None}
        if not spread:
            raise Missing(f"{quantity} with more than one seed")
        columns[f"{quantity}: deviation over seeds / mean"] = spread
    held = {name: spread > EQUAL for name, spread in columns["classical: deviation over seeds / mean"].items()}
    return held, columns, f"A deviation of the classical PINN counts from {EQUAL:.0%} of the mean on", BROKEN


def transfer_shows(found, *names):
    """transfer learning explains why: the loss is at fault, not the optimizer"""
    transfer, law = found.each(names, "transfer"), found.each(names, "classical_predicted_points", "fem")
    least, rows = found.least(names, "adam", "transfer"), found.of("elliptic2d", "law")[0]["resolution"]
    finest = max(rows, key=itemgetter("elements a period"))
    columns = {"error at the end, started from NH-PINN": transfer, "predicted, loss at the training points": law}
    columns |= on_the_way(least) | {
        "loss there": {name: least[name].loss for name in names},
        "loss at the end, that seed": {name: least[name].final_loss for name in names},
    }
    held = {f"{n} ({law[n]:.3g} predicted, {transfer[n]:.3g} found)": equal(transfer[n], law[n]) for n in names}
    lower = {n: best for n, best in least.items() if best.error < SOLVED and best.loss < best.final_loss}
    held |= {f"{n} (at error {best.error:.3g} the loss is lower than at the end)": False for n, best in lower.items()}
    oscillating = f"functions that oscillate (elliptic2d, {finest['error']:.2g})"
    held[oscillating] = law["elliptic2d"] < GREATLY * finest["error"]
    note = (
        f"The same loss at the same points has its minimiser over such functions, splines with "
        f"{finest['elements a period']:g} elements a period, at that error"
    )
    return held, columns, note, BROKEN


def arithmetic_mean(found, name):
    """it fails as coarse finite elements do: what a smooth network sees is the arithmetic mean"""
    mesh, losses = found.of(name, "fem")[0]["coarse_mesh"], found.study(name, "losses", "loss", minimiser="Adam")
    classical, law = found.value(name, "classical"), found.value(name, "classical_predicted", "fem")
    energy = losses["energy"]["predicted"]
    errors = {
        "classical PINN": classical,
        "predicted: smooth function of least loss, averaged over a period": law,
        "predicted: the energy in the place of the loss, which is the arithmetic mean": energy,
        "trained on the energy": losses["energy"]["trained"],
    }
    note = (
        f"In the example of section 2.2 the solution by coarse elements is {mesh['ratio']:.3f} times the true one; "
        f"the harmonic mean over the arithmetic one is 8/17 = {8 / 17:.3f}"
    )
    case = f"{name} (an error of {classical:.3g}, by the arithmetic mean {energy:.3g})"
    return {case: equal(classical, energy) and not equal(classical, law)}, {f"error, {name}": errors}, note


def law_holds(found, *names):
    """the classical PINN learns the smooth function for which its loss, averaged over a period, is least"""
    law, least = found.each(names, "classical_predicted", "fem"), found.least(names, "classical", "classical")
    apart = {name: distance(found, name) for name in names}
    columns = {
        "predicted, loss averaged": law,
        "error trained": found.each(names, "classical"),
        "error, paper": {name: paper(name, "classical") for name in names},
        "distance of the two functions / predicted one": apart,
    }
    left = [n for n in names if least[n].error < law[n] and not equal(least[n].error, law[n])]
    held = {f"{n} (distance {apart[n]:.3g})": apart[n] < EQUAL and n not in left for n in names}
    note = f"Better than predicted on the way: {', '.join(left)}" * bool(left)
    return held, columns | on_the_way(least), note, BROKEN


def distance(found, name):
    """|trained - predicted| / |predicted| of the classical PINN on the test grid: a sharper test than errors near 1."""
    predicted = np.array(found.of(name, "law")[0]["fields"]["solution"])
    trained = [np.array(result["fields"]["solution"]) for result in found.of(name, "classical")]
    return np.mean([np.linalg.norm(u - predicted) for u in trained]) / np.linalg.norm(predicted)


def three_causes(found, *names):
    """the loss misleads smooth functions alone; for functions that oscillate, the training points are too few"""
    held, lines = {}, {}
    for name in names:
        rows = [row for result in found.of(name, "law") for row in result["bandwidth"]]
        enough, few = ([row for row in rows if (row["points"] == "enough") == kind] for kind in (True, False))
        law, smooth = found.value(name, "classical_predicted", "fem"), min(enough, key=itemgetter("bandwidth"))
        best, least = min(enough, key=itemgetter("error")), min(few, key=itemgetter("loss"))
        held[f"{name} ({smooth['error']:.3g} by smooth functions)"] = equal(smooth["error"], law)
        solved = held[f"{name} ({best['error']:.3g} at enough points)"] = best["error"] < SOLVED
        if solved:
            held[f"{name} ({least['error']:.3g} at the training points)"] = least["error"] > FAILED
        lines[name] = law, smooth["error"], best["error"], best["bandwidth"], least["error"], least["loss"]
    heads = (
        "predicted, loss averaged",
        "error of smooth functions",
        "least error, enough points",
        "its s",
        "error of the function of least loss, training points",
        "its loss",
    )
    note = (
        "Errors of exact minimisers of the classical PINN's loss, without training, among functions of bandwidth s: "
        "the larger s, the faster they may oscillate"
    )
    few = "Where the least error at enough points is large, these functions are too few to tell what the points do"
    return held, columns_of(heads, lines), note, few


def failure_is_proved(found, *names):
    """the failure of the classical PINN, proved without a fine solution"""
    lower, upper = (found.each(names, f"classical_certified_{end}") for end in ("lower", "upper"))
    held = {name: bound > FAILED for name, bound in lower.items()}
    return held, {f"classical PINN: {ENERGY}, at least": lower, "at most": upper}


def success_is_proved(found, *names):
    """the accuracy of NH-PINN, proved without a fine solution"""
    adam, sharp = (found.each(names, "certified", recipe) for recipe in ("adam", "sharp"))
    lower = found.each(names, "classical_certified_lower")
    columns = {
        ENERGY + " of u_0 + eps chi_j d_j u_0, at most; adam": adam,
        "the same, sharp": sharp,
        "of the classical PINN, at least": lower,
    }
    bars = {"adam": adam, "sharp": sharp}
    held = {f"{n} by {recipe}": bar[n] * GREATLY < lower[n] for recipe, bar in bars.items() for n in names}
    return held, columns, "A bound counts where the classical PINN's error is proved to be greatly larger"


def averages_of_losses(found, *names):
    """the strong form, the energy and the first-order system learn three different averages"""
    means = {
        f"{name} ({loss})": row
        for name in names
        for loss, row in found.study(name, "losses", "loss", minimiser="Adam").items()
    }
    heads = {"predicted": "error predicted", "trained": "error trained"}
    heads |= {"from_predicted": "distance of the two functions / predicted one"}
    held = {f"{n}: distance {row['from_predicted']:.3g}": row["from_predicted"] < EQUAL for n, row in means.items()}
    note = f"One seed; a training has learned the average if the distance of the functions is below {EQUAL:.0%}"
    return held, {head: {n: row[key] for n, row in means.items()} for key, head in heads.items()}, note


def gains(found, names):
    return {name: found.value(name, "classical") / found.value(name, "e1") for name in names}


def better_than_classical(found, *names):
    """NH-PINN greatly improves on the classical PINN"""
    ratio, least = gains(found, names), found.least(names, "classical", "classical")
    columns = beside_paper(found, names, "classical", "e1") | {"classical / e1": ratio}
    ahead = [name for name in names if least[name].error < found.value(name, "e1")]
    note = f"On the way, before its end, the best seed of the classical PINN has an error below e1: {', '.join(ahead)}"
    return {n: factor > GREATLY for n, factor in ratio.items()}, columns, note * bool(ahead), BROKEN


def as_accurate_as_printed(found, *names):
    """the predictions are very accurate, the smaller eps the further ahead of the classical PINN"""
    held = {f"{q} of {n}": found.value(n, q) <= paper(n, q) for q in ("e3", "e1") for n in names}
    first, second = (gain := gains(found, REACTIONS)).values()
    columns = beside_paper(found, names, "e3", "e1") | {"classical / e1": gain}
    wrong = ", ".join(n for n in names if paper(n, "e1") < found.value(n, "e4", "fem"))
    note = f"The printed e1 of {wrong} is below the converged e4, so that its fine solution is another"
    held["the growth of classical / e1 as eps falls"] = first < second
    meant = "Very accurate is no less so than printed; classical / e1 is of the problems that differ in eps alone"
    return held, columns, meant, note * bool(wrong), BROKEN


def oversampling_helps(found, name):
    """oversampling greatly improves periodic problems in more than one dimension"""
    correctors = ("chi1", "chi2")
    columns = {}
    for head, suffix in (("with oversampling", ""), ("without", "_plain")):
        columns[head] = {q: found.value(name, q + suffix) for q in correctors}
        columns[f"{head}, paper"] = {q: paper(name, q + suffix) for q in correctors}
    gain = columns["ratio"] = {q: columns["without"][q] / columns["with oversampling"][q] for q in correctors}
    note = "Error of chi1 by what asks for periodicity, one seed, all with the weights of the run with oversampling: "
    note += "; ".join(f"{in_words(w)} {error:.2g}" for w, error in by_periodicity(found, name).items())
    note += (
        ". Equal values on opposite faces leave the slopes across them free to differ. A layer of oversampling asks "
        "for equal slopes, too, weighted by the distance h of the points; with periodic inputs, sines and cosines, the "
        "network is periodic by itself"
    )
    held = {q: factor > GREATLY for q, factor in gain.items()}
    return held, columns, note * bool(by_periodicity(found, name))


def by_periodicity(found, name):
    """Errors of chi1 in the study `layers`; nothing where there is none."""
    study = found.study(name, "layers", "periodicity") if (name, "layers") in found.results else {}
    return {way: row["chi1"] for way, row in study.items()}


def oversampling_is_robust(found, name):
    """with oversampling the error is robust to learning rate and weights"""
    rows = [row for result in found.of(name, "robustness") for row in result["study"]]
    errors = {kind: [r["chi1"] for r in rows if bool(r["layers"]) == kind] for kind in (True, False)}
    words = {True: "with oversampling", False: "without"}
    made = {"settings": len, "chi1, least": min, "median": np.median, "largest": max}
    made["spread: largest / least"] = lambda errors: max(errors) / min(errors)
    columns = {head: {words[kind]: make(e) for kind, e in errors.items()} for head, make in made.items()}
    with_it, without = columns["spread: largest / least"].values()
    held = {f"a spread below {GREATLY} ({with_it:.3g})": with_it < GREATLY}
    held[f"a spread below that without oversampling ({without:.3g})"] = with_it < without
    lower = "Yet oversampling lowers the median" if np.less(*columns["median"].values()) else ""
    note = "One seed and a quarter of the epochs in each"
    if (best := min(errors[True])) > GREATLY * (trained := found.value(name, "chi1")):
        note += f", too few to tell: the best comes to {best:.2g}, while all epochs bring chi1 to {trained:.2g}"
        return UNDECIDED, columns, note
    return held, columns, lower, note


def few_points(found, name):
    """a few training points are enough, around 400"""
    quantities = ("chi1", "chi2", "e3")
    cell, solution = (getattr(EXPERIMENTS[name], part)["points"] ** 2 for part in ("cell", "homogenized"))
    ours, printed = {q: found.value(name, q) for q in quantities}, {q: paper(name, q) for q in quantities}
    note = (
        f"{cell} points a cell problem, {solution} for the homogenized equation, are enough if as accurate as printed"
    )
    features = by_periodicity(found, name).get("features")
    built_in = features and f"With the period built in, the same points give chi1 {features:.2g}"
    return {q: ours[q] <= printed[q] for q in quantities}, {name: ours, "paper": printed}, note, built_in


def high_dimension_is_hard(found, *names):
    """periodic problems are easy in one dimension and hard in more"""
    errors = {name: found.study(name, "layers", "periodicity")["0 layers"]["chi1"] for name in names}
    line, square = errors.values()
    note = "In one dimension the equation makes the slope periodic once the values are; in two it does not"
    columns = {"error of chi1 without oversampling, other settings unchanged, one seed": errors}
    return {" and ".join(names): square > GREATLY * line}, columns, note


def e2_below_e4(found, *names):
    """e2 < e4: homogenization by networks is more accurate than by finite elements"""
    names = [name for name in names if paper(name, "e2") < paper(name, "e4")]
    e4 = found.each(names, "e4", "fem")
    claimed = {n: 1 - paper(n, "e2") / paper(n, "e4") for n in names}
    wrong = {n: paper(n, "e4") / e4[n] - 1 for n in names}
    mine = {n: found.value(n, "e2") / e4[n] - 1 for n in names}
    columns = {
        "paper: e2 below e4 by": {n: f"{value:.2%}" for n, value in claimed.items()},
        "paper: e4 off the converged one by": {n: f"{value:+.0%}" for n, value in wrong.items()},
        "ours: e2 off the converged e4 by": {n: f"{value:+.2%}" for n, value in mine.items()},
    }
    if all(abs(wrong[n]) > 10 * claimed[n] for n in names):
        return ARTEFACT, columns, "The paper's e4 is off by more than ten times what it finds e2 to be below it"
    return {n: difference < 0 for n, difference in mine.items()}, columns


def e1_below_e4(found, name):
    """e1 < e4: the error of NH-PINN is below that of finite elements"""
    converged, e1, e3 = found.value(name, "e4", "fem"), found.value(name, "e1"), found.value(name, "e3")
    printed = paper(name, "e1")
    columns = {
        f"{name}, ours": {"e1": f"{e1:.6f}", "e4 (ours converged)": f"{converged:.6f}", "e3": e3},
        "paper": {"e1": f"{printed:.6f}", "e4 (ours converged)": f"{paper(name, 'e4'):.6f}", "e3": paper(name, "e3")},
    }
    differ = ", ".join(f"{result['quantities']['e1'] / converged - 1:+.2%}" for result in found.of(name, "adam"))
    note = f"Ours differ from the converged e4 by {differ}, seed by seed"
    if converged < printed:
        return ARTEFACT, columns, "The paper's e1 is below its own e4, but above the converged one", note
    return {name: e1 < converged and not equal(e1, converged)}, columns, note


def e4_is_a_bound(found, *names):
    """e4 is a theoretical lower bound of e1"""
    e4, corrected = found.each(names, "e4", "fem"), found.each(names, "e1_corrected", "fem")
    e1 = found.each(names, "e1")
    columns = {"e4": e4, "e1": e1, "e4 with the first corrector": corrected}
    better = ", ".join(n for n in names if corrected[n] < e4[n])
    note = f"A bound for u_0 alone at most: with the first corrector, eq. (5), the error is below e4 ({better})"
    return {f"{n} (e1 {e1[n] / e4[n] - 1:+.2%})": e1[n] >= e4[n] for n in names}, columns, note * bool(better)


def most_error_from_the_last_step(found, *names):
    """most of the error comes from solving the homogenized equation"""
    e3, e4 = found.each(names, "e3"), found.each(names, "e4", "fem")
    cell = {n: abs(found.value(n, "e2") - e4[n]) for n in names}
    columns = {"last training, e3": e3, "cell problems, size of e2 - e4": cell, "homogenization, e4": e4}
    return {n: e3[n] > max(e4[n], cell[n]) for n in names}, columns, "Most: more than each of the other two"


def worse_when_eps_is_small(found, *names):
    """the classical PINN performs even worse when eps is small"""
    heads = {
        "classical_predicted": "predicted, loss averaged",
        "classical": "error trained",
        "classical_shape": "the same, the mean of its boundary values subtracted",
    }
    columns, held = {head: {} for head in heads.values()}, {}
    for name in (name for name in names if not PROBLEMS[name].reaction):
        rows = found.study(name, "law", "eps")
        if len(eps := sorted(rows, reverse=True)) < 2:
            raise Missing(f"{name} law with more than one eps")
        for key, head in heads.items():
            columns[head] |= {f"{name}, eps = 1/{1 / e:g}": rows[e][key] for e in eps}
            falls = [f"1/{1 / b:g}" for a, b in pairwise(eps) if rows[b][key] <= rows[a][key]]
            held[f"{name}: {head} (no rise to eps = {', '.join(falls)})"] = not falls
    errors = found.each([name for name in names if PROBLEMS[name].reaction], "classical")
    columns["error trained"] |= {f"{n}, eps = 1/{1 / PROBLEMS[n].eps:g}": error for n, error in errors.items()}
    held[" and ".join(errors)] = all(first < second for first, second in pairwise(errors.values()))
    mean = "The mean of the boundary values should be 0; a training gets there the more slowly the smaller eps is"
    return held, columns, "Elliptic problems: one seed", mean, BROKEN


def eps_does_not_matter(found, *names):
    """small eps has no great impact on the method"""
    lines, held = {}, {}
    for name in names:
        rows = found.study(name, "sweep", "eps")
        if len(rows) < 2:
            raise Missing(f"{name} sweep with more than one eps")
        large, small = max(rows), min(rows)
        errors = rows[large]["e1"], rows[small]["e1"]
        rate = np.log(errors[0] / errors[1]) / np.log(large / small)
        held[name] = rate > 0
        lines[name] = f"1/{1 / large:g}", errors[0], f"1/{1 / small:g}", errors[1], f"{rate:.2f}"
    return held, columns_of(("from eps", "e1, sharp", "to eps", "e1 there, sharp", "order"), lines), SWEPT


def error_climbs(found, *names):
    """a climb in the error of the classical PINN during its training"""
    climbs = {  # by seed
        n: [r["quantities"]["classical"] / r["least"]["classical"][0] for r in found.of(n, "classical")] for n in names
    }
    columns = on_the_way(found.least(names, "classical", "classical"))
    columns |= {"error at the end": found.each(names, "classical")}
    columns["end / least, by seed"] = {n: ", ".join(f"{ratio:.4g}" for ratio in climbs[n]) for n in names}
    count = {n: sum(ratio > 1 + EQUAL for ratio in climbs[n]) for n in names}
    held = {f"{n} ({count[n]} of {len(climbs[n])} seeds)": count[n] == len(climbs[n]) for n in names}
    return held, columns, f"A climb counts from {EQUAL:.0%} on; the paper does not say how large its own are", BROKEN


def finite_elements_cost_more(found, problem):
    """finite elements of high order may cost more than networks to solve the cell problems"""
    fem, sharp, adam = (found.of(problem, method)[0] for method in ("fem", "sharp", "adam"))
    levels = sorted((row["chi1"], time) for row, time in zip(fem["cells"], fem["clock"]["cells"], strict=True))
    held, lines = {}, {}
    for recipe, seconds in (("sharp", sharp["seconds_by_part"]["cell"]), ("adam", adam["clock"]["cell"][-1])):
        error = found.value(problem, "chi1", recipe)
        reached = [level for level in levels if level[0] <= error] or levels[:1]  # where none does, the nearest
        best = min(reached, key=itemgetter(1))
        held[f"networks by {recipe} ({seconds:.3g} s, elements {best[1]:.2g} s)"] = best[1] > seconds
        lines[f"networks by {recipe}"] = error, seconds, *best
    heads = (
        f"error of chi1, {problem}",
        "seconds by the clock",
        "elements: an error as small, or their least",
        "seconds of elements",
    )
    orders = ", ".join(f"{order}" for order in sorted({row["order"] for row in fem["cells"]}))
    return held, columns_of(heads, lines), f"Finite elements of order {orders}; one seed, other tasks at work beside it"


def e2_shows_correctors(found, *names):
    """e2 close to e4 shows that the cell problems are solved very accurately"""
    gap = {n: abs(found.value(n, "e2") / found.value(n, "e4", "fem") - 1) for n in names}
    corrector = {n: found.value(n, "N" if PROBLEMS[n].reaction else "chi1") for n in names}
    columns = {
        "size of e2 / e4 - 1": gap,
        "error of the corrector": corrector,
        "of the coefficient": found.each(names, "e_a"),
    }
    held = {n: gap[n] < EQUAL and corrector[n] < ACCURATE for n in names}
    if max(gap.values()) >= EQUAL or all(held.values()):
        return held, columns
    note = f"e2 is within {EQUAL:.0%} of e4 also where the corrector errs by more than {ACCURATE:g}: {failing(held)}"
    return NO_PROOF, columns, note, "e2 sees means of the correctors over the cell alone, in which errors can cancel"


def energy_estimate(found, *names):
    """the energy norm of the remainder after the first corrector is at most of order eps^(1/2)"""
    rates = {n: found.of(n, "sweep")[0]["rates"].get("h1_corrected") for n in names}
    if alone := [n for n in names if rates[n] is None]:
        raise Missing(f"{alone[0]} sweep with more than one eps")
    columns = {"order in eps of the error of its gradient": {n: f"{rate:.2f}" for n, rate in rates.items()}}
    return {n: rate > 0.5 * (1 - EQUAL) for n, rate in rates.items()}, columns, SWEPT


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
    Claim("section 5.4", worse_when_eps_is_small, ALL, "law-eps fig15 fig20"),
    Claim("contribution 2", better_than_classical, FOUR, "fig06 fig12 fig17 fig22"),
    Claim("contribution 3", oversampling_helps, ("elliptic2d",), "fig04 fig05 layers"),
    Claim("section 4", high_dimension_is_hard, ("const1d", "elliptic2d"), "const1d-layers layers"),
    Claim("section 5.2", oversampling_is_robust, ("elliptic2d",), "robustness"),
    Claim("introduction", few_points, ("elliptic2d",), "fig04 fig05 fig06"),
    Claim("contribution 4", as_accurate_as_printed, FOUR, "fig06 fig12 fig17 fig22"),
    Claim("contribution 5, sections 5.2.1 and 5.4", e2_below_e4, FOUR, "fig06 fig17 fig22"),
    Claim("section 5.3.1", e1_below_e4, ("slow1d",), "fig12"),
    Claim("Figs. 10, 15 and 20", error_climbs, ("slow1d", *REACTIONS), "fig10 fig15 fig20"),
    Claim("section 3", energy_estimate, OTHER_EPS, "eps"),
    Claim("section 5.2.1", finite_elements_cost_more, ("elliptic2d",), "time"),
    Claim("section 5.2.1", e2_shows_correctors, ("elliptic2d", *REACTIONS), "fig04 fig05 fig16 fig21"),
    Claim("section 5.1", e4_is_a_bound, ALL, ""),
    Claim("sections 5.2.1 and 5.4.1", most_error_from_the_last_step, FOUR, "fig06 fig12 fig17 fig22"),
    Claim("section 5.2.2", eps_does_not_matter, OTHER_EPS, "eps"),
)


# --- The table -------------------------------------------------------------------------------------


def gather(results):
    """Results, from those by task."""
    rows = {(row["problem"], row["quantity"], row["recipe"]): row for row in tables.summarize(results, EXPERIMENTS)}
    by_method = {}
    for task, result in results.items():
        small = files.reduced(result, PROBLEMS[task.problem].dim)
        by_method.setdefault((task.problem, task.method), []).append(small)
    return Results(rows, by_method)


def judged(claim, found):
    """Verdict, columns and note of a claim."""
    try:
        held, columns, *notes = claim.judge(found, *claim.problems)
    except (Missing, LookupError) as missing:  # a result without what the claim needs of it
        return UNKNOWN, {}, f"No result saved for {missing}"
    if isinstance(held, str):
        return held, columns, ". ".join(filter(None, notes))
    failed = not all(held.values()) and f"It does not hold for {failing(held)}"
    return verdict_of(held, claim.place == OURS), columns, ". ".join(filter(None, [failed, *notes]))


def verdicts(results):
    """(Claim, verdict, columns, note) of every claim, from results by task.

    None from trainings of a part of the paper's epochs, which say nothing, nor where there are no results.
    """
    found = gather({task: result for task, result in results.items() if BUDGETS[task.budget].epochs == 1})
    return [(claim, *judged(claim, found)) for claim in CLAIMS] if found.results else []


def markdown(results):
    """CLAIMS.md as text."""
    budgets = ", ".join(sorted({task.budget for task in results}))
    commits = ", ".join(sorted({result.get("commit", "unknown") for result in results.values()}))
    lines = [
        "# What the paper claims, and what came out",
        "",
        "Written by `python -m lab.published`; every number and every verdict comes from saved results "
        f"({len(results)} tasks, one for each method, problem and seed; budget {budgets}, commit {commits}). "
        "Errors are relative, in the discrete L2 norm, means over seeds, but for columns of the best seed; these "
        "leave out the first fifth of the epochs, in which an error may be small by chance. Two errors count as equal "
        f"if they differ by less than {EQUAL:.0%}, one as greatly better from a factor of {GREATLY} on (the paper "
        f"calls a gain of 3.7 great), above {FAILED:g} as a failure, below {SOLVED:g} as a solution. "
        "[docs/method.md](docs/method.md) explains the errors e1 to e4, the correctors chi1, chi2 and N, "
        "and the recipes adam and sharp, [docs/why-pinns-fail.md](docs/why-pinns-fail.md) how errors are predicted.",
        "",
        "A verdict follows from conditions, one for each case: all hold, some (*partly*) or none; those that do not "
        f"are named below the numbers; *{UNDECIDED}*: the trainings were too short to tell. "
        f'A claim whose place is "{OURS}" is not of the paper: it says what holds in the '
        "place of one that does not, or what is proved besides. Below each, the command that measures it, and the "
        "pictures of it in `results/`.",
        "",
    ]
    listing = list(enumerate(verdicts(results), 1))
    rows = [[str(i), claim.judge.__doc__, claim.place, f"**{verdict}**"] for i, (claim, verdict, *_) in listing]
    lines += tables.markdown_table(["", "claim", "place", "verdict"], rows)
    for i, (claim, verdict, columns, note) in listing:
        figures = ", ".join(f"`figures/{name}.svg`" for name in claim.figures.split())
        lines += ["", f"**{i}. {claim.judge.__doc__}** ({claim.place}): {verdict}.", ""]
        if columns:
            lines += [*tables.markdown_table(*evidence_table(columns)[1:3]), ""]
        lines += [f"{note}.", ""] if note else []
        command = RUN + ("" if claim.problems == ALL else f" --only {' '.join(claim.problems)}")
        lines.append(f"`{command}`" + f"; {figures}" * bool(figures))
    return "\n".join(lines) + "\n"
