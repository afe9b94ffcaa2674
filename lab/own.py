"""Problems of one's own: run_all.py --problem FILE.py runs everything on the Problem and Experiment records in it.

A Problem gets our settings for its dimension; `problems.experiment(problem, cell={"epochs": 1000}, ...)` changes some.
What is wrong in the file is one sentence with its line and the field.
"""

import ast
import inspect
import runpy
import sys
import traceback
from pathlib import Path

import numpy as np

import nhpinn
import nhpinn_functions
from lab.experiments import constant_tensor
from lab.settings import split
from lab.training import Options, check_options
from nhpinn_tools import checks, solutions
from problems import EXPERIMENTS, Experiment, Problem, experiment

LONGEST = 60  # name of a problem: those of its files are longer by that of a method, of a training and a hash


def experiments(paths=()):
    """{name: Experiment}: the paper's, and those of the files."""
    found = dict(EXPERIMENTS)
    for path in paths:
        for name, own in load(path).items():
            if name in found:
                raise ValueError(f"{path}: name: found {name!r} twice, expected a name of its own for each problem")
            found[name] = own
    return found


def load(path):
    """{name: Experiment} of a file.  Raises ValueError with the line and the field that is wrong."""
    path, sys_path = Path(path).resolve(), list(sys.path)
    try:
        text = path.read_text(encoding="utf-8")
        sys.path.insert(0, str(path.parent))  # for modules that lie beside it
        values = runpy.run_path(str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    except (Exception, SystemExit) as error:  # whatever the file's own code raises
        text = f"found sys.exit({error.code})" if isinstance(error, SystemExit) else str(error) or type(error).__name__
        if isinstance(error, SyntaxError) and error.filename == str(path):  # whose text repeats the place
            text = f"found {error.msg.split(' (')[0]}, expected Python"
        raise ValueError(f"{path}, line {line_of(error, path)}: {text}") from error
    finally:
        sys.path[:] = sys_path
    found, records = {}, {}
    for variable, value in values.items():
        if not isinstance(value, (Problem, Experiment)):
            continue
        try:
            own = checked(value)
            name = own.problem.name
            records[name] = of_one_name(value, records.get(name))
        except (ValueError, TypeError) as error:
            where = lines_of(text, variable)
            line = where.get(str(error).split(":")[0], where.get("", 1))
            raise ValueError(f"{path}, line {line}: {error}") from error
        if name not in found or isinstance(value, Experiment):  # an Experiment stands for its Problem
            found[name] = own._replace(file=text)
    if not found:
        raise ValueError(f"{path}: found no Problem and no Experiment, expected at least one")
    return found


def of_one_name(value, before):
    """(Problem, Experiment or None): a record joined with what was found of its name before.

    Raises ValueError for another record; two variables may have the same, and an Experiment has its Problem.
    """
    problem, made = (value, None) if isinstance(value, Problem) else (value.problem, value)
    problem_before, made_before = before or (problem, None)
    if problem_before is not problem or (made and made_before and made is not made_before):
        raise ValueError(f"name: found {problem.name!r} twice, expected a name of its own for each problem")
    return problem, made or made_before


def check_isotropic(problem):
    """Raises ValueError for a tensor beside a reaction: the references, elements, have N of a number D alone."""
    if problem.reaction is not None:
        a = constant_tensor(problem)
        if np.abs(a - a[0, 0] * np.eye(problem.dim)).max() > 1e-10 * np.abs(a).max():
            raise ValueError(
                f"coefficient: found the tensor {nhpinn_functions.shown(a.tolist())} beside a reaction, expected a "
                "number, since the references of the laboratory take no other; nhpinn.solve takes tensors"
            )


def checked(value):
    """An Experiment, of a Problem with our defaults.  Raises ValueError or TypeError that begins with the field."""
    problem = value if isinstance(value, Problem) else value.problem
    name = getattr(problem, "name", problem)
    if not (isinstance(problem, Problem) and isinstance(name, str) and name.isidentifier() and len(name) <= LONGEST):
        raise ValueError(f"name: found {name!r}, expected at most {LONGEST} letters, digits and _ in quotes")
    slow = nhpinn_functions.check_problem(problem)
    checks.check_cells_fit(problem)
    check_isotropic(problem)
    solutions.smooth_field(problem)
    period = tuple(np.asarray(problem.period).tolist()) if np.ndim(problem.period) else problem.period
    methods = {name: f.__call__ for name, f in problem._asdict().items() if callable(f) and not inspect.isfunction(f)}
    domain = tuple(map(tuple, problem.domain))
    problem = problem._replace(domain=domain, boundary=hashable(problem.boundary), period=period, slow=slow, **methods)
    own = (experiment(problem) if isinstance(value, Problem) else value)._replace(problem=problem)
    nhpinn_functions.check_integer("test_points", own.test_points, 3, 10**4)
    nhpinn_functions.check_positive("tolerance", own.tolerance, 1.0)
    for part in ("cell", "plain", "homogenized", "classical"):
        if (given := getattr(own, part)) is not None:
            check_part(part, given, problem)
    nodes = nhpinn.slow_nodes(problem.domain, slow, own.homogenized["points"])
    for given in (own.cell, own.plain):
        if given is not None:
            nhpinn_functions.check_cells(problem, split(given)[0], nodes)
    return own


def hashable(entries):
    """Pairs of entries as tuples."""
    pair = isinstance(entries, list | tuple) and not isinstance(entries, nhpinn.Flux)
    return tuple(map(hashable, entries)) if pair else entries


def check_part(part, given, problem):
    """Raises ValueError or TypeError for settings of one training, in a sentence that begins with the field."""
    try:
        settings, options = split(given)
    except TypeError as error:
        fields = ", ".join(nhpinn.Training._fields + Options._fields)
        raise TypeError(f"{part}: {error.args[0].split(' ', 1)[-1]}; expected {fields}") from error
    check_options(options)
    if part in ("cell", "plain"):
        nhpinn_functions.check_cell_training(settings, problem.dim)
    else:
        nhpinn_functions.check_equation_training(settings, problem.dim, problem.initial is not None)


def line_of(error, path):
    """The last line of the file that was at work when the error came; that of a module is not."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else 1


def lines_of(text, variable):
    """Where a variable's record is made: {field: line of its keyword, "": line of the statement}."""
    lines = {}
    for node in ast.walk(ast.parse(text)):
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if isinstance(node, ast.Assign | ast.AnnAssign) and variable in [getattr(name, "id", None) for name in targets]:
            lines[""] = node.lineno
            for part in ast.walk(node.value):
                lines |= {word.arg: word.value.lineno for word in getattr(part, "keywords", ())}
                lines |= {key.value: key.lineno for key in getattr(part, "keys", ()) if isinstance(key, ast.Constant)}
    return lines
