"""The laboratory: everything that reproduces the paper.  A reader of the method never has to open it.

settings      of a task: its budget, its trainings, its random numbers
experiments   the paper's experiments: what a task computes      studies   why they come out as they do
training      trainings recorded, saved and continued            minimisers   what a loss learns, without an optimizer
tasks         all methods as one table                           own       problems of one's own, from a file
runner        tasks in processes                                 files     results and checkpoints on disk
progress      how much work there is, and how much is done    verify      tasks run again, and compared
tables, panels, figures, claims, report, page.html     what is shown, from saved results alone
overview      the picture of the README, of networks trained anew
published     what the documents show: docs/results/, CLAIMS.md, the tables of the pages
command       the command line of run_all.py
"""

import os


def one_blas_thread():
    """One thread of the linear algebra for each process started from here on: many processes run side by side.

    It has to be set before numpy is loaded, so it is called where processes start, never where modules are imported.
    """
    for library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
