"""Tables from results: means over seeds, ours beside the paper, and the verdict in ten lines.

`results` is a dictionary from tasks (problem, method, seed, budget) to what they returned, `experiments` one from the
names of problems to their records, in the order in which they are shown.  What is made of them is data: `markdown`
and `screen` are below, the page is made by report.py.
"""

import textwrap
from collections import Counter
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from lab.panels import in_words
from lab.tasks import METHODS


class Table(NamedTuple):
    title: str  # "": it goes on from the one before
    header: list  # of texts
    rows: list  # of lists of texts
    note: str = ""  # a sentence below


class Shown(NamedTuple):
    """All that is shown of results but the claims and the pictures."""

    rows: list  # of summary.json
    made: str  # how long it took, with what
    verdict: list  # of (what it is about, sentence): at most ten
    overview: Table
    problems: dict  # name -> Table
    studies: list  # of Tables
    settings: list  # of Tables
    failed: list  # sentences


QUANTITIES = {  # in words; what is bounded from both sides has the endings _lower and _upper in the results
    "e1": "e1: NH-PINN",
    "e2": "e2: finite elements with its coefficients",
    "e3": "e3: its last training alone",
    "e4": "e4: homogenization alone, without networks",
    "e1_corrected": "reconstruction",
    "e1_corrected_interior": "reconstruction, a period inside",
    "h1": "gradient",
    "h1_interior": "gradient, a period inside",
    "h1_corrected": "reconstruction, gradient",
    "h1_corrected_interior": "reconstruction, gradient, a period inside",
    "certified": "NH-PINN, energy norm, at most",
    "guaranteed": "by the ground state, continuous L2 at the final time, at most",
    "e_a": "homogenized coefficient",
    "chi1": "corrector χ₁",
    "chi2": "corrector χ₂",
    "chi1_plain": "χ₁ without oversampling",
    "chi2_plain": "χ₂ without oversampling",
    "N": "corrector N",
    "classical": "classical PINN",
    "classical_certified": "classical PINN, energy norm, bounds",
    "classical_guaranteed": "classical PINN, continuous L2 at the final time, bounds",
    "transfer": "transfer learning",
    "classical_predicted": "classical PINN, predicted",
    "classical_predicted_points": "classical PINN, predicted at its points",
    "classical_shape": "classical PINN, mean of its boundary values subtracted",
}
OWN_ERRORS = ("e1", "e2", "e3", "e_a", "chi1", "chi2", "N")  # of NH-PINN: the smaller the better
OVERVIEW = {"classical": "classical", "classical_certified": "classical, energy", "transfer": "transfer", "e1": "e1"}
OVERVIEW |= {"e3": "e3", "e4": "e4", "chi1": "χ₁ or N", "certified": "corrected, energy"}  # quantity -> its column
NOTE = (
    "adam is what Adam trains, NH-PINN by the paper's recipe and the classical PINN; sharp is NH-PINN by ours; fem has "
    "no network. Errors are relative, in the discrete L2 norm where nothing else is said."
)
BOUNDED = (
    " Those of energy are guaranteed bounds in the energy norm, without a fine solution; corrected is NH-PINN's "
    "reconstruction, another function than that of e1."
)
SIGNS = (
    " < and >: ours, an error of NH-PINN, is smaller or larger than the paper's; no sign at an e1 or e2 where the "
    "paper's is below our e4, and so of another fine solution. ~: another number, within a tenth of the paper's."
)
LABELS = ("eps", "rate", "weight")  # numbers that label the rows of a study
LINES, WIDTH = 30, 100  # of the table on the terminal


def summarize(results, experiments):
    """Rows of summary.json: one for each problem, quantity and recipe, with mean and deviation over seeds."""
    found = {}
    for task, result in results.items():
        for quantity, value in result.get("quantities", {}).items():
            found.setdefault((task.problem, quantity, result["recipe"]), []).append(value)
    rows, order = [], list(experiments)
    for problem, quantity, recipe in sorted(found, key=lambda k: (order.index(k[0]), place(k[1]), k[2])):
        values = found[problem, quantity, recipe]
        rows.append(
            {
                "problem": problem,
                "quantity": quantity,
                "recipe": recipe,
                "value": float(np.mean(values)),
                "std": float(np.std(values, ddof=1)) if len(values) > 1 else None,
                "worst": float(np.max(values)),
                "paper": experiments[problem].paper.get(quantity),
                "seeds": len(values),
            }
        )
    return rows


