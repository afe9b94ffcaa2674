"""Seconds and errors against eps: `solve`, plain finite elements, and a heterogeneous multiscale method, in 2D and 3D.

    python benchmarks/solve.py [--dim D ...] [--quick] [--plot]

The equation is that of `elliptic2d`, and one like it in 3D: -div( a(x / eps) grad u ) = f, u = 0 on all faces of the
unit cube.  Errors are relative, in the energy norm, against elements of order 6 (4 in 3D), three a period.  Where these
do not fit any more (*), an error is that of the same elements a period at the least eps at which they did, and that of
`solve` is its bar.

    solve       its seconds, its error and its bar, which nobody else has
    elements    as few as reach the error of `solve`: tensor products of Lagrange elements on Gauss-Lobatto nodes,
                without a matrix, by conjugate gradients with the exact inverse for the mean coefficient
    HMM         E, Engquist 2003: linear elements on macroscopic simplices, a cell problem at the quadrature point of
                each; the error is that of the gradient with its correctors, cell by cell
    one cell    the same, told that all cell problems are one, with smaller simplices
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
import itertools
import math
import time
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator, cg, spsolve

import fem
import fem_cells
import nhpinn
from problems import PROBLEMS

TAU = 2 * np.pi


class Case(NamedTuple):
    coefficient: object  # a(y)
    source: object
    periods: tuple  # 1 / eps
    most: int  # 1 / eps with a reference
    order: int  # of the reference's elements, three a period
    ladder: tuple  # elements a period, order, from cheap to dear
    largest: int  # unknowns an axis
    macro: tuple  # boxes an axis of HMM, and of HMM with one cell problem
    cell: tuple  # elements an axis of a cell problem of HMM, order


def coefficient3d(y):
    return 2 + np.sin(TAU * y[:, 0]) * np.cos(TAU * y[:, 1]) * np.sin(TAU * y[:, 2])


CASES = {
    2: Case(
        lambda y: PROBLEMS["elliptic2d"].coefficient(y, y), PROBLEMS["elliptic2d"].source,
        (4, 8, 16, 32, 64, 128, 1024), 32, 6, ((2, 2), (2, 3), (2, 4), (3, 4), (3, 5)), 2000, (32, 128), (8, 2),
    ),
    3: Case(
        coefficient3d, lambda x: np.sin(x[:, 0]) + np.cos(x[:, 1]),
        (4, 8, 16, 64), 8, 4, ((1, 2), (1, 3), (2, 2), (2, 3), (2, 4)), 140, (6, 32), (4, 2),
    ),
}  # fmt: skip


# --- plain finite elements --------------------------------------------------------------------------------


class Grid(NamedTuple):
    """One axis of a tensor product of elements."""

    points: np.ndarray  # (Q,)
    weights: np.ndarray  # (Q,)
    tables: list  # (Q, N), sparse: values and derivatives
    modes: np.ndarray  # (N, N): orthonormal, with orthogonal derivatives
    rates: np.ndarray  # (N,): the squares of these


def axis_grid(count, order):
    s = fem.space(fem.Mesh(((0.0, 1.0),), count, order))
    B, D = (sparse.csr_array(matrix[:, s.free]) for matrix in (s.B, s.D[0]))
    mass, stiffness = ((M.T @ sparse.diags_array(s.weights) @ M).toarray() for M in (B, D))
    rates, modes = linalg.eigh(stiffness, mass)
    return Grid(s.points[:, 0], s.weights, [B, D], modes, rates)


def along_axes(array, matrices):
    """The product of an array (N, ..., N) with a matrix (M, N) an axis."""
    for axis, matrix in enumerate(matrices):
        first = np.moveaxis(array, axis, 0)
        array = np.moveaxis((matrix @ first.reshape(len(first), -1)).reshape(-1, *first.shape[1:]), 0, axis)
    return array


def elements(case, dim, eps, count, order):
    """u of count elements an axis, as a fem.Field."""
    grid = axis_grid(count, order)
    w = reduce(np.multiply.outer, [grid.weights] * dim)
    x = fem.tensor_grid([grid.points] * dim)
    a = case.coefficient(x / eps).reshape(w.shape)
    slopes = [[grid.tables[int(axis == i)] for axis in range(dim)] for i in range(dim)]
    wa, back = w * a, [[table.T for table in tables] for tables in slopes]
    rates = sum(np.meshgrid(*[a.mean() * grid.rates] * dim, indexing="ij", sparse=True))

    def apply(u):
        u = u.reshape(rates.shape)
        return sum(along_axes(wa * along_axes(u, D), T) for D, T in zip(slopes, back, strict=True)).ravel()

    def inverse(f):
        modes = along_axes(f.reshape(rates.shape), [grid.modes.T] * dim)
        return along_axes(modes / rates, [grid.modes] * dim).ravel()

    load = along_axes(case.source(x).reshape(w.shape) * w, [grid.tables[0].T] * dim).ravel()
    A, M = (LinearOperator((load.size,) * 2, matvec=function) for function in (apply, inverse))
    u = cg(A, load, rtol=1e-6, M=M)[0].reshape(rates.shape)
    return fem.Field(fem.Mesh(((0.0, 1.0),) * dim, count, order), np.pad(u, 1).ravel())


# --- a heterogeneous multiscale method --------------------------------------------------------------------


def paths_of(dim):
    """The orders of the axes, in each of which the edges of a box lead from one corner to the opposite one."""
    return list(itertools.permutations(range(dim)))


def simplices(dim, count):
    """The vertices (V, dim) of the unit cube's grid, and its simplices (S, dim + 1): dim! in each box (Kuhn)."""
    vertices = fem.tensor_grid([np.linspace(0, 1, count + 1)] * dim)
    steps = np.cumsum(np.pad(np.eye(dim, dtype=int)[paths_of(dim)], ((0, 0), (1, 0), (0, 0))), axis=1)
    corners = fem.tensor_grid([np.arange(count)] * dim)[:, None, None] + steps  # (boxes, paths, dim + 1, dim)
    index = np.ravel_multi_index(tuple(np.moveaxis(corners, -1, 0)), (count + 1,) * dim)
    return vertices, index.reshape(-1, dim + 1)


