"""Known microstructures: what `nhpinn.homogenize` finds beside closed forms and multipoles, as a page.

    python benchmarks/microstructures.py > docs/microstructures.md

Multipoles (Rayleigh 1892).  Around an inclusion, u is a sum of growing harmonics with factors A_l and of decaying ones
with B_l = -R^(2l) t A_l, t = (s - 1) / (s + 1), around discs, B_l = -R^(2l+1) l (s - 1) / (s l + l + 1) A_l around
spheres, of radius R and conductivity s.  What grows at one inclusion is e . y and what decays from all the others, by
sums over the lattice.
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
import time
import warnings
from functools import cache, partial
from math import factorial, pi, sqrt
from typing import NamedTuple

import autograd.numpy as np
import images
import pores
from scipy.special import binom, gamma, gammaincc, lpmv, zeta

import nhpinn

HEXAGONAL = np.exp(1j * pi / 3)


# --- truths -----------------------------------------------------------------------------------------


@cache
def lattice_sum(l, ratio):
    """The sum of w^-l over the lattice of 1 and ratio, without 0, for even l; by rows where l is small (Lipschitz)."""
    if l > 20:
        m, n = np.meshgrid(np.arange(-20, 21), np.arange(-20, 21), indexing="ij")
        w = (m + n * ratio)[(m != 0) | (n != 0)]
        return np.sum(w ** -float(l)).real
    m, j = np.meshgrid(np.arange(1, 30), np.arange(1, 60), indexing="ij")
    rows = np.sum(j ** (l - 1.0) * np.exp(2j * pi * ratio * m * j))
    return 2 * zeta(l) + (2 * (2j * pi) ** l / factorial(l - 1) * rows).real


def discs(fraction, s, ratio=1j, most=240):
    """Conductivity of discs in a matrix of 1, on a square lattice or, ratio = exp(i pi / 3), on a hexagonal one.

    Decaying from all discs are Weierstrass' zeta(z), which grows by S_2 over the period 1, and its derivatives.
    """
    R, t, l = sqrt(fraction * ratio.imag / pi), (s - 1) / (s + 1), np.arange(1, most, 2)
    S = np.array([0.0, 0.0, *(lattice_sum(k, ratio) for k in range(4, 2 * most, 2))])  # of w^0, w^2, w^4, ...
    order = l[:, None] + l
    near = t * R**order * binom(order - 1, l[:, None]) * S[order // 2]
    first = np.linalg.solve(np.eye(len(l)) - near, R * np.eye(len(l))[0])[0] / R  # A_1, for A_l R^l
    return 1 + 2 * t * fraction * first / (1 - t * R**2 * first * lattice_sum(2, ratio))


def solid(l, m, p):
    """(l - m)! |p|^l P_lm exp(i m phi) at points p (n, 3), for m >= 0; the same with the least |p|^(2l + 1) is I_lm."""
    r = np.linalg.norm(p, axis=1)
    return factorial(l - m) * r**l * lpmv(m, l, p[:, 2] / r) * np.exp(1j * m * np.arctan2(p[:, 1], p[:, 0]))


def cubic_sum(l, m):
    """The sum of I_lm over the integers (Ewald); l = 2 for a field whose mean is that of u."""
    if l == 2:
        return 4 * pi / 3
    p = np.stack(np.meshgrid(*[np.arange(-5, 6)] * 3), axis=-1).reshape(-1, 3)
    p = p[np.any(p != 0, axis=1)]
    square = np.sum(p**2, axis=1)
    near = np.sum(solid(l, m, p) * square ** -(l + 0.5) * gammaincc(l + 0.5, pi * square))
    far = (-1) ** (l // 2) * pi ** (l - 0.5) / gamma(l + 0.5) * np.sum(solid(l, m, p) * np.exp(-pi * square) / square)
    return (near + far).real


def spheres(fraction, s, most=10):
    """Conductivity of spheres in a matrix of 1 on a cubic lattice."""
    R = (3 * fraction / (4 * pi)) ** (1 / 3)
    modes = [(l, m) for l in range(1, most, 2) for m in range(-l, l + 1) if m % 4 == 0]
    sums = {(l, m): cubic_sum(l, m) for l in range(2, 2 * most, 2) for m in range(0, l + 1, 4)}
    near = np.zeros((len(modes), len(modes)))
    for row, (j, k) in enumerate(modes):
        for column, (l, m) in enumerate(modes):
            decay = R ** (2 * l + 1) * l * (s - 1) / (s * l + l + 1) / (factorial(l - m) * factorial(l + m))
            near[row, column] = decay * sums[l + j, abs(m + k)]
    first = np.linalg.solve(np.eye(len(modes)) - near, np.array([mode == (1, 0) for mode in modes], float))
    return 1 + 3 * fraction * (s - 1) / (s + 2) * first[modes.index((1, 0))]


def checkers(image):
    """a*_11 of four phases in a square each (Craster and Obnosov 2001)."""
    (p, q), (r, s) = image
    mean = (p * q * r + p * q * s + p * r * s + q * r * s) / (p + q + r + s)
    return sqrt(mean * (p + q) * (r + s) / ((p + r) * (q + s)))


# --- microstructures --------------------------------------------------------------------------------


class Case(NamedTuple):
    name: str
    coefficient: object
    truth: float
    source: str
    dim: int = 2
    period: object = 1.0
    read: object = lambda tensor: tensor[0, 0]


def ball(fraction, dim, y):
    square = {2: fraction / pi, 3: (fraction / (4 / 3 * pi)) ** (2 / 3)}[dim]
    return square - np.sum((y - 0.5) ** 2, axis=1)


def two_discs(fraction, y):
    """Discs on the corners and in the middle of a cell 1 x sqrt(3): a hexagonal lattice."""
    centres = np.array([[0.5, 0.0], [0.5, sqrt(3)], [0, sqrt(3) / 2], [1, sqrt(3) / 2]])
    squares = np.sum((y[:, None] - centres) ** 2, axis=2)
    return fraction * sqrt(3) / 2 / pi - np.min(squares, axis=1)


def skewed(fraction, s):
    """The hexagonal lattice x = M y on the square cell: discs become ellipses, and 1 a tensor, M^-1 M^-T."""
    M = np.array([[1, 0.5], [0, sqrt(3) / 2]])
    metric, tensor = M.T @ M, np.linalg.inv(M.T @ M)
    level_set = lambda y: fraction * sqrt(3) / 2 / pi - np.sum((y - 0.5) @ metric * (y - 0.5), axis=1)  # noqa: E731
    return nhpinn.TwoPhase(level_set, s * tensor, tensor)


def layers(y):
    return np.sin(2 * pi * (y[:, 0] + y[:, 1]))


def antisymmetric(size, contrast):
    """Random, and with its phases exchanged after half a period: the determinant of its tensor is contrast, exactly."""
    half = np.random.default_rng(0).integers(2, size=(size // 2, size))
    return np.where(np.concatenate([half, 1 - half]), float(contrast), 1.0)


def crystals(size, grains, ratio):
    """Grains nearest to random centres, periodic, whose crystals conduct 1 and ratio along axes turned at random."""
    rng = np.random.default_rng(0)
    centres, turns = rng.uniform(0, size, (grains, 2)), rng.uniform(0, pi, grains)
    apart = (np.indices((size, size)).T[:, :, None] - centres + size / 2) % size - size / 2
    label = np.argmin(np.sum(apart**2, axis=-1), axis=-1).T
    R = np.array([[np.cos(turns), -np.sin(turns)], [np.sin(turns), np.cos(turns)]]).transpose(2, 0, 1)
    return (R * np.array([1.0, ratio]) @ R.transpose(0, 2, 1))[label]


PORES = [[2.0, 7.0], [0.0, 3.0]]


def cases():
    by_ball = lambda f, s, dim: nhpinn.TwoPhase(partial(ball, f, dim), float(s), 1.0)  # noqa: E731
    for f, s in ((0.2, 10), (0.5, 10), (0.5, 1000), (0.7, 50), (0.78, 50)):
        yield Case(f"discs, square array, {f:.0%} of {s}", by_ball(f, s, 2), discs(f, s), "multipoles")
    truth = discs(0.6, 10, HEXAGONAL)
    name = "discs, hexagonal array, 60% of 10"
    rectangle = nhpinn.TwoPhase(partial(two_discs, 0.6), 10.0, 1.0)
    yield Case(f"{name}, period (1, √3)", rectangle, truth, "multipoles", period=(1.0, sqrt(3)))
    yield Case(f"{name}, as ellipses on a square", skewed(0.6, 10), truth * 4 / 3, "multipoles")
    for f, s in ((0.1, 10), (0.3, 10), (0.3, 0.1)):
        yield Case(f"spheres, cubic array, {f:.0%} of {s}", by_ball(f, s, 3), spheres(f, s), "multipoles", 3)
    slanted = nhpinn.TwoPhase(layers, 10.0, 1.0)
    yield Case("layers 10 : 1 at 45°, along them", slanted, 5.5, "mean", read=lambda a: a[0, 0] - a[0, 1])
    yield Case("layers 10 : 1 at 45°, across", slanted, 20 / 11, "harmonic mean", read=lambda a: a[0, 0] + a[0, 1])
    yield Case("image, layers 400 : 1.38, across", [[400.0], [1.38]], 2 / (1 / 400 + 1 / 1.38), "harmonic mean")
    yield Case("image, square inclusion of 0.1, 25%", images.SQUARE, sqrt(1.3 / 3.1), "Obnosov 1999")
    yield Case("image, four phases [[20, 1], [5, 2]]", images.FOUR, checkers(images.FOUR), "Craster, Obnosov 2001")
    for s in (10.0, 100.0):
        yield Case(f"image, checkerboard 1 : {s:g}", [[1.0, s], [s, 1.0]], sqrt(s), "Keller, Dykhne")
    for size in (32, 256):
        name, read = f"image, random {size}², 1 : 10, √det", lambda a: sqrt(np.linalg.det(a))
        yield Case(name, antisymmetric(size, 10), sqrt(10), "Keller, Mendelson", read=read)
    name = "image, random 32², 1 : 10, voxels 1 : 4, √det"
    yield Case(name, antisymmetric(32, 10), sqrt(10), "Keller, Mendelson", period=(1.0, 4.0), read=read)
    for s in (10.0, 100.0):
        yield Case(
            f"polycrystal, 12 grains of 1, {s:g}, √det", crystals(32, 12, s), sqrt(s), "Keller, Dykhne", read=read
        )
    yield Case("image, square pore, 25%", np.where(images.SQUARE < 1, 0.0, 1.0), sqrt(1 / 3), "Obnosov 1999")
    yield Case("image, four phases [[2, 7], [0, 3]]", PORES, checkers(PORES), "Craster, Obnosov 2001")


# --- the page ---------------------------------------------------------------------------------------

PAGE = """# Known microstructures

