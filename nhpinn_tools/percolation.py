"""What percolates: the conducting voxels of an image, the faces that join them, and the directions they lead on in.

Two voxels of positive conductivity are joined by a common face.  Edges and corners join nothing: a field of finite
energy may jump there.  A loop from voxel to voxel ends where it began, or w_i periods L_i further along axis i, its
winding.  The homogenized tensor of an image with zeros is singular exactly along those xi that see no loop wind:

    xi . a* xi = 0      if and only if      sum_i xi_i w_i L_i = 0  for every loop.

Where no loop winds along xi, the potential -xi . y, followed from face to face, is a corrector of energy zero; a loop
that winds carries a flow of mean flux along (w_i L_i).  With a spanning tree of every component, whose steps say in
which copy of the cell each voxel lies, the loops that a single face closes have all others as their sums.

A sample whose ends along one axis are held at values percolates along it if joined voxels lead from end to end.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components


class Faces(NamedTuple):
    """Faces between voxels, each in the direction of its axis; the node after the last voxel is outside of a sample."""

    tails: np.ndarray  # (F,) the voxel before it
    heads: np.ndarray  # (F,) the voxel behind it
    axes: np.ndarray  # (F,)
    wraps: np.ndarray  # (F,) 1 where the head lies in the next copy of the cell, else 0


class Tree(NamedTuple):
    """A spanning tree whose root is the node outside, joined to a voxel of every component that does not reach it."""

    parent: np.ndarray  # (n + 1,) nodes; the root is its own
    face: np.ndarray  # (n + 1,) through which the parent is reached; -1: by none, as from the root of a periodic cell
    sign: np.ndarray  # (n + 1,) 1 where that face leads from the parent to the node, -1 from the node to the parent


class Graph(NamedTuple):
    """The voxels that percolate, in the order of the image, and how they are joined."""

    shape: tuple  # of the image
    held: int | None  # the axis of a sample whose ends are held at values; None: the cell is periodic
    voxels: np.ndarray  # (n,) flat indices
    faces: Faces
    tree: Tree
    directions: np.ndarray  # (dim, J) an orthonormal basis of the directions that percolate


def percolating(conducts, period, held=None):
    """The Graph of an image of True and False whose cell has the periods (dim,)."""
    voxels = np.flatnonzero(conducts)
    faces = joined(conducts, held)
    label = connected_components(adjacency(faces, len(voxels), held is None), directed=False)[1]
    if held is None:
        loops = windings(faces, spanning_tree(faces, len(voxels)), conducts.ndim)
        wind = np.any(loops != 0, axis=1)
        keep = np.isin(label[:-1], label[faces.tails[wind]])
        directions = span(loops[wind] * period)
    else:
        ends = faces.heads[faces.tails == len(voxels)], faces.tails[faces.heads == len(voxels)]
        keep = np.isin(label[:-1], np.intersect1d(label[ends[0]], label[ends[1]]))
        directions = np.eye(conducts.ndim)[:, [held] if keep.any() else []]
    kept = np.zeros(conducts.size, bool)
    kept[voxels[keep]] = True
    faces = joined(kept.reshape(conducts.shape), held)
    return Graph(conducts.shape, held, voxels[keep], faces, spanning_tree(faces, keep.sum()), directions)


def joined(conducts, held=None):
    """The faces between voxels that conduct: of a periodic cell, or of a sample with those at the ends of one axis."""
    n = conducts.sum()
    number, parts = np.full(conducts.shape, -1), []
    number[conducts] = np.arange(n)
    for axis in range(conducts.ndim):
        if held is None:
            tails, heads = number, np.roll(number, -1, axis)
        else:
            end = np.full(number.take([0], axis).shape, n if axis == held else -1)
            tails, heads = np.concatenate([end, number], axis), np.concatenate([number, end], axis)
        wraps = np.zeros(tails.shape, int)
        np.moveaxis(wraps, axis, 0)[-1] = 1
        both = (tails >= 0) & (heads >= 0)
        parts.append((tails[both], heads[both], np.full(both.sum(), axis), wraps[both]))
    return Faces(*map(np.concatenate, zip(*parts, strict=True)))


def adjacency(faces, n, outside=True):
    """The nodes' matrix (n + 1, n + 1), not zero between those that a face joins; with or without the node outside."""
    some = np.ones(len(faces.tails), bool) if outside else np.maximum(faces.tails, faces.heads) < n
    return sparse.coo_array((np.ones(some.sum(), np.int8), (faces.tails[some], faces.heads[some])), (n + 1, n + 1))


def spanning_tree(faces, n):
    graph = adjacency(faces, n)
    label = connected_components(graph, directed=False)[1]
    first = np.unique(label, return_index=True)[1]
    first = first[label[first] != label[n]]  # a voxel of every component that does not reach the root
    rows, columns = np.append(graph.row, np.full(len(first), n)), np.append(graph.col, first)
    graph = sparse.csr_array((np.ones(len(rows)), (rows, columns)), graph.shape)
    parent = breadth_first_order(graph, n, directed=False)[1]
    face, sign = np.full(n + 1, -1), np.zeros(n + 1)
    for near, far, way in ((faces.tails, faces.heads, -1), (faces.heads, faces.tails, 1)):
        found = np.flatnonzero(parent[near] == far)
        face[near[found]] = found
        sign[near[found]] = way
    parent[n] = n
    return Tree(parent, face, sign)


def from_root(tree, step):
    """The sum of the steps (n + 1, ...) on the way from the root to every node; each round doubles their number."""
    parent, root = tree.parent, len(tree.parent) - 1
    while np.any(parent != root):
        step = step + step[parent]
        parent = parent[parent]
    return step


def of_branches(tree, value):
    """The sum of the values (n + 1,) of every node and of all that hang on it: the transpose, but for the root."""
    parent, root = tree.parent, len(tree.parent) - 1
    while np.any(parent != root):
        value = value + np.bincount(parent, value)
        value[root] = 0
        parent = parent[parent]
    return value


def windings(faces, tree, dim):
    """The winding of the loop that every face closes with the tree: whole numbers (F, dim)."""
    step = np.zeros((len(tree.parent), dim), int)
    nodes = np.flatnonzero(tree.face >= 0)
    step[nodes, faces.axes[tree.face[nodes]]] = tree.sign[nodes] * faces.wraps[tree.face[nodes]]
    copy = from_root(tree, step)
    loops = copy[faces.tails] - copy[faces.heads]
    loops[np.arange(len(loops)), faces.axes] += faces.wraps
    return loops


def span(vectors):
    """An orthonormal basis (dim, J) of the span of vectors (n, dim), along the axes where these lie in it."""
    left, size, _ = np.linalg.svd(np.unique(vectors, axis=0).T, full_matrices=False)
    left = left[:, size > 1e-9 * max(size, default=1)]
    projection = np.round(left @ left.T, 14)  # an axis that lies in the span, or across it, does so exactly
    values, vectors = np.linalg.eigh(projection)
    return vectors[:, values > 0.5]
