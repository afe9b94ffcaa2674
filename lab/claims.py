"""What the paper claims, and what came out: CLAIMS.md from saved results, written by published.py.

A claim is a sentence of the paper and a function that judges it: from the numbers of the results to a verdict
and the evidence for it, a table and a note.  No number is typed in but the paper's own, and no verdict without a
condition on numbers, so that other results give another table; where a result is missing, the verdict says so.
"""

from collections.abc import Callable
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from lab import files, tables
from lab.panels import Missing, in_words
from problems import EXPERIMENTS, PROBLEMS

REPRODUCED, PARTLY, NOT = "reproduced", "partly", "not reproduced"
ARTEFACT, UNKNOWN = "an artefact of the reference", "not measured"
ENERGY = "relative error in the energy norm"
OURS = "ours"  # the place of what the paper does not claim
RUN = "python run_all.py --budget paper --seeds 3 --studies"
EQUAL = 0.1  # the relative difference below which two errors count as equal, and a spread as none
GREATLY = 3  # the factor between two errors from which one is greatly better; the paper's oversampling gains 3.7 to 4.6
ALL = tuple(PROBLEMS)
ELLIPTIC = ("const1d", "elliptic2d", "slow1d")
REACTIONS = ("reaction10", "reaction50")
FOUR = ("elliptic2d", "slow1d", *REACTIONS)  # the problems of section 5


class Least(NamedTuple):
    """Where the error of a training was least, see files.reduced."""

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
        """The least error on the way of a training: {problem: Least}."""
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
    place: str  # in the paper; OURS: what holds in the place of a claim, or besides
    judge: Callable  # Results, *problems -> verdict, columns {head: {row: value}}, note; its docstring is the claim
    problems: tuple
    figures: str  # names of pictures that run_all.py draws


def equal(a, b):
    return abs(a / b - 1) < EQUAL


def verdict_of(held):
    """The verdict from the conditions of a claim, one for each case."""
    return REPRODUCED if all(held) else PARTLY if any(held) else NOT


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
        "least error on the way": {name: best.error for name, best in least.items()},
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
    solved = [name for name in names if least[name].error < 0.1]
    note = f"With the paper's own settings {', '.join(solved)} is solved on the way, before its training breaks down"
    columns = beside_paper(found, names, "classical") | on_the_way(least)
    held = [final[name] > 0.5 and name not in solved for name in names]
    return verdict_of(held), columns, note if solved else ""


def fails_at_random(found, *names):
    """the error of the classical PINN varies from run to run"""
    columns = {}
    for quantity in ("classical", "transfer"):
        rows = {name: found.row(name, quantity) for name in names}
        spread = {name: row["std"] / row["value"] for name, row in rows.items() if row["std"] is not None}
        if not spread:
            raise Missing(f"{quantity} with more than one seed")
        columns[f"{quantity}: deviation over seeds / mean"] = spread
    return verdict_of([each > EQUAL for spread in columns.values() for each in spread.values()]), columns, ""


def transfer_shows(found, *names):
    """transfer learning explains why: the loss is at fault, not the optimizer"""
    transfer, law = found.each(names, "transfer"), found.each(names, "classical_predicted_points", "fem")
    least, finest = found.least(names, "adam", "transfer"), found.of("elliptic2d", "law")[0]["resolution"][-1]
    columns = {"started from NH-PINN": transfer, "smooth function of least loss": law}
    columns |= on_the_way(least) | {
        "loss there": {name: least[name].loss for name in names},
        "loss at the end": {name: least[name].final_loss for name in names},
    }
    note = (
        f"The same loss at the same points, over splines with {finest['elements a period']:g} elements a period "
        f"(elliptic2d), has its minimiser at error {finest['error']:.2g}"
    )
    ends_there = [equal(transfer[name], law[name]) for name in names]
    if any(ends_there) and finest["error"] * GREATLY < law["elliptic2d"]:
        return (
            PARTLY,
            columns,
            note + ": the loss misleads functions that do not oscillate with the coefficient, and only these",
        )
    return verdict_of(ends_there), columns, note


