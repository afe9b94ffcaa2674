"""Where the time of `run_all.py` goes, from the folder of a finished run.

    python benchmarks/budget.py results-paper results

One table a folder: for every problem the seconds of each of its tasks, which are one method and one seed each, mean
over seeds.  A task is one process with one thread; the run takes about their sum over the number of processes.
"""

import timing  # first: it adds the project to the path

# isort: split
import argparse
import json
import math
from collections import defaultdict
from pathlib import Path

COLUMNS = ("fem", "classical", "plain", "nhpinn", "transfer", "sharp")


def read(folder):
    """{(problem, column): seconds, a list over seeds}, and {what: seconds} of all tasks."""
    seconds, total = defaultdict(list), defaultdict(float)
    for path in sorted((folder / "tasks").glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        task = result["task"]
        parts = result.get("seconds_by_part") or {task["method"]: result["seconds"]}
        for part, value in parts.items():
            seconds[task["problem"], part].append(value)
        for name in ("seconds", "processor_seconds"):
            total[name] += result.get(name, math.nan)
    return dict(seconds), total


def show(folder):
    seconds, total = read(folder)
    if not seconds:
        raise SystemExit(f"folder: no results in {folder / 'tasks'}; expected the --out folder of a finished run")
    problems = sorted({problem for problem, _ in seconds})
    columns = sorted(
        {part for _, part in seconds}, key=lambda part: (COLUMNS.index(part) if part in COLUMNS else 99, part)
    )
    rows = []
    for problem in problems:
        means = [sum(v) / len(v) if (v := seconds.get((problem, part))) else None for part in columns]
        cells = ["" if mean is None else f"{mean:.0f}" for mean in means]
        rows.append([problem, *cells, f"{sum(mean or 0 for mean in means):.0f}"])
    print(timing.table(["seconds of", *columns, "one seed"], rows))
    count = max(map(len, seconds.values()))
    print(
        f"\n{folder}: {count} seeds, {total['seconds']:.0f} s of tasks, "
        f"{total['processor_seconds']:.0f} s of them on the processor.\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="the --out folders of finished runs")
    for folder in parser.parse_args().folders:
        show(folder)


if __name__ == "__main__":
    main()