def cell_problem(case, dim):
    """Correctors and tensor of the cell around a point."""
    count, order = case.cell
    return fem_cells.correctors(case.coefficient, fem_cells.cell_mesh(dim, count, order=order))


class Macroscopic(NamedTuple):
    """What HMM finds: a slope in each simplex, and the correctors of its cell."""

    count: int
    slopes: np.ndarray  # (S, dim)
    chi: object  # fem.Field: the same in all of them here

    def gradient(self, x, eps):
        """(1 + grad chi) grad u_H at points (n, dim)."""
        place = self.simplex(x)
        return self.slopes[place] + np.einsum("nji,nj->ni", self.chi.at(x / eps, most=1)[1], self.slopes[place])

    def simplex(self, x):
        """The index of the simplex around each point: (n,)"""
        dim, scaled = x.shape[1], x * self.count
        box = np.minimum(scaled.astype(int), self.count - 1)
        path = np.argsort(box - scaled, axis=1)  # the coordinates within the box, from large to small
        paths, path = (np.ravel_multi_index(z.T, (dim,) * dim) for z in (np.array(paths_of(dim)), path))
        return np.ravel_multi_index(box.T, (self.count,) * dim) * len(paths) + np.searchsorted(paths, path)


def multiscale(case, dim, count, everywhere):
    """HMM with count boxes an axis and a cell problem in each simplex, or one for all of them."""
    vertices, parts = simplices(dim, count)
    edges = vertices[parts[:, 1:]] - vertices[parts[:, :1]]  # (S, dim, dim)
    gradients = np.linalg.inv(edges)  # of the last barycentric coordinates, by columns
    gradients = np.concatenate([-gradients.sum(axis=2, keepdims=True), gradients], axis=2)  # (S, dim, dim + 1)
    chi, tensor = cell_problem(case, dim)
    tensors = [cell_problem(case, dim)[1] for _ in parts] if everywhere else [tensor] * len(parts)
    volume = 1 / len(parts)
    local = volume * np.einsum("sik,sij,sjl->skl", gradients, np.array(tensors), gradients)
    rows, columns = (np.broadcast_to(index, local.shape).ravel() for index in (parts[:, :, None], parts[:, None]))
    A = sparse.csr_array((local.ravel(), (rows, columns)), (len(vertices),) * 2)
    f = case.source(vertices[parts].mean(axis=1)) * volume / (dim + 1)
    load = np.bincount(parts.ravel(), np.repeat(f, dim + 1), len(vertices))
    inner, u = np.flatnonzero(np.all((vertices > 0) & (vertices < 1), axis=1)), np.zeros(len(vertices))
    u[inner] = spsolve(A[inner][:, inner], load[inner])
    return Macroscopic(count, np.einsum("sik,sk->si", gradients, u[parts]), chi)


# --- errors -----------------------------------------------------------------------------------------------


class Reference(NamedTuple):
    """grad u at the points of a grid, with weights times the coefficient."""

    axes: list
    slope: np.ndarray  # (n, dim)
    w: np.ndarray  # (n,)

    def error(self, slope):
        return float(np.sqrt(self.w @ ((self.slope - slope) ** 2).sum(1) / (self.w @ (self.slope**2).sum(1))))


def slopes_of(field, axes):
    """The gradient of a fem.Field on a tensor grid: (n, dim)."""
    tables = [fem.basis_matrices(field.mesh, axis, x)[:2] for axis, x in enumerate(axes)]
    nodal = field.nodal.reshape([table.shape[1] for table, _ in tables])
    parts = [along_axes(nodal, [pair[int(axis == i)] for axis, pair in enumerate(tables)]) for i in range(len(axes))]
    return np.stack([part.ravel() for part in parts], axis=1)


