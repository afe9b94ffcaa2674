"""The command: every experiment of the paper as a table of independent tasks.

    python run_all.py                      all problems, about as in the paper, in minutes
    python run_all.py --budget paper       the paper's points and epochs
    python run_all.py --list               problems, budgets and recipes

A task is (problem, method, seed, budget), see experiments.py.  Its result is one JSON file under --out, which
stays until the task's settings change; tables.md and summary.json show the tasks of the last command.
"""

import os
import signal

if __name__ == "__main__":  # Ctrl-C while the libraries load
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import argparse
import difflib
import json
import math
import shlex
import sys
import time
from contextlib import suppress
from pathlib import Path

from lab import runner

import numpy as np

from lab import figures
from lab import files
from lab import report
from lab import tables
from lab.experiments import BUDGETS, Task, training
from problems import PROBLEMS
from lab.studies import PARTS, PROBLEMS_OF

HEAVY = ("history", "fields", "coefficients")  # for pictures alone, which read them from the files

# ---------------------------------------------------------------------------------------------------
# Tasks
# ---------------------------------------------------------------------------------------------------


def plan(names, seeds, budget, studies=False):
    """All tasks, short ones first; those of PROBLEMS_OF, which take long, if studies are asked for."""
    tasks = []
    for name in names:
        once = ["fem", "law", "sweep"]
        methods = ["classical", "nhpinn", "sharp"] + (["plain"] if PROBLEMS[name].plain else [])
        methods += [method for method, problems in PROBLEMS_OF.items() if studies and name in problems]
        tasks += [Task(name, method, seeds[0], budget) for method in once]
        tasks += [Task(name, method, seed, budget) for method in methods for seed in seeds]
    return sorted(tasks, key=work)


def work(task):
    """A rough measure of a task's work: multiplications an epoch and a width, times epochs, plus overhead."""
    problem, total = PROBLEMS[task.problem], 1e6
    for part in PARTS[task.method]:
        t = training(problem, part, task)
        if part.startswith("sharp"):
            total += 1e5 * t.iterations
            continue
        cell = part in ("cell", "plain")
        inputs = problem.dim + (problem.initial is not None and not cell)
        networks = (t.points if problem.slow else problem.dim) if cell else 1
        points = min(t.batch or np.inf, t.points**inputs)
        total += t.epochs * (5e3 + networks * points * (problem.dim + 2) * len(t.hidden))
    return total


# ---------------------------------------------------------------------------------------------------
# Command line
# ---------------------------------------------------------------------------------------------------


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="run_all.py",
        allow_abbrev=False,
        description="Reproduce NH-PINN (Leung, Lin, Zhang, J. Comput. Phys. 2022), ours beside the printed numbers.",
    )
    parser.add_argument("--list", action="store_true", help="list the problems, budgets and recipes, and stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=list(PROBLEMS), help="these problems alone")
    parser.add_argument("--budget", choices=BUDGETS, default="standard", help="how much to train (default: standard)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first seed (default: 0)")
    parser.add_argument("--seeds", type=int, default=1, metavar="K", help="run K seeds: N, N + 1, ... (default: 1)")
    parser.add_argument(
        "--jobs", type=int, default=cores(), metavar="N", help="parallel processes (default: the cores)"
    )
    parser.add_argument(
        "--executor",
        default="local",
        metavar="SPEC",
        help="where tasks run: local (processes here, the default), dask:ADDRESS (a dask cluster), mpi (under mpiexec)",
    )
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="results (default: results/)")
    parser.add_argument("--studies", action="store_true", help="also losses, periodicity and robustness: an hour more")
    parser.add_argument("--fresh", action="store_true", help="start over: results in DIR go to DIR/tasks/replaced/")
    parser.add_argument("--no-figures", action="store_true", help="write no pictures and no report")
    parser.add_argument(
        "--verify", type=Path, metavar="DIR", help="run a tenth of DIR's tasks again, picked by --seed, and compare"
    )
    args = parser.parse_args(argv)
    args.only = list(dict.fromkeys(args.only))
    for name in args.only:
        if name not in PROBLEMS:
            near = difflib.get_close_matches(name, PROBLEMS, n=1, cutoff=0.0)[0]
            parser.error(f"--only: unknown problem {name!r}; did you mean {near!r}? Known: {', '.join(PROBLEMS)}")
    for option, least, most in (("seed", 0, 10**9), ("seeds", 1, 10**5), ("jobs", 1, 10**4)):
        if not least <= (found := getattr(args, option)) <= most:
            parser.error(f"--{option}: found {found}, expected at least {least} and at most {most}")
    if args.executor not in ("local", "mpi") and not args.executor.startswith("dask:"):
        parser.error(f"--executor: found {args.executor!r}, expected local, dask:ADDRESS or mpi")
    args.command = shlex.join(["python", "run_all.py", *argv])
    return parser, args


