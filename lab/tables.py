"""Tables from results: means over seeds, ours beside the paper.  They are data; `markdown` and report.py write them.

`results` is a dictionary from tasks (problem, method, seed, budget) to what they returned, `experiments` one from the
names of problems to their records, in the order in which they are shown.
"""

from typing import NamedTuple

import numpy as np


class Table(NamedTuple):
    title: str  # "": it goes on from the one before
    header: list  # of texts
    rows: list  # of lists of texts
    note: str = ""  # a sentence below


QUANTITIES = {
    "e1": "NH-PINN against the fine solution",
    "e2": "finite elements with NH-PINN's coefficients against the fine solution",
    "e3": "NH-PINN against finite elements with the same coefficients",
    "e4": "finite-element homogenization against the fine solution",
    "e1_corrected": "first-order reconstruction against the fine solution",
    "e1_corrected_interior": "the same, one period away from the boundary",
    "h1": "gradient of the homogenized solution against that of the fine solution",
    "h1_interior": "the same, one period away from the boundary",
    "h1_corrected": "gradient of the first-order reconstruction",
    "h1_corrected_interior": "the same, one period away from the boundary",
    "e_a": "homogenized coefficient",
    "chi1": "corrector chi_1, with oversampling",
    "chi2": "corrector chi_2, with oversampling",
    "chi1_plain": "chi_1 without oversampling, best settings found for it",
    "chi2_plain": "chi_2 without oversampling, best settings found for it",
    "N": "corrector N",
    "classical": "classical PINN against the fine solution",
    "transfer": "classical PINN started from NH-PINN's network",
    "classical_predicted": "predicted for both: the minimiser of the loss averaged over the fast variable",
    "classical_predicted_points": "the same, of the loss at its points, over splines of one element a period",
}
LABELS = ("eps", "rate", "weight")  # numbers that label the rows of a study


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
    return (list(QUANTITIES).index(quantity) if quantity in QUANTITIES else len(QUANTITIES), quantity)


def tables(results, rows, experiments):
    """The overview, one table a problem with every recipe, studies, references, settings."""
    names = list(dict.fromkeys(row["problem"] for row in rows))
    each = [problem_table(experiments[n], [row for row in rows if row["problem"] == n]) for n in names]
    found = [overview(rows, names), *each, *study_tables(results), reference_table(results), *settings_tables(results)]
    return [table for table in found if table.rows]


def overview(rows, names):
    """Relative errors of all problems by every recipe, ours with the printed number of the paper in parentheses."""
    found = {(row["quantity"], row["recipe"], row["problem"]): row for row in rows}

    def cell(row):
        return "" if row is None else f"{row['value']:.3g}" + (f" ({row['paper']:.3g})" if row["paper"] else "")

    kinds = sorted({key[:2] for key in found}, key=lambda key: (place(key[0]), key[1]))
    lines = [[*kind, *(cell(found.get((*kind, name))) for name in names)] for kind in kinds]
    return Table("All problems", ["ours (paper)", "recipe", *names], lines)


def problem_table(experiment, rows):
    """One problem: the recipes beside the paper, with the deviation over the seeds."""
    recipes, lines = list(dict.fromkeys(row["recipe"] for row in rows)), []
    for quantity in dict.fromkeys(row["quantity"] for row in rows):
        by_recipe = {row["recipe"]: row for row in rows if row["quantity"] == quantity}
        paper = experiment.paper.get(quantity)
        cells = [number(by_recipe.get(recipe)) for recipe in recipes]
        lines.append([quantity, QUANTITIES.get(quantity, ""), *cells, "" if paper is None else f"{paper:g}"])
    problem = experiment.problem
    return Table(f"{problem.name}: {problem.title}", ["", "relative error", *recipes, "paper"], lines)


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
    header = ["problem", "e4, half the elements", "e4, as used for e1 and e2", "e4, twice the elements"]
    return Table("References under refinement", header, rows, note or "")


def study_tables(results):
    """The rows of every study: labels, and quantities as means over seeds."""
    by_study = {}
    for task, result in results.items():
        if "study" in result:
            by_study.setdefault((task.problem, task.method), []).append(result)
    return [study_table(f"{problem}: {method}", found) for (problem, method), found in by_study.items()]


def study_table(title, results):
    by_label = {}
    for result in results:
        clock = result["clock"] if isinstance(result.get("clock"), list) else [{}] * len(result["study"])
        for row, times in zip(result["study"], clock, strict=True):
            row = row | times
            label = tuple((n, v) for n, v in row.items() if not isinstance(v, float) or n in LABELS)
            by_label.setdefault(label, []).append({n: v for n, v in row.items() if (n, v) not in label})
    names = list(dict.fromkeys(name for found in by_label.values() for row in found for name in row))
    heads = list(dict.fromkeys(name for label in by_label for name, _ in label))
    lines = []
    for label, found in by_label.items():
        means = [mean_of([row[n] for row in found]) if n in found[0] else "" for n in names]
        lines.append([*(f"{dict(label).get(head, '')}" for head in heads), *means])
    if rates := next((result["rates"] for result in results if "rates" in result), None):
        lines.append(["rate", *[""] * (len(heads) - 1), *(f"{rates[n]:.2f}" if n in rates else "" for n in names)])
    return Table(title, [*heads, *names], lines)


def settings_tables(results):
    """What was trained: every distinct training once, a table for each recipe and kind of settings."""
    kinds = {}
    for task, result in results.items():
        for part, settings in result.get("settings", {}).items():
            row = (task.problem, part, *map(setting, settings.values()))
            kinds.setdefault((result["recipe"], tuple(settings)), {})[row] = None
    found = [
        Table("", [f"{recipe}: problem", "part", *columns], list(map(list, rows)))
        for (recipe, columns), rows in kinds.items()
    ]
    return [table._replace(title="Trainings" if i == 0 else "") for i, table in enumerate(found)]


def setting(value):
    if value is None:
        return "all"
    return " ".join(f"{v:.3g}" for v in value) if isinstance(value, list | tuple) else str(value)


def number(row):
    """A mean with its deviation over the seeds and the worst of them."""
    if row is None:
        return ""
    return f"{row['value']:.4g}" + (f" ± {row['std']:.2g}, worst {row['worst']:.4g}" if row["seeds"] > 1 else "")


def mean_of(values):
    """A mean with its deviation over the seeds."""
    return f"{np.mean(values):.4g}" + (f" ± {np.std(values, ddof=1):.2g}" if len(values) > 1 else "")


def label(task):
    return f"{task.problem} {task.method} seed {task.seed}"


def failures(results):
    """One sentence for each task that failed."""
    return [f"{label(task)}: {result['error']}" for task, result in results.items() if "error" in result]


def markdown(heading, found, failed):
    """Everything as Markdown.  heading: paragraphs; found: Tables; failed: sentences."""
    lines = [line for paragraph in heading for line in (paragraph, "")]
    for table in found:
        lines += [f"### {table.title}", ""] if table.title else []
        lines += [*markdown_table(table.header, table.rows), ""]
        lines += [table.note, ""] if table.note else []
    lines += ["### Failed", "", *(f"- {sentence}" for sentence in failed), ""] if failed else []
    return "\n".join(lines)


def markdown_table(header, rows):
    return ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)]
