"""What the documents show of a run: small results, CLAIMS.md and the tables of PAGES, of one folder.

    python -m lab.published --from results          reduces the results to docs/results/, writes the documents from them
    python -m lab.published --from results --keep   the same, and keeps the published results of other tasks
    python -m lab.published                         writes the documents once more, from docs/results/

No number in a table is typed in: a test writes them again and compares.  Numbers in sentences are, and have to be read
again after a new run.
"""

import argparse
import json
import re
from pathlib import Path

from lab import claims, files, tables, tasks
from lab.panels import Missing, in_words
from lab.settings import BUDGETS
from problems import EXPERIMENTS, PROBLEMS

FOLDER = Path("docs", "results")
PICTURE = "law-bandwidth.svg"  # of those that a run draws, the one that pages show
PAGES = (Path("README.md"), Path("docs", "why-pinns-fail.md"), Path("docs", "not-reproduced.md"))
PLACE = re.compile(r"(<!-- python -m lab.published: (\w+) -->\n).*?(<!-- end -->\n)", re.S)  # of a table in a page
ERRORS = (  # text, quantity, recipe; one with two bounds is an interval
    ("classical PINN", "classical", "adam"),
    ("bounds of its error in the energy norm", "classical_certified", "adam"),
    ("e1: NH-PINN against the fine solution, `adam`", "e1", "adam"),
    ("e3: error of its last training alone, `adam`", "e3", "adam"),
    ("e3, `sharp`", "e3", "sharp"),
    ("e4: homogenization by finite elements", "e4", "fem"),
    ("error of u_0 + eps chi_j d_j u_0 in the energy norm, at most, `adam`", "certified", "adam"),
    ("the same, `sharp`", "certified", "sharp"),
)
HOMOGENIZATION = (
    ("e4: homogenization by finite elements", "e4", "fem"),
    ("e2: finite elements with the coefficients of `adam`", "e2", "adam"),
    ("e4 with the first corrector", "e1_corrected", "fem"),
    ("the same, a period away from the boundary", "e1_corrected_interior", "fem"),
    ("the corrector chi_1", "chi1", "adam"),
    ("chi_1 without oversampling", "chi1_plain", "adam"),
    ("chi_2", "chi2", "adam"),
    ("chi_2 without oversampling", "chi2_plain", "adam"),
    ("the corrector N", "N", "adam"),
    ("the homogenized coefficient", "e_a", "adam"),
)


def load(folder, budget=None):
    """Saved results of one budget by task, made under the settings that this source has; None: the largest there is."""
    results, _ = tasks.saved(folder, EXPERIMENTS)
    there = {task.budget for task in results}
    budget = budget or next((name for name in reversed(BUDGETS) if name in there), None)
    return {task: result for task, result in results.items() if task.budget == budget}


