"""Classical references: tensor-product finite elements in scipy.sparse, in any dimension.

    elliptic    -d_i( a_ij d_j u ) + c u = f
    parabolic   rho u_t - d_i( a_ij d_j u ) + c u = f              (Crank-Nicolson)
    on a face   u = g, or n . a grad u = h with the outward normal n; u = 0 where nothing is said

With B and D_i the sparse matrices that take nodal values to values and to derivatives at the quadrature
points, and w the quadrature weights, every matrix is a product:

    stiffness  sum_ij D_i^T diag(w a_ij) D_j        mass  B^T diag(w c) B        load  B^T (w f)

and B, D_i are Kronecker products of their one-dimensional counterparts.  Elements are Lagrange elements
of any order on Gauss-Lobatto nodes; errors in L2 fall as h^(order + 1) for smooth solutions.  Cell problems, without a
matrix, are in fem_cells.py.

Functions given by the user take points (n, dim) and return (n,) or, for a coefficient, (n, dim, dim).  Faces are
records with axis, side (0: low, 1: high), at (the coordinate), flux (whether h is known, else g) and data (h or g).
"""

import inspect
from functools import lru_cache, reduce
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy import sparse
from scipy.sparse.linalg import splu


class Mesh(NamedTuple):
    """A box cut into equal boxes, the elements; values and fluxes on its boundary, or periodic."""

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
        return _kron(basis_matrices(self.mesh, axis, x)[along.count(axis)] for axis, x in enumerate(axes)) @ self.nodal

    def at(self, points, most=2):
        """Value (n,) or (n, J), gradient (..., dim), second derivatives (..., dim, dim) at any points (n, dim).

        most: of the derivatives; 1: value and gradient alone.
        """
        dim, parts, unit = points.shape[1], [], np.eye(points.shape[1], dtype=int)
        others = lambda i: tuple(1 + j for j in range(dim) if j != i)  # noqa: E731
        nodal = self.nodal.reshape(*(nodes_of(self.mesh, axis) for axis in range(dim)), -1)
        for some in np.array_split(points, max(1, len(points) // 4096)):  # blocks that fit the cache
            lines = [_basis(self.mesh, axis, _inside(self.mesh, axis, some[:, axis])) for axis in range(dim)]
            index = (np.expand_dims(columns, others(i)) for i, (columns, _) in enumerate(lines))
            jet = nodal[tuple(index)][None]  # (derivatives so far, n, nodes of the axes that are left, J)
            for _, tables in lines:
                jet = np.einsum("mna,kna...->kmn...", tables[: most + 1], jet)
                jet = jet.reshape(-1, *jet.shape[2:])
            jet = jet.reshape(*[most + 1] * dim, len(some), *self.nodal.shape[1:])
            part = [jet[(0,) * dim], np.stack([jet[tuple(e)] for e in unit], -1)]
            if most > 1:
                part.append(np.stack([np.stack([jet[tuple(e + f)] for f in unit], -1) for e in unit], -2))
            parts.append(part)
        return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def counts(mesh: Mesh) -> tuple:
    """The number of elements of every axis."""
    return tuple(int(n) for n in np.broadcast_to(mesh.elements, len(mesh.bounds)))


def tensor_grid(axes) -> np.ndarray:
    """The points of a tensor grid, last axis fastest: (n, dim)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))


@lru_cache(maxsize=64)
def leggauss(count):
    """Gauss points and weights on [-1, 1], which numpy finds as eigenvalues at every call."""
    return legendre.leggauss(count)


def gauss(breaks, count):
    """`count` Gauss points between any two neighbours of `breaks`: points, weights."""
    nodes, weights = leggauss(count)
    half = np.diff(breaks)[:, None] / 2
    return (breaks[:-1, None] + half * (nodes + 1)).ravel(), (half * weights).ravel()


def breaks_of(mesh, axis):
    """Where the pieces of an axis begin and end."""
    (low, high), n = mesh.bounds[axis], counts(mesh)[axis]
    return np.append((low + (high - low) / n * (np.arange(n)[:, None] + np.array(mesh.cuts[:-1]))).ravel(), high)


def nodes_of(mesh, axis):
    """The number of nodes along an axis; the last of a periodic one is its first."""
    return counts(mesh)[axis] * (len(mesh.cuts) - 1) * mesh.order + (0 if mesh.periodic else 1)


def _inside(mesh, axis, x):
    """Coordinates on the axis of a mesh, modulo the period."""
    low, high = mesh.bounds[axis]
    if mesh.periodic:
        return low + (x - low) % (high - low)
    if len(x) and (x.min() < low or x.max() > high):
        raise ValueError(f"points: found {x.min():g} to {x.max():g} on axis {axis}, expected {low:g} to {high:g}")
    return x


def _basis(mesh, axis, x):
    """Basis functions of an axis that are not zero at x: nodes (n, order + 1), their derivatives (3, n, order + 1)."""
    breaks, p = breaks_of(mesh, axis), mesh.order
    piece = np.clip(np.searchsorted(breaks, x, side="right") - 1, 0, len(breaks) - 2)
    h = np.diff(breaks)[piece]
    t = 2 * (x - breaks[piece]) / h - 1
    tables = [
        legendre.legvander(t, max(p - m, 0)) @ coefficients * (2 / h[:, None]) ** m
        for m, coefficients in enumerate(_lagrange(p))
    ]
    return (piece[:, None] * p + np.arange(p + 1)) % nodes_of(mesh, axis), np.stack(tables)


def lobatto(p):
    """The nodes of elements of order p on [-1, 1]."""
    return np.concatenate([[-1], legendre.Legendre.basis(p).deriv().roots().real, [1]])


@lru_cache(maxsize=32)
def _lagrange(p):
    """The Lagrange basis of order p on [-1, 1], first and second derivatives: Legendre coefficients, by columns."""
    coefficients = np.linalg.inv(legendre.legvander(lobatto(p), p))
    return [legendre.legder(coefficients, m) for m in range(3)]


def basis_matrices(mesh, axis, x):
    """Sparse matrices from nodes of an axis to points x: values, first and second derivatives, (points, nodes) each."""
    columns, tables = _basis(mesh, axis, x)
    ends, shape = np.arange(len(x) + 1) * columns.shape[1], (len(x), nodes_of(mesh, axis))
    found = [sparse.csr_array((table.ravel(), columns.ravel(), ends), shape, copy=True) for table in tables]
    for matrix in found:
        matrix.sum_duplicates()  # of a periodic axis of one element
    return found


def _kron(matrices):
    return reduce(_kron_of_two, matrices)


def _kron_of_two(a, b):
    """As sparse.kron, in a quarter of the time: of matrices with as many entries in every row."""
    (rows, m), (more, n) = a.shape, b.shape
    columns = a.indices.reshape(rows, 1, -1, 1) * n + b.indices.reshape(1, more, 1, -1)
    data = a.data.reshape(rows, 1, -1, 1) * b.data.reshape(1, more, 1, -1)
    starts = np.linspace(0, data.size, rows * more + 1, dtype=int)
    return sparse.csr_array((data.ravel(), columns.ravel(), starts), (rows * more, m * n))


class Space(NamedTuple):
    """The quadrature points of a mesh, their weights, and the matrices B and D_i."""

    points: np.ndarray  # (Q, dim)
    weights: np.ndarray  # (Q,)
    B: sparse.csr_array  # (Q, nodes)
    D: list  # of (Q, nodes), one an axis
    free: np.ndarray  # indices of the unknown nodal values


def space(mesh: Mesh, faces=()) -> Space:
    """The finite elements of a mesh.  faces: of `faces_of`; nodes on those with values are not free."""
    check_mesh(mesh)
    dim = range(len(mesh.bounds))
    axes, measure = zip(*(gauss(breaks_of(mesh, axis), mesh.gauss or mesh.order + 1) for axis in dim), strict=True)
    lines = [basis_matrices(mesh, axis, x) for axis, x in enumerate(axes)]
    B = _kron(line[0] for line in lines)
    D = [_kron(line[int(axis == i)] for axis, line in enumerate(lines)) for i in dim]
    nodes, flux = [nodes_of(mesh, axis) for axis in dim], {(face.axis, face.side) for face in faces if face.flux}
    inner = [
        np.arange(n) if mesh.periodic else np.arange((i, 0) not in flux, n - ((i, 1) not in flux))
        for i, n in enumerate(nodes)
    ]
    free = np.ravel_multi_index(tuple(tensor_grid(inner).T), nodes)
    return Space(tensor_grid(axes), reduce(np.kron, measure), B, D, free)


def check_mesh(mesh: Mesh):
    if min(counts(mesh)) < 1 or mesh.order < 1:
        raise ValueError(f"mesh: found {mesh.elements} elements of order {mesh.order}, expected at least one of each")


def stiffness(space, a):
    """sum_ij D_i^T diag(w a_ij) D_j for a (Q,) or (Q, dim, dim) at the quadrature points."""
    a, D = _tensor(a, space.points.shape), space.D
    dim = range(space.points.shape[1])
    return sum(
        D[i].T @ sparse.diags_array(space.weights * a[:, i, j]) @ D[j] for i in dim for j in dim if np.any(a[:, i, j])
    )


def _tensor(a, shape):
    a = checked_coefficient(a, shape)
    return a[:, None, None] * np.eye(shape[1]) if a.ndim == 1 else a


def checked_coefficient(a, shape):
    """A coefficient (n,) or (n, dim, dim) at points of this shape, if it is symmetric and positive definite."""
    a, expected = np.asarray(a, dtype=float), "expected a symmetric positive definite coefficient"
    scalar, tensor = shape[:1], (*shape, shape[1])
    if a.shape not in (scalar, tensor):
        raise ValueError(
            f"coefficient: returned shape {a.shape} at points of shape {shape}, expected {scalar} or {tensor}"
        )
    if not np.all(np.isfinite(a)):
        raise ValueError("coefficient: not finite at a quadrature point, expected real numbers")
    skew = 0.0 if a.ndim == 1 else np.abs(a - np.swapaxes(a, 1, 2)).max()
    if skew > 1e-10 * np.abs(a).max():
        raise ValueError(
            f"coefficient: not symmetric, a_ij and a_ji differ by {skew:.3g} at a quadrature point, {expected}"
        )
    least = (a if a.ndim == 1 else np.linalg.eigvalsh(a)).min()
    if least <= 0:
        raise ValueError(f"coefficient: found a least eigenvalue of {least:.3g} at a quadrature point, {expected}")
    return a


def mass(space, c=1.0):
    """B^T diag(w c) B for c (Q,) or a number."""
    return space.B.T @ sparse.diags_array(space.weights * c) @ space.B


def _factor(matrix):
    """A direct solver for a sparse matrix of symmetric structure."""
    return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve


def solve_elliptic(coefficient, source, mesh: Mesh, reaction=None, faces=()) -> Field:
    """-d_i(a_ij d_j u) + c u = f, with values and fluxes on the faces; u = 0 on those that are not named."""
    s = space(mesh, faces)
    A, nodal = _operator(s, coefficient, reaction), face_values(mesh, faces)
    if reaction is None and len(s.free) == len(nodal):
        raise ValueError(
            "faces: found fluxes on all, expected a value on one at least: the others leave a constant free"
        )
    load = s.B.T @ (s.weights * source(s.points)) + face_loads(mesh, faces) - A @ nodal
    nodal[s.free] = _factor(A[s.free][:, s.free])(load[s.free])
    return Field(mesh, nodal)


def _operator(s, coefficient, reaction):
    A = stiffness(s, coefficient(s.points))
    return A if reaction is None else A + mass(s, reaction(s.points))


def on_face(face, axes):
    """The points of a face on the tensor grid of these coordinates."""
    return tensor_grid([np.array([face.at]) if axis == face.axis else x for axis, x in enumerate(axes)])


def face_values(mesh, faces):
    """g at the nodes of the value faces, 0 at all others: (nodes,)."""
    axes = []
    for axis in range(len(mesh.bounds)):
        breaks = breaks_of(mesh, axis)
        inner = breaks[:-1, None] + np.diff(breaks)[:, None] * (lobatto(mesh.order)[:-1] + 1) / 2
        axes.append(np.append(inner, breaks[-1]))
    nodal = np.zeros([len(x) for x in axes])
    for face in faces:
        if not face.flux:
            on = (slice(None),) * face.axis + (-face.side,)
            nodal[on] = face.data(on_face(face, axes)).reshape(nodal[on].shape)
    return nodal.ravel()


def face_loads(mesh, faces):
    """The integrals of h times the basis functions over the flux faces: (nodes,)."""
    dim = range(len(mesh.bounds))
    total = np.zeros(np.prod([nodes_of(mesh, axis) for axis in dim]))
    for face in faces:
        if face.flux:
            rules = [gauss(breaks_of(mesh, axis), mesh.gauss or mesh.order + 1) for axis in dim]
            rules[face.axis] = np.array([face.at]), np.ones(1)
            axes, measure = zip(*rules, strict=True)
            B = _kron(basis_matrices(mesh, axis, x)[0] for axis, x in enumerate(axes))
            total += B.T @ (reduce(np.kron, measure) * face.data(tensor_grid(axes)))
    return total


DAMPED = 2  # steps at first, each of two halves of implicit Euler: the same matrix (Rannacher 1984)


def solve_parabolic(coefficient, source, initial, final_time, steps, mesh, reaction=None, faces=(), rho=None):
    """rho u_t - d_i(a_ij d_j u) + c u = f, u = initial at t = 0: u at the final time.

    source(x), or source(x, t); values and fluxes on the faces do not depend on time, u = 0 on those that are not named.
    rho(x): None: 1.  Crank-Nicolson with `steps` equal steps.  The initial value is projected onto the elements in L2:
    it need not fit the values on the faces, since the first steps are damped.
    """
    if steps < 1:
        raise ValueError(f"steps: found {steps}, expected 1 at least")
    s, nodal, k = space(mesh, faces), face_values(mesh, faces), final_time / steps
    M, A = mass(s, 1.0 if rho is None else rho(s.points)), _operator(s, coefficient, reaction)
    known = face_loads(mesh, faces) - A @ nodal

    def load(*t):
        return (s.B.T @ (s.weights * source(s.points, *t)) + known)[s.free]

    steady = None if takes_time(source) else load()
    start = s.B.T @ (s.weights * (initial(s.points) - s.B @ nodal))
    u = _factor(mass(s)[s.free][:, s.free])(start[s.free])
    M, A = (matrix[s.free][:, s.free] for matrix in (M, A))
    advance, explicit = _factor(M + k / 2 * A), M - k / 2 * A
    for n in range(steps):
        middle, end = (n + 1 / 2) * k, (n + 1) * k
        for t, matrix, h in [(middle, M, k / 2), (end, M, k / 2)] if n < DAMPED else [(middle, explicit, k)]:
            u = advance(matrix @ u + h * (load(np.full(len(s.points), t)) if steady is None else steady))
    nodal[s.free] = u
    return Field(mesh, nodal)


def takes_time(source):
    """Whether a source is a function of points and times, source(x, t), rather than of points alone."""
    try:
        parameters = inspect.signature(source).parameters.values()
    except ValueError:  # a function that is not written in Python
        return False
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters) > 1


def relative_error(u: np.ndarray, reference: np.ndarray) -> float:
    """|u - reference| / |reference| in the discrete L2 norm."""
    return float(np.linalg.norm(u - reference) / np.linalg.norm(reference))
