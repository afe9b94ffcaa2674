"""The recipe `adam`: the paper's training, one loop around pure steps of Adam (Kingma and Ba 2015)."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from coefficients import check_hidden, check_integer, check_positive, shown
from jets import flatten, unflatten
from losses import Term, loss_and_gradient, random_part


class Training(NamedTuple):
    """How one network, or one batch of networks, is trained.  Weights sum to one, as in eq. (3)."""

    hidden: tuple  # widths of the hidden layers
    points: int  # grid points per axis, both ends included
    weights: tuple  # (equation, periodic, oversampling) or (equation, boundary, initial), in this order
    rate: float  # learning rate of Adam at the first epoch
    epochs: int
    average: int  # errors are reported as means over this many last epochs
    decay: float = 1.0  # the rate falls geometrically to decay * rate; 1: constant, as in the paper
    layers: int = 0  # oversampling layers on each side of the cell
    batch: int | None = None  # equation points drawn at random for an epoch; None: all of them
    dtype: str = "float32"  # of the parameters during training
    every: int = 10  # epochs between two records of the errors


class History(NamedTuple):
    """Records of a training, one every `Training.every` epochs and one at its end."""

    epochs: list
    loss: list
    seconds: list  # of training, without those of computing the errors
    errors: dict  # name -> list of floats


class AdamState(NamedTuple):
    """First and second moments of the gradient, and the number of steps so far."""

    m: np.ndarray
    v: np.ndarray
    step: int


def adam_init(vector):
    return AdamState(np.zeros_like(vector), np.zeros_like(vector), 0)


def adam_step(vector, gradient, state, rate, beta1=0.9, beta2=0.999, tiny=1e-8):
    """One step of Adam (Kingma and Ba 2015, in the form at the end of section 2): new vector, new state."""
    step = state.step + 1
    m = beta1 * state.m + (1 - beta1) * gradient
    v = beta2 * state.v + (1 - beta2) * gradient**2
    scale = rate * math.sqrt(1 - beta2**step) / (1 - beta1**step)  # a Python float keeps the precision of m
    return vector - scale * m / (np.sqrt(v) + tiny), AdamState(m, v, step)


class Checkpoint(NamedTuple):
    """Where a training keeps its state, a dictionary of arrays and plain data, in case it is interrupted."""

    load: Callable  # the state at the start -> the state to go on from, which has the same keys
    save: Callable  # (state, finished): called before every epoch and at the end; may keep it or not


NO_CHECKPOINT = Checkpoint(lambda start: start, lambda state, finished: None)


def no_checkpoints(name):
    """A function that trains several networks asks for the Checkpoint of each by its name."""
    return NO_CHECKPOINT


def train(params, terms, training, rng, errors=None, checkpoint=NO_CHECKPOINT):
    """Adam on the sum of the terms.  `errors(params)` -> {name: float} is recorded on the way.

    Returns the trained parameters (float64) and the History; raises FloatingPointError at the first
    epoch whose loss is not finite.  Interrupted and continued from its checkpoint, it returns the same.
    """
    terms = [cast(term, training.dtype) for term in terms]
    like = params
    vector = flatten(params).astype(training.dtype)
    state = adam_init(vector)
    history = History([], [], [], {})

    def progress(epoch):
        known = {"epoch": epoch, "vector": vector, **state._asdict(), "history": history._asdict()}
        return known | {"random": rng.bit_generator.state}

    def record(epoch, loss):
        nonlocal aside
        history.epochs.append(epoch)
        history.loss.append(float(loss))
        history.seconds.append(time.perf_counter() - clock - aside)
        for name, value in (errors(unflatten(vector, like)) if errors else {}).items():
            history.errors.setdefault(name, []).append(float(value))
        aside = time.perf_counter() - clock - history.seconds[-1]

    saved = checkpoint.load(progress(0))
    first, vector, history = saved["epoch"], saved["vector"], History(**saved["history"])
    state = AdamState(saved["m"], saved["v"], saved["step"])
    rng.bit_generator.state = saved["random"]
    clock, aside = time.perf_counter() - sum(history.seconds[-1:]), 0.0
    for epoch in range(first, training.epochs):
        checkpoint.save(progress(epoch), False)
        parts = [random_part(term, training.batch, rng) if term.derivatives else term for term in terms]
        loss, slope = loss_and_gradient(unflatten(vector, like), parts)
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at epoch {epoch} of {training.epochs}: "
                f"the learning rate {training.rate:g} may be too large"
            )
        if epoch % training.every == 0:
            record(epoch, loss)
        rate = training.rate * training.decay ** (epoch / training.epochs)
        vector, state = adam_step(vector, slope, state, rate)
    if first < training.epochs:
        record(training.epochs, loss_and_gradient(unflatten(vector, like), parts)[0])
        checkpoint.save(progress(training.epochs), True)
    return unflatten(vector.astype(np.float64), like), history


def cast(term, dtype):
    """A term whose arrays have the type `dtype`."""
    return Term(*(part.astype(dtype) if isinstance(part, np.ndarray) else part for part in term))


def checked_weights(training, names):
    """The weights of a training, checked with its other settings; see eqs. (3) and (12)."""
    for name in ("epochs", "every", "average", "points", "batch", "layers"):
        value, least = getattr(training, name), {"points": 3, "layers": 0}.get(name, 1)
        if name != "batch" or value is not None:
            check_integer(name, value, least, 10**4 if name == "points" else 10**9)
    check_hidden(training.hidden)
    check_positive("rate", training.rate)
    check_positive("decay", training.decay)
    if not isinstance(training.dtype, str) or training.dtype not in ("float32", "float64"):
        raise ValueError(f"dtype: found {shown(training.dtype)}, expected 'float32' or 'float64'")
    try:
        weights = np.asarray(training.weights, dtype=float)
    except (TypeError, ValueError):
        weights = np.zeros(0)
    if weights.shape != (len(names),) or not (weights.min() >= 0 and abs(weights.sum() - 1) < 1e-9):
        raise ValueError(
            f"weights: found {shown(training.weights)} with sum {weights.sum():.12g}, "
            f"expected non-negative weights of ({', '.join(names)}) that sum to one"
        )
    return training.weights


def check_points(training, inputs, problems=1):
    """Raises ValueError for a grid of equation points, in each of several problems, that would not fit into memory."""
    check_integer("points", training.points, 3, 10**4)
    if (total := training.points**inputs * problems) > 10**7:
        raise ValueError(f"points: found {training.points}, which make {total:.3g} in all; expected at most 1e7 in all")


def final_average(history, name, epochs):
    """The mean of an error over the records of the last `epochs` epochs, as the captions of the paper say."""
    kept = [e for e, at in zip(history.errors[name], history.epochs, strict=True) if at > history.epochs[-1] - epochs]
    return float(np.mean(kept))
