"""Settings of a task: its budget, its trainings under that budget, its random numbers."""

import zlib
from typing import NamedTuple

import adam
import sharp


class Budget(NamedTuple):
    epochs: float  # fraction of the paper's epochs, and of the epochs over which errors are averaged
    batch: int | None  # equation points an epoch, drawn at random; None: all
    every: int  # epochs between two records of the errors
    text: str


BUDGETS = {
    "smoke": Budget(0.005, 256, 10, "every code path in a minute: 0.5 % of the epochs, the numbers mean nothing"),
    "standard": Budget(0.6, 1024, 20, "0.6 of the paper's epochs, at most 1024 random equation points in each"),
    "paper": Budget(1, None, 10, "the paper's points and epochs"),
}


class Task(NamedTuple):
    problem: str
    method: str
    seed: int
    budget: str


def training(experiment, part, task):
    """The settings of one training of an experiment under the task's budget: adam.Training or sharp.Sharp."""
    budget = BUDGETS[task.budget]
    if part.startswith("sharp"):
        settings = sharp.Sharp(**getattr(experiment, part))
        return settings._replace(iterations=2, starts=1) if tries(task) else settings  # seconds: no need to save more
    settings = adam.Training(**getattr(experiment, part))
    return settings._replace(
        epochs=max(1, round(settings.epochs * budget.epochs)),
        average=max(1, round(settings.average * budget.epochs)),
        batch=budget.batch,
        every=budget.every,
    )


def tries(task):
    """Whether the budget only tries the code."""
    return BUDGETS[task.budget].epochs < 0.5


def few(values, task):
    """All values, or the first in a budget that only tries the code."""
    return values[:1] if tries(task) else values


def stream(task, label):
    """Seeds for numpy's generator: independent between tasks, the same wherever and whenever a task runs."""
    return [task.seed, zlib.crc32(f"{task.problem} {label}".encode())]
