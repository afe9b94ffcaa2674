"""Samples of pores between fixed values: bounds beside the numbers of TauFactor and PoreSpy, seconds and peak memory.

python benchmarks/pores.py [NAME ...]
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
import contextlib
import json
import subprocess
import sys
import time
import warnings

import memory
import numpy as np

import nhpinn_tools.pores


def random(shape, share):
    return np.random.default_rng(0).random(shape) < share


def balls(size, count, radius, seed=0):
    """True outside of balls, or discs, at random places."""
    dim, rng = len(size), np.random.default_rng(seed)
    y, out = np.indices(size), np.ones(size, bool)
    for centre in rng.uniform(0, size, (count, dim)):
        out &= ((y - centre.reshape(-1, *[1] * dim)) ** 2).sum(0) > radius**2
    return out


IMAGES = {  # name: (image, tolerance of the gap)
    "disc in 64²": (lambda: ((np.indices((64, 64)) - 31.5) ** 2).sum(0) > 22.4**2, 1.5e-3),
    "random 32³, 70 %": (lambda: random((32,) * 3, 0.7), 0.07),
    "balls in 40³": (lambda: balls((40,) * 3, 40, 7), 0.05),
    "random 64³, 70 %": (lambda: random((64,) * 3, 0.7), 0.07),
}


def ours(image, tolerance):
    found = nhpinn_tools.pores.bounds(image.astype(float), np.ones(image.ndim), tolerance, sample=True)
    return found.lower[0, 0], found.upper[0, 0], found.two_point[0, 0]


def taufactor(image, tolerance):
    import torch
    from taufactor import Solver

    torch.set_num_threads(1)
    solver = Solver(image.astype(int).reshape(image.shape + (1,) * (3 - image.ndim)), device="cpu")
    solver.solve(verbose=False, conv_crit=1e-4)
    return float(solver.D_eff.item())


def porespy(image, tolerance):
    from porespy.simulations import tortuosity_fd

    found = tortuosity_fd(image, axis=0)
    return float(found.effective_porosity / found.tortuosity)


SOLVERS = {
    "ours": (ours, ()),
    "TauFactor": (taufactor, ("taufactor", "torch")),
    "PoreSpy": (porespy, ("porespy", "openpnm")),
}


def measure(name, solver):
    """In this process: what a solver finds along axis 0, its processor seconds and its memory beyond the libraries."""
    image, tolerance = IMAGES[name][0](), IMAGES[name][1]
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        SOLVERS[solver][0](random((8,) * image.ndim, 0.9), tolerance)  # what the first call imports
        libraries, start = memory.peak(), time.process_time()
        found = SOLVERS[solver][0](image, tolerance)
    return found, time.process_time() - start, memory.peak() - libraries


def in_own_process(name, solver):
    command = [sys.executable, __file__, "--one", name, solver]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def row(name, peers):
    (low, high, two_point), seconds, peak = in_own_process(name, "ours")
    cells = [name, f"{low:.4g} to {high:.4g}", f"{two_point:.5g}", f"{seconds:.1f}", f"{peak:,.0f}"]
    for peer in peers:
        found, seconds, peak = in_own_process(name, peer)
        cells += [f"{found:.5g}", f"{seconds:.1f}", f"{peak:,.0f}"]
    return cells


def peers():
    return [peer for peer, (_, packages) in SOLVERS.items() if packages and timing.installed(*packages)]


def table(names):
    head = ["sample", "D_eff", "two-point", "s", "MB"] + [cell for peer in peers() for cell in (peer, "s", "MB")]
    return timing.table(head, [row(name, peers()) for name in names])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(IMAGES)}; none: all")
    parser.add_argument(
        "--one", nargs=2, help="measure this image by this solver in this process, and print it as JSON"
    )
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in IMAGES]:
        parser.error(f"names: found {', '.join(map(repr, unknown))}, expected some of {', '.join(map(repr, IMAGES))}")
    print(json.dumps(measure(*args.one)) if args.one else table(args.names or IMAGES))


if __name__ == "__main__":
    main()