def reduce(results, folder):
    """Write results by task as small ones, in the place of all that are there, with their summary."""
    names = {task: tasks.name_of(tasks.setup(task, EXPERIMENTS[task.problem])) for task in results}
    written = {task: files.result_path(folder, name) for task, name in names.items()}
    for task, path in written.items():
        files.save(files.reduced(results[task], PROBLEMS[task.problem].dim), path)
    for path in set((folder / "tasks").glob("*.json")) - set(written.values()):  # now that their successors are there
        path.unlink()
    rows = tables.summarize(results, EXPERIMENTS)
    files.write(folder / "summary.json", "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


def documents(folder):
    """The texts that are written from the results of a folder: {path: text}."""
    results = load(folder)
    found = claims.gather(results)

    def written(place):
        try:
            return place[1] + TABLES[place[2]](found) + place[3]
        except Missing as missing:
            return place[1] + f"No result saved for {missing}.\n" + place[3]

    return {
        Path("CLAIMS.md"): claims.markdown(results),
        Path(folder, "README.md"): provenance(results),
        **{page: PLACE.sub(written, page.read_text(encoding="utf-8")) for page in PAGES},
    }


def table(header, rows):
    return "\n".join(tables.markdown_table(header, rows)) + "\n"


def quantities(found, rows):
    """Quantities of all problems, with the paper's printed numbers in parentheses."""

    def shown(name, quantity, recipe):
        if (name, f"{quantity}_lower", recipe) in found.rows:
            lower, upper = (found.value(name, f"{quantity}_{end}", recipe) for end in ("lower", "upper"))
            return f"[{lower:.4f}, {upper:.4f}]"
        there = (name, quantity, recipe) in found.rows
        printed = EXPERIMENTS[name].paper.get(quantity)
        return f"{found.value(name, quantity, recipe):.3g}" + (f" ({printed:.3g})" if printed else "") if there else ""

    return table(["", *PROBLEMS], [[text, *(shown(name, *which) for name in PROBLEMS)] for text, *which in rows])


def law(found):
    """What the averaged loss predicts, beside trainings, ours and the paper's."""

    def row(name):
        ours = [found.value(name, "classical_predicted", "fem"), *(found.value(name, key) for key in TRAINED)]
        printed = [EXPERIMENTS[name].paper.get(key) for key in TRAINED]
        return [name, *(f"{value:.3g}" for value in ours), *(f"{value:.3g}" if value else "" for value in printed)]

    return table(
        ["", "predicted", "classical PINN", "transfer learning", "paper: classical PINN", "paper: transfer learning"],
        list(map(row, PROBLEMS)),
    )


def bandwidth(found):
    """Errors of the exact minimisers of the classical loss, their losses in parentheses."""
    lines, widths = {}, {}
    for name in PROBLEMS:
        for row in found.of(name, "law")[0]["bandwidth"]:
            lines.setdefault((name, in_words(row["points"])), []).append(f"{row['error']:.3g} ({row['loss']:.1g})")
            widths[row["bandwidth"]] = None
    return table(["", "points", *(f"s = {s:g}" for s in widths)], [[*label, *cells] for label, cells in lines.items()])


def losses(found):
    """Errors that three losses predict, and those that Adam ends with, the distance of the two in parentheses."""
    rows = [
        [name, loss, f"{row['predicted']:.4f}", f"{row['trained']:.4f} ({row['from_predicted']:.4f})"]
        for name in ("const1d", "elliptic2d")
        for loss, row in found.study(name, "losses", "loss", minimiser="Adam").items()
    ]
    return table(["", "loss", "error predicted", "error after Adam (its distance from the predicted function)"], rows)


def layers(found):
    """Errors of correctors by the way to periodicity."""
    ways = found.study("elliptic2d", "layers", "periodicity")
    return table(
        ["", *map(in_words, ways)],
        [[chi, *(f"{row[chi]:.2g}" for row in ways.values())] for chi in ("chi1", "chi2")],
    )


TRAINED = ("classical", "transfer")
TABLES = {
    "errors": lambda found: quantities(found, ERRORS),
    "homogenization": lambda found: quantities(found, HOMOGENIZATION),
    "law": law,
    "bandwidth": bandwidth,
    "losses": losses,
    "layers": layers,
}


def provenance(results):
    """What was run, when, by what, on what, and how long it took."""
    seconds = {}
    for task, result in results.items():
        seconds.setdefault((task.problem, task.method), []).append(result["processor_seconds"])
    rows = []
    for method in tasks.METHODS:
        each = [seconds.get((name, method), []) for name in PROBLEMS]
        if any(each):
            rows.append([method, *(f"{sum(s) / len(s):.1f} ({len(s)})" if s else "" for s in each)])
    total = sum(result["processor_seconds"] for result in results.values())
    of_commits = {}
    for task, result in sorted(results.items(), key=lambda pair: pair[1].get("started", "")):
        of_commits.setdefault(result.get("commit", "unknown"), {})[task] = result
    lines = [
        "# The results that the documents show",
        "",
        "Results of `run_all.py`, without the errors of every epoch and the solutions, written by `python -m "
        "lab.published`, as are CLAIMS.md, the tables of the other pages and this one. `python run_all.py --verify "
        "docs/results` runs a tenth of them again and compares every number that is kept.",
        "",
        *(line for commit, part in of_commits.items() for line in made_by(commit, part, results)),
        f"{len(results)} tasks, {total:.0f} s of processor time in all. Processor seconds of a task, means over seeds, "
        "with their number:",
        "",
        *tables.markdown_table(["", *PROBLEMS], rows),
    ]
    return "\n".join(lines) + "\n"


def made_by(commit, part, results):
    """The lines about the results of one commit, a part of all: which they are, by what, when and where."""

    def of_all(key, between=", "):
        return between.join(dict.fromkeys(str(result.get(key, "unknown")) for result in part.values()))

    def problems_of(method, tasks_there):
        return [name for name in PROBLEMS if any((t.problem, t.method) == (name, method) for t in tasks_there)]

    methods = []
    for method in tasks.METHODS:
        there = problems_of(method, part)
        if there:
            alone = "" if there == problems_of(method, results) else f" of {', '.join(there)}"
            methods.append(f"`{method}`{alone}")
    starts = [result.get("started", "") for result in part.values()]
    versions = {f"{name} {v}" for result in part.values() for name, v in result.get("versions", {}).items()}
    return [
        f"Commit {commit}: {'; '.join(methods)}",
        "",
        f"- by `{of_all('command', '`, then `')}`",
        f"- from {starts[0]} to {starts[-1]} (the starts of the first and the last task)",
        f"- processor: {of_all('processor')}; BLAS threads of a process: {of_all('threads')}",
        f"- {', '.join(sorted(versions))}",
        "",
    ]


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m lab.published", description="Write docs/results/ and the documents from saved results."
    )
    parser.add_argument("--from", dest="folder", type=Path, default=FOLDER, metavar="DIR", help="results of run_all.py")
    parser.add_argument("--keep", action="store_true", help="keep published results of tasks that DIR has none of")
    parser.add_argument("--budget", choices=BUDGETS, help="results of this budget (default: the largest there is)")
    args = parser.parse_args(argv)
    results = load(args.folder, args.budget)
    if not results:
        parser.error(
            f"--from: found no results of {args.budget or 'any budget'} in {str(args.folder)!r} that this source has "
            "made; `python run_all.py` makes them"
        )
    if args.folder.resolve() != FOLDER.resolve():
        reduce((load(FOLDER, args.budget) if args.keep else {}) | results, FOLDER)
        if (picture := args.folder / "figures" / PICTURE).exists():
            files.write(FOLDER.parent / PICTURE, picture.read_bytes())
        else:
            print(f"kept: {FOLDER.parent / PICTURE}, since {args.folder} has no such picture")
    for path, text in documents(FOLDER).items():
        files.write(path, text)
        print(f"written: {path}")


if __name__ == "__main__":
    main()