def cores():
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def print_list():
    print("problems")
    for name, problem in PROBLEMS.items():
        print(f"  {name:12} {problem.title}")
    print("budgets")
    for name, budget in BUDGETS.items():
        print(f"  {name:12} {budget.text}")
    print("recipes")
    print("  adam         the paper's: soft boundary and periodic losses, oversampling, Adam; percents")
    print("  sharp        built-in boundary and periodic conditions, Levenberg-Marquardt, bounds; six digits and more")
    print("  fem          no network: finite-element references")


def announcer(tasks, results):
    """A function that shows progress: a bar on a terminal, else one line for each task that ends."""
    start, total, before = time.perf_counter(), sum(map(work, tasks)), sum(map(work, results))
    live = sys.stderr.isatty()

    def announce(task):
        if task is not None and not live:
            result = results[task]
            state = f"failed: {result['error']}" if "error" in result else f"{result['seconds']:.1f} s"
            print(f"[{len(results)}/{len(tasks)}] {tables.label(task)}: {state}", flush=True)
        if live:
            elapsed, done = time.perf_counter() - start, sum(map(work, results))
            left = f"{elapsed * (total - done) / (done - before):.0f} s left" if done > before else "estimating"
            bar = "#" * (filled := round(30 * done / total)) + "." * (30 - filled)
            text = f"\r[{bar}] {len(results)}/{len(tasks)} tasks, {elapsed:.0f} s, {left}   "
            print(text, end="\n" if len(results) == len(tasks) else "", file=sys.stderr, flush=True)

    return announce


def write_report(names, results, text, out):
    """The pictures, from the files just written, and report.html; without matplotlib one line says what is missing."""
    saved = [result for task, name in names.items() if (result := files.load(files.result_path(out, name), task))]
    problems = {name: PROBLEMS[name] for name in PROBLEMS if any(task.problem == name for task in results)}
    others = (load_json(Path(__file__).parent / "benchmarks" / "deepxde.json") or {}).get("curves", {})
    others.pop("sharp", None)  # the results have it
    drawn, skipped = [], []
    try:
        drawn, skipped = figures.draw(saved, problems, out / "figures", others)
    except ImportError:
        print("no pictures: they need matplotlib (pip install matplotlib)")
    if skipped:
        print(f"not drawn, for lack of results: {', '.join(skipped)}")
    files.write(out / "report.html", report.page(text, list(results.values()), drawn, skipped))
    print(f"written: report.html, and {len(drawn)} pictures in figures/ as PNG and SVG, in {out}")


