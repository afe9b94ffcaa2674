"""One BLAS thread and repeatable examples for every test.

    python -m pytest --hypothesis-profile thorough                  more of the same
    python -m pytest -m "" --hypothesis-profile nightly             others every time, of the slow tests as well

What the last one finds is printed with the line that repeats it, @reproduce_failure.
"""

import os

for _library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import pytest
from hypothesis import settings

settings.register_profile("project", deadline=None, max_examples=8, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=50, derandomize=True)
settings.register_profile("nightly", deadline=None, max_examples=200, derandomize=False, print_blob=True)
settings.load_profile("project")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """The whole suite runs in two processes where there is pytest-xdist, but for --pdb; tests picked by name in one."""
    whole = config.args_source == config.ArgsSource.TESTPATHS and not config.option.usepdb
    worker = hasattr(config, "workerinput")  # must not start workers of its own
    if whole and not worker and getattr(config.option, "numprocesses", 0) is None:
        config.option.numprocesses, config.option.dist = 2, "loadfile"
