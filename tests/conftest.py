"""One BLAS thread and repeatable examples for every test; with `--hypothesis-profile thorough` there are more."""

import os

for _library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

from hypothesis import settings

settings.register_profile("project", deadline=None, max_examples=8, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("project")
