"""Reproduce the paper: every experiment as a table of independent tasks, ours beside the printed numbers.

    python run_all.py                      all problems, about as in the paper, in minutes
    python run_all.py --budget paper       all points and epochs of problems.py
    python run_all.py --list               problems, methods, budgets and recipes

This file prepares the process; the command is lab/command.py, and what a task computes lab/experiments.py.
"""

import os
import signal
import sys

if __name__ == "__main__":  # Ctrl-C while the libraries load
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from lab import one_blas_thread

if __name__ in ("__main__", "__worker__"):  # not a spawned process, which inherits it; the latter: one of mpi4py's
    one_blas_thread()


def run():
    """Run the command line so that Ctrl-C and SIGTERM end it with what has been done saved."""
    from lab.command import main

    sys.stdout.reconfigure(errors="replace")  # a terminal without the sign ±
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.default_int_handler)
    try:
        status = main()
    except KeyboardInterrupt:  # a second Ctrl-C, while the first one is answered
        status = 130
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)


if __name__ == "__main__":
    run()