def place(quantity):
    """Where a quantity stands in the tables; one that is not among QUANTITIES comes last."""
    name = quantity.removesuffix("_lower").removesuffix("_upper")
    return (list(QUANTITIES).index(name) if name in QUANTITIES else len(QUANTITIES), quantity)


def shown(done, made, results, experiments, judged=()):
    """Everything as tables and sentences.  done, made: what was run, and how; judged: verdicts of measured claims."""
    rows = summarize(results, experiments)
    by_problem = {name: list(found) for name, found in groupby(rows, key=itemgetter("problem"))}
    return Shown(
        rows,
        made,
        verdict(done, rows, judged),
        overview(by_problem, experiments),
        {name: problem_table(experiments[name], found) for name, found in by_problem.items()},
        study_tables(results),
        [table for table in (reference_table(results), *settings_tables(results)) if table.rows],
        failures(results),
    )


# --- Ours beside the paper -------------------------------------------------------------------------


def overview(by_problem, experiments):
    """The errors that the paper is about: of every problem the paper's line, and one for each recipe."""
    lines = []
    for name, rows in by_problem.items():
        paper, corrector = experiments[name].paper, "N" if experiments[name].problem.reaction else "chi1"
        quantities = [corrector if quantity == "chi1" else quantity for quantity in OVERVIEW]
        cells = {"paper": [digits(paper[q]) if q in paper else "" for q in quantities]}
        for recipe in ("adam", "sharp", "fem"):
            found = {row["quantity"]: row for row in rows if row["recipe"] == recipe}
            cells[recipe] = [cell(found, q, lambda row: digits(row["value"]), converged(rows)) for q in quantities]
        filled = [[recipe, *line] for recipe, line in cells.items() if any(line)]
        lines += [[name if i == 0 else "", *line] for i, line in enumerate(filled)]
    header, lines = without_empty(["", "", *OVERVIEW.values()], lines)
    printed = any(line[1] == "paper" for line in lines)
    note = NOTE + BOUNDED * any("energy" in head for head in header) + SIGNS * printed
    return Table("Relative errors" + ", ours beside the paper's" * printed, header, lines, note)


def without_empty(header, lines):
    """A header and lines without the columns in which no line has anything, but for the first."""
    kept = [i for i in range(len(header)) if i == 0 or any(line[i] for line in lines)]
    header, *lines = [[line[i] for i in kept] for line in (header, *lines)]
    return header, lines


def problem_table(experiment, rows):
    """One problem: the recipes beside the paper, with the deviation over the seeds."""
    recipes, lines = list(dict.fromkeys(row["recipe"] for row in rows)), []
    by_recipe = {r: {row["quantity"]: row for row in rows if row["recipe"] == r} for r in recipes}
    names = (row["quantity"].removesuffix("_lower").removesuffix("_upper") for row in rows)
    for quantity in dict.fromkeys(names):
        paper = experiment.paper.get(quantity)
        cells = [cell(by_recipe[recipe], quantity, number, converged(rows)) for recipe in recipes]
        lines.append([QUANTITIES.get(quantity, quantity), *cells, "" if paper is None else f"{paper:g}"])
    problem = experiment.problem
    header, lines = without_empty(["relative L2 error", *recipes, "paper"], lines)
    return Table(f"{problem.title} `{problem.name}`", header, lines)


def converged(rows):
    """The e4 of a problem; 0 where it was not computed."""
    return next((row["value"] for row in rows if row["quantity"] == "e4"), 0.0)


def cell(found, quantity, show, e4):
    """A quantity among rows {quantity: row} as text, with the sign of NOTE; one with two bounds as an interval."""
    if f"{quantity}_lower" in found:
        return "[" + ", ".join(digits(found[f"{quantity}_{end}"]["value"]) for end in ("lower", "upper")) + "]"
    row = found.get(quantity)
    if row is None:
        return ""
    value, paper = row["value"], row["paper"]
    no_sign = not paper or (quantity in ("e1", "e2") and paper < e4)
    sign = "" if no_sign else "<>"[value > paper] if quantity in OWN_ERRORS else "~" if near(row) else ""
    return f"{show(row)} {sign}".rstrip()


def near(row):
    return abs(row["value"] / row["paper"] - 1) < 0.1


