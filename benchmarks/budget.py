"""Where the time of `run_all.py` goes, from the folder of a finished run.

    python benchmarks/budget.py results-paper results

One table a folder: for every problem the processor time of each of its tasks, which are one method and one seed each,
mean over seeds.  A task is one process with one thread; the run takes about their sum over the number of processes.
"""

import timing  # first: it adds the project to the path

# isort: split
import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

METHODS = ("fem", "classical", "plain", "adam", "sharp")  # first, in this order


def read(folder):
    """{(problem, method): [processor seconds, one for each seed]}, and the seconds of all tasks by the clock."""
    seconds, clock = defaultdict(list), 0.0
    for path in sorted((folder / "tasks").glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        task = result["task"]
        seconds[task["problem"], task["method"]].append(result["processor_seconds"])
        clock += result["seconds"]
    return dict(seconds), clock


def show(folder):
    seconds, clock = read(folder)
    if not seconds:
        raise SystemExit(f"folder: no results in {folder / 'tasks'}; expected the --out folder of a finished run")
    methods = {method for _, method in seconds}
    columns = [method for method in METHODS if method in methods] + sorted(methods - set(METHODS))
    rows = []
    for problem in sorted({problem for problem, _ in seconds}):
        means = [mean(seconds[problem, method]) if (problem, method) in seconds else None for method in columns]
        cells = ["" if value is None else f"{value:.1f}" for value in means]
        rows.append([problem, *cells, f"{sum(value or 0 for value in means):.0f}"])
    print(timing.table(["processor seconds of", *columns, "one seed"], rows))
    total, count = sum(map(sum, seconds.values())), max(map(len, seconds.values()))
    print(f"\n{folder}: {count} seeds, {total:.0f} s of tasks on the processor, {clock:.0f} s by the clock.\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="the --out folders of finished runs")
    for folder in parser.parse_args().folders:
        show(folder)


if __name__ == "__main__":
    main()
