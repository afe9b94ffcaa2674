"""Every method that there is, and the tasks (problem, method, seed, budget) that a command asks for, with settings."""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MethodWrapperType
from typing import NamedTuple

import numpy as np

import fem
from lab import experiments, files, minimisers, progress, studies
from lab.settings import BUDGETS, Setup, Task, resolved
from nhpinn_functions import centre
from nhpinn_tools.ground_state import zero_on_faces


class Method(NamedTuple):
    run: Callable  # (Setup, checkpoints) -> result, a dictionary of plain data
    parts: tuple  # the settings of an Experiment on which its numbers depend
    text: str
    study: bool = False  # takes long, runs only if studies are asked for
    once: bool = False  # does not depend on the seed enough to be run for several


METHODS = {
    "fem": Method(experiments.run_fem, ("homogenized",), "references by finite elements", once=True),
    "sharp": Method(experiments.run_sharp, ("homogenized",), "NH-PINN by the recipe sharp"),
    "classical": Method(experiments.run_classical, ("classical",), "the PINN on the multiscale equation"),
    "plain": Method(experiments.run_plain, ("plain", "homogenized"), "cell problems without oversampling"),
    "adam": Method(
        experiments.run_adam, ("cell", "homogenized", "classical"), "NH-PINN by the paper's recipe; transfer learning"
    ),
    "law": Method(studies.run_law, ("classical",), "the classical PINN's error, predicted and trained", once=True),
    "sweep": Method(studies.run_sweep, (), "errors against eps", once=True),
    "losses": Method(studies.run_losses, ("classical",), "which average a loss learns", study=True, once=True),
    "layers": Method(studies.run_layers, ("cell",), "ways to ask for periodicity", study=True, once=True),
    "robustness": Method(studies.run_robustness, ("cell",), "learning rates and weights", study=True, once=True),
}


def applies(method, experiment):
    """Whether a method says something about a problem; studies are written for a(y), and `losses` for a scalar one."""
    problem, x = experiment.problem, centre(experiment.problem.domain)[None]
    dim, timed = problem.dim, problem.initial is not None
    of_y_alone = not problem.slow and problem.reaction is None
    plain = zero_on_faces(problem) and not fem.takes_time(problem.source)  # what the averages of losses are written for
    return {
        "plain": experiment.plain is not None and not problem.slow,
        "law": plain and dim + timed <= 2,  # its splines are a tensor product, time is one axis more
        "losses": plain and of_y_alone and not timed and dim < 3 and np.ndim(problem.coefficient(x, x)) == 1,
        "layers": of_y_alone,
        "robustness": of_y_alone and dim > 1,
    }.get(method, True)


def setup(task, experiment):
    """The Setup of a task: its trainings under its budget."""
    parts = METHODS[task.method].parts
    return Setup(task, experiment, {part: resolved(experiment, part, BUDGETS[task.budget]) for part in parts})


def plan(chosen, methods, seeds, budget):
    """The Setups of all tasks, short ones first, but for the longest, for which all would wait at the end.

    chosen: {name: Experiment}; methods: names, for the problems that they apply to.
    """
    planned = [
        setup(Task(name, method, seed, budget), experiment)
        for name, experiment in chosen.items()
        for method in methods
        if applies(method, experiment)
        for seed in (seeds[:1] if METHODS[method].once else seeds)
    ]
    planned.sort(key=progress.work)
    return planned[-1:] + planned[:-1]


# --- Names -----------------------------------------------------------------------------------------


def name_of(setup):
    """The name of its files.  It is found from the source files: once, before somebody edits them during a run."""
    task = setup.task
    return f"{task.problem}-{task.method}-{task.seed}-{task.budget}-{settings_hash(setup)}"


def settings_hash(setup):
    """Names a task's data, functions included, so that results under other settings are never taken for its own."""
    task, experiment = setup.task, setup.experiment
    others = {name: value for name, value in experiment._asdict().items() if not isinstance(value, Mapping)}
    data = others | {"problem": setup.problem._replace(title="")._asdict()}
    of_study = METHODS[task.method].run.__module__ == studies.__name__
    modules = [experiments, *([minimisers, studies] if of_study else [])]
    varied = setup.budget.step, setup.budget.size
    trainings = list(setup.trainings.values())
    text = json.dumps([task, data, trainings, varied, *map(constants, modules)], default=identity)
    return files.digest(text)[:8]


def constants(module):
    """The constants of a module that are plain data: settings, too."""
    plain = (bool, int, float, str, tuple, list, dict)
    return {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, plain)}


def identity(value):
    """A function by its source and what it has from outside; numbers of numpy; nothing by its address in memory."""
    if inspect.isfunction(value):
        return [inspect.getsource(value), inspect.getclosurevars(value).nonlocals]
    if inspect.ismethod(value):
        return [value.__qualname__, getattr(value.__self__, "__dict__", {})]
    if isinstance(value, MethodWrapperType):  # what own.checked makes of a partial
        return [value.__self__]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else re.sub(r" at 0x\w+", "", repr(value))


def saved(folder, known):
    """Of a folder: {task: result} that can be repeated, and {path: reason} of the rest.  known: {name: Experiment}."""
    found, refused = {}, {}
    for path in sorted((folder / "tasks").glob("*.json")):
        try:
            result = files.read(path)
            task = Task(**result["task"])
            if task.problem not in known:
                raise ValueError(f"unknown problem {task.problem!r}, give its file by --problem")
            if path.stem != name_of(setup(task, known[task.problem])):
                raise ValueError("made under other settings than this source has, cannot be repeated")
            found[task] = result
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            refused[path] = error
    return found, refused