def digits(value):
    """Three digits, two where there are zeros before them."""
    return f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.1e}"


VERDICT = (  # what it is about, recipe, quantities, the sentence around their range
    ("classical PINN", "adam", "classical", "its error after training is {}; that of the function zero is 1"),
    ("transfer learning", "adam", "transfer", "trained on from NH-PINN's solution, the classical PINN ends at {}"),
    ("NH-PINN", "adam", "e1", "by the paper's recipe, adam, its error against the fine solution is {} (e1)"),
    ("its last training", "adam", "e3", "the homogenized equation is solved with an error of {} (e3)"),
    ("its correctors", "adam", "chi1 chi2 N", "trained with oversampling, they have errors of {}"),
    ("homogenization", "fem", "e4", "solved exactly, the homogenized equation is {} off the fine solution (e4)"),
    ("recipe sharp", "sharp", "e3", "random features and least squares solve the same with an error of {} (e3)"),
)


def verdict(done, rows, judged):
    """What was done, what holds and what does not, in at most ten lines: (what it is about, sentence)."""

    def of(recipe, *quantities):
        return [row for row in rows if row["recipe"] == recipe and row["quantity"] in quantities]

    lines = [("done", done)]
    for about, recipe, quantities, words in VERDICT:
        if found := of(recipe, *quantities.split()):
            lines.append((about, words.format(span(found)) + compared(found)))
    bounds = {
        "sharp at most": of("sharp", "certified"),
        "adam at most": of("adam", "certified"),
        "the classical PINN at least": of("adam", "classical_certified_lower"),
    }
    if any(bounds.values()):
        parts = [f"that of {words} {span(found)}" for words, found in bounds.items() if found]
        lines.append(("guaranteed", "proved without a fine solution, errors in the energy norm: " + ", ".join(parts)))
    if judged:
        counts = ", ".join(f"{verdict} {count}" for verdict, count in Counter(judged).most_common())
        lines.append(("claims", f"of the {len(judged)} that this run measures: {counts}"))
    return lines


def span(rows):
    """The range of means, as text."""
    values = [row["value"] for row in rows]
    low, high = f"{min(values):.2g}", f"{max(values):.2g}"
    return low if low == high else f"{low} to {high}"


def compared(rows):
    """On how many of the problems that the paper has numbers for ours are below them, or near them, and where not."""
    rows = [row for row in rows if row["paper"]]
    ours = any(row["quantity"] in OWN_ERRORS for row in rows)
    names = dict.fromkeys(row["problem"] for row in rows)
    missed = dict.fromkeys(r["problem"] for r in rows if not (r["value"] < r["paper"] if ours else near(r)))
    if not rows:
        return ""
    where = f"{len(names) - len(missed)} of {len(names)} problem{'s' * (len(names) > 1)}"
    if 0 < len(missed) < len(names):
        where += f", not {', '.join(missed)}"
    return f"; {'smaller than' if ours else 'within a tenth of'} the paper's on {where}"


# --- The rest --------------------------------------------------------------------------------------


def reference_table(results):
    """How e4 settles as elements, time steps and cell elements are doubled, and the example of section 2.2."""
    rows = [
        [task.problem, *(f"{level['e4']:.7f} ({level['elements']})" for level in result["refinement"])]
        for task, result in results.items()
        if "refinement" in result
    ]
    coarse = next((result["coarse_mesh"] for result in results.values() if "coarse_mesh" in result), None)
    note = coarse and (
        "Coarse linear elements (section 2.2: a = 15 sin^2 + 1, harmonic mean 4, arithmetic mean 8.5) reach "
        f"{coarse['ratio']:.4f} of the solution (8/17 = {8 / 17:.4f}) with relative error {coarse['error']:.4f} "
        f"(9/17 = {9 / 17:.4f})."
    )
    used = "e4, half the elements (32 an axis at least, 8 in 3D)", "e4, as used for e1 and e2", "e4, twice the elements"
    return Table("References under refinement", ["problem", *used], rows, note or "")


def study_tables(results):
    """The rows of every study: labels, and quantities as means over seeds."""
    by_study = {}
    for task, result in results.items():
        if result.get("study"):
            by_study.setdefault((task.problem, task.method), []).append(result)
    return [study_table(f"{problem}: {METHODS[method].text}", found) for (problem, method), found in by_study.items()]


