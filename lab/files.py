"""Results and checkpoints as files.

Files are written whole or not at all, and read without pickle.  One that cannot be read, or is not what was
written, is set aside under another name, with a message, and never taken for a result.
"""

import hashlib
import io
import itertools
import json
import math
import os
import re
import sys

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def result_path(out, name):
    return out / "tasks" / f"{name}.json"


def write(path, data):
    """Write text or bytes as a file, whole or not at all, even if the process is killed on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:  # that of a full disk names no file
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def save(result, path):
    """Write a result with a digest of its text."""
    text = json.dumps(result, default=plain_data)
    write(path, f'{text[:-1]}, "digest": "{digest(text)}"}}')


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def light(result):
    """A result without what is drawn alone, so that thousands of them fit into the memory."""
    return {key: value for key, value in result.items() if key not in ("history", "fields", "coefficients")}


def reduced(result, dim):
    """A result of a problem of `dim` dimensions as it is published, small: its solution at every fifth point an axis,
    and for each error that a training recorded where it was least after the first fifth of the epochs, in which one
    may pass by chance: [error, epoch, loss there, loss at the end].  Of seconds, those at the end of each training; of
    the command, what says nothing of the machine's folders."""
    if "least" in result:
        return result
    kept = light(result) | {"least": {}}
    if "command" in result:
        kept["command"] = re.sub(r" ('--out=[^']*'|--out[ =]('[^']*'|\S+))", "", result["command"])
    if result.get("history") and "clock" in result:
        kept["clock"] = {name: seconds[-1:] for name, seconds in result["clock"].items()}
    for history in result.get("history", {}).values():
        epochs, losses = history["epochs"], history["loss"]
        late = [i for i, epoch in enumerate(epochs) if epoch >= epochs[-1] / 5]
        for name, errors in history.get("errors", {}).items():
            best = min(late, key=errors.__getitem__)
            kept["least"][name] = [errors[best], epochs[best], losses[best], losses[-1]]
    if "solution" in result.get("fields", {}):
        values = np.asarray(result["fields"]["solution"])
        values = values.reshape([round(len(values) ** (1 / dim))] * dim)
        kept["fields"] = {"solution": values[(slice(None, None, 5),) * dim].ravel().tolist()}
    return kept


def plain_data(value):
    """Arrays as nested lists, rounded to what a picture needs: seven decimals, or as many as show six digits of the
    largest entry, where these are more."""
    array = np.asarray(value, dtype=np.float64)
    largest = np.abs(array).max(initial=0.0)
    decimals = 5 - math.floor(math.log10(largest)) if 0 < largest < np.inf else 7
    return array.round(min(max(7, decimals), 300)).tolist()


def read(path):
    """A saved result.  Raises OSError, and ValueError or RecursionError for a file that is not one, or was changed."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"cannot be read as JSON ({error})") from error
    kinds = {"task": dict, "recipe": str, "quantities": dict, "seconds": (int, float)}
    if not (isinstance(result, dict) and all(isinstance(result.get(key), kind) for key, kind in kinds.items())):
        raise ValueError(f"is not a result: expected a dictionary with {', '.join(kinds)}")
    if not all(isinstance(value, (int, float)) for value in result["quantities"].values()):
        raise ValueError("is not a result: its quantities are not all numbers")
    written = result.pop("digest", None)
    if written != digest(json.dumps(result)):
        raise ValueError("is not as it was written: its digest differs")
    return result


def load(path, task):
    """The saved result of a task, or None where there is none.  Sets aside a file that is something else."""
    try:
        result = read(path)
        if result["task"] != task._asdict():
            raise ValueError(f"holds the task {result['task']}")
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        set_aside(path, error)
        return None
    return result


def free(path):
    """The path, or with a number at its end if there is such a file."""
    names = (path.with_name(f"{path.name}{n or ''}") for n in itertools.count())
    return next(name for name in names if not name.exists())


def set_aside(path, reason):
    aside = free(path.with_name(f"{path.name}.damaged"))
    os.replace(path, aside)
    print(f"{path}: {reason}; set aside as {aside.name}", file=sys.stderr, flush=True)


def put_away(path):
    """Move a result, if there is one, into the folder `replaced` beside it: it is not lost, and nothing reads it."""
    if path.exists():
        (path.parent / "replaced").mkdir(exist_ok=True)
        os.replace(path, free(path.parent / "replaced" / path.name))


def lock(out):
    """Make a folder and keep other runs out of it until the file returned here is closed, or the process has ended.

    Raises BlockingIOError where another run is at work, OSError where the folder cannot be written.
    """
    (out / "tasks").mkdir(parents=True, exist_ok=True)
    file = open(out / ".lock", "a+", encoding="utf-8")  # noqa: SIM115
    if not fcntl:
        print(f"{out} cannot be locked on this system: let no other run write there", file=sys.stderr, flush=True)
    else:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise BlockingIOError(f"another run is at work there, process {file.read() or 'unknown'}") from None
        except OSError as error:
            print(f"{out} cannot be locked ({error}): let no other run write there", file=sys.stderr, flush=True)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    for folder in (out, out / "tasks", out / "checkpoints", out / "figures"):
        for part in folder.glob(".*.*.part"):  # left by a process that was killed
            part.unlink(missing_ok=True)
    write(out / "tasks" / ".writable", "")
    (out / "tasks" / ".writable").unlink()
    return file


# --- Checkpoints: states of trainings, see training.Checkpoint -------------------------------------


def save_state(path, state, spent, stamp):
    """Write a state as an npz file: its arrays as they are, the rest as JSON, with what was spent to reach it.

    stamp: [whose state it is, by which source it was made], two texts.
    """
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in state.items() if name not in arrays}
    text = json.dumps({"stamp": stamp, "spent": spent, "state": rest})
    file = io.BytesIO()
    np.savez(file, json=np.frombuffer(text.encode(), np.uint8), **arrays)
    write(path, file.getvalue())


def load_state(path, start, stamp):
    """A saved state and what was spent; None where there is none with this stamp that has the form of `start`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            state = {name: file[name] for name in file.files}
        rest = json.loads(bytes(state.pop("json")))
        owner, source = rest["stamp"]
        if owner != stamp[0]:
            raise ValueError(f"it belongs to {owner}")
        if source != stamp[1]:
            print(
                f"{path}: made by another source, other libraries or another processor; starting again",
                file=sys.stderr,
                flush=True,
            )
            return None
        state |= rest["state"]
        if state.keys() != start.keys() or not all(alike(state[name], start[name]) for name in start):
            raise ValueError("its state has another form")
        seconds, processor_seconds = map(float, rest["spent"])
    except Exception as error:  # numpy and zipfile raise nearly everything at bytes that are not theirs
        set_aside(path, f"is not a checkpoint of this training ({error})")
        return None
    return state, (seconds, processor_seconds)


def alike(a, b):
    """Of one type and, as arrays, of one shape and dtype."""
    return type(a) is type(b) and (not isinstance(a, np.ndarray) or (a.shape, a.dtype) == (b.shape, b.dtype))


def checkpoint_path(stem, name):
    return stem.with_name(f"{stem.name}-{name.replace('*', 'x')}.npz")  # not every system has names with *


def progress_path(stem):
    return stem.with_name(f".{stem.name}.progress.part")  # `lock` removes one that is left


def progress(stem):
    """The part of a task that is done, 0 where nothing is known."""
    try:
        return float(progress_path(stem).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0


def remove_checkpoints(stem):
    for path in stem.parent.glob(f"{stem.name}-*.npz"):
        path.unlink(missing_ok=True)
