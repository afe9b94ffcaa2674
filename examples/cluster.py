"""Many coefficients at once: the tensor of a(x, y) at every x, through an executor.

    a(x, y) = exp( x1 sin(2 pi y1) + x2 sin(2 pi y2) ),   a*_11 = I0(x2) / I0(x1),  a*_22 = I0(x1) / I0(x2),

with Bessel's I0, since a is a product of functions of one coordinate.  Any concurrent.futures.Executor will do: the
pool of a cluster, such as dask.distributed.Client().get_executor() or mpi4py.futures.MPIPoolExecutor().

    python examples/cluster.py [picture.png]
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np
from scipy.special import i0

import nhpinn


def coefficient(x, y):
    return np.exp(np.sum(x * np.sin(2 * np.pi * y), axis=1))


def draw(x, tensors, path):
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(5.6, 4.6), layout="constrained")
    image = panel.scatter(*x.T, c=np.log10(tensors[:, 0, 0] / tensors[:, 1, 1]), s=60, cmap="RdBu_r", edgecolor="k")
    figure.colorbar(image, label="$\\log_{10} (a^*_{11} / a^*_{22})$")
    panel.set(title=f"anisotropy of {len(x)} coefficients", xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    x = np.random.default_rng(0).uniform(0, 3, (60, 2))
    with ProcessPoolExecutor(2) as executor:
        found = nhpinn.homogenize_at(coefficient, x, executor=executor)
    tensors = np.stack([each.tensor for each in found])
    true = i0(x[:, ::-1]) / i0(x)
    error = np.abs(np.diagonal(tensors, axis1=1, axis2=2) / true - 1).max()
    print(f"{len(x)} coefficients, largest relative error {error:.1e}, gap {max(each.gap for each in found):.1e}")
    assert error < 1e-6
    if find_spec("matplotlib"):
        draw(x, tensors, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