def arithmetic_mean(found, name):
    """it fails as coarse finite elements do: what a smooth network sees is the arithmetic mean"""
    mesh, losses = found.of(name, "fem")[0]["coarse_mesh"], found.study(name, "losses", "loss", minimiser="Adam")
    classical, law = found.value(name, "classical"), found.value(name, "classical_predicted", "fem")
    errors = {
        "classical PINN": classical,
        "predicted: smooth function of least loss, averaged over a period": law,
        "predicted: the energy in the place of the loss, which is the arithmetic mean": losses["energy"]["predicted"],
        "trained on the energy": losses["energy"]["trained"],
    }
    note = (
        f"In the example of section 2.2 the solution by coarse elements is {mesh['ratio']:.3f} times the true one; "
        f"the harmonic mean over the arithmetic one is 8/17 = {8 / 17:.3f}"
    )
    held = equal(classical, losses["energy"]["predicted"]) and not equal(classical, law)
    return REPRODUCED if held else NOT, {f"error, {name}": errors}, note


def law_holds(found, *names):
    """the classical PINN learns the smooth function for which its loss, averaged over a period, is least"""
    law, least = found.each(names, "classical_predicted", "fem"), found.least(names, "classical", "classical")
    apart = {name: distance(found, name) for name in names}
    columns = {
        "predicted": law,
        "predicted at its points": found.each(names, "classical_predicted_points", "fem"),
        "trained": found.each(names, "classical"),
        "paper": {name: paper(name, "classical") for name in names},
        "distance, trained to predicted": apart,
    }
    left = [n for n in names if least[n].error < law[n] and not equal(least[n].error, law[n])]
    note = (
        f"Better than predicted on the way, where it oscillates with the coefficient: {', '.join(left)}" if left else ""
    )
    return verdict_of([apart[name] < EQUAL and name not in left for name in names]), columns | on_the_way(least), note


def distance(found, name):
    """|trained - predicted| / |predicted| of the classical PINN on the test grid: a sharper test than errors near 1."""
    predicted = np.array(found.of(name, "law")[0]["fields"]["solution"])
    trained = [np.array(result["fields"]["solution"]) for result in found.of(name, "classical")]
    return np.mean([np.linalg.norm(u - predicted) for u in trained]) / np.linalg.norm(predicted)


def three_causes(found, *names):
    """the loss misleads smooth functions alone; for functions that oscillate, the paper's points are too few"""
    held, lines = [], {}
    for name in names:
        rows = [row for result in found.of(name, "law") for row in result["bandwidth"]]
        enough, few = ([row for row in rows if (row["points"] == "enough") == kind] for kind in (True, False))
        law, smooth = found.value(name, "classical_predicted", "fem"), min(enough, key=lambda row: row["bandwidth"])
        best, least = min(enough, key=lambda row: row["error"]), min(few, key=lambda row: row["loss"])
        held += [equal(smooth["error"], law), best["error"] < 0.1, least["error"] > 0.5]
        lines[name] = law, smooth["error"], best["error"], best["bandwidth"], least["error"], least["loss"]
    heads = (
        "predicted, smooth functions",
        "found, smooth functions",
        "best functions, enough points",
        "their s",
        "least loss, paper's points",
        "that loss",
    )
    note = (
        "Errors of exact minimisers of the classical PINN's loss, without training, among functions of bandwidth s: "
        "the larger s, the faster they may oscillate"
    )
    return verdict_of(held), columns_of(heads, lines), note


def failure_is_proved(found, *names):
    """the failure of the classical PINN, proved without a fine solution"""
    lower, upper = (found.each(names, f"classical_certified_{end}") for end in ("lower", "upper"))
    return verdict_of([bound > 0.5 for bound in lower.values()]), {ENERGY + ", at least": lower, "at most": upper}, ""


def success_is_proved(found, *names):
    """the accuracy of NH-PINN, proved without a fine solution"""
    adam, sharp = (found.each(names, "certified", recipe) for recipe in ("adam", "sharp"))
    lower = found.each(names, "classical_certified_lower")
    columns = {
        ENERGY + " of u_0 + eps chi_j d_j u_0, at most; adam": adam,
        "the same, sharp": sharp,
        "of the classical PINN, at least": lower,
    }
    return verdict_of([bar[name] * GREATLY < lower[name] for name in names for bar in (adam, sharp)]), columns, ""


