"""How much work a task is, how much of it is done, when all will be, and what is shown of that."""

import sys
import time

from lab import files
from lab.settings import averages_are_trained, epoch_cost

# How often a method trains each of its parts, where that is not once
TRAININGS = {"fem": 0, "sharp": 0, "law": 7, "losses": 6, "layers": 8, "robustness": 5}
# Its other work, in one dimension, in more
REST = {"fem": (1e6, 1e7), "sharp": (1e6, 5e6), "law": (1e7, 2e7), "sweep": (2e6, 1e8)}


def epochs_and_costs(setup):
    """{part: (epochs, work of an epoch)}"""
    return {
        part: (training.epochs, epoch_cost(setup.experiment, part, training, options))
        for part, (training, options) in setup.trainings.items()
    }


def work(setup):
    """A rough measure of a task's work: 1e6 take half a second to one."""
    method = setup.task.method
    idle = method == "law" and not averages_are_trained(setup)
    trainings = 0 if idle else TRAININGS.get(method, 1)
    rest = REST.get(method, (1e6, 1e6))[setup.problem.dim > 1]
    return rest + trainings * sum(epochs * cost for epochs, cost in epochs_and_costs(setup).values())


def part_done(setup, epochs):
    """The part of its work that a task has done.  epochs: those that its trainings have behind them, by their names."""
    costs = {part: cost for part, (_, cost) in epochs_and_costs(setup).items()}
    costs["transfer"], other = costs.get("classical"), next(iter(costs.values()))
    return min(sum(n * costs.get(name, other) for name, n in epochs.items()) / work(setup), 0.99)


def remaining(work, ended, running, jobs):
    """-> the work that is done, and the seconds until all is done: None before any speed has been measured.

    work: {task: estimate}, in the order in which they start.  ended: {task: its seconds, 0 where they say nothing}.
    running: {task: (its seconds so far, the part of its trainings that is done, or 0)}.
    """
    measured = sum(work[task] for task, seconds in ended.items() if seconds)
    measured += sum(work[task] * part for task, (_, part) in running.items())
    spent = sum(ended.values()) + sum(seconds for seconds, part in running.values() if part)
    done = sum(work[task] for task in ended)
    if not (measured and spent):
        return done, None
    a_unit, busy = spent / measured, []  # seconds
    for task, (seconds, part) in running.items():
        expected = work[task] * a_unit
        done += work[task] * (part or min(seconds / expected, 0.95))
        # its own speed counts the more, the more of it is done: its whole time is between `expected` and seconds / part
        busy.append((1 - part) * (seconds + (1 - part) * expected) if part else max(expected - seconds, 0.0))
    busy = sorted([0.0] * jobs + busy)[-max(jobs, len(busy)) :]  # until each process is free
    for task in work:
        if task not in ended and task not in running:
            busy = sorted([busy[0] + work[task] * a_unit, *busy[1:]])
    return done, busy[-1]


def announcer(work, results, stems, jobs):
    """A function of (task that has ended or None, tasks at work) that shows progress: a bar on a terminal, else a line
    for each task that ends.

    work: an estimate for every task, in any unit.  stems: where those that are run keep their checkpoints.
    """
    start, total = time.perf_counter(), sum(work.values())
    ended, since = dict.fromkeys(results, 0.0), {}

    def line(task, running=()):
        if task is not None:
            result = results[task]
            state = f"failed: {result['error']}" if "error" in result else f"{result['seconds']:.1f} s"
            print(f"[{len(results)}/{len(work)}] {task}: {state}", flush=True)

    def bar(task, running=()):
        now = time.perf_counter()
        ended.update({task: result["seconds"] for task, result in results.items() if task not in ended})
        at_work = {t: (now - since.setdefault(t, now), files.progress(stems[t])) for t in running}
        done, left = remaining(work, ended, at_work, jobs)
        marks = "#" * (filled := round(30 * done / total)) + "." * (30 - filled)
        left = "estimating" if left is None else f"{left:.0f} s left"
        text = f"\r[{marks}] {len(results)}/{len(work)} tasks, {now - start:.0f} s, {left}   "
        print(text, end="\n" if len(results) == len(work) else "", file=sys.stderr, flush=True)

    return bar if sys.stderr.isatty() else line