def load_json(path):
    """The content of a JSON file, or None where there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def heading(args, results, ran, seconds):
    """What was run, for how long, with what: the first lines of the tables."""
    work_done = sum(result["seconds"] for result in results.values())
    where = f"{args.jobs} processes" if args.executor == "local" else args.executor
    commits = sorted({result.get("commit", "unknown") for result in results.values()})
    return [
        f"Budget `{args.budget}`: {BUDGETS[args.budget].text}. Seeds: {args.seeds}, from {args.seed}; "
        "errors are means over the last epochs (column `average`), then over seeds.",
        "",
        f"`{args.command}`: {ran} of {len(results)} tasks run now, in {seconds:.0f} s on "
        f"{where}; all of them took {work_done:.0f} s of work. Commit {', '.join(commits)}, "
        + ", ".join(f"{name} {version}" for name, version in runner.versions().items()),
    ]


def run(args):
    """Run the tasks whose results are not there yet; write and print the tables.  -> exit status"""
    start, folder, results = time.perf_counter(), (args.out / "checkpoints").resolve(), {}
    tasks = plan(args.only, range(args.seed, args.seed + args.seeds), args.budget, args.studies)
    names = {task: files.name_of(task) for task in tasks}
    for task, name in names.items():
        path = files.result_path(args.out, name)
        if args.fresh:
            files.put_away(path)
        elif result := files.load(path, task):
            results[task] = light(result)
        if args.fresh or task in results:
            files.remove_checkpoints(folder / name)
    if results:
        print(f"{len(results)} of {len(names)} results are in {args.out} already; --fresh runs them again", flush=True)
    missing, progress = {t: folder / names[t] for t in tasks if t not in results}, announcer(tasks, results)

    def announce(task, result):
        if task is not None:
            results[task] = light(result)
            if "error" not in result:
                files.save({**result, "command": args.command}, files.result_path(args.out, names[task]))
                files.remove_checkpoints(missing[task])
        progress(task)

    if missing:
        folder.mkdir(exist_ok=True)
        with runner.executors_for(args.executor, args.jobs, len(missing)) as executors:
            runner.run_tasks(missing, executors, announce)
        with suppress(OSError):  # not empty: a failed task can go on from what is there
            folder.rmdir()
    return conclude(args, names, {task: results[task] for task in tasks}, len(missing), time.perf_counter() - start)


def light(result):
    """What the tables need of a result, so that thousands of them fit into the memory."""
    return {key: value for key, value in result.items() if key not in HEAVY}


def conclude(args, names, results, ran, seconds):
    """Write and print the tables and what failed.  -> exit status"""
    rows = tables.summarize(results)
    text = tables.markdown(results, rows, heading(args, results, ran, seconds))
    files.write(args.out / "summary.json", json.dumps(rows, indent=1))
    files.write(args.out / "tables.md", text)
    print("\n" + text)
    if not args.no_figures:
        write_report(names, results, text, args.out)
    failed = [task for task in results if "error" in results[task]]
    print(f"written: tables.md, summary.json and {len(results) - len(failed)} files in tasks/, in {args.out}")
    for task in failed:
        print(f"failed: {tables.label(task)}: {results[task]['error']}", file=sys.stderr)
    if failed:
        print("the same command runs the failed tasks again, and no others", file=sys.stderr)
    return 1 if failed else 0


def verify(args):
    """Run a random tenth of a folder's tasks again and compare every number with the saved one.  -> exit status"""
    saved, differing = {}, []
    for path in sorted((args.verify / "tasks").glob("*.json")):
        try:
            result = files.read(path)
            task = Task(**result["task"])
            if path.stem != files.name_of(task):
                raise ValueError("made under other settings than this source has, cannot be repeated")
            saved[task] = result
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            print(f"{path.name}: {error}")
            differing.append(path)
    tasks = list(saved)
    tenth = np.random.default_rng(args.seed).permutation(len(tasks))[: math.ceil(len(tasks) / 10)]
    print(f"running {len(tenth)} of the {len(tasks)} tasks in {args.verify} again", flush=True)

    def announce(task, result):
        if task is None:
            return
        result = json.loads(json.dumps(result, default=files.plain_data))
        found = runner.differences(saved[task], result)
        print(f"{tables.label(task)}: {'; '.join(found) or 'the same numbers'}", flush=True)
        if found:
            differing.append(task)

    if tasks:
        with runner.executors_for(args.executor, args.jobs, len(tenth)) as executors:
            runner.run_tasks({tasks[i]: None for i in tenth}, executors, announce)
    return 1 if differing or not tasks else 0


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    try:
        parser, args = parse(argv)
        if args.list:
            print_list()
            return 0
        if args.verify:
            return verify(args)
        try:
            lock = files.lock(args.out)
        except (OSError, ValueError) as error:
            parser.error(f"--out: cannot write to {args.out}: {getattr(error, 'strerror', None) or error}")
        with lock:
            return run(args)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"run_all.py: error: {error.strerror or error}{where}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; what has been done is saved, and this goes on from there:", file=sys.stderr)
        again = [argument for argument in argv if argument != "--fresh"]
        print(f"  {shlex.join(['python', 'run_all.py', *again])}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # a terminal without the sign ±
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.default_int_handler)
    status = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)
