"""Settings of a task: its budget, its trainings, its random numbers."""

import zlib
from typing import NamedTuple

from lab.training import Options
from nhpinn import Training


class Budget(NamedTuple):
    epochs: float  # fraction of the paper's epochs, and of the epochs over which errors are averaged
    batch: int | None  # equation points an epoch, drawn at random; None: all
    every: int  # epochs between two records of the errors
    text: str


BUDGETS = {
    "smoke": Budget(
        0.005,
        256,
        10,
        "every code path in a minute: 0.5 % of the epochs: numbers of trainings mean nothing, sharp and fem are whole",
    ),
    "standard": Budget(0.6, 1024, 20, "0.6 of the paper's epochs, at most 1024 random equation points in each"),
    "paper": Budget(1, None, 10, "the paper's points and epochs"),
}


class Task(NamedTuple):
    problem: str
    method: str
    seed: int
    budget: str


def split(given):
    """A mapping of an Experiment as Training and Options."""
    options = {name: value for name, value in given.items() if name in Options._fields}
    return Training(**{name: value for name, value in given.items() if name not in options}), Options(**options)


def training(experiment, part, task):
    """Training and Options of one part of an experiment under the task's budget."""
    (settings, options), budget = split(getattr(experiment, part)), BUDGETS[task.budget]
    return (
        settings._replace(epochs=max(1, round(settings.epochs * budget.epochs))),
        options._replace(
            average=max(1, round(options.average * budget.epochs)), batch=budget.batch, every=budget.every
        ),
    )


def few(values, task):
    """All values, or the first in a budget that only tries the code."""
    return values if BUDGETS[task.budget].epochs >= 0.5 else values[:1]


def stream(task, label):
    """Seeds for numpy's generator: independent between tasks, the same wherever and whenever a task runs."""
    return [task.seed, zlib.crc32(f"{task.problem} {label}".encode())]
