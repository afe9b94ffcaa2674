"""The paper's five problems as data.

    elliptic            -d_i( a_ij(x, x/eps) d_j u ) = f                    u = 0 on the boundary
    reaction-diffusion   u_t - D u_xx + r(x/eps) u / eps = f,  u = initial at t = 0, u = 0 at the ends

A problem is a record; to add one, add a record to PROBLEMS.  Functions take points (n, dim) and return
(n,) (a coefficient may also return a tensor (n, dim, dim)); coefficients are written with
autograd.numpy, because the method differentiates them.  Beside each setting stands its source: a figure
or table of the paper, or "ours" where the paper is silent.  `paper` holds the numbers that it prints.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import autograd.numpy as np

PI = np.pi


def fixed(**fields):
    """A mapping that cannot be changed."""
    return MappingProxyType(fields)


class Problem(NamedTuple):
    name: str
    title: str
    dim: int
    domain: tuple  # ((low, high), ...) for each axis
    eps: float
    coefficient: Callable  # a(x, y), periodic in y
    source: Callable  # f(x)
    cell: Mapping  # settings of the cell problems, see nhpinn.Training
    homogenized: Mapping  # settings of the homogenized equation
    classical: Mapping  # settings of the classical PINN and of transfer learning
    test_points: int  # points per axis of the grid on which errors are measured
    period: float = 1.0
    slow: bool = False  # True: a depends on x as well
    reaction: Callable | None = None  # r(y), with mean zero
    initial: Callable | None = None  # u at t = 0; None: no time derivative
    final_time: float = 1.0
    plain: Mapping | None = None  # best settings found for cell problems without oversampling
    correctors: Callable | None = None  # closed form y -> (n, J)
    effective: Callable | None = None  # closed form x -> a* (n,)
    effective_reaction: float = 0.0  # closed form of r*
    paper: Mapping = fixed()


def sine(x):
    return np.sin(x[:, 0])


def const1d_coefficient(x, y):
    return 0.5 * np.sin(2 * PI * y[:, 0]) + 2


def elliptic2d_coefficient(x, y):
    return 2 + np.sin(2 * PI * y[:, 0]) * np.cos(2 * PI * y[:, 1])


def slow1d_coefficient(x, y):
    return 0.5 * np.sin(2 * PI * y[:, 0]) + np.sin(x[:, 0]) + 2


const1d = Problem(
    name="const1d",
    title="1D elliptic, a(y) = 0.5 sin(2 pi y) + 2 (section 2.1)",
    dim=1,
    domain=((0.0, PI),),
    eps=1 / 8,
    coefficient=const1d_coefficient,
    source=sine,
    cell=fixed(
        hidden=(64, 64, 64),
        points=101,
        layers=2,
        weights=(0.02, 0.49, 0.49),
        rate=2e-3,
        decay=0.1,
        epochs=4000,
        average=500,
    ),
    homogenized=fixed(
        hidden=(64, 64, 64), points=101, weights=(0.5, 0.5), rate=1e-3, decay=0.1, epochs=4000, average=500
    ),
    classical=fixed(hidden=(64, 64, 64), points=101, weights=(0.5, 0.5), rate=1e-4, epochs=2000, average=500),
    test_points=401,
    paper=fixed(classical=0.987471),
)

elliptic2d = Problem(
    name="elliptic2d",
    title="2D elliptic, a(y) = 2 + sin(2 pi y1) cos(2 pi y2) (section 5.2)",
    dim=2,
    domain=((0.0, 1.0), (0.0, 1.0)),
    eps=1 / 8,
    coefficient=elliptic2d_coefficient,
    source=lambda x: np.sin(x[:, 0]) + np.cos(x[:, 1]),
    cell=fixed(
        hidden=(64, 64, 64),
        points=23,
        layers=2,
        weights=(0.02, 0.49, 0.49),
        rate=2e-3,
        decay=0.1,
        epochs=8000,
        average=300,
    ),
    plain=fixed(hidden=(64, 64, 64), points=23, weights=(0.02, 0.98), rate=2e-3, decay=0.1, epochs=8000, average=300),
    homogenized=fixed(
        hidden=(64, 64, 64), points=21, weights=(0.01, 0.99), rate=5e-3, decay=0.1, epochs=4000, average=500
    ),
    classical=fixed(hidden=(64, 64, 64), points=101, weights=(0.01, 0.99), rate=1e-4, epochs=4000, average=500),
    test_points=101,
    paper=fixed(
        e1=0.082994,
        e2=0.0212534,
        e3=0.076604,
        e4=0.021316,
        chi1=0.072034,
        chi2=0.071396,
        chi1_plain=0.329296,
        chi2_plain=0.266358,
        classical=0.900758,
        transfer=0.909675,
    ),
)

slow1d = Problem(
    name="slow1d",
    title="1D elliptic, a(x, y) = 0.5 sin(2 pi y) + sin x + 2 (section 5.3)",
    dim=1,
    domain=((0.0, PI),),
    eps=1 / 8,
    coefficient=slow1d_coefficient,
    source=sine,
    slow=True,
    cell=fixed(
        hidden=(64, 64, 64),
        points=101,
        layers=2,
        weights=(0.02, 0.49, 0.49),
        rate=2e-3,
        decay=0.1,
        epochs=4000,
        average=500,
    ),
    homogenized=fixed(
        hidden=(64, 64, 64), points=101, weights=(0.5, 0.5), rate=1e-3, decay=0.1, epochs=4000, average=500
    ),
    classical=fixed(hidden=(64, 64, 64), points=101, weights=(1 / 11, 10 / 11), rate=1e-4, epochs=1000, average=100),
    test_points=401,
    effective=lambda x: np.sqrt((2 + np.sin(x[:, 0])) ** 2 - 0.25),
    paper=fixed(
        e1=0.005819, e2=0.007668, e3=0.003665, e4=0.006201, e_a=0.010304, classical=0.980968, transfer=1.005152
    ),
)

reaction10 = Problem(
    name="reaction10",
    title="reaction-diffusion, r(y) = cos y, D = 2, eps = 1/10 (section 5.4.1)",
    dim=1,
    domain=((-PI, PI),),
    eps=1 / 10,
    coefficient=lambda x, y: 2.0 + 0 * y[:, 0],
    source=lambda x: np.sin(2 * PI * x[:, 0]),
    period=2 * PI,
    reaction=lambda y: np.cos(y[:, 0]),
    initial=sine,
    cell=fixed(
        hidden=(64,) * 4,
        points=101,
        layers=2,
        weights=(0.02, 0.49, 0.49),
        rate=1e-3,
        decay=0.1,
        epochs=10000,
        average=500,
    ),
    homogenized=fixed(
        hidden=(64,) * 4, points=100, weights=(1 / 7, 5 / 7, 1 / 7), rate=1e-3, decay=0.1, epochs=10000, average=500
    ),
    classical=fixed(hidden=(64,) * 4, points=100, weights=(1 / 7, 5 / 7, 1 / 7), rate=0.015, epochs=10000, average=100),
    test_points=201,
    effective_reaction=-0.25,
    paper=fixed(
        e1=0.012388, e2=0.0012916, e3=0.012448, e4=0.0012917, N=0.053309, classical=0.774558, transfer=0.265721
    ),
)

reaction50 = reaction10._replace(
    name="reaction50",
    title="reaction-diffusion, r(y) = cos y, D = 2, eps = 1/50 (section 5.4.2)",
    eps=1 / 50,
    classical=fixed(**{**reaction10.classical, "rate": 0.05}),
    paper=fixed(e1=0.018582, e2=0.011637, e3=0.022184, e4=0.0116435, N=0.057602, classical=1.000237, transfer=0.506884),
)

PROBLEMS = {p.name: p for p in (const1d, elliptic2d, slow1d, reaction10, reaction50)}
