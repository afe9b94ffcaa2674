"""Results in files: `save` and `load` for what `solve` and `homogenize` return, without pickles.

A file is an .npz of the arrays of a result, and a list of its other parts as text: records by the names of their
fields, the project's own functions by their names.  Each part refers to earlier ones alone, and what is shared stays
shared.  Of the user's functions only the names are saved; what stands for them raises a sentence when it is called.
"""

import importlib
import json
import types
from functools import partial
from numbers import Real
from os import PathLike
from pathlib import Path

import numpy as np
from scipy.interpolate import BSpline, NdBSpline, PPoly

from nhpinn_functions import NotSavedError, shown
from nhpinn_tools.calls import OURS

FORMAT = 1
OWN = OURS | {"fem", "fem_cells"}  # modules whose records and functions a file may name
SPLINES = {BSpline: "t c k extrapolate axis", NdBSpline: "t c k extrapolate", PPoly: "c x extrapolate axis"}


def save(result, file):
    """Writes what `solve` or `homogenize` returned to a file, whose name usually ends with .npz, for nhpinn.load."""
    if not isinstance(file, str | PathLike) or not Path(file).parent.is_dir():
        raise ValueError(f"file: found {shown(file)}, expected a name such as u.npz in a folder that exists")
    parts, arrays = [], {}
    root = place(result, parts, arrays, {})
    text = json.dumps({"format": FORMAT, "root": root, "parts": parts})
    with open(file, "wb") as out:
        np.savez_compressed(out, parts=np.array(text), **arrays)


def load(file):
    """The Solution or Homogenized of a file that its `save` has written.

    Values, gradients, tensor, bounds and error are those of the saved one, to the last bit.  What takes a function of
    the equation raises ValueError: `certify`, but for an image; `flow`, the flux with time, a reaction or a function as
    a flux on a face; the correctors of a TwoPhase, whose level set says which phase is where, with u where it has no
    layers.  Files hold arrays and names of this project's records, no pickles.  Raises ValueError for any other file,
    OSError where there is none.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            text, arrays, found = json.loads(str(archive["parts"])), dict(archive), []
        if text["format"] != FORMAT:
            raise ValueError(f"format {text['format']}")
        for part in text["parts"]:
            found.append(built(part, partial(at_place, found), arrays))
        return at_place(found, text["root"])
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"file: found {file}, expected one that `save` of this version has written") from error


def not_saved(name, *arguments, **options):
    """Stands in a loaded result for a user's function."""
    loaded = f"one loaded from a file, which holds no functions of its equation, here {name}"
    raise NotSavedError(f"result: found {loaded}, expected one that has just been computed")


# --- to parts ---------------------------------------------------------------------------------------------


def place(value, parts, arrays, places):
    """A value as text: itself, or [its number among the parts], to which it is added behind all that it is made of.

    places: of objects, by their id: the number, and the object itself, so that nothing else has its id.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, Real) and not isinstance(value, np.generic):
        return float(value)
    if id(value) not in places:
        parts.append(described(value, partial(place, parts=parts, arrays=arrays, places=places), arrays))
        places[id(value)] = len(parts) - 1, value
    return [places[id(value)][0]]


def described(value, of, arrays):
    """One part: its kind, and the places `of` what it is made of."""
    kind = type(value)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufcU":
        order = np.argsort([-abs(step) for step in np.asarray(value).strides], kind="stable").tolist()  # of the memory
        arrays[name := f"array{len(arrays)}"] = np.transpose(value, order)
        return ["array", name, order, isinstance(value, np.generic)]
    if kind in (tuple, list):
        return [kind.__name__, *map(of, value)]
    if kind is dict:
        return ["dict", *([of(key), of(one)] for key, one in value.items())]
    for spline, fields in SPLINES.items():
        if isinstance(value, spline):
            return ["record", spline.__name__, {field: of(getattr(value, field)) for field in fields.split()}]
    if is_record(kind):
        fields = value._asdict() if isinstance(value, tuple) else vars(value)
        return ["record", name_of(kind), {field: of(one) for field, one in fields.items()}]
    if not callable(value):
        raise TypeError(f"save: found {kind.__name__}, expected arrays, numbers, texts, functions and records of them")
    if not is_ours(value):
        return described(partial(not_saved, getattr(value, "__name__", kind.__name__)), of, arrays)
    if kind is partial:
        return ["partial", of(value.func), of(value.args), of(value.keywords)]
    if kind is types.MethodType:
        return ["method", of(value.__self__), value.__name__]
    return ["function", name_of(value)]


def is_record(kind):
    return is_ours(kind) and (hasattr(kind, "_fields") or hasattr(kind, "__dataclass_fields__"))


def is_ours(one):
    """Whether a class, a function, or what a partial or a method is one of, is the project's."""
    if isinstance(one, partial):
        return is_ours(one.func)
    one = type(one.__self__) if isinstance(one, types.MethodType) else one
    if not isinstance(one, type | types.FunctionType):
        return False
    return one.__module__.split(".")[0] in OWN and "<" not in one.__qualname__


def name_of(one):
    return f"{one.__module__}.{one.__qualname__}"


# --- from parts -------------------------------------------------------------------------------------------


def at_place(found, value):
    return found[value[0]] if isinstance(value, list) else value


def built(part, of, arrays):
    """The value of a part; of: what is at a place."""
    match part:
        case "array", name, order, scalar:
            return arrays[name][()] if scalar else np.transpose(arrays[name], np.argsort(order).astype(int))
        case "tuple" | "list" as kind, *items:
            return (tuple if kind == "tuple" else list)(map(of, items))
        case "dict", *items:
            return {of(key): of(one) for key, one in items}
        case "record", name, fields:
            return named(name)(**{field: of(one) for field, one in fields.items()})
        case "partial", function, arguments, options:
            return partial(of(function), *of(arguments), **of(options))
        case "method", owner, name:
            return types.MethodType(getattr(type(of(owner)), name), of(owner))
        case "function", name:
            return named(name)
    raise ValueError(f"part {part[0]}")


def named(name):
    """The record or function of the project, or the spline, that has this name."""
    splines = {spline.__name__: spline for spline in SPLINES}
    if name in splines:
        return splines[name]
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute) if module.split(".")[0] in OWN else None
    if not is_ours(found):
        raise ValueError(f"{name} is no record or function of this project")
    return found
