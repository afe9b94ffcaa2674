"""Pictures and the report page, from results made up here: what is drawn, what is said to be missing."""

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import report
from problems import PROBLEMS

figures = pytest.importorskip("figures")
pytest.importorskip("matplotlib", reason="pictures need matplotlib")


def training(rng, epochs, names, low=1e-3):
    """A History as the results hold it, with errors that fall from one to low."""
    x = np.linspace(0, epochs, 201)
    errors = {
        name: list(low ** (x / epochs) * np.exp(0.3 * rng.standard_normal(len(x)))) for name in names
    }
    return {"epochs": list(x), "loss": list(1 / (1 + x)), "errors": errors, "seconds": list(0.01 * (1 + x))}


def result(name, method, seed, **data):
    recipe = {"fem": "fem", "sharp": "sharp"}.get(method, "adam")
    return {
        "task": {"problem": name, "method": method, "seed": seed, "budget": "paper"},
        "recipe": recipe,
        "seconds": 1.5,
        "commit": "0123456789",
        "versions": {"python": "3.11", "numpy": "2.0", "machine": "x86_64"},
        "quantities": {},
        **data,
    }


def results_of(name, seed):
    """What every method of one problem would save."""
    problem, rng = PROBLEMS[name], np.random.default_rng(seed)
    x = np.linspace(0, np.pi, problem.test_points)
    u = np.sin(x) if problem.dim == 1 else np.outer(np.sin(x), np.sin(x)).ravel()
    fast = problem.eps * np.sin(2 * np.pi * np.linspace(0, 8, len(u)))
    correctors = ["N"] if problem.reaction else [] if problem.slow else [f"chi{j + 1}" for j in range(problem.dim)]
    y = np.sin(np.linspace(0, 2 * np.pi, 401 if problem.dim == 1 else 101**2))
    near = 1 + 0.02 * rng.standard_normal()
    fields = {"solution": u * near, "reference": u + fast, "corrected": u + 0.9 * fast}
    if correctors:
        fields |= {"corrector": [y * near] * len(correctors), "corrector_reference": [y] * len(correctors)}
    samples = np.linspace(2, 3, 101 if problem.slow else 1)[:, None, None] * np.eye(problem.dim) * near
    cell = training(rng, problem.cell["epochs"], correctors)
    histories = {
        "cell": cell,
        "homogenized": training(rng, problem.homogenized["epochs"], ["e1", "e3"]),
        "transfer": training(rng, problem.classical["epochs"], ["transfer"], 0.9),
    }
    gap = (np.array(cell["errors"][correctors[0]])[:, None, None] if correctors else 1.0) ** 2 * np.eye(2)
    sharp_cell = {**cell, "lower": (1.935 * np.eye(2) - gap).tolist(), "upper": (1.935 * np.eye(2) + gap).tolist()}
    eps = [1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64]
    quantities = {"classical_predicted": 0.9, "e4": 0.01, "e1_corrected": 1e-3, "e1_corrected_interior": 1e-4}
    quantities |= {"h1": 0.2, "h1_corrected": 0.05, "h1_corrected_interior": 0.01}
    rows = [{"eps": e, "e1": e / 10, "e1_corrected": e**1.5 / 20, "classical": 0.99, "classical_predicted": 0.98} for e in eps]
    plain = {part: training(rng, 8000, correctors, 0.3) for part in ("cell_plain", "cell_plain_same")}
    layers = [{"periodicity": f"{n} layers", "chi1": 0.1 / (1 + n) * near} for n in range(5)]
    made = [
        result(name, "nhpinn", seed, history=histories, fields=fields, quantities={"transfer": 0.9 * near},
            coefficients={"tensor": samples, "reaction": -0.25}, settings={}),
        result(name, "classical", seed, fields={**fields, "solution": 0.1 * u * near}, quantities={"classical": 0.95 * near},
            history={"classical": training(rng, problem.classical["epochs"], ["classical"], 0.95)}),
        result(name, "sharp", seed, history={"cell": sharp_cell}, fields=fields),
        result(name, "fem", 0, quantities=quantities),
        result(name, "sweep", seed, study=rows),
    ]
    if correctors:
        made.append(result(name, "plain", seed, history=plain))
    if problem.plain:
        made.append(result(name, "layers", seed, study=layers))
    return made


def all_results(names=PROBLEMS, seeds=2):
    return [made for name in names for seed in range(seeds) for made in results_of(name, seed)]


OTHERS = {"DeepXDE": [[1, 0.5], [100, 1e-2]]}
