"""Tables from results: means over seeds, ours beside the paper, as rows of data and as Markdown.

`results` is a dictionary from tasks (problem, method, seed, budget) to what they returned, see run_all.py.
"""

import numpy as np

from problems import PROBLEMS

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
    "chi1_plain_same": "chi_1 without oversampling, settings of the oversampled run",
    "chi2_plain_same": "chi_2 without oversampling, settings of the oversampled run",
    "N": "corrector N",
    "classical": "classical PINN against the fine solution",
    "transfer": "classical PINN started from NH-PINN's network",
    "classical_predicted": "predicted for both: the minimiser of the loss averaged over the fast variable",
    "classical_predicted_points": "the same, of the loss at its points, over splines of one element a period",
}
LABELS = ("eps", "rate", "weight")  # numbers that label the rows of a study


def summarize(results):
    """Rows of summary.json: one for each problem, quantity and recipe, with mean and deviation over seeds."""
    found = {}
    for task, result in results.items():
        for quantity, value in result.get("quantities", {}).items():
            found.setdefault((task.problem, quantity, result["recipe"]), []).append(value)
    rows = []
    for problem, quantity, recipe in sorted(found, key=lambda k: (list(PROBLEMS).index(k[0]), place(k[1]), k[2])):
        values = found[problem, quantity, recipe]
        rows.append(
            {
                "problem": problem,
                "quantity": quantity,
                "recipe": recipe,
                "value": float(np.mean(values)),
                "std": float(np.std(values, ddof=1)) if len(values) > 1 else None,
                "worst": float(np.max(values)),
                "paper": PROBLEMS[problem].paper.get(quantity),
                "seeds": len(values),
            }
        )
    return rows


def markdown(results, rows, first_lines):
    """All tables as Markdown: the overview, one a problem with every recipe, references, settings, failures."""
    lines = [*first_lines, "", *overview_table(rows)]
    for name in dict.fromkeys(row["problem"] for row in rows):
        lines += problem_table(name, [row for row in rows if row["problem"] == name])
    lines += study_tables(results) + reference_table(results) + settings_table(results)
    failed = [(task, result["error"]) for task, result in results.items() if "error" in result]
    lines += ["### Failed", "", *(f"- {label(task)}: {error}" for task, error in failed), ""] if failed else []
    return "\n".join(lines)


def overview_table(rows):
    """Relative errors of all problems by every recipe, ours with the printed number of the paper in parentheses."""
    names = list(dict.fromkeys(row["problem"] for row in rows))
    found = {(row["quantity"], row["recipe"], row["problem"]): row for row in rows}
    lines = markdown_header(["ours (paper)", "recipe", *names])
    for quantity, recipe in sorted({key[:2] for key in found}, key=lambda key: (place(key[0]), key[1])):
        cells = []
        for name in names:
            row, paper = found.get((quantity, recipe, name)), PROBLEMS[name].paper.get(quantity)
            cells.append("" if row is None else f"{row['value']:.3g}" + (f" ({paper:.3g})" if paper else ""))
        lines.append(markdown_row([quantity, recipe, *cells]))
    return [*lines, ""]


def place(quantity):
    """Where a quantity stands in the tables; one that a user's problem adds comes last."""
    return (list(QUANTITIES).index(quantity) if quantity in QUANTITIES else len(QUANTITIES), quantity)


def problem_table(name, rows):
    """One problem: the recipes beside the paper, with the deviation over the seeds."""
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    lines = [f"### {name}: {PROBLEMS[name].title}", ""]
    lines += markdown_header(["", "relative error", *recipes, "paper"])
    for quantity in dict.fromkeys(row["quantity"] for row in rows):
        by_recipe = {row["recipe"]: row for row in rows if row["quantity"] == quantity}
        cells = [number(by_recipe.get(recipe)) for recipe in recipes]
        paper = PROBLEMS[name].paper.get(quantity)
        lines.append(
            markdown_row([quantity, QUANTITIES.get(quantity, ""), *cells, "" if paper is None else f"{paper:g}"])
        )
    return [*lines, ""]


def reference_table(results):
    """How e4 settles as elements, time steps and cell elements are doubled, and the example of section 2.2."""
    lines = ["### References under refinement", ""]
    lines += markdown_header(
        ["problem", "e4, half the elements", "e4, as used for e1 and e2", "e4, twice the elements"]
    )
    for task, result in results.items():
        if "refinement" in result:
            levels = [f"{level['e4']:.7f} ({level['elements']})" for level in result["refinement"]]
            lines.append(markdown_row([task.problem, *levels]))
    lines.append("")
    for result in results.values():
        if "coarse_mesh" in result:
            ratio, error = result["coarse_mesh"]["ratio"], result["coarse_mesh"]["error"]
            lines += [
                "Coarse linear elements (section 2.2: a = 15 sin^2 + 1, harmonic mean 4, arithmetic mean 8.5) reach "
                f"{ratio:.4f} of the solution (8/17 = {8 / 17:.4f}) with relative error {error:.4f} "
                f"(9/17 = {9 / 17:.4f}).",
                "",
            ]
    return lines


def study_tables(results):
    """The rows of every study: labels, and quantities as means over seeds."""
    rows = {}
    for task, result in results.items():
        clock = result.get("clock") if isinstance(result.get("clock"), list) else [{}] * len(result.get("study", []))
        for row, times in zip(result.get("study", []), clock, strict=True):
            row = row | times
            label_ = tuple(item for item in row.items() if not isinstance(item[1], float) or item[0] in LABELS)
            by_label = rows.setdefault((task.problem, task.method), {}).setdefault(label_, [])
            by_label.append({name: value for name, value in row.items() if (name, value) not in label_})
    lines = []
    for (problem, method), by_label in rows.items():
        names = list(dict.fromkeys(name for found in by_label.values() for row in found for name in row))
        heads = list(dict.fromkeys(name for label_ in by_label for name, _ in label_))
        lines += [f"### {problem}: {method}", "", *markdown_header([*heads, *names])]
        for label_, found in by_label.items():
            means = [mean_of([row[n] for row in found]) if n in found[0] else "" for n in names]
            lines.append(markdown_row([*(f"{dict(label_).get(head, '')}" for head in heads), *means]))
        rates = next(
            (r["rates"] for t, r in results.items() if (t.problem, t.method) == (problem, method) and "rates" in r), {}
        )
        if rates:
            lines.append(
                markdown_row(
                    ["rate", *[""] * (len(heads) - 1), *(f"{rates[n]:.2f}" if n in rates else "" for n in names)]
                )
            )
        lines.append("")
    return lines


def settings_table(results):
    """What was trained: every distinct training once, a table for each recipe."""
    lines, tables = ["### Trainings", ""], {}
    for task, result in results.items():
        for part, settings in result.get("settings", {}).items():
            row = markdown_row([task.problem, part, *(setting(value) for value in settings.values())])
            tables.setdefault((result["recipe"], tuple(settings)), {})[row] = None
    for (recipe, columns), rows in tables.items():
        lines += [*markdown_header([f"{recipe}: problem", "part", *columns]), *rows, ""]
    return lines


def setting(value):
    if value is None:
        return "all"
    return " ".join(f"{v:.3g}" for v in value) if isinstance(value, list | tuple) else str(value)


def markdown_header(cells):
    return [markdown_row(cells), markdown_row(["---"] * len(cells))]


def markdown_row(cells):
    return "| " + " | ".join(cells) + " |"


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