def averages_of_losses(found, *names):
    """the strong form, the energy and the first-order system learn three different averages"""
    means = {
        f"{name}, {loss}": row
        for name in names
        for loss, row in found.study(name, "losses", "loss", minimiser="Adam").items()
    }
    apart = "distance, trained to predicted"
    heads = {"predicted": "predicted", "trained": "trained", "from_predicted": apart}
    # nearer to the prediction than to the solution: less than half the distance between these two
    close = [row["from_predicted"] < row["predicted"] / 2 for row in means.values()]
    return verdict_of(close), {head: {n: row[key] for n, row in means.items()} for key, head in heads.items()}, ""


def gains(found, names):
    return {name: found.value(name, "classical") / found.value(name, "e1") for name in names}


def better_than_classical(found, *names):
    """NH-PINN greatly improves on the classical PINN"""
    ratio = gains(found, names)
    columns = beside_paper(found, names, "classical", "e1") | {"classical / e1": ratio}
    return verdict_of([factor > GREATLY for factor in ratio.values()]), columns, ""


def as_accurate_as_printed(found, *names):
    """the predictions are very accurate, the smaller eps the further ahead of the classical PINN"""
    within = [found.value(name, quantity) <= paper(name, quantity) for quantity in ("e3", "e1") for name in names]
    gain = gains(found, REACTIONS)
    columns = beside_paper(found, names, "e3", "e1") | {"classical / e1": gain}
    note = "The ratio is that of the two problems that differ in eps alone"
    return verdict_of([*within, gain["reaction50"] > gain["reaction10"]]), columns, note


def oversampling_helps(found, name):
    """oversampling greatly improves periodic problems in more than one dimension"""
    correctors = ("chi1", "chi2")
    columns = {}
    for head, suffix in (("with oversampling", ""), ("without", "_plain")):
        columns[head] = {q: found.value(name, q + suffix) for q in correctors}
        columns[f"{head}, paper"] = {q: paper(name, q + suffix) for q in correctors}
    gain = columns["ratio"] = {q: columns["without"][q] / columns["with oversampling"][q] for q in correctors}
    ways = found.study(name, "layers", "periodicity")
    note = "Error of chi1, by what asks for periodicity: " + "; ".join(
        f"{in_words(w)} {row['chi1']:.2g}" for w, row in ways.items()
    )
    note += (
        ". Equal values on opposite faces leave the slopes across them free to differ. A layer of oversampling asks "
        "for equal slopes, too, weighted by the distance h of the points; with periodic inputs, sines and cosines, the "
        "network is periodic by itself"
    )
    return verdict_of([factor > GREATLY for factor in gain.values()]), columns, note


def oversampling_is_robust(found, name):
    """with oversampling the error is robust to learning rate and weights"""
    rows = [row for result in found.of(name, "robustness") for row in result["study"]]
    errors = {kind: [r["chi1"] for r in rows if bool(r["layers"]) == kind] for kind in (True, False)}
    words = {True: "with oversampling", False: "without"}
    made = {"settings": len, "chi1, least": min, "median": np.median, "largest": max}
    columns = {head: {words[kind]: make(e) for kind, e in errors.items()} for head, make in made.items()}
    better = np.median(errors[True]) < np.median(errors[False])
    spread = {kind: max(e) / min(e) for kind, e in errors.items()}
    steady = spread[True] < GREATLY and spread[True] < spread[False]
    return REPRODUCED if better and steady else PARTLY if better else NOT, columns, "A quarter of the epochs in each"


def few_points(found, name):
    """a few training points are enough, around 400"""
    quantities = ("chi1", "chi2", "e3")
    cell, solution = (getattr(EXPERIMENTS[name], part)["points"] ** 2 for part in ("cell", "homogenized"))
    features = found.study(name, "layers", "periodicity")["features"]["chi1"]
    ours, printed = {q: found.value(name, q) for q in quantities}, {q: paper(name, q) for q in quantities}
    note = (
        f"{cell} points a cell problem, {solution} for the homogenized equation; with the period built in, the same "
        f"points give chi1 {features:.2g}"
    )
    return verdict_of([ours[q] <= printed[q] for q in quantities]), {name: ours, "paper": printed}, note