def study_table(title, results):
    by_label = {}
    for result in results:
        clock = result.get("clock", [{}] * len(result["study"]))
        for row, times in zip(result["study"], clock, strict=True):
            row = row | times
            label = tuple((n, v) for n, v in row.items() if not isinstance(v, float) or n in LABELS)
            by_label.setdefault(label, []).append({n: v for n, v in row.items() if (n, v) not in label})
    names = list(dict.fromkeys(name for found in by_label.values() for row in found for name in row))
    heads = list(dict.fromkeys(name for label in by_label for name, _ in label))
    lines = []
    for label, found in by_label.items():
        means = [mean_of([row[n] for row in found]) if n in found[0] else "" for n in names]
        lines.append([*(f"{in_words(dict(label).get(head, ''))}" for head in heads), *means])
    if rates := next((result["rates"] for result in results if "rates" in result), None):
        lines.append(["rate", *[""] * (len(heads) - 1), *(f"{rates[n]:.2f}" if n in rates else "" for n in names)])
    return Table(title, [QUANTITIES.get(name, name.replace("_", " ")) for name in (*heads, *names)], lines)


def settings_tables(results):
    """What was trained: every distinct training once, a table for each recipe and kind of settings."""
    kinds = {}
    for task, result in results.items():
        for part, settings in result.get("settings", {}).items():
            row = (task.problem, part, *map(setting, settings.values()))
            kinds.setdefault((result["recipe"], tuple(settings)), {})[row] = None
    return [
        Table("" if i else "Trainings", [f"{recipe}: problem", "part", *columns], list(map(list, rows)))
        for i, ((recipe, columns), rows) in enumerate(kinds.items())
    ]


def setting(value):
    if value is None:
        return "all"
    return " ".join(f"{v:.3g}" for v in value) if isinstance(value, list | tuple) else str(value)


def number(row):
    """A mean with its deviation over the seeds and the worst of them, where they differ."""
    spread = row["seeds"] > 1 and row["std"] > 1e-4 * abs(row["value"])  # else below the last digit
    return f"{row['value']:.4g}" + (f" ± {row['std']:.2g}, worst {row['worst']:.4g}" if spread else "")


def mean_of(values):
    """A mean with its deviation over the seeds."""
    return f"{np.mean(values):.4g}" + (f" ± {np.std(values, ddof=1):.2g}" if len(values) > 1 else "")


def failures(results):
    """One sentence for each task that failed."""
    return [f"{task}: {result['error']}" for task, result in results.items() if "error" in result]


# --- As text ---------------------------------------------------------------------------------------


def markdown(shown):
    """Everything as Markdown."""
    lines = [shown.made, "", *(f"- {about}: {sentence}" for about, sentence in shown.verdict), ""]
    for table in (shown.overview, *shown.problems.values(), *shown.studies, *shown.settings):
        lines += [f"### {table.title}", ""] if table.title else []
        lines += [*markdown_table(table.header, table.rows), ""]
        lines += [table.note, ""] if table.note else []
    lines += ["### Failed", "", *(f"- {sentence}" for sentence in shown.failed), ""] if shown.failed else []
    return "\n".join(lines)


def markdown_table(header, rows):
    return ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)]


def screen(shown, width=120):
    """The overview, with the columns that fit, and the verdict, for a terminal: at most LINES lines of table."""
    header, *rows = [shown.overview.header, *shown.overview.rows]
    if len(rows) >= LINES:
        more = [f"and {len(rows) - LINES + 2} lines", "more in", "tables.md"]
        rows = [*rows[: LINES - 2], more + [""] * (len(header) - len(more))]
    columns = list(zip(header, *rows, strict=True))
    for head in ("classical, energy", "transfer", "corrected, energy"):
        if sum(2 + max(map(len, column)) for column in columns) > width + 2:
            columns = [column for column in columns if column[0] != head]
    padded = [[text.ljust(max(map(len, column))) for text in column] for column in columns]
    lines = ["  ".join(line).rstrip() for line in zip(*padded, strict=True)]
    lines += ["", *textwrap.wrap(shown.overview.note, min(width, WIDTH)), ""]
    for about, sentence in shown.verdict:
        lines += textwrap.wrap(f"{about}: {sentence}", min(width, WIDTH), subsequent_indent="  ")
    return "\n".join(lines)
