"""The command: every experiment of the paper as a table of independent tasks.

    python run_all.py                      all problems, about as in the paper, in minutes
    python run_all.py --budget paper       the paper's points and epochs
    python run_all.py --list               problems, budgets and recipes

A task is (problem, method, seed, budget), see experiments.py.  Its result is one JSON file under --out, which
stays until the task's settings change; tables.md and summary.json show the tasks of the last command.
"""

import os

for _library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM"):  # processes in parallel, one thread each
    os.environ[f"{_library}_NUM_THREADS"] = "1"  # has to be set before numpy is loaded

import argparse
import difflib
import hashlib
import importlib.metadata
import inspect
import json
import multiprocessing
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path

import numpy as np
import scipy

import figures
import jets
import report
import tables
from experiments import BUDGETS, METHODS, PARTS, Task, training
from problems import PROBLEMS

# ---------------------------------------------------------------------------------------------------
# Tasks
# ---------------------------------------------------------------------------------------------------


def plan(names, seeds, budget):
    """All tasks, short ones first."""
    tasks = []
    for name in names:
        tasks.append(Task(name, "fem", seeds[0], budget))
        methods = ["classical", "nhpinn", "sharp"] + (["plain"] if PROBLEMS[name].plain else [])
        tasks += [Task(name, method, seed, budget) for method in methods for seed in seeds]
    return sorted(tasks, key=work)


def work(task):
    """A rough measure of a task's work: multiplications an epoch and a width, times epochs, plus overhead."""
    problem, total = PROBLEMS[task.problem], 1e6
    for part in PARTS[task.method]:
        t = training(problem, part, task)
        if task.method == "sharp":
            total += 1e5 * t.iterations
            continue
        cell = part in ("cell", "plain")
        inputs = problem.dim + (problem.initial is not None and not cell)
        networks = (t.points if problem.slow else problem.dim) if cell else 1
        points = min(t.batch or np.inf, t.points**inputs)
        total += t.epochs * (5e3 + networks * points * (problem.dim + 2) * len(t.hidden))
    return total


def settings_hash(task):
    """Names a task's data, functions included, so that results under other settings are never taken for its own."""
    problem = PROBLEMS[task.problem]._asdict()
    data = {name: value for name, value in problem.items() if not isinstance(value, Mapping)}
    settings = [training(PROBLEMS[task.problem], part, task)._asdict() for part in PARTS[task.method]]
    text = json.dumps([task, data, settings], default=inspect.getsource)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def path_of(task, out):
    return out / "tasks" / f"{task.problem}-{task.method}-{task.seed}-{task.budget}-{settings_hash(task)}.json"


def run_task(task):
    """Run one task in this process: its result, or the sentence that says why there is none."""
    jets.reuse_freed_memory()
    start, work_start = time.perf_counter(), time.process_time()
    try:
        result = METHODS[task.method](PROBLEMS[task.problem], task)
    except (ArithmeticError, ValueError, TypeError, np.linalg.LinAlgError, MemoryError) as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    return {
        "task": task._asdict(),
        **result,
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - work_start,  # the same on a busy machine
        "commit": commit(),
        "versions": versions(),
    }


def versions():
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "autograd": importlib.metadata.version("autograd"),
        "machine": platform.machine(),
    }


def run_tasks(tasks, jobs, out, announce):
    """Run tasks in parallel processes; each result is written as it comes in.  -> {task: result}"""
    results = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context, initializer=leave_interrupts_alone) as pool:
        futures = {pool.submit(run_task, task): task for task in tasks}
        try:
            collect(futures, results, out, announce)
        except BaseException:  # Ctrl-C, or a result that cannot be written: no reason to wait for the workers
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise
    return results


def collect(futures, results, out, announce):
    """Write results as they come in."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
        for future in done:
            task = futures[future]
            try:
                results[task] = future.result()
            except Exception as error:  # the worker died, and the pool with it: the same command tries again
                results[task] = {"task": task._asdict(), "error": f"{type(error).__name__}: {error}", "seconds": 0}
            if "error" not in results[task]:
                write(path_of(task, out), json.dumps(results[task], default=plain_data))
            announce(task, results)
        if not done:
            announce(None, results)


def leave_interrupts_alone():
    """Ctrl-C is for the main process, which stops its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def plain_data(value):
    """Arrays as nested lists, rounded to what a picture needs."""
    return np.asarray(value, dtype=np.float64).round(7).tolist()


