"""Repeating: a tenth of a folder's tasks run again, and each number compared with the saved one.

Three verdicts: the same numbers; the same but for rounding; differs.  Another kernel of the linear algebra, another
number of threads or another processor adds in another order, and a training carries that on from epoch to epoch.
"""

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
        return [d for k in {**saved, **found} for d in differences(saved.get(k), found.get(k), f"{name} {k}".strip())]
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
    """One of the three verdicts, and a sentence with the largest relative difference and whose it is."""
    if "error" in found:
        return DIFFERS, found["error"]
    different = differences(repeatable(saved), repeatable(found))
    if not different:
        return SAME, ""
    name, before, now, most = max(different, key=itemgetter(-1))
    numbers = "" if isinstance(before, list) else f": {before} saved, {now} found now"
    sentence = f"{name} by {most:.1e}, relative, the largest of {len(different)}{numbers}"
    if most <= ROUNDING.get(task.method, OF_TRAININGS):
        return ROUNDED, sentence
    if (task.problem, task.method) in UNSTABLE and most < math.inf:
        return ROUNDED, sentence + "; a training that a last bit sends elsewhere"
    places = [{key: result.get(key) for key in runner.ENVIRONMENT} for result in (saved, found)]
    return DIFFERS, "; ".join([sentence, *(f"{key} {was}, now {now}" for key, was, now, _ in differences(*places))])


def verify(args, job):
    """Run a random tenth of a folder's tasks again and compare every number with the saved one.  -> exit status

    job: a task -> a function without arguments that runs it.
    """
    saved, refused = tasks.saved(args.verify, args.experiments)
    for path, reason in refused.items():
        print(f"{path.name}: {reason}")
    known, differing = list(saved), list(refused)
    tenth = np.random.default_rng(args.seed).permutation(len(known))[: math.ceil(len(known) / 10)]
    print(f"running {len(tenth)} of the {len(known)} tasks in {args.verify} again", flush=True)

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

    if known:
        with runner.executors_for(args.executor, args.jobs, len(tenth)) as executors:
            runner.run_tasks({known[i]: job(known[i]) for i in tenth}, executors, announce)
    return 1 if differing or not known else 0
