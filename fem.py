"""Classical references: tensor-product finite elements in scipy.sparse, in any dimension.

    elliptic    -d_i( a_ij d_j u ) + c u = f
    parabolic   u_t - d_i( a_ij d_j u ) + c u = f                  (Crank-Nicolson)
    cell        -d_i( a_ij (d_j chi_k + delta_jk) ) = 0            periodic, mean zero; eqs. (9), (10)
    tensor      a*_ij = mean( a_ij + a_ik d_k chi_j )

With B and D_i the sparse matrices that take nodal values to values and to derivatives at the quadrature
points, and w the quadrature weights, every matrix is a product:

    stiffness  sum_ij D_i^T diag(w a_ij) D_j        mass  B^T diag(w c) B        load  B^T (w f)

and B, D_i are Kronecker products of their one-dimensional counterparts.  Elements are Lagrange elements
of any order on Gauss-Lobatto nodes; errors in L2 fall as h^(order + 1) for smooth solutions.

Functions given by the user take points (n, dim) and return (n,) or, for a coefficient, (n, dim, dim).
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy import sparse
from scipy.interpolate import BSpline
from scipy.sparse.linalg import splu


class Mesh(NamedTuple):
    """A box cut into elements ** dim equal boxes; u = 0 on its boundary, or periodic."""

    bounds: tuple  # ((low, high), ...), one pair an axis
    elements: int  # per axis
    order: int = 4  # polynomial degree
    periodic: bool = False
    gauss: int | None = None  # quadrature points per element and axis; None: order + 1
    smooth: bool = False  # True: B-splines, with order - 1 continuous derivatives, in place of Lagrange elements


class Field(NamedTuple):
    """Finite element functions: columns of nodal values (all nodes, boundary included)."""

    mesh: Mesh
    nodal: np.ndarray  # (nodes,) or (nodes, J)

    def on_grid(self, *axes, along=()):
        """Values on the tensor grid of one array of coordinates an axis: (n,) or (n, J), last axis fastest.

        along: axes along which to differentiate first: () values, (0,) d_0 u, (0, 1) d_01 u, at most twice each.
        """
        if self.mesh.periodic:
            axes = [low + (x - low) % (high - low) for (low, high), x in zip(self.mesh.bounds, axes, strict=True)]
        elif any(x.min() < low or x.max() > high for (low, high), x in zip(self.mesh.bounds, axes, strict=True)):
            raise ValueError(f"axes: found coordinates outside the mesh, expected them inside {self.mesh.bounds}")
        return _kron(_line(self.mesh, axis, x)[along.count(axis)] for axis, x in enumerate(axes)) @ self.nodal


def _line(mesh, axis, x):
    """One-dimensional basis functions, their first and second derivatives at x: sparse matrices (points, nodes)."""
    low, high = mesh.bounds[axis]
    h, p = (high - low) / mesh.elements, mesh.order
    if mesh.smooth:
        knots = np.concatenate([[low] * p, np.linspace(low, high, mesh.elements + 1), [high] * p])
        basis = BSpline(knots, np.eye(mesh.elements + p), p)
        return [sparse.csr_array(basis.derivative(m)(x) if m else basis(x)) for m in range(3)]
    element = np.clip(((x - low) / h).astype(int), 0, mesh.elements - 1)
    t = 2 * (x - low - element * h) / h - 1
    lobatto = np.concatenate([[-1], legendre.Legendre.basis(p).deriv().roots().real, [1]])
    coefficients = np.linalg.inv(legendre.legvander(lobatto, p))  # of the Lagrange basis, column by column
    tables = [legendre.legvander(t, max(p - m, 0)) @ legendre.legder(coefficients, m) * (2 / h) ** m for m in range(3)]
    nodes = mesh.elements * p + (0 if mesh.periodic else 1)
    columns = (element[:, None] * p + np.arange(p + 1)) % nodes
    rows = np.repeat(np.arange(len(x)), p + 1)
    shape = (len(x), nodes)
    return [sparse.csr_array((part.ravel(), (rows, columns.ravel())), shape) for part in tables]


def _kron(matrices):
    return reduce(lambda a, b: sparse.kron(a, b, format="csr"), matrices)


class Space(NamedTuple):
    """The quadrature points of a mesh, their weights, and the matrices B and D_i."""

    points: np.ndarray  # (Q, dim)
    weights: np.ndarray  # (Q,)
    B: sparse.csr_array  # (Q, nodes)
    D: list  # of (Q, nodes), one an axis
    free: np.ndarray  # indices of the unknown nodal values


def space(mesh):
    if mesh.elements < 1 or mesh.order < 1:
        raise ValueError(f"mesh: found {mesh.elements} elements of order {mesh.order}, expected at least one of each")
    dim = len(mesh.bounds)
    axes, measure = zip(*(_quadrature(mesh, axis) for axis in range(dim)), strict=True)
    lines = [_line(mesh, axis, x) for axis, x in enumerate(axes)]
    points = product(axes)
    B = _kron(line[0] for line in lines)
    D = [_kron(line[int(axis == i)] for axis, line in enumerate(lines)) for i in range(dim)]
    inner = np.arange(lines[0][0].shape[1]) if mesh.periodic else np.arange(1, lines[0][0].shape[1] - 1)
    free = np.ravel_multi_index(np.meshgrid(*[inner] * dim, indexing="ij"), [lines[0][0].shape[1]] * dim).ravel()
    return Space(points, reduce(np.kron, measure), B, D, free)


def _quadrature(mesh, axis):
    """Gauss points of an axis and their weights."""
    low, high = mesh.bounds[axis]
    h = (high - low) / mesh.elements
    nodes, weights = legendre.leggauss(mesh.gauss or mesh.order + 1)
    return (low + h * (np.arange(mesh.elements)[:, None] + (nodes + 1) / 2)).ravel(), np.tile(
        weights * h / 2, mesh.elements
    )


def stiffness(space, a):
    """sum_ij D_i^T diag(w a_ij) D_j for a (Q,) or (Q, dim, dim) at the quadrature points."""
    a = _tensor(a, space.points.shape)
    dim = range(space.points.shape[1])
    return sum(
        (D := space.D)[i].T @ sparse.diags_array(space.weights * a[:, i, j]) @ D[j]
        for i in dim
        for j in dim
        if np.any(a[:, i, j])
    )


def _tensor(a, shape):
    a = np.asarray(a, dtype=float)
    if a.shape == shape[:1]:
        a = a[:, None, None] * np.eye(shape[1])
    if a.shape != (*shape, shape[1]):
        raise ValueError(f"coefficient: returned shape {a.shape} at points of shape {shape}")
    if not np.all(np.isfinite(a)):
        raise ValueError("coefficient: not finite at a quadrature point")
    asymmetry = np.abs(a - np.swapaxes(a, 1, 2)).max()
    if asymmetry > 1e-10 * np.abs(a).max() or np.linalg.eigvalsh(a).min() <= 0:
        raise ValueError("coefficient: not symmetric and positive definite at a quadrature point")
    return a


def _check_periodic(name, function, mesh):
    """Raises ValueError where function(y) differs from function(y + period) at the centres of the elements."""
    centres = space(mesh._replace(order=1, gauss=1)).points
    values = np.asarray(function(centres))
    for axis, (low, high) in enumerate(mesh.bounds):
        jump = np.abs(function(centres + (high - low) * np.eye(len(mesh.bounds))[axis]) - values).max()
        if not jump <= 1e-8 * np.abs(values).max():
            raise ValueError(
                f"{name}: not periodic, it changes by {jump:.3g} over the period {high - low:g} of axis {axis}"
            )


def mass(space, c=1.0):
    """B^T diag(w c) B for c (Q,) or a number."""
    return space.B.T @ sparse.diags_array(space.weights * c) @ space.B


def _factor(matrix):
    """A direct solver for a sparse matrix of symmetric structure."""
    return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve


def solve_elliptic(coefficient, source, mesh, reaction=None):
    """-d_i(a_ij d_j u) + c u = f with u = 0 on the boundary."""
    s = space(mesh)
    A = _operator(s, coefficient, reaction)
    nodal = np.zeros(s.B.shape[1])
    nodal[s.free] = _factor(A[s.free][:, s.free])((s.B.T @ (s.weights * source(s.points)))[s.free])
    return Field(mesh, nodal)


def _operator(s, coefficient, reaction):
    A = stiffness(s, coefficient(s.points))
    return A if reaction is None else A + mass(s, reaction(s.points))


def solve_parabolic(coefficient, source, initial, final_time, steps, mesh, reaction=None):
    """u_t - d_i(a_ij d_j u) + c u = f, u = 0 on the boundary, u = initial at t = 0: u at the final time.

    Crank-Nicolson with `steps` equal steps; the initial value is projected onto the elements in L2.
    """
    s = space(mesh)
    M, A = (matrix[s.free][:, s.free] for matrix in (mass(s), _operator(s, coefficient, reaction)))
    load, start = ((s.B.T @ (s.weights * f(s.points)))[s.free] for f in (source, initial))
    u, k = _factor(M)(start), final_time / steps
    advance, explicit = _factor(M + k / 2 * A), M - k / 2 * A
    for _ in range(steps):
        u = advance(explicit @ u + k * load)
    nodal = np.zeros(s.B.shape[1])
    nodal[s.free] = u
    return Field(mesh, nodal)


def _solve_periodic(s, A, loads):
    """A u = load for periodic u with mean zero; loads (nodes, J) have mean zero."""
    nodal = np.zeros(loads.shape)
    nodal[1:] = _factor(A[1:, 1:])(loads[1:])  # u is known up to a constant: fix one value, then the mean
    return nodal - (s.weights @ (s.B @ nodal)) / s.weights.sum()


def cell_mesh(dim, elements, period=1.0, order=4):
    return Mesh(((0.0, period),) * dim, elements, order, periodic=True)


def correctors(coefficient, mesh):
    """The correctors chi_j, eqs. (9) and (10), and the homogenized tensor: Field (nodes, dim), (dim, dim).

    coefficient: y (n, dim) -> (n,) or (n, dim, dim), periodic with the period of the mesh.
    """
    s = space(mesh)
    dim = range(s.points.shape[1])
    a = _tensor(coefficient(s.points), s.points.shape)
    _check_periodic("coefficient", coefficient, mesh)
    loads = -np.stack([sum(s.D[i].T @ (s.weights * a[:, i, j]) for i in dim) for j in dim], axis=1)
    chi = _solve_periodic(s, stiffness(s, a), loads)
    gradients = np.stack([D @ chi for D in s.D], axis=1)  # (Q, k, j): d_k chi_j
    tensor = np.einsum("q,qij->ij", s.weights, a + a @ gradients) / s.weights.sum()
    return Field(mesh, chi), tensor


def homogenized_tensor(coefficient, dim, n, *, period=1.0, order=4):
    """a* of a periodic coefficient, with n elements per axis: (dim, dim), symmetric positive definite."""
    return correctors(coefficient, cell_mesh(dim, n, period, order))[1]


def reaction_corrector(reaction, diffusion, mesh):
    """N with D lap N = r, periodic with mean zero, and r* = mean(r N), eqs. (A.2), (A.3): Field, float."""
    s = space(mesh)
    r = reaction(s.points)
    _check_periodic("reaction", reaction, mesh)
    mean = s.weights @ r / s.weights.sum()
    if not abs(mean) <= 1e-6 * np.abs(r).max():
        raise ValueError(f"reaction: its mean over the cell is {mean:.6g}; (A.2) has a solution only if it is 0")
    N = _solve_periodic(s, stiffness(s, np.full(len(r), diffusion)), -(s.B.T @ (s.weights * r))[:, None])[:, 0]
    return Field(mesh, N), float(s.weights @ (r * (s.B @ N)) / s.weights.sum())


def relative_error(u, reference):
    """|u - reference| / |reference| in the discrete L2 norm."""
    return float(np.linalg.norm(u - reference) / np.linalg.norm(reference))


def coarse_mesh_failure(elements=16, periods=8):
    """Section 2.2: linear elements on a coarse mesh see the arithmetic mean of the coefficient.

    -(a u')' = sin x on [0, pi] with a = 15 sin^2 + 1 and `periods` periods an element.  The harmonic mean
    is 4, the arithmetic mean 8.5, so the coarse solution is near 8/17 of the true one: relative error 9/17.
    -> (ratio of the norms of coarse and fine solution, relative error of the coarse one)
    """
    count = elements * periods

    def a(x):
        return 15 * np.sin(count * x[:, 0]) ** 2 + 1

    def f(x):
        return np.sin(x[:, 0])

    bounds, x = ((0.0, np.pi),), np.linspace(0, np.pi, 20 * count + 1)
    coarse = solve_elliptic(a, f, Mesh(bounds, elements, 1, gauss=8 * periods)).on_grid(x)
    fine = solve_elliptic(a, f, Mesh(bounds, 8 * count, 4)).on_grid(x)
    return float(np.linalg.norm(coarse) / np.linalg.norm(fine)), relative_error(coarse, fine)


class Side(NamedTuple):
    """weight * integral over one side of a box of |u - values|^2: how a loss asks for known values."""

    axis: int
    end: int  # 0: the low end of the axis, 1: the high end
    weight: float
    values: Callable  # points (n, dim) -> (n,)


def averaged_minimiser(gram, derivatives, sides, mesh, rules=None):
    """The u of a mesh that minimises  int sum_kl G_kl(x) c_k c_l dx + sides,  c = (d_k u for k in derivatives, 1).

    With G = mean_y l l^T the integrand is the mean over y of the square of sum_k l_k(x, y) d_k u(x) + l_K(x, y).
    gram: points (n, dim) -> (n, K + 1, K + 1), symmetric.  derivatives: K tuples as in `Field.on_grid`; with second
    derivatives the equation for u is of fourth order, and the mesh has to be smooth.  rules: (points, weights) of the
    integral for every axis, such as the points of a sampled loss; None: Gauss points.  Raises ValueError where they
    do not determine u.
    """
    if not mesh.smooth and max(map(len, derivatives)) > 1:
        raise ValueError("mesh: found smooth = False, expected True for a functional of second derivatives")
    dim = range(len(mesh.bounds))
    axes, weights = zip(*(rules or [_quadrature(mesh, axis) for axis in dim]), strict=True)
    lines = [_line(mesh, axis, x) for axis, x in zip(dim, axes, strict=True)]
    if any(len(x) < line[0].shape[1] for x, line in zip(axes, lines, strict=True)):
        raise ValueError("rules: found fewer points than unknowns along an axis, expected at least as many")
    D = [_kron(line[along.count(axis)] for axis, line in zip(dim, lines, strict=True)) for along in derivatives]
    G = gram(product(axes)) * reduce(np.kron, weights)[:, None, None]
    A = sum(D[k].T @ sum(sparse.diags_array(G[:, k, m]) @ D[m] for m in range(len(D))) for k in range(len(D)))
    load = -sum(D[k].T @ G[:, k, -1] for k in range(len(D)))
    for side in sides:
        trace, points, weights = _trace(mesh, side.axis, side.end)
        A = A + side.weight * trace.T @ sparse.diags_array(weights) @ trace
        load = load + side.weight * trace.T @ (weights * side.values(points))
    return Field(mesh, _factor(A)(load))


def _trace(mesh, axis, end):
    """Values on one side of a box at its quadrature points: matrix (points, nodes), points, weights."""
    corner = np.array([mesh.bounds[axis][end]]), np.ones(1)
    axes, weights = zip(*(corner if i == axis else _quadrature(mesh, i) for i in range(len(mesh.bounds))), strict=True)
    return _kron(_line(mesh, i, x)[0] for i, x in enumerate(axes)), product(axes), reduce(np.kron, weights)


def product(axes):
    """The points of a tensor grid, last axis fastest: (n, dim)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
