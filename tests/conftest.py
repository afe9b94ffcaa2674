"""One BLAS thread and repeatable hypothesis runs for every test."""

import os

for _library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

from hypothesis import settings

settings.register_profile("project", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("project")
