"""What a task is, and its settings: budget, trainings, random numbers."""

import zlib
from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from lab.training import Options
from nhpinn import Training
from problems import Experiment, Problem, fixed


class Budget(NamedTuple):
    epochs: float  # fraction of the paper's epochs, and of the epochs over which errors are averaged, at most
    work: Mapping  # what a training may take, by part: in one dimension, in more; see epoch_cost
    batch: int | None  # equation points an epoch, drawn at random; None: all
    every: int  # epochs between two records of the errors
    step: int  # every so many of the values that a study varies
    size: float  # of what a study solves, cells or features, at most
    text: str


NO_LIMIT = fixed(**dict.fromkeys(("cell", "plain", "homogenized", "classical"), (inf, inf)))
BUDGETS = {
    "smoke": Budget(0.002, NO_LIMIT, 64, 10, 100, inf, "0.2 % of the epochs: numbers of trainings mean nothing"),
    "standard": Budget(
        1,
        fixed(cell=(16e6, 70e6), plain=(8e6, 14e6), homogenized=(65e6, 60e6), classical=(12e6, 16e6)),
        256,
        40,
        2,
        400,
        "the paper's epochs where they take seconds, fewer elsewhere; an epoch sees 256 random equation points at most",
    ),
    "paper": Budget(1, NO_LIMIT, None, 20, 1, inf, "all points and epochs of problems.py, the paper's if it has some"),
}


class Task(NamedTuple):
    problem: str
    method: str
    seed: int
    budget: str

    def __str__(self):
        return f"{self.problem} {self.method} seed {self.seed}"


class Setup(NamedTuple):
    """All that the method of a task is given, resolved once, by tasks.setup."""

    task: Task
    experiment: Experiment
    trainings: Mapping  # part of the experiment -> Training, Options

    @property
    def problem(self) -> Problem:
        return self.experiment.problem

    @property
    def budget(self) -> Budget:
        return BUDGETS[self.task.budget]

    def few(self, values, size=lambda value: 0):
        """All values that a study varies, or some in a budget that is small: every so many, of a size in reach."""
        return [value for value in values[:: self.budget.step] if size(value) <= self.budget.size]

    def stream(self, label):
        """Seeds for numpy's generator: independent between tasks, the same wherever and whenever a task runs."""
        return [self.task.seed, zlib.crc32(f"{self.task.problem} {label}".encode())]


def split(given):
    """A mapping of an Experiment as Training and Options."""
    options = {name: value for name, value in given.items() if name in Options._fields}
    return Training(**{name: value for name, value in given.items() if name not in options}), Options(**options)


def resolved(experiment, part, budget):
    """Training and Options of one part of an experiment under a Budget."""
    settings, options = split(getattr(experiment, part))
    options = options._replace(batch=budget.batch, every=budget.every)
    most = budget.work[part][experiment.problem.dim > 1]
    share = min(budget.epochs, most / (settings.epochs * epoch_cost(experiment, part, settings, options)))
    epochs, average = (max(1, round(share * count)) for count in (settings.epochs, options.average))
    return settings._replace(epochs=epochs), options._replace(average=average)


def epoch_cost(experiment, part, settings, options):
    """A rough measure of an epoch's work: multiplications for each width of a network, plus overhead."""
    problem, of_cells = experiment.problem, part in ("cell", "plain")
    inputs = problem.dim + (problem.initial is not None and not of_cells)
    networks = (experiment.homogenized["points"] ** problem.dim if problem.slow else problem.dim) if of_cells else 1
    points = min(options.batch or inf, settings.points**inputs)
    return 5e3 + networks * points * (problem.dim + 2) * len(settings.hidden)


def averages_are_trained(setup):
    """Whether the study of the law trains networks beside its predictions: where that takes no hours."""
    return setup.problem.initial is None and (setup.problem.dim == 1 or setup.budget.step == 1)