What `nhpinn.homogenize` finds, with its default settings, where the conductivity is known.  Written by

    python benchmarks/microstructures.py > docs/microstructures.md

{table}

The matrix has the conductivity 1; the entry shown is a*₁₁ unless the name says another, and its error is relative.
Gap and quadrature are those of the bounds: how far they are apart, and how far another quadrature moves them; images
have exact integrals.  "Inside" says whether the truth lies between the bounds, moved by the quadrature.  Seconds are of
one processor: {machine}.

Discs, spheres and slanted layers are a `TwoPhase` (random features in each phase), images are arrays (finite elements).
A gap above the tolerance, 1e-4 and 1e-2, comes with a warning: nearly touching discs, spheres, which take many points,
and images whose pixels meet at corners, where fields are singular.

Where a TwoPhase comes no closer than 2 % in the plane, or 20 % in space, as discs that overlap and shapes with
corners do, one finite element a pixel is tried as well, whose Gauss points lie in whichever phase is there: its
`lower` and `upper` hold for the interface itself, not for its staircase, and are moved outwards by what other points
change in them. So are those of `recipe='fem'` of a TwoPhase (a gyroid network of 10 in 1, about 4.27, is between 4.08
and 4.31), and of functions that jump. Coated fibres are a TwoPhase in a TwoPhase, `TwoPhase(outer, TwoPhase(inner,
100, 0.01), 1)`, whose interfaces keep apart: discs of .36 and .38 have .521352, radii .2 and .35 with 10, 1 in 2 have
1.891203, as multipoles have. A phase that jumps, and interfaces that touch, are refused.