def reference(case, dim, eps):
    count = 3 * round(1 / eps)
    fine = elements(case, dim, eps, count, case.order)
    x, w = fem.gauss(np.linspace(0, 1, count + 1), case.order + 1)
    axes = [x] * dim
    a = case.coefficient(fem.tensor_grid(axes) / eps)
    return Reference(axes, slopes_of(fine, axes), reduce(np.kron, [w] * dim) * a)


# --- the table --------------------------------------------------------------------------------------------


def seconds_of(function, *arguments):
    start = time.process_time()
    return function(*arguments), time.process_time() - start


def ours(case, dim, eps):
    return nhpinn.solve(lambda x, y: case.coefficient(y), case.source, [(0, 1)] * dim, eps)


def errors_of_elements(case, dim, eps, truth):
    """{elements a period, order: error}"""
    found = {size: elements(case, dim, eps, round(size[0] / eps), size[1]) for size in case.ladder}
    return {size: truth.error(slopes_of(field, truth.axes)) for size, field in found.items()}


class Row(NamedTuple):
    periods: int  # 1 / eps
    ours: float  # seconds
    bar: float
    error: float
    multiscale: list  # errors of HMM, and of HMM with one cell problem; nan where they are not known
    size: tuple | None  # elements a period, order
    elements: float  # seconds; nan where they do not fit


def rows_of(case, dim, periods, coarse):
    """The rows of a dimension; coarse: what HMM found, with many cell problems and with one."""
    rows, plain = [], {}
    for k in periods:
        (u, seconds), error, others = seconds_of(ours, case, dim, 1 / k), math.nan, [math.nan] * 2
        if k <= case.most:
            truth = reference(case, dim, 1 / k)
            plain = errors_of_elements(case, dim, 1 / k, truth)
            error = truth.error(u.certificate.on_grid(truth.axes, flux=False)[1])
            others = [truth.error(each.gradient(fem.tensor_grid(truth.axes), 1 / k)) for each in coarse]
        target = u.error if math.isnan(error) else error
        size, needed = next((size for size, miss in plain.items() if miss <= target), None), math.nan
        if size and size[0] * size[1] * k <= case.largest:
            needed = seconds_of(elements, case, dim, 1 / k, size[0] * k, size[1])[1]
        rows.append(Row(k, seconds, u.error, error, others, size, needed))
    return rows


def cells(row):
    errors = ["*" if math.isnan(error) else f"{error:.2g}" for error in (row.error, *row.multiscale)]
    size = f"{row.size[0]} a period, order {row.size[1]}" if row.size else "more than these"
    plain = "do not fit" if math.isnan(row.elements) else f"{row.elements:.2g}"
    return [f"1/{row.periods}", f"{row.ours:.2g}", f"{row.bar:.2g}", errors[0], plain, size, *errors[1:]]


def plot(found, path):
    """found: {dim: rows, seconds of HMM, the same with one cell problem}"""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3), layout="constrained")
    for axes, (dim, (rows, many, one)) in zip(
        figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True
    ):
        k = [row.periods for row in rows]
        axes.loglog(k, [row.ours for row in rows], "o-", label="solve, with its bar")
        axes.loglog(k, [row.elements for row in rows], "s-", label="elements, to the error of solve")
        axes.axhline(many, color="C2", linestyle="--", label="HMM, of larger errors")
        axes.axhline(one, color="C2", linestyle=":", label="HMM with one cell problem")
        for row in rows:
            text = f"{100 * row.bar:.2g} %"
            axes.annotate(text, (row.periods, row.ours), (0, 5), textcoords="offset points", ha="center", fontsize=7)
        axes.set(xlabel="1 / eps", ylabel="seconds", title=f"{dim}D")
        axes.set_xticks(k, [f"{each:g}" for each in k], fontsize=8)
        axes.set_xticks([], minor=True)
    axes.legend(fontsize=7)
    with rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "nhpinn"}
    ):  # text stays text, the same picture the same file
        figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dim", type=int, nargs="+", default=[2, 3], choices=[2, 3])
    parser.add_argument("--quick", action="store_true", help="the two largest eps alone")
    parser.add_argument("--plot", action="store_true", help="write benchmarks/solve.svg")
    args, found = parser.parse_args(), {}
    for dim in args.dim:
        case = CASES[dim]
        ours(case, dim, 1 / 4)  # whatever is done once
        many, one = (seconds_of(multiscale, case, dim, count, count == min(case.macro)) for count in case.macro)
        rows = rows_of(case, dim, case.periods[:2] if args.quick else case.periods, (many[0], one[0]))
        found[dim] = rows, many[1], one[1]
        errors = [f"{name}, {of[1]:.2g} s: error" for name, of in (("HMM", many), ("one cell", one))]
        head = [f"{dim}D", "solve: s", "bar", "error", "elements to that: s", "with", *errors]
        print(timing.table(head, map(cells, rows)), flush=True)
    if args.plot:
        plot(found, Path(__file__).with_suffix(".svg"))
    print(timing.machine())


if __name__ == "__main__":
    main()
