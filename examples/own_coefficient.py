"""A coefficient of one's own: its homogenized tensor, between two bounds.

    a(y) = exp( 4 sin(2 pi y1) sin(2 pi y2) ),  the largest value 3,000 times the least

A shift by half a period turns a into 1/a, so by Keller's and Dykhne's duality the tensor is the identity, exactly.

    python examples/own_coefficient.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import nhpinn


def coefficient(y):
    return np.exp(4 * np.sin(2 * np.pi * y[:, 0]) * np.sin(2 * np.pi * y[:, 1]))


if __name__ == "__main__":
    found = nhpinn.homogenize(coefficient, dim=2)
    print(found)
    print(f"largest distance from the exact tensor, the identity: {np.abs(found.tensor - np.eye(2)).max():.1e}")
    assert np.abs(found.tensor - np.eye(2)).max() < 1e-6
    if find_spec("matplotlib"):
        found.plot().savefig(sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"), dpi=50)
