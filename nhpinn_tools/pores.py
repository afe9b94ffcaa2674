"""Bounds of the effective tensor of an image whose conductivity is exactly 0 in some voxels, and tortuosity.

    upper    xi . a* xi     =  min  mean( (xi + grad chi) . a (xi + grad chi) )             chi in the voxels of a > 0
    lower    xi . a* xi     =  max  2 xi . mean( q ) - mean( q . a^-1 q )                   q = 0 where a = 0, div q = 0

so that any chi and any q give a bound, in the Loewner order.  For flows q_j of means m = (mean q_1, ...) and energies
E_ij = mean( q_i . a^-1 q_j ) the best combination has the value  m E^-1 m^T.

upper: chi is a polynomial of order p an axis in every voxel that conducts, continuous through common faces alone.  At
an edge or a corner where voxels touch without a chain of faces it may jump: continuous fields come as near as one
likes to one that does, as their energy there falls with 1 / log of the refinement.
lower: q is known by its normal traces, Legendre polynomials of degree p - 1 an axis on every face.  Within a voxel it
is the field of least energy with these traces that Raviart and Thomas' space of degree p has without divergence, which
exists where the net flux is zero.  What a solver leaves of that goes along the spanning tree of percolation.py.

The mean trace alone (p = 1) has the energy (f^2 + f g + g^2) / 3k in a voxel, of the fluxes f, g through opposite
faces.  The finite volumes of other codes have (f^2 + g^2) / 2k instead, which is never less: their number lies below
a*.  It preconditions the flows, and is itself preconditioned by fast transforms, as the elements are.

Where nothing percolates both bounds are exactly 0.  Their gap is relative, in the directions that do.  The order is
raised until it is small enough: halving voxels would gain little at edges and corners, where fields are singular.

A sample has one axis held at values at its ends and is sealed along the others: in place of Fourier transforms stand
sines and cosines, and the result is that of the periodic image in which each axis is followed by its mirror image.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy import fft, linalg, sparse

from fem import Mesh, basis_matrices, space
from fem_cells import check_memory, relative_size
from nhpinn_tools.images import pores
from nhpinn_tools.percolation import Graph, of_branches, percolating
from nhpinn_tools.recipes import progress

ORDERS = 6
WORK = 2e8  # multiplications of all voxels' matrices with a field, above which the order is not raised
MEMORY = 180  # bytes for each of the (order + 1)^dim functions of a voxel, as measured


class PoreBounds(NamedTuple):
    """lower <= a* <= upper, as symmetric matrices (dim, dim), exactly 0 in the directions that do not percolate."""

    lower: np.ndarray
    upper: np.ndarray
    gap: float  # between them, relative to their mean, in the direction that percolates where it is largest
    percolates: np.ndarray  # the projection onto the directions that percolate
    two_point: np.ndarray | None  # the number of finite volumes; None for tensors


class Medium(NamedTuple):
    """The voxels that percolate and what they are made of: voxel v of members_k has the tensor scale_v tensors_k."""

    graph: Graph
    h: np.ndarray  # (dim,) lengths of a voxel
    scale: np.ndarray  # (n,)
    tensors: np.ndarray  # (K, dim, dim)
    members: list  # K arrays of voxels, or slices


def bounds(image, period, tolerance, sample=False):
    """The bounds of an image (m_1, ..., m_dim), or with (dim, dim) behind, of conductivities that may be 0: PoreBounds.

    sample: held at values at two opposite ends and sealed at the other faces, for every axis in turn.
    """
    conducts = np.count_nonzero(~pores(image, len(period)))
    check_memory(f"coefficient: {conducts} voxels that conduct need", conducts * 2 ** len(period) * MEMORY)
    if not sample:
        return one_cell(image, period, tolerance)
    found = [one_cell(image, period, tolerance, axis) for axis in range(len(period))]
    lower, upper, gaps, percolates, numbers = zip(*found, strict=True)
    return PoreBounds(
        sum(lower), sum(upper), max(gaps), sum(percolates), sum(numbers) if image.ndim == len(period) else None
    )


def one_cell(image, period, tolerance, held=None):
    """The same for a periodic cell, or for a sample held at the ends of one axis: the entry of that axis alone."""
    medium = medium_of(image, period, held)
    g, dim, scalar = medium.graph, len(period), image.ndim == len(period)
    V, zero = g.directions, np.zeros((dim, dim))
    if not len(g.voxels):
        return PoreBounds(zero, zero, 0.0, zero, zero if scalar else None)
    accuracy = max(tolerance / 100, 1e-13)  # of both bounds, relative
    half, project = half_resistances(medium), projector(medium, accuracy)
    flows = np.stack([project(weights / half) for weights in mean_weights(g).T])
    two_point = V @ best_of(medium, flows, flows * half) @ V.T if scalar else None
    traces, fields, gap = flows[..., None], np.zeros((V.shape[1], len(g.voxels), 2**dim)), np.inf
    for order in range(1, ORDERS + 1):
        if order > 1 and len(g.voxels) * (order + 1) ** (2 * dim) > WORK:
            break
        lower, traces = lower_bound(medium, order, traces, project, accuracy)
        upper, fields = upper_bound(medium, order, fields, accuracy)
        last, gap = gap, relative_size(upper - lower, (upper + lower) / 2)
        progress(f"pores: bounds {gap:.2g} apart by order {order}")
        if gap <= tolerance or gap > 0.95 * last:
            break
    progress()
    return PoreBounds(V @ lower @ V.T, V @ upper @ V.T, gap, V @ V.T, two_point)


def medium_of(image, period, held=None):
    dim = len(period)
    scalar = image.ndim == dim
    graph = percolating(~pores(image, dim), period, held)
    h, n = period / graph.shape, len(graph.voxels)
    if scalar:
        return Medium(graph, h, image.ravel()[graph.voxels], np.eye(dim)[None], [slice(n)])
    tensors, which = np.unique(image.reshape(-1, dim, dim)[graph.voxels], axis=0, return_inverse=True)
    members = np.split(np.argsort(which.ravel(), kind="stable"), np.cumsum(np.bincount(which.ravel()))[:-1])
    return Medium(graph, h, np.ones(n), tensors, members)


def multiplied(medium, local, matrices, factor):
    """factor_v matrices_k local_v for every voxel v of members_k: local (n, a), matrices (K, b, a) -> (n, b)."""
    if len(matrices) == 1:
        out = local @ matrices[0].T
    else:
        out = np.empty((len(local), matrices.shape[1]))
        for voxels, matrix in zip(medium.members, matrices, strict=True):
            out[voxels] = local[voxels] @ matrix.T
    out *= factor[:, None]
    return out


def descent(apply, precondition, u, r, rounding):
    """As conjugate_gradients.py, but yields behind every step, without another z, which here costs most: what the step
    has gained, and r . z before it.

    rounding: r . z below which nothing but that is left.
    """
    p, square = 0.0, 1.0
    while True:
        z = precondition(r)
        square, last = np.vdot(r, z), square
        if not square > rounding:
            return
        p = z + (square / last) * p
        q = apply(p)
        step = square / np.vdot(p, q)
        u += step * p
        r -= np.multiply(q, step, out=q)
        yield step * square, square


# --- fast transforms --------------------------------------------------------------------------------
#
# Fourier along a periodic axis.  Along an axis of a sample sines if its ends are held, cosines if it is sealed; of the
# first kind for nodes of a grid, of which held ends are none, and of the second for centres of voxels.


def angles(count, kind, centres):
    """The phases from one node of a grid of `count` intervals to the next, of all waves of an axis."""
    if kind == "periodic":
        return 2 * np.pi * fft.fftfreq(count)
    waves = {"sealed": (0, count if centres else count + 1), "held": (1, count + 1 if centres else count)}[kind]
    return np.pi * np.arange(*waves) / count


def kinds_of(graph):
    if graph.held is None:
        return ["periodic"] * len(graph.shape)
    return ["held" if axis == graph.held else "sealed" for axis in range(len(graph.shape))]


def fast_inverse(intervals, kinds, centres, symbol):
    """A function from loads to values on a grid; symbol(cosines): that of the operator, from those of the phases."""
    lines = [angles(n, kind, centres) for n, kind in zip(intervals, kinds, strict=True)]
    if kinds[-1] == "periodic":
        lines[-1] = lines[-1][: intervals[-1] // 2 + 1]
    eigenvalues = symbol(np.meshgrid(*map(np.cos, lines), indexing="ij", sparse=True))
    eigenvalues[eigenvalues == 0] = np.inf  # the constant of a periodic cell
    if kinds[0] == "periodic":
        return lambda load: fft.irfftn(fft.rfftn(load) / eigenvalues, intervals)
    steps = [
        (axis, 2 if centres else 1, *((fft.dst, fft.idst) if kind == "held" else (fft.dct, fft.idct)))
        for axis, kind in enumerate(kinds)
    ]

    def inverse(load):
        for axis, kind, forward, _ in steps:
            load = forward(load, kind, axis=axis)
        load /= eigenvalues
        for axis, kind, _, backward in steps:
            load = backward(load, kind, axis=axis)
        return load

    return inverse


# --- lower bound: flows -----------------------------------------------------------------------------


def mean_weights(graph):
    """The weights (F, J) of the mean fluxes through faces in the mean flux along every direction: outside ends half."""
    n, f = len(graph.voxels), graph.faces
    half = np.where(np.maximum(f.tails, f.heads) == n, 0.5, 1.0)
    return half[:, None] * graph.directions[f.axes]


def half_resistances(medium):
    """The energy of the two-point scheme, by faces (F,): half of the resistivity of the voxels on both sides."""
    f, diagonals = medium.graph.faces, np.linalg.inv(medium.tensors).diagonal(axis1=1, axis2=2)
    resistivity = np.zeros((len(medium.scale) + 1, len(medium.h)))  # outside: none
    for voxels, diagonal in zip(medium.members, diagonals, strict=True):
        resistivity[:-1][voxels] = diagonal / medium.scale[voxels, None]
    return (resistivity[f.tails, f.axes] + resistivity[f.heads, f.axes]) / 2


def divergence_of(medium):
    """From mean fluxes through faces to what leaves every voxel, per volume: a sparse matrix (n, F)."""
    f, n = medium.graph.faces, len(medium.scale)
    count = np.arange(len(f.tails))
    w = 1 / medium.h[f.axes]
    places = np.append(f.tails, f.heads), np.append(count, count)
    return sparse.csr_array((np.append(w, -w), places), (n + 1, len(w)))[:n]


def projector(medium, accuracy):
    """A function from mean fluxes (F,) to the nearest without divergence in the energy of the two-point scheme."""
    g, D = medium.graph, divergence_of(medium)
    conductance = 1 / half_resistances(medium)
    laplacian = (D @ sparse.diags_array(conductance) @ D.T).tocsr()
    counts = np.maximum(np.bincount(g.faces.axes, minlength=len(medium.h)), 1)
    scale = np.bincount(g.faces.axes, conductance, len(medium.h)) / counts / medium.h**2

    def symbol(cosines):
        return sum(s * (2 - 2 * c) for s, c in zip(scale, cosines, strict=True))

    inverse = fast_inverse(g.shape, kinds_of(g), True, symbol)

    def precondition(r):
        full = np.zeros(np.prod(g.shape))
        full[g.voxels] = r
        return inverse(full.reshape(g.shape)).ravel()[g.voxels]

    def project(f):
        u, first, rounding = np.zeros(len(g.voxels)), None, 1e-30 * np.vdot(f, f / conductance)
        for _, square in descent(laplacian.__matmul__, precondition, u, D @ f, rounding):
            first = first or square
            if square <= 1e-4 * accuracy * first:
                break
        return balanced(medium, D, f - conductance * (D.T @ u))

    return project


def balanced(medium, D, f):
    """What is left of the divergence of mean fluxes f (F,) goes along the tree to its root."""
    g = medium.graph
    branches = of_branches(g.tree, np.append(D @ f, 0.0))
    nodes = np.flatnonzero(g.tree.face >= 0)
    faces = g.tree.face[nodes]
    f = f.copy()
    f[faces] += g.tree.sign[nodes] * medium.h[g.faces.axes[faces]] * branches[nodes]
    return f


def best_of(medium, flows, forces):
    """m E^-1 m^T of flows (J, F, ...) and the derivatives of half their energies: (J, J)."""
    volume, J = np.prod(medium.graph.shape), len(flows)
    means = flows.reshape(J, flows.shape[1], -1)[:, :, 0] @ mean_weights(medium.graph) / volume
    E = flows.reshape(J, -1) @ forces.reshape(J, -1).T / volume
    found = means.T @ np.linalg.pinv((E + E.T) / 2, rcond=1e-12, hermitian=True) @ means
    return (found + found.T) / 2


def trace_energies(h, tensors, degree):
    """T (K, t, t) with  least mean( q . a^-1 q ) = t . T t  over the fields of a voxel with the normal traces t.

    t (dim, 2, (degree + 1)^(dim - 1)): the coefficients of orthonormal Legendre polynomials on the faces before and
    behind the voxel along every axis, whose net flux is zero; q of Raviart and Thomas' of one degree more, div q = 0.
    """
    dim, q, h = len(h), degree + 1, h / h.min()
    scale = np.sqrt(2 * np.arange(q + 2) + 1)  # orthonormal on [0, 1]
    ends = scale * (-1.0) ** np.arange(q + 2), scale
    slope = np.zeros((q + 1, q + 2))
    for a in range(1, q + 2):
        slope[:a, a] = 2 * legendre.legder(np.eye(q + 2)[a])[:a] * scale[a] / scale[:a]

    def along(axis, matrix, rest):
        return reduce(np.kron, [matrix if j == axis else rest for j in range(dim)])

    traces = [[along(i, end[None], np.eye(q + 1)) for end in ends] for i in range(dim)]
    constraints = linalg.block_diag(*[np.concatenate(pair) for pair in traces])
    divergence = np.concatenate([along(i, slope / h[i], np.eye(q + 1)) for i in range(dim)], axis=1)
    low = [max(degrees, default=0) <= degree for degrees in np.ndindex(*[q + 1] * (dim - 1))]
    given = np.flatnonzero(np.tile(low, 2 * dim))
    B = np.concatenate([constraints, divergence])
    common = [along(i, np.eye(q + 1, q + 2), np.eye(q + 1)) for i in range(dim)]  # what components have in common
    energies = []
    for inverse in np.linalg.inv(tensors):
        M = [[inverse[i, j] * (common[i].T @ common[j]) for j in range(dim)] for i in range(dim)]
        for i in range(dim):
            M[i][i] = inverse[i, i] * np.eye(len(M[i][i]))
        root = np.linalg.inv(np.linalg.cholesky(np.block(M)))
        back = np.linalg.pinv(B @ root.T, rcond=1e-12)[:, given]
        energies.append(back.T @ back)
    return np.array(energies)


def lower_bound(medium, order, start, project, accuracy):
    """The lower bound (J, J) by traces of degree order - 1, and its traces (J, F, order^(dim - 1))."""
    g, f, n, dim = medium.graph, medium.graph.faces, len(medium.scale), len(medium.h)
    T, m = trace_energies(medium.h, medium.tensors, order - 1), order ** (dim - 1)
    slots = np.full((n + 1, 2 * dim), len(f.tails))  # the faces of a voxel; the last is closed
    slots[f.tails, 2 * f.axes + 1] = np.arange(len(f.tails))
    slots[f.heads, 2 * f.axes] = np.arange(len(f.tails))

    def by_faces(local):
        """The sum of what the voxels on both sides of a face have there."""
        local = np.concatenate([local, np.zeros((1, local.shape[1]))]).reshape(n + 1, 2 * dim, m)  # outside: none
        return local[f.tails, 2 * f.axes + 1] + local[f.heads, 2 * f.axes]

    def force(traces):
        padded = np.concatenate([traces, np.zeros((1, m))])
        return by_faces(multiplied(medium, padded[slots[:n]].reshape(n, -1), T, 1 / medium.scale))

    ones = np.ones((n, 1))
    diagonal = by_faces(multiplied(medium, ones, T.diagonal(axis1=1, axis2=2)[:, :, None], 1 / medium.scale))

    def precondition(r):
        z = r / diagonal
        z[:, 0] = project(r[:, 0] / half)
        return z

    half, found = half_resistances(medium), np.zeros((len(start), len(f.tails), m))
    found[:, :, raised(order, dim)] = start
    for u, weights in zip(found, mean_weights(g).T, strict=True):
        r = -force(u)
        total = -np.vdot(u, r)
        r[:, 0] += weights
        rounding = 1e-28 * np.vdot(weights, weights / half)
        for gain, _ in descent(force, precondition, u, r, rounding):
            total += gain
            if gain <= accuracy * total:
                break
    return best_of(medium, found, np.stack([force(u) for u in found])), found


def raised(order, dim):
    """The places of the Legendre coefficients of one degree less, or of degree 0, among those of degree order - 1."""
    old = max(order - 1, 1)
    return np.arange(order ** (dim - 1)).reshape([order] * (dim - 1))[(slice(old),) * (dim - 1)].ravel()


# --- upper bound: elements --------------------------------------------------------------------------


def nodes_of_graph(graph, order):
    """The nodes (n, (order + 1)^dim) of voxels, joined through faces: 0 ... N - 1, and N for ends that are held; N."""
    dim, n, f, size = len(graph.shape), len(graph.voxels), graph.faces, (order + 1) ** len(graph.shape)
    corners = np.indices([order + 1] * dim).reshape(dim, -1)
    slot = np.arange((n + 1) * size).reshape(n + 1, size)
    slot[n] = n * size  # outside: one node for all
    pairs = []
    for axis in range(dim):
        tails, heads = f.tails[f.axes == axis], f.heads[f.axes == axis]
        pairs.append((slot[tails][:, corners[axis] == order].ravel(), slot[heads][:, corners[axis] == 0].ravel()))
    a, b = map(np.concatenate, zip(*pairs, strict=True))
    graph_of_slots = sparse.coo_array((np.ones(len(a), np.int8), (a, b)), (n * size + 1,) * 2)
    count, name = sparse.csgraph.connected_components(graph_of_slots, directed=False)
    name = np.where(name > name[-1], name - 1, np.where(name == name[-1], count - 1, name))
    return name[:-1].reshape(n, size), count - 1


def places_of(graph, order, local, count):
    """The grid of the nodes, and the place (N,) in it of every node: one place for several where they are split."""
    kinds, dim = kinds_of(graph), len(graph.shape)
    corners = np.indices([order + 1] * dim).reshape(dim, 1, -1)
    index = order * np.stack(np.unravel_index(graph.voxels, graph.shape))[:, :, None] + corners
    intervals, grid = [order * m for m in graph.shape], []
    for axis, kind in enumerate(kinds):
        if kind == "periodic":
            index[axis] %= intervals[axis]
        elif kind == "held":
            index[axis] = (index[axis] - 1) % intervals[axis]  # held ends have no place, and any serves
        grid.append(intervals[axis] + {"periodic": 0, "held": -1, "sealed": 1}[kind])
    place = np.zeros(count + 1, int)
    place[local] = np.ravel_multi_index(tuple(index), grid, mode="wrap") if min(grid) else 0
    return intervals, grid, place[:-1]


def element_matrices(medium, order):
    """Stiffness (K, size, size) and loads (K, size, dim), of a_ij d_j u along e_i, per volume of a voxel."""
    line, dim = space(Mesh(((0.0, 1.0),), 1, order)), len(medium.h)
    V, slope, w = line.B.toarray(), line.D[0].toarray(), line.weights[:, None]

    def integral(i, j):
        """Of d_i v d_j u over a unit voxel."""
        lines = [((slope if axis == i else V).T @ (w * (slope if axis == j else V))) for axis in range(dim)]
        return reduce(np.kron, lines) / (medium.h[i] * medium.h[j])

    stiffness = sum(
        medium.tensors[:, i, j, None, None] * integral(i, j)
        for i in range(dim)
        for j in range(dim)
        if np.any(medium.tensors[:, i, j])
    )
    means = [
        reduce(np.kron, [(slope / medium.h[i] if axis == i else V).T @ w[:, 0] for axis in range(dim)])
        for i in range(dim)
    ]
    return stiffness, np.einsum("ls,kli->ksi", np.array(means), medium.tensors)


def upper_bound(medium, order, start, accuracy):
    """The upper bound (J, J) by elements, and the fields: their values (J, n, (order + 1)^dim) at the nodes of voxels.

    start: such fields of one order less, or of this one.
    """
    g, dim, scale = medium.graph, len(medium.h), medium.scale
    local, count = nodes_of_graph(g, order)
    K, slopes = element_matrices(medium, order)

    def gathered(values):
        return np.bincount(local.ravel(), values.ravel(), count + 1)

    def force(u):
        return gathered(multiplied(medium, u[local], K, scale))

    ones = np.ones((len(scale), 1))
    diagonal = gathered(multiplied(medium, ones, K.diagonal(axis1=1, axis2=2)[:, :, None], scale))
    inverse = element_inverse(medium, order, local, count)

    def precondition(r):
        z = np.zeros(len(r))  # 0 for ends that are held
        z[:-1] = inverse(r[:-1]) + r[:-1] / diagonal[:-1]
        return z

    volume, V, P = np.prod(g.shape), g.directions, finer(start.shape[-1], order, dim)
    total = V.T @ sum(scale[v].sum() * a for v, a in zip(medium.members, medium.tensors, strict=True)) @ V
    loads = np.stack([gathered(multiplied(medium, ones, (slopes @ v)[:, :, None], scale)) for v in V.T])
    fields = np.zeros((len(start), count + 1))
    for u, load, old, energy in zip(fields, loads, start, total.diagonal(), strict=True):
        u[local] = old @ P.T
        descend(force, precondition, u, load, energy, accuracy)
    U = (total + fields @ loads.T + loads @ fields.T + fields @ np.stack([force(u) for u in fields]).T) / volume
    return (U + U.T) / 2, fields[:, local]


def descend(force, precondition, u, load, energy, accuracy):
    """Lowers  energy + 2 load . u + u . A u  in place, until four steps gain less than this share of it."""
    r, gains = -load - force(u), []
    rest = energy + np.vdot(u, load - r)
    for gain, _ in descent(force, precondition, u, r, 1e-28 * energy):
        gains.append(gain)
        rest -= gain
        if sum(gains[-4:]) <= accuracy * rest:
            break


def element_inverse(medium, order, local, count):
    """A function from loads (N,) to values of nodes, by elements of order one on the grid of nodes."""
    g = medium.graph
    intervals, grid, place = places_of(g, order, local, count)
    diagonals = medium.tensors.diagonal(axis1=1, axis2=2)
    scale = sum(medium.scale[v].sum() * each for v, each in zip(medium.members, diagonals, strict=True))
    scale = scale / len(medium.scale) * (order / medium.h) ** 2 / order ** len(medium.h)

    def symbol(cosines):
        mass = [(4 + 2 * c) / 6 for c in cosines]
        parts = [[(2 - 2 * c) if i == j else mass[j] for j, c in enumerate(cosines)] for i in range(len(cosines))]
        return sum(s * reduce(np.multiply, part) for s, part in zip(scale, parts, strict=True))

    solve = fast_inverse(intervals, kinds_of(g), False, symbol) if min(grid) else None
    ends = np.ones(grid)
    for axis, kind in enumerate(kinds_of(g)):
        if kind == "sealed":
            np.moveaxis(ends, axis, 0)[[0, -1]] *= 2  # the mirror image has as much on its side

    def inverse(load):
        if solve is None:
            return 0.0 * load
        full = np.bincount(place, load, np.prod(grid)).reshape(grid)
        return solve(full * ends).ravel()[place]

    return inverse


def finer(size, order, dim):
    """From values at the nodes of a voxel of any order, (order_0 + 1)^dim = size, to those of this order."""
    old = Mesh(((0.0, 1.0),), 1, round(size ** (1 / dim)) - 1)
    nodes = (legendre.Legendre.basis(order).deriv().roots().real + 1) / 2
    line = basis_matrices(old, 0, np.concatenate([[0.0], nodes, [1.0]]))[0].toarray()
    return reduce(np.kron, [line] * dim)
