"""The command line of run_all.py.

A task is (problem, method, seed, budget), see tasks.py.  Its result is one JSON file under --out, which stays until
the task's settings change; tables.md and summary.json show the tasks of the last command.
"""

import argparse
import difflib
import json
import os
import shlex
import shutil
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from lab import claims, figures, files, own, progress, report, runner, tables, tasks, verify
from lab.settings import BUDGETS
from nhpinn_tools.checks import RECIPES
from problems import EXPERIMENTS

# --- What is asked for -----------------------------------------------------------------------------


def parser_of_options():
    parser = argparse.ArgumentParser(
        prog="run_all.py",
        allow_abbrev=False,
        description="Reproduce NH-PINN (Leung, Lin, Zhang, J. Comput. Phys. 2022), ours beside the printed numbers.",
    )
    add = parser.add_argument
    add("--list", action="store_true", help="list the problems, methods, budgets and recipes, and stop")
    add("--only", nargs="+", metavar="NAME", help="these problems alone")
    add("--methods", nargs="+", metavar="NAME", help="these methods alone, see --list")
    add("--problem", action="append", metavar="FILE.py", default=[], help="run the problems of this file")
    add("--budget", choices=BUDGETS, default="standard", help="how much to train (default: standard)")
    add("--seed", type=int, default=0, metavar="N", help="the first seed (default: 0)")
    add("--seeds", type=int, default=1, metavar="K", help="run K seeds: N, N + 1, ... (default: 1)")
    add("--jobs", type=int, default=cores(), metavar="N", help="parallel processes (default: the cores)")
    add(
        "--executor",
        default="local",
        metavar="SPEC",
        help="where tasks run: local (processes here, the default), dask:ADDRESS (a dask cluster), mpi (under mpiexec)",
    )
    add("--out", default="results", metavar="DIR", help="results (default: results/)")
    add("--studies", action="store_true", help="also losses, layers, robustness: half an hour under --budget paper")
    add("--fresh", action="store_true", help="start over: results in DIR go to DIR/tasks/replaced/")
    add("--no-figures", action="store_true", help="write no pictures and no report")
    add("--verify", type=Path, metavar="DIR", help="run tasks of DIR again, those named or a tenth, and compare")
    return parser


def parse(argv):
    """The arguments, checked, with `experiments`: {name: Experiment} of all problems known."""
    parser = parser_of_options()
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}; problems are named by --only, methods by --methods")
    for option, least, most in (("seed", 0, 10**9), ("seeds", 1, 10**5), ("jobs", 1, 10**4)):
        if not least <= (found := getattr(args, option)) <= most:
            parser.error(f"--{option}: found {found}, expected at least {least} and at most {most}")
    if args.executor not in ("local", "mpi") and not args.executor[:5] == "dask:" != args.executor:
        parser.error(f"--executor: found {args.executor!r}, expected local, dask:ADDRESS or mpi")
    if not args.out:
        parser.error("--out: found '', expected the name of a folder")
    args.out = Path(args.out)
    args.named = bool(args.only or args.methods)
    if args.verify:
        check_verify(parser, args, [argument.split("=")[0] for argument in argv if argument.startswith("--")])
    try:
        args.experiments = own.experiments(args.problem)
    except ValueError as error:
        parser.error(f"--problem: {error}")
    pictures = {drawing.name for drawing in figures.drawings(EXPERIMENTS)}
    if taken := pictures & (args.experiments.keys() - EXPERIMENTS.keys()):
        parser.error(f"--problem: name: found {min(taken)!r}, which is a picture's, expected another name")
    args.problem = [str(Path(path).resolve()) for path in args.problem]  # workers have folders of their own
    names = [name for name in args.experiments if args.verify or not args.problem or name not in EXPERIMENTS]
    methods = [name for name, method in tasks.METHODS.items() if args.studies or args.verify or not method.study]
    args.only = chosen(parser, "--only", "problem", args.only or names, args.experiments)
    args.methods = chosen(parser, "--methods", "method", args.methods or methods, tasks.METHODS)
    fits = [m for m in tasks.METHODS if any(tasks.applies(m, args.experiments[name]) for name in args.only)]
    if not set(fits) & set(args.methods):
        found, names = " ".join(args.methods), " ".join(args.only)
        parser.error(f"--methods: found {found}, expected one that applies to {names}: {', '.join(fits)}")
    args.command = shlex.join(["python", "run_all.py", *argv])
    return parser, args


