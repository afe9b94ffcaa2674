"""Repeating: tasks of a folder run again, a random tenth or those named, and each number compared with the saved one.

Three verdicts: the same numbers; the same but for rounding; differs.  Another kernel of the linear algebra, another
number of threads or another processor adds in another order, and a training carries that on from epoch to epoch.
"""

import itertools
import json
import math
from operator import itemgetter

import numpy as np

from lab import files, runner, tasks

# The largest relative differences that pass for rounding, ten times and more of those measured, see docs/running.md
ROUNDING = {"fem": 1e-8, "sharp": 1e-3, "sweep": 1e-4}
OF_TRAININGS = 0.05  # of all other methods
UNSTABLE = {("reaction10", "classical"), ("reaction50", "classical")}  # trainings that a last bit sends elsewhere
SMALL = 1e-3
SAME, ROUNDED, DIFFERS = "the same numbers", "the same but for rounding", "differs"
ABSENT = "absent"  # in the place of what one of two results does not have

# What a result says of how it was made; all else is the same whenever and wherever the task runs.
PROVENANCE = ("seconds", "processor_seconds", "seconds_by_part", "clock", "continued", "started", "command")


def repeatable(data):
    """A result without what it says of how it was made, at any depth."""
    if not isinstance(data, dict):
        return data
    return {key: repeatable(value) for key, value in data.items() if key not in PROVENANCE + runner.ENVIRONMENT}


def differences(saved, found, name=""):
    """What two results differ in: [(name, saved, found, relative difference), ...], inf where one is no number.

    A list of numbers is one quantity, relative to the largest of them.  Single numbers are errors in general, of which
    those below SMALL are compared as SMALL is: of an error of 1e-13, rounding leaves no digit.
    """
    if isinstance(saved, dict) and isinstance(found, dict):
        pairs = {key: (saved.get(key, ABSENT), found.get(key, ABSENT)) for key in {**saved, **found}}
        return [each for key, pair in pairs.items() for each in differences(*pair, f"{name} {key}".strip())]
    if json.dumps(saved) == json.dumps(found):
        return []
    if isinstance(saved, list) and isinstance(found, list) and any(isinstance(value, dict) for value in saved):
        return differences(dict(enumerate(saved)), dict(enumerate(found)), name)
    try:
        a, b = (np.asarray(value, dtype=float) for value in (saved, found))
        size = max(np.abs(a).max(), np.abs(b).max(), 0.0 if a.ndim else SMALL)
        distance = np.abs(a - b).max() / size if a.shape == b.shape else math.inf
    except (TypeError, ValueError):
        distance = math.inf
    return [(name, saved, found, float(distance) if np.isfinite(distance) else math.inf)]


def compared(task, saved, found):
    """One of the three verdicts, and a sentence: what differs most, and in what the places differ where they ran."""
    if "error" in found:
        return DIFFERS, found["error"]
    different = differences(repeatable(saved), repeatable(found))
    if not different:
        return SAME, ""
    most, parts = max(map(itemgetter(-1), different)), [described(different)]
    verdict = ROUNDED if most <= ROUNDING.get(task.method, OF_TRAININGS) else DIFFERS
    if verdict == DIFFERS and (task.problem, task.method) in UNSTABLE and most < math.inf:
        verdict, parts = ROUNDED, [*parts, "a training that a last bit sends elsewhere"]
    places = [{key: result[key] for key in runner.ENVIRONMENT if key in result} for result in (saved, found)]
    return verdict, "; ".join(parts + [f"{key} {was}, now {now}" for key, was, now, _ in differences(*places)])


def described(different):
    """In words: what is new, gone or no number, and of the numbers the largest difference."""

    def values(saved, found):
        return "" if isinstance(saved, list) else f": {saved} saved, {found} found now"

    parts, numbers = [], [each for each in different if each[-1] < math.inf]
    for name, saved, found, most in different:
        if ABSENT in (saved, found):
            parts.append(f"{name} {'new' if saved == ABSENT else 'gone'}")
        elif most == math.inf:
            parts.append(f"{name} changed{values(saved, found)}")
    if numbers:
        name, *both, most = max(numbers, key=itemgetter(-1))
        parts.append(f"{name} by {most:.1e}, relative, the largest of {len(numbers)}{values(*both)}")
    return "; ".join(parts)


def verify(args, job):
    """Run tasks of a folder again, a random tenth or all of those named, and compare.  -> exit status

    job: a task -> a function without arguments that runs it.
    """
    saved, refused = tasks.saved(args.verify, args.experiments)
    if args.named:
        named = set(itertools.product(args.only, args.methods))
        saved = {task: result for task, result in saved.items() if task[:2] in named}
        refused = {path: reason for path, reason in refused.items() if tuple(path.stem.split("-")[:2]) in named}
    for path, reason in refused.items():
        print(f"{path.name}: {reason}")
    known, differing = list(saved), list(refused)
    share = len(known) if args.named else math.ceil(len(known) / 10)
    again = [known[i] for i in np.random.default_rng(args.seed).permutation(len(known))[:share]]
    print(f"running {len(again)} of the {len(known)} tasks in {args.verify}{' named' * args.named} again", flush=True)

    def announce(task, result, running):
        if task is None:
            return
        result = json.loads(json.dumps(result, default=files.plain_data))
        if "least" in saved[task]:  # a published one
            result = json.loads(json.dumps(files.reduced(result, args.experiments[task.problem].problem.dim)))
        verdict, sentence = compared(task, saved[task], result)
        print(f"{task}: {verdict}" + f": {sentence}" * bool(sentence), flush=True)
        if verdict == DIFFERS:
            differing.append(task)

    if again:
        with runner.executors_for(args.executor, args.jobs, len(again)) as executors:
            runner.run_tasks({task: job(task) for task in again}, executors, announce)
    return 1 if differing or not again else 0
