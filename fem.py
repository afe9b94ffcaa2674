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

from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy import sparse
from scipy.sparse.linalg import splu


class Mesh(NamedTuple):
    """A box cut into equal boxes, the elements; u = 0 on its boundary, or periodic."""

    bounds: tuple  # ((low, high), ...), one pair an axis
    elements: int | tuple  # per axis; one number: the same for every axis
    order: int = 4  # polynomial degree
    periodic: bool = False
    gauss: int | None = None  # quadrature points per piece and axis; None: order + 1
    cuts: tuple = (0.0, 1.0)  # where every axis of an element is cut into pieces, on each of which u is a polynomial


class Field(NamedTuple):
    """Finite element functions: columns of nodal values (all nodes, boundary included)."""

    mesh: Mesh
    nodal: np.ndarray  # (nodes,) or (nodes, J)

    def on_grid(self, *axes, along=()):
        """Values on the tensor grid of one array of coordinates an axis: (n,) or (n, J), last axis fastest.

        along: axes along which to differentiate first: () values, (0,) d_0 u, (0, 1) d_01 u, at most twice each.
        """
        axes = [_inside(self.mesh, axis, x) for axis, x in enumerate(axes)]
        return _kron(_line(self.mesh, axis, x)[along.count(axis)] for axis, x in enumerate(axes)) @ self.nodal

    def at(self, points):
        """Value (n,) or (n, J), gradient (..., dim), second derivatives (..., dim, dim) at any points (n, dim)."""
        dim, parts = points.shape[1], []
        others = lambda i: tuple(1 + j for j in range(dim) if j != i)  # noqa: E731
        nodal = self.nodal.reshape(*(_nodes(self.mesh, axis) for axis in range(dim)), -1)
        for some in np.array_split(points, max(1, len(points) // 4096)):  # blocks that fit the cache
            lines = [_basis(self.mesh, axis, _inside(self.mesh, axis, some[:, axis])) for axis in range(dim)]
            index = (np.expand_dims(columns, others(i)) for i, (columns, _) in enumerate(lines))
            jet = nodal[tuple(index)][None]  # (derivatives so far, n, nodes of the axes that are left, J)
            for _, tables in lines:
                jet = np.einsum("mna,kna...->kmn...", tables, jet)
                jet = jet.reshape(-1, *jet.shape[2:])
            parts.append(jet.reshape(*[3] * dim, len(some), *self.nodal.shape[1:]))
        jet, unit = np.concatenate(parts, axis=dim), np.eye(dim, dtype=int)
        gradient = np.stack([jet[tuple(e)] for e in unit], -1)
        second = np.stack([np.stack([jet[tuple(e + f)] for f in unit], -1) for e in unit], -2)
        return jet[(0,) * dim], gradient, second


def counts(mesh):
    """The number of elements of every axis."""
    return tuple(int(n) for n in np.broadcast_to(mesh.elements, len(mesh.bounds)))


def tensor_grid(axes):
    """The points of a tensor grid, last axis fastest: (n, dim)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))


def gauss(breaks, count):
    """`count` Gauss points between any two neighbours of `breaks`: points, weights."""
    nodes, weights = legendre.leggauss(count)
    half = np.diff(breaks)[:, None] / 2
    return (breaks[:-1, None] + half * (nodes + 1)).ravel(), (half * weights).ravel()


def _breaks(mesh, axis):
    """Where the pieces of an axis begin and end."""
    (low, high), n = mesh.bounds[axis], counts(mesh)[axis]
    return np.append((low + (high - low) / n * (np.arange(n)[:, None] + np.array(mesh.cuts[:-1]))).ravel(), high)


def _nodes(mesh, axis):
    return counts(mesh)[axis] * (len(mesh.cuts) - 1) * mesh.order + (0 if mesh.periodic else 1)


def _inside(mesh, axis, x):
    """Coordinates on the axis of a mesh, modulo the period."""
    low, high = mesh.bounds[axis]
    if mesh.periodic:
        return low + (x - low) % (high - low)
    if len(x) and (x.min() < low or x.max() > high):
        raise ValueError(f"points: found coordinates outside the mesh, expected them inside {mesh.bounds}")
    return x


def _basis(mesh, axis, x):
    """Basis functions of an axis that are not zero at x: nodes (n, order + 1), their derivatives (3, n, order + 1)."""
    breaks, p = _breaks(mesh, axis), mesh.order
    piece = np.clip(np.searchsorted(breaks, x, side="right") - 1, 0, len(breaks) - 2)
    h = np.diff(breaks)[piece]
    t = 2 * (x - breaks[piece]) / h - 1
    lobatto = np.concatenate([[-1], legendre.Legendre.basis(p).deriv().roots().real, [1]])
    coefficients = np.linalg.inv(legendre.legvander(lobatto, p))  # of the Lagrange basis, column by column
    tables = [
        legendre.legvander(t, max(p - m, 0)) @ legendre.legder(coefficients, m) * (2 / h[:, None]) ** m
        for m in range(3)
    ]
    return (piece[:, None] * p + np.arange(p + 1)) % _nodes(mesh, axis), np.stack(tables)


def _line(mesh, axis, x):
    """The same as sparse matrices (points, nodes): values, first and second derivatives."""
    columns, tables = _basis(mesh, axis, x)
    rows, shape = np.repeat(np.arange(len(x)), columns.shape[1]), (len(x), _nodes(mesh, axis))
    return [sparse.csr_array((table.ravel(), (rows, columns.ravel())), shape) for table in tables]


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
    _check_mesh(mesh)
    dim = range(len(mesh.bounds))
    axes, measure = zip(*(gauss(_breaks(mesh, axis), mesh.gauss or mesh.order + 1) for axis in dim), strict=True)
    lines = [_line(mesh, axis, x) for axis, x in enumerate(axes)]
    B = _kron(line[0] for line in lines)
    D = [_kron(line[int(axis == i)] for axis, line in enumerate(lines)) for i in dim]
    nodes = [_nodes(mesh, axis) for axis in dim]
    inner = [np.arange(n) if mesh.periodic else np.arange(1, n - 1) for n in nodes]
    free = np.ravel_multi_index(tuple(tensor_grid(inner).T), nodes)
    return Space(tensor_grid(axes), reduce(np.kron, measure), B, D, free)


def _check_mesh(mesh):
    if min(counts(mesh)) < 1 or mesh.order < 1:
        raise ValueError(f"mesh: found {mesh.elements} elements of order {mesh.order}, expected at least one of each")


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