def high_dimension_is_hard(found, *names):
    """periodic problems are easy in one dimension and hard in more"""
    errors = {name: found.study(name, "layers", "periodicity")["0 layers"]["chi1"] for name in names}
    line, square = errors.values()
    note = "In one dimension the equation makes the slope periodic once the values are; in two it does not"
    verdict = REPRODUCED if square > GREATLY * line else PARTLY if square > line else NOT
    return verdict, {"error of chi1 without oversampling, other settings unchanged": errors}, note


def e2_below_e4(found, *names):
    """e2 < e4: homogenization by networks is more accurate than by finite elements"""
    names = [name for name in names if paper(name, "e2") < paper(name, "e4")]
    e4 = found.each(names, "e4", "fem")
    claimed = {n: 1 - paper(n, "e2") / paper(n, "e4") for n in names}
    wrong = {n: abs(paper(n, "e4") / e4[n] - 1) for n in names}
    mine = {n: found.value(n, "e2") / e4[n] - 1 for n in names}
    columns = {
        "paper: e2 below e4 by": {n: f"{value:.2%}" for n, value in claimed.items()},
        "paper: e4 off the converged one by": {n: f"{value:.0%}" for n, value in wrong.items()},
        "ours: e2 off the converged e4 by": {n: f"{value:+.2%}" for n, value in mine.items()},
    }
    if all(wrong[n] > 10 * claimed[n] for n in names):
        return ARTEFACT, columns, ""
    return REPRODUCED if all(difference < 0 for difference in mine.values()) else NOT, columns, ""


def e1_below_e4(found, name):
    """e1 < e4: the error of NH-PINN is below that of finite elements"""
    converged, e1, printed = found.value(name, "e4", "fem"), found.value(name, "e1"), paper(name, "e1")
    columns = {
        f"{name}, ours": {"e1": f"{e1:.6f}", "e4, converged": f"{converged:.6f}", "e3": found.value(name, "e3")},
        "paper": {"e1": f"{printed:.6f}", "e4, converged": f"{paper(name, 'e4'):.6f}", "e3": paper(name, "e3")},
    }
    if converged < printed:
        return ARTEFACT, columns, "The paper's e1 is above the converged e4"
    return REPRODUCED if e1 < converged else NOT, columns, ""


def e4_is_a_bound(found, *names):
    """e4 is a theoretical lower bound"""
    corrected, e4 = (found.each(names, quantity, "fem") for quantity in ("e1_corrected", "e4"))
    columns = {"e4": e4, "the same with the first corrector": corrected, "e1": found.each(names, "e1")}
    verdict = NOT if any(corrected[n] < e4[n] for n in names) else REPRODUCED
    return (
        verdict,
        columns,
        "At most for u0 alone, where errors may cancel, too; with the first corrector the error is below it",
    )


def most_error_from_the_last_step(found, *names):
    """most of the error comes from solving the homogenized equation"""
    e3, e4 = found.each(names, "e3"), found.each(names, "e4", "fem")
    cell = {n: abs(found.value(n, "e2") - e4[n]) for n in names}
    columns = {"last training, e3": e3, "cell problems, size of e2 - e4": cell, "homogenization, e4": e4}
    return verdict_of([e3[n] > max(e4[n], cell[n]) for n in names]), columns, ""


def worse_when_eps_is_small(found, name, *reactions):
    """the classical PINN performs even worse when eps is small"""
    rows = found.study(name, "law", "eps")
    eps = sorted(rows, reverse=True)
    if len(eps) < 2:
        raise Missing(f"{name} law with more than one eps")
    heads = {
        "classical_predicted": "predicted",
        "classical": "trained",
        "classical_shape": "trained, mean of its boundary values, which should be 0, subtracted",
    }
    columns = {head: {f"{name}, eps = 1/{1 / e:g}": rows[e][key] for e in eps} for key, head in heads.items()}
    errors = found.each(reactions, "classical")
    columns["trained"] |= {f"{n}, eps = 1/{1 / PROBLEMS[n].eps:g}": error for n, error in errors.items()}
    rising = [rows[a][q] < rows[b][q] for q in ("classical_predicted", "classical_shape") for a, b in pairwise(eps)]
    return verdict_of(rising + [first < second for first, second in pairwise(errors.values())]), columns, ""


