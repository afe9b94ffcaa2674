"""Problems of one's own: run_all.py --problem FILE.py runs everything on the Problem and Experiment records in it.

A Problem gets our settings for its dimension; `problems.experiment(problem, cell={"epochs": 1000}, ...)` changes some.
What is wrong in the file is one sentence with its line and the field.
"""

import ast
import runpy
import sys
import traceback
from pathlib import Path

import adam
import sharp
from coefficients import check_integer, check_problem
from problems import EXPERIMENTS, Experiment, Problem, experiment


def known(paths=()):
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
    except Exception as error:  # whatever the file's own code raises
        raise ValueError(f"{path}, line {line_of(error, path)}: {error}") from error
    finally:
        sys.path[:] = sys_path
    found = {}
    for variable, value in values.items():
        if not isinstance(value, (Problem, Experiment)) or id(value) in map(id, found.values()):
            continue
        try:
            own = checked(value)
        except (ValueError, TypeError) as error:
            where = lines_of(text, variable)
            line = where.get(str(error).split(":")[0], where.get(""))
            raise ValueError(f"{path}, line {line}: {error}") from error
        if own.problem.name not in found or isinstance(value, Experiment):  # an Experiment stands for its Problem
            found[own.problem.name] = own._replace(file=text)
    if not found:
        raise ValueError(f"{path}: found no Problem and no Experiment, expected at least one")
    return found


def checked(value):
    """An Experiment, of a Problem with our defaults.  Raises ValueError or TypeError that begins with the field."""
    problem = value if isinstance(value, Problem) else value.problem
    if not (isinstance(problem, Problem) and isinstance(problem.name, str) and problem.name.isidentifier()):
        raise ValueError(f"name: found {getattr(problem, 'name', problem)!r}, expected letters, digits and _ in quotes")
    check_problem(problem)
    own = experiment(value) if isinstance(value, Problem) else value
    check_integer("test_points", own.test_points, 3, 10**4)
    timed = problem.initial is not None
    names = {"cell": ("equation", "periodic", "oversampling")[: 3 if own.cell.get("layers") else 2]}
    names |= {"plain": ("equation", "periodic")} if own.plain is not None else {}
    names |= dict.fromkeys(("homogenized", "classical"), ("equation", "boundary", "initial")[: 3 if timed else 2])
    for part, weights in names.items():
        adam.checked_weights(record(part, adam.Training, getattr(own, part)), weights)
    sharp.checked(record("sharp_cell", sharp.Sharp, own.sharp_cell))
    sharp.checked(record("sharp_homogenized", sharp.Sharp, own.sharp_homogenized), problem.dim + timed)
    return own


def record(part, kind, settings):
    try:
        return kind(**settings)
    except TypeError as error:
        raise TypeError(f"{part}: {error.args[0].split(' ', 1)[-1]}, expected {', '.join(kind._fields)}") from error


def line_of(error, path):
    """The last line of the file that was at work when the error came."""
    if isinstance(error, SyntaxError):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else 1


def lines_of(text, variable):
    """Where a variable's record is made: {field: line of its keyword, "": line of the statement}."""
    lines = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and variable in [getattr(target, "id", None) for target in node.targets]:
            lines[""] = node.lineno
            for part in ast.walk(node.value):
                lines |= {word.arg: word.value.lineno for word in getattr(part, "keywords", ())}
                lines |= {key.value: key.lineno for key in getattr(part, "keys", ()) if isinstance(key, ast.Constant)}
    return lines
