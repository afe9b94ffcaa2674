"""The scripts of benchmarks/ run without the peers' packages, and measure what they say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


SLOW = ("memory", "precision", "budget", "accuracy", "images")


@pytest.mark.parametrize("script", ["step", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_every_script_explains_itself(script):
    done = subprocess.run([sys.executable, FOLDER / f"{script}.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "usage" in done.stdout, done.stderr


def test_the_benchmarked_loss_is_the_residual_of_the_cell_problem():
    """In both precisions, against the residual from second derivatives, one by one."""
    code = """
import step, numpy as np, json
from nhpinn_networks import Network
found = []
for dtype in step.TOLERANCE:
    job = step.job(7, dtype)
    params = [(W.astype(float), b.astype(float)) for W, b in job.params]
    _, slope, second = Network(params)(job.x.astype(float))
    r = job.a * (second[:, 0, 0] + second[:, 1, 1]) + (job.b * slope).sum(1) + job.f
    found.append((float(step.ours(job)[1]()[0]), float(np.mean(r**2))))
print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=FOLDER, check=True)
    (double, expected), (single, also) = json.loads(done.stdout)
    assert np.isclose(double, expected, rtol=1e-10)
    assert np.isclose(single, also, rtol=1e-4)


@pytest.mark.slow
def test_the_peak_memory_of_a_process_is_reported():
    done = subprocess.run(
        [sys.executable, FOLDER / "memory.py", "--points", "1000"], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert 10 < found["libraries"] <= found["term"] <= found["loss"] < 500
    assert found["seconds"] > 0