def check_verify(parser, args, given):
    """Nothing that --verify would not listen to; given: the options of the command line."""
    if not os.path.isdir(args.verify / "tasks"):
        parser.error(f"--verify: found no results in {str(args.verify)!r}, expected a folder that --out has filled")
    heard = ["--only", "--methods", "--problem", "--jobs", "--executor", *(() if args.named else ("--seed",))]
    for option in given:
        if option not in ("--verify", *heard):
            parser.error(f"{option}: has no meaning with --verify here, which listens to {', '.join(heard)}")


def chosen(parser, option, kind, names, known):
    """The names without repetitions; an unknown one ends the command, with a proposal if one is near."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            proposal = f"; did you mean {near[0]!r}?" if near else "."
            if kind == "method" and name in RECIPES:
                proposal = ", which is a recipe of nhpinn.solve."
            parser.error(f"{option}: unknown {kind} {name!r}{proposal} Known: {', '.join(known)}")
    return list(dict.fromkeys(names))


def cores():
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def print_list(experiments):
    recipes = {
        "adam": "the paper's: soft boundary and periodic losses, oversampling, Adam; percents",
        "sharp": "random features and linear least squares, with bounds; five digits and more on the paper's problems",
        "fem": "no network: finite-element references, and predictions",
    }
    for heading, texts in (
        ("problems", {name: experiment.problem.title for name, experiment in experiments.items()}),
        ("methods", {name: m.text + " (with --studies, or named)" * m.study for name, m in tasks.METHODS.items()}),
        ("budgets", {name: budget.text for name, budget in BUDGETS.items()}),
        ("recipes", recipes),
    ):
        print(heading, *(f"  {name:12} {text}" for name, text in texts.items()), sep="\n")


# --- Running ---------------------------------------------------------------------------------------


def run(args):
    """Run the tasks whose results are not there yet; write and print the tables.  -> exit status"""
    start, folder, results = time.perf_counter(), (args.out / "checkpoints").resolve(), {}
    picked = {name: args.experiments[name] for name in args.only}
    planned = tasks.plan(picked, args.methods, range(args.seed, args.seed + args.seeds), args.budget)
    names = {setup.task: tasks.name_of(setup) for setup in planned}
    for task, name in names.items():
        path = files.result_path(args.out, name)
        if args.fresh:
            files.put_away(path)
        elif result := files.load(path, task):
            results[task] = files.light(result)
        if args.fresh or task in results:
            files.remove_checkpoints(folder / name)
    if results:
        print(f"{len(results)} of {len(names)} results are in {args.out} already; --fresh runs them again", flush=True)
    missing = {task: folder / name for task, name in names.items() if task not in results}
    work = {setup.task: progress.work(setup) for setup in planned}
    show = progress.announcer(work, results, missing, args.jobs)

    def announce(task, result, running):
        if task is not None:
            result = {**result, "command": args.command}
            results[task] = files.light(result)
            if "error" not in result:
                files.save(result, files.result_path(args.out, names[task]))
                files.remove_checkpoints(missing[task])
        show(task, running)

    if missing:
        folder.mkdir(exist_ok=True)
        with runner.executors_for(args.executor, args.jobs, len(missing)) as executors:
            runner.run_tasks({t: job(args, t, stem) for t, stem in missing.items()}, executors, announce)
        with suppress(OSError):  # not empty: a failed task can go on from what is there
            folder.rmdir()
    return conclude(args, names, {task: results[task] for task in names}, len(missing), time.perf_counter() - start)


def job(args, task, stem=None):
    """A task as a function without arguments; a process that runs it knows the command's problems from their files."""
    return partial(runner.run_task, task, stem, args.problem)