def eps_does_not_matter(found, *names):
    """small eps has no great impact on the method"""
    lines, rates = {}, []
    for name in names:
        rows = found.study(name, "sweep", "eps")
        large, *_, small = sorted(rows, reverse=True) if len(rows) > 1 else [None, None]
        if large is None:
            raise Missing(f"{name} sweep with more than one eps")
        errors = rows[large]["e1"], rows[small]["e1"]
        rates.append(np.log(errors[0] / errors[1]) / np.log(large / small))
        lines[name] = f"1/{1 / large:g}", errors[0], f"1/{1 / small:g}", errors[1], f"{rates[-1]:.2f}"
    heads = "from eps", "e1", "to eps", "e1 there", "order"
    return verdict_of([rate > 0 for rate in rates]), columns_of(heads, lines), ""


def error_climbs(found, *names):
    """a climb in the error of the classical PINN during its training"""
    least, final = found.least(names, "classical", "classical"), found.each(names, "classical")
    held = [least[n].error < final[n] and not equal(least[n].error, final[n]) for n in names]
    return verdict_of(held), on_the_way(least) | {"error at the end": final}, ""


def finite_elements_cost_more(found, problem):
    """finite elements of high order may cost more than networks to solve the cell problems"""
    fem, sharp, adam = (found.of(problem, method)[0] for method in ("fem", "sharp", "adam"))
    levels = sorted((row["chi1"], time) for row, time in zip(fem["cells"], fem["clock"]["cells"], strict=True))
    faster, lines = [], {}
    for recipe, seconds in (("sharp", sharp["seconds_by_part"]["cell"]), ("adam", adam["clock"]["cell"][-1])):
        error = found.value(problem, "chi1", recipe)
        reached = [level for level in levels if level[0] <= error] or levels[:1]  # where none does, the nearest
        best = min(reached, key=itemgetter(1))
        faster.append(best[1] > seconds)
        lines[recipe] = error, seconds, *best
    heads = f"error of chi1, {problem}", "seconds", "elements: an error as small, or their least", "seconds of elements"
    orders = ", ".join(f"{order}" for order in sorted({row["order"] for row in fem["cells"]}))
    return verdict_of(faster), columns_of(heads, lines), f"Finite elements of order {orders}"


def e2_shows_correctors(found, *names):
    """e2 close to e4 shows that the cell problems are solved very accurately"""
    gap = {n: abs(found.value(n, "e2") / found.value(n, "e4", "fem") - 1) for n in names}
    corrector = {n: found.value(n, "N" if PROBLEMS[n].reaction else "chi1") for n in names}
    columns = {
        "size of e2 / e4 - 1": gap,
        "error of the corrector": corrector,
        "of the coefficient": found.each(names, "e_a"),
    }
    return verdict_of([corrector[n] < GREATLY * gap[n] for n in names]), columns, ""


def energy_estimate(found, *names):
    """the energy norm of the remainder after the first corrector is at most of order eps^(1/2)"""
    rates = {n: found.of(n, "sweep")[0]["rates"].get("h1_corrected") for n in names}
    if alone := [n for n in names if rates[n] is None]:
        raise Missing(f"{alone[0]} sweep with more than one eps")
    columns = {"order in eps of the error of the gradient": {n: f"{rate:.2f}" for n, rate in rates.items()}}
    return verdict_of([rate > 0.5 * (1 - EQUAL) for rate in rates.values()]), columns, ""


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
    try:
        return claim.judge(found, *claim.problems)
    except (Missing, LookupError) as missing:  # a result without what the claim needs of it
        return UNKNOWN, {}, f"No result saved for {missing}"


def verdicts(results):
    """(Claim, verdict, columns, note) of every claim, from results by task; none where there are no results."""
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
        f"({len(results)} tasks, one for each method, problem and seed; budget {budgets}, commit {commits}). "
        "Errors are relative, in the discrete L2 norm, means over seeds. Two of them count as equal if they differ by "
        f"less than {EQUAL:.0%}, and one as greatly better from a factor of {GREATLY} on. "
        "[docs/method.md](docs/method.md) explains the errors e1 to e4, the correctors chi1, chi2 and N, "
        "and the recipes adam and sharp, [docs/why-pinns-fail.md](docs/why-pinns-fail.md) how errors are predicted.",
        "",
        f'A claim whose place is "{OURS}" is not of the paper: it says what holds in the place of one that does not, '
        "or what is proved besides. Below each, the command that measures it, and the pictures of it in `results/`.",
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
