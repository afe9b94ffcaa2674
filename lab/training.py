"""Trainings that are recorded, resumed and made cheaper: what the laboratory does with the states of `nhpinn.adam`.

Errors of the network and the time are recorded on the way, the state is kept in a checkpoint, an epoch sees a random
part of the points, and the numbers may be of single precision.  A recipe of nhpinn.py takes the function that
`recorder` returns in the place of `nhpinn.train`.
"""

import ctypes
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import nhpinn
from nhpinn_functions import check_integer, shown
from nhpinn_networks import Term, flatten, take, unflatten


class Options(NamedTuple):
    """What the laboratory adds to the settings of a training."""

    average: int = 1  # errors are reported as means over this many last epochs
    batch: int | None = None  # equation points drawn at random for an epoch; None: all of them
    dtype: str = "float32"  # of the parameters during training
    every: int = 10  # epochs between two records of the errors


class History(NamedTuple):
    """Records of a training, one every `Options.every` epochs and one at its end."""

    epochs: list
    loss: list
    seconds: list  # of training, without those of computing the errors
    errors: dict  # name -> list of floats


class Checkpoint(NamedTuple):
    """Where a training keeps its state, a dictionary of arrays and plain data, in case it is interrupted."""

    load: Callable  # the state at the start -> the state to go on from, which has the same keys
    save: Callable  # (state, finished): called after every epoch but the last, and at the end; may keep it or not


NO_CHECKPOINT = Checkpoint(lambda start: start, lambda state, finished: None)


def no_checkpoints(name):
    """A function that trains several networks asks for the Checkpoint of each by its name."""
    return NO_CHECKPOINT


def recorder(options, errors, histories, checkpoints=no_checkpoints):
    """A function that trains as `nhpinn.train` does, and puts the History into histories[name].

    errors: {name of a training: function of the parameters -> {name of an error: float}}.
    checkpoints: name of a training -> Checkpoint.
    """

    def train(name, loss, params, training, rng):
        check_options(options)
        params, histories[name] = run(loss, params, training, options, rng, errors.get(name), checkpoints(name))
        return params

    return train


def run(loss, params, training, options, rng, errors=None, checkpoint=NO_CHECKPOINT):
    """The trained parameters (float64), and the History.  Interrupted and continued, it returns the same."""
    params = [tuple(a.astype(options.dtype) for a in pair) for pair in params]
    sampled, zero = RandomPart(cast(loss, options.dtype), options.batch, rng), np.zeros_like(flatten(params))
    start = as_data(nhpinn.State(0, params, zero, zero), History([], [], [], {}), rng)
    state, history, rng.bit_generator.state = from_data(checkpoint.load(start), params)
    finished, since = state.epoch == training.epochs, time.perf_counter() - sum(history.seconds[-1:])
    for following in nhpinn.adam(sampled, params, training, state):
        if state.epoch % options.every == 0:
            since = record(history, state.epoch, following.loss, state.params, errors, since)
        state = following
        if state.epoch < training.epochs:
            checkpoint.save(as_data(state, history, rng), False)
    if not finished:
        record(history, state.epoch, sampled.last(state.params), state.params, errors, since)
        checkpoint.save(as_data(state, history, rng), True)
    return unflatten(flatten(state.params).astype(np.float64), params), history


def as_data(state, history, rng):
    """What a Checkpoint keeps of a training."""
    arrays = {"vector": flatten(state.params), "m": state.m, "v": state.v}
    return arrays | {"epoch": state.epoch, "history": history._asdict(), "random": rng.bit_generator.state}


def from_data(saved, params):
    """The State, with parameters of the form of `params`, the History, and the state of the random generator."""
    state = nhpinn.State(saved["epoch"], unflatten(saved["vector"], params), saved["m"], saved["v"])
    return state, History(**saved["history"]), saved["random"]


def record(history, epoch, loss, params, errors, since):
    """Adds a record to a History; since: when the training began, without the time of the records, which is returned
    anew."""
    now = time.perf_counter()
    history.epochs.append(epoch)
    history.loss.append(float(loss))
    history.seconds.append(now - since)
    for name, error in (errors(params) if errors else {}).items():
        history.errors.setdefault(name, []).append(float(error))
    return since + time.perf_counter() - now


class RandomPart:
    """A loss that takes its equations at other random points whenever it is called; `last`: as it was then."""

    def __init__(self, loss, batch, rng):
        self.loss, self.batch, self.rng, self.last = loss, batch, rng, loss

    def __call__(self, params):
        self.last = random_part(self.loss, self.batch, self.rng)
        return self.last(params)


def cast(loss, dtype):
    """A loss whose arrays have the type `dtype`."""
    return loss._replace(terms=tuple(Term(*(array.astype(dtype) for array in term)) for term in loss.terms))


def random_part(loss, batch, rng):
    """A loss whose equations are taken at `batch` random points at most, with weights that keep its expectation."""
    return loss._replace(terms=tuple(random_residuals(term, batch, rng) for term in loss.terms))


def random_residuals(term, batch, rng):
    n, channels = term.jet.shape[-3], term.jet.shape[-4]
    if batch is None or n <= batch or channels == 1:  # values alone: boundaries and periodic pairs
        return term
    part = take(term, rng.choice(n, batch, replace=False, shuffle=False))
    return part._replace(weight=part.weight * (n / batch))


def check_options(options):
    """Raises ValueError for options that cannot be meant."""
    for name in ("average", "every", "batch"):
        if name != "batch" or options.batch is not None:
            check_integer(name, getattr(options, name), 1)
    if options.dtype not in ("float32", "float64"):
        raise ValueError(f"dtype: found {shown(options.dtype)}, expected 'float32' or 'float64'")


def final_averages(history, options):
    """{name of an error: its mean over the records of the last epochs}, as the captions of the paper say."""
    late = np.array(history.epochs) > history.epochs[-1] - options.average
    return {name: float(np.mean(np.array(errors)[late])) for name, errors in history.errors.items()}


def reuse_freed_memory():
    """Ask glibc to keep freed arrays for the next ones; fresh pages cost more than the arithmetic on them.

    Called once by a process that trains; does nothing where there is no glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    m_trim_threshold, m_mmap_threshold, keep = -1, -3, 1 << 30
    mallopt(m_mmap_threshold, keep)
    mallopt(m_trim_threshold, keep)
