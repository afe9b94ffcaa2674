"""How the tools are called: warnings that show the user's line, numpy's own arithmetic, products by one thread."""

import sys
import warnings
from contextlib import nullcontext
from contextvars import ContextVar
from functools import wraps

import numpy as np

OURS = {"nhpinn", "nhpinn_networks", "nhpinn_functions", "nhpinn_tools"}


def warn(sentence):
    """A warning that shows the user's line: that of the nearest caller outside of these modules.

    In a worker, where there is no such caller, it is kept for the one who waits, see `keeping_warnings`.
    """
    if (kept := KEPT.get()) is not None:
        kept.append(sentence)
        return
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, stacklevel=level)


KEPT = ContextVar("KEPT", default=None)  # of this thread: a list of sentences, while it works for another one


def keeping_warnings(task, item):
    """task(item), and the sentences that it has to warn with: for the workers of an executor."""
    sentences = []
    token = KEPT.set(sentences)
    try:
        return task(item), sentences
    finally:
        KEPT.reset(token)


def usual_arithmetic(function):
    """The function, with numpy's own treatment of overflow and so on, whatever np.seterr has made of it: where a wave
    or a layer underflows to 0, that is the right value."""

    @wraps(function)
    def protected(*arguments, **options):
        with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
            return function(*arguments, **options)

    return protected


def one_thread(function):
    """The function, with matrix products by one thread where threadpoolctl is installed: the products are small, and on
    a busy machine threads that wait for one another take several times as long."""

    @wraps(function)
    def limited(*arguments, **options):
        try:
            from threadpoolctl import threadpool_limits
        except ImportError:
            threadpool_limits = nullcontext
        with threadpool_limits(1):
            return function(*arguments, **options)

    return limited