The images with a closed form are related to their own duals, and so is the geometric mean of the bounds, which is the
tensor returned: it is exact where the bounds are far apart.  Other images err by less than the gap, but not by nothing:
a random image of 16 x 16 pixels, a third of 10 in 1, by less than 1e-3 at a gap of 5e-2.

Truths: Rayleigh's multipoles, solved by the script (Perrins, McKenzie and McPhedran, Proc. R. Soc. A 369 (1979) 207;
McKenzie, McPhedran and Derrick, Proc. R. Soc. A 362 (1978) 211); Keller 1964, Dykhne 1971 and Mendelson 1975 for two
phases that can be exchanged, whose tensors have the determinant of their product; Obnosov, SIAM J. Appl. Math. 59
(1999) 1267, √((1 + 3s) / (3 + s)) for a square inclusion; Craster and Obnosov, SIAM J. Appl. Math. 61 (2001) 1839, for
four phases.  The random images are their own negatives after half a period.

## Large images

Two phases at random, half of the pixels each, and what else is said; `python benchmarks/images.py` writes these rows,
each in a process of its own.  Both bounds and all directions are solved, by two threads: the seconds are those of the
clock, while the machine did other things as well, and those of all processors, of which two idle cores take half.  The
memory is what comes on top of that of the libraries.