def write(path, text):
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load(path):
    """A result from disk, or None where there is none that can be read: its task will run again."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(result, dict) and {"task", "recipe", "quantities", "seconds"} <= set(result)
    return result if whole else None


# ---------------------------------------------------------------------------------------------------
# Command line
# ---------------------------------------------------------------------------------------------------


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="run_all.py",
        description="Reproduce NH-PINN (Leung, Lin, Zhang, J. Comput. Phys. 2022), ours beside the printed numbers.",
    )
    parser.add_argument("--list", action="store_true", help="list the problems and budgets, and stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=list(PROBLEMS), help="these problems alone")
    parser.add_argument("--budget", choices=BUDGETS, default="standard", help="how much to train (default: standard)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first seed (default: 0)")
    parser.add_argument("--seeds", type=int, default=1, metavar="K", help="run K seeds: N, N + 1, ... (default: 1)")
    parser.add_argument(
        "--jobs", type=int, default=cores(), metavar="N", help="parallel processes (default: the cores)"
    )
    parser.add_argument("--executor", choices=["local"], default="local", help="where tasks run: local processes")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="results (default: results/)")
    parser.add_argument("--fresh", action="store_true", help="run tasks again whose results are in DIR already")
    parser.add_argument("--no-figures", action="store_true", help="write no pictures and no report")
    args = parser.parse_args(argv)
    args.only = list(dict.fromkeys(args.only))
    for name in args.only:
        if name not in PROBLEMS:
            near = difflib.get_close_matches(name, PROBLEMS, n=1, cutoff=0.0)[0]
            parser.error(f"--only: unknown problem {name!r}; did you mean {near!r}? Known: {', '.join(PROBLEMS)}")
    for option in ("seeds", "jobs"):
        if getattr(args, option) < 1:
            parser.error(f"--{option}: found {getattr(args, option)}, expected at least 1")
    if args.seed < 0:
        parser.error(f"--seed: found {args.seed}, expected at least 0")
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
    print("  adam         the paper's: soft boundary and periodic losses, oversampling, Adam")
    print("  fem          no network: finite-element references")


def announcer(tasks, already):
    """A function that shows progress: a bar on a terminal, else one line for each finished task."""
    start, total, before = time.perf_counter(), sum(map(work, tasks)), sum(map(work, already))
    live = sys.stderr.isatty()

    def announce(task, results):
        elapsed = time.perf_counter() - start
        done = before + sum(work(t) for t in results)
        if task is not None and not live:
            result = results[task]
            state = f"failed: {result['error']}" if "error" in result else f"{result['seconds']:.1f} s"
            print(f"[{len(results) + len(already)}/{len(tasks)}] {tables.label(task)}: {state}", flush=True)
        if live:
            filled = round(30 * done / total)
            left = f"{elapsed * (total - done) / (done - before):.0f} s left" if done > before else "estimating"
            bar = "#" * filled + "." * (30 - filled)
            end = "\n" if len(results) + len(already) == len(tasks) else ""
            print(
                f"\r[{bar}] {len(results) + len(already)}/{len(tasks)} tasks, {elapsed:.0f} s, {left}   ",
                end=end,
                file=sys.stderr,
                flush=True,
            )

    return announce


def commit():
    """The commit of this source, or 'unknown' outside a repository."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write_report(results, text, out):
    """The pictures, from the files just written, and report.html; without matplotlib one line says what is missing."""
    saved = [result for task in results if (result := load(path_of(task, out))) is not None]
    problems = {name: PROBLEMS[name] for name in PROBLEMS if any(task.problem == name for task in results)}
    others = load_json(Path(__file__).parent / "benchmarks" / "deepxde.json")
    drawn, skipped = [], []
    try:
        drawn, skipped = figures.draw(saved, problems, out / "figures", others)
    except ImportError:
        print("no pictures: they need matplotlib (pip install matplotlib)")
    if skipped:
        print(f"not drawn, for lack of results: {', '.join(skipped)}")
    write(out / "report.html", report.page(text, list(results.values()), drawn, skipped))
    print(f"written: report.html, and {len(drawn)} pictures in figures/ as PNG and SVG, in {out}")


def load_json(path):
    """The content of a JSON file, or None where there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def check_writable(out):
    """Raises OSError where the results could not be written, before anything is computed."""
    write(out / "tasks" / ".writable", "")
    (out / "tasks" / ".writable").unlink()


def heading(args, argv, tasks, results, ran, seconds):
    """What was run, for how long, with what: the first lines of the tables."""
    work_done = sum(result["seconds"] for result in results.values())
    commits = sorted({result.get("commit", "unknown") for result in results.values()})
    return [
        f"Budget `{args.budget}`: {BUDGETS[args.budget].text}. Seeds: {args.seeds}, from {args.seed}; "
        "errors are means over the last epochs (column `average`), then over seeds.",
        "",
        f"`python run_all.py {' '.join(argv)}`: {ran} of {len(tasks)} tasks run now, in {seconds:.0f} s on {args.jobs} "
        f"processes; all of them took {work_done:.0f} s of work. Commit {', '.join(commits)}, "
        + ", ".join(f"{name} {version}" for name, version in versions().items()),
    ]


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    parser, args = parse(argv)
    if args.list:
        print_list()
        return 0
    try:
        check_writable(args.out)
    except OSError as error:
        parser.error(f"--out: cannot write to {args.out}: {error.strerror}")

    start = time.perf_counter()
    tasks = plan(args.only, range(args.seed, args.seed + args.seeds), args.budget)
    saved = {} if args.fresh else {task: load(path_of(task, args.out)) for task in tasks}
    results = {task: result for task, result in saved.items() if result is not None}
    if results:
        print(f"{len(results)} of {len(tasks)} results are in {args.out} already; --fresh runs them again", flush=True)
    missing = [task for task in tasks if task not in results]
    if missing:
        results |= run_tasks(missing, args.jobs, args.out, announcer(tasks, list(results)))
    results = {task: results[task] for task in tasks}

    rows, seconds = tables.summarize(results), time.perf_counter() - start
    text = tables.markdown(results, rows, heading(args, argv, tasks, results, len(missing), seconds))
    write(args.out / "summary.json", json.dumps(rows, indent=1))
    write(args.out / "tables.md", text)
    print("\n" + text)
    if not args.no_figures:
        write_report(results, text, args.out)
    failed = [task for task in tasks if "error" in results[task]]
    print(f"written: tables.md, summary.json and {len(tasks) - len(failed)} files in tasks/, in {args.out}")
    for task in failed:
        print(f"failed: {tables.label(task)}: {results[task]['error']}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # a terminal without the sign ±
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted; finished tasks are saved, and the same command goes on with the others", file=sys.stderr)
        sys.exit(130)