def conclude(args, names, results, ran, seconds):
    """Write tables, pictures and the report; print the overview, the verdict and what failed.  -> exit status"""
    paths = {} if args.no_figures else {task: files.result_path(args.out, name) for task, name in names.items()}
    saved = {task: result for task, path in paths.items() if (result := files.load(path, task))}
    judged = claims.verdicts({task: result for task, result in saved.items() if task.problem in EXPERIMENTS})
    measured = [verdict for _, verdict, *_ in judged if verdict != claims.UNKNOWN]
    shown = tables.shown(*heading(args, results, ran, seconds), results, args.experiments, measured)
    files.write(args.out / "summary.json", json.dumps(shown.rows, indent=1))
    files.write(args.out / "tables.md", tables.markdown(shown))
    print("\n" + tables.screen(shown, shutil.get_terminal_size((120, 50)).columns) + "\n")
    if not args.no_figures:
        write_report(args, saved, results, shown, judged if measured else [])
    count = len(results) - len(shown.failed)
    print(f"written: tables.md, summary.json and {count} file{'s' * (count != 1)} in tasks/, in {args.out}")
    for sentence in shown.failed:
        print(f"failed: {sentence}", file=sys.stderr)
    if shown.failed:
        print("the same command runs the failed tasks again, and no others", file=sys.stderr)
    return 1 if shown.failed else 0


def heading(args, results, ran, seconds):
    """What was run; and for how long, with what."""
    count, spent = len(results), sum(result["seconds"] for result in results.values())
    ended, problems = count - len(tables.failures(results)), ", ".join(dict.fromkeys(task.problem for task in results))
    where = f"{args.jobs} processes" if args.executor == "local" else args.executor
    commits = ", ".join(sorted({result.get("commit", "unknown") for result in results.values()}))
    made = ", ".join(f"{name} {version}" for name, version in runner.versions().items())
    seeds = "one seed" if args.seeds == 1 else f"{args.seeds} seeds"
    return (
        f"{ended} of {count} tasks, {problems}, {seeds}, budget {args.budget}: {BUDGETS[args.budget].text}",
        f"`{args.command}`: {ran} of {count} tasks run now, in {seconds:.0f} s on {where}; all of them took "
        f"{spent:.0f} s of work. Seeds from {args.seed}; errors are means over the last epochs (column `average`), "
        f"then over seeds. Commit {commits}, {made}.",
    )


def write_report(args, saved, results, shown, judged):
    """The pictures and report.html; without matplotlib one line says what is missing."""
    experiments, drawn, skipped = {name: args.experiments[name] for name in args.only}, [], []
    try:
        drawn, skipped = figures.draw(list(saved.values()), experiments, args.out / "figures")
    except ImportError:
        print("no pictures: they need matplotlib (pip install matplotlib)")
    files.write(args.out / "report.html", report.page(shown, list(results.values()), judged, drawn, skipped))
    print(f"the report: {args.out / 'report.html'}, with {len(drawn)} pictures, in figures/ as SVG")


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    try:
        parser, args = parse(argv)
        if args.list:
            print_list(args.experiments)
            return 0
        if args.verify:
            return verify.verify(args, partial(job, args))
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
        verifying = any(argument.split("=")[0] == "--verify" for argument in argv)
        goes_on = "what has been done is saved, and this goes on from there"
        starts_over = "a comparison saves nothing, and this starts it over"
        print(f"\ninterrupted; {starts_over if verifying else goes_on}:", file=sys.stderr)
        again = [argument for argument in argv if argument != "--fresh"]
        print(f"  {shlex.join(['python', 'run_all.py', *again])}", file=sys.stderr)
        return 130