{images}

In seconds of one processor, which two threads share, 512 x 512 pixels take one to two, 64³ voxels three to four (a
contrast of 1e4 three times as long), 128³ half a minute and a gigabyte, 256³ five minutes and eight gigabytes.
Elements are refined inside the pixels up to 600,000 unknowns, so that large images have one a voxel, and no further
once that does not help: at corners where phases of contrast 1e4 meet no refinement in reach does.

## Pores, polycrystals, unequal voxels

Pixels and voxels may conduct exactly 0.  The bounds are then those of [pores.py](../nhpinn_tools/pores.py), flows
through the faces of conducting voxels and elements on them that may jump where voxels touch at edges or corners alone;
the tensor is their arithmetic mean.  Directions in which nothing percolates are exactly 0 in both bounds, as along the
diagonal contacts of a checkerboard, and `percolates` is the projection onto the others.  `two_point` is the number of
finite volumes on voxels, which never exceeds a*: at a porosity of 70 % in random voxels it is 20 % too small.

A sample has no periods.  `homogenize(image, dim, sample=True)` holds it at two values on opposite faces and seals the
others, for every axis in turn; `nhpinn.tortuosity(image)` gives its porosity, its effective diffusivity and the
tortuosity factor, mean(D) / D_eff, with bounds, infinite where nothing percolates.  `python benchmarks/pores.py`
wrote these rows, the conductivity along axis 0, beside TauFactor and PoreSpy's solver where they are installed, each
number by a process of its own.  Ours are the processor seconds of all axes and both bounds, theirs of one number.

{pores}

TauFactor's number is our `two_point`, and PoreSpy's near it; they are 1 to 20 % below the lower bound.  The bounds are
those of the image as it is: how far its voxels are from what they show is another question.

A polycrystal is an image of labels with a tensor for each, `values={{0: a_0, 1: a_1, ...}}`.  In the plane its tensor
has the determinant that all grains share, and so has the geometric mean of the bounds.  Voxels need not be squares:
`period=(1, 4)` makes those of an image of n x n four times as long along axis 1 as along axis 0; `tortuosity` takes
them for cubes unless `period` says otherwise.
"""


def row(case):
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the table says how far the bounds are apart
        found = nhpinn.homogenize(case.coefficient, case.dim, period=case.period)
    seconds = time.process_time() - start
    value, low, high = (case.read(tensor) for tensor in (found.tensor, found.lower, found.upper))
    slack = (found.quadrature + 1e-12) * case.truth
    return (
        case.name,
        f"{case.truth:.7g}",
        case.source,
        f"{value:.7g}",
        f"{abs(value / case.truth - 1):.0e}",
        f"{found.gap:.0e}",
        f"{found.quadrature:.0e}" if found.quadrature else "0",
        "yes" if low - slack <= case.truth <= high + slack else "NO",
        f"{seconds:.1f}",
        found.recipe,
    )


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    head = ("microstructure", "truth", "source", "a*", "error", "gap", "quadrature", "inside", "seconds", "recipe")
    large, porous = images.table(images.IMAGES), pores.table(pores.IMAGES)  # first, while this process is small
    table = timing.table(head, [row(case) for case in cases()])
    print(PAGE.format(table=table, images=large, pores=porous, machine=timing.machine()), end="")


if __name__ == "__main__":
    main()
