"""Images and a TwoPhase in `solve`: cell problems by elements, and what a certificate takes of them.

chi_j are the elements of the upper bound of the homogenized tensor, see element_bounds.py.  Those of the lower one are
stream functions psi_k in the plane: fluxes of mean e_0 and e_1 are

    q_0 = e_0 + (d_1 psi_1, -d_0 psi_1),     q_1 = e_1 + (-d_1 psi_0, d_0 psi_0),     and so is the one of mean a* e_j,
    a*_kj q_k = a* e_j + (-d_1, d_0) phi_01j,     phi_01j = a*_1j psi_0 - a*_0j psi_1.

a* is the geometric mean of the bounds.  The gap of the bounds is the part of the bar's square, relative, that no small
eps takes away; that of the layers at the faces is proportional to eps, and a gap of a hundredth of eps is small beside
it.  Micro functions are polynomials between the edges of pixels and the cuts that are graded to them, so that integrals
over y are exact.

A TwoPhase has its tensor and its correctors from `homogenize`.  Layers and flux correctors are those of elements whose
Gauss points see how much of a phase is where; interfaces cut their boxes, and integrals over these are no bounds.
"""

from functools import partial

import numpy as np

from fem import basis_matrices, breaks_of, counts, nodes_of
from nhpinn import Coefficients, Correctors
from nhpinn_functions import at_node, centre, one_node
from nhpinn_tools.element_bounds import bounds_of_function, bounds_of_image, bounds_on
from nhpinn_tools.interpolation import chebyshev_points
from nhpinn_tools.recipes import counted, element_cells
from nhpinn_tools.two_scale import Pieces, Table, node_counts, sparse_rows

# As in element_bounds.py, with a lower order before the last: a certificate has more Gauss points an element than that.
LEVELS = ((1, ()), (2, ()), (3, ()), (3, (0.05,)), (4, (0.05,)), (6, (0.003, 0.05)))
GAP = 1e-2  # of the bounds, over the largest period of the fine coefficient in units of the box
GAP_IN_3D = 0.03  # where there is no bar
CELL_UNKNOWNS = {1: 100_000, 2: 40_000, 3: 600_000}  # unknowns of a cell at most
SLOW = 1e-3  # tolerance of the interpolation in x
MOST_IN_FIT = 32  # boxes an axis of a period in the least squares of layers
WAVES, FEW_MANY = 3 / 4, (2, 6)  # of the layers, for each pixel of a period; in all
ELEMENTS, GAUSS = 64, 6  # an axis of a cell of two phases; points an axis of each


def solve_cells(problem, executor=None):
    """The homogenized tensor of an image at the centre of the box, and of all x whose cell problems are solved:
    ElementBounds, a list of them, Chebyshev nodes.  problem: its coefficient is Pixels."""
    pixels, dim = problem.coefficient, problem.dim
    cells = problem.eps * np.array(problem.period) / np.ptp(problem.domain, axis=1)
    tolerance = GAP * cells.max() if dim < 3 else GAP_IN_3D
    x = centre(problem.domain)
    middle = bounds_of_image(
        pixels.at(x), dim, period=problem.period, tolerance=tolerance, size=CELL_UNKNOWNS[dim], levels=LEVELS
    )
    nodes = chebyshev_points(problem, SLOW)
    if not problem.slow:
        return middle, [middle], nodes
    task = partial(solve_cell, pixels, middle.field.mesh)
    return middle, list(counted(executor, task, nodes.points)), nodes


def solve_cell(pixels, mesh, x):
    return bounds_on(mesh, pixels.at(x))


def correctors_of(found, nodes, period):
    """The records of steps 1 and 2 from ElementBounds at the nodes: Correctors, Coefficients."""
    cells = partial(element_cells, [each.field for each in found])
    tensors = np.stack([each.tensor for each in found])
    return Correctors(cells, nodes.weights, nodes.points, period), Coefficients(tensors, nodes.weights, 0.0)


def correctors_of_phases(found, x, period):
    """The records of steps 1 and 2 from what `homogenize` returns, at one x (dim,)."""
    weights = one_node(len(x))
    return Correctors(found.cells, weights, x[None], period), Coefficients(found.tensor[None], weights, 0.0)


# --- for a certificate ------------------------------------------------------------------------------------


def pieces_of(found, nodes, pixels, eps):
    """The Pieces of ElementBounds at the nodes, for problems in one dimension and in the plane."""
    mesh = found[0].field.mesh
    breaks = tuple(breaks_of(mesh, axis) / high for axis, (_, high) in enumerate(mesh.bounds))
    corners, coarse = (
        tuple(np.linspace(0, 1, min(n, most) + 1) for n in counts(mesh)) for most in (np.inf, MOST_IN_FIT)
    )
    waves = int(np.clip(WAVES * max(counts(mesh)), *FEW_MANY))
    return Pieces(micro_table(found, nodes.weights, eps), breaks, corners, coarse, mesh.order, waves, pixels.places())


def pieces_of_phases(phases, tensor, eps):
    """The Pieces of a TwoPhase in the plane whose homogenized tensor is known."""
    a = at_node(phases, np.zeros(2))
    found = bounds_of_function(a, 2, ELEMENTS, period=phases.period, order=2, gauss=GAUSS)._replace(tensor=tensor)
    breaks = (np.linspace(0, 1, ELEMENTS + 1),) * 2
    coarse = (breaks[0][:: ELEMENTS // MOST_IN_FIT],) * 2
    micro = micro_table([found], one_node(2), eps)
    return Pieces(micro, breaks, ((), ()), coarse, 2, FEW_MANY[0], np.zeros((1, 2)))


def micro_table(found, weights, eps):
    """The Table of chi_j and phi_01j."""
    mesh = found[0].field.mesh
    d, nodes = len(mesh.bounds), [nodes_of(mesh, axis) for axis in range(len(mesh.bounds))]
    tables = np.stack([micro_functions(each) for each in found]).reshape(*node_counts(weights, d), *nodes, -1)
    order = [axis for i in range(d) for axis in (d + i, i)]  # elements and nodes of each axis together
    values = tables.transpose(*order, 2 * d)
    lines = [partial(element_line, mesh, axis, line, eps) for axis, line in enumerate(weights.lines)]
    return Table(lines, values.reshape(*np.multiply(values.shape[: 2 * d : 2], values.shape[1 : 2 * d : 2]), -1))


def micro_functions(found):
    """Nodal values of chi_j and, in the plane, of phi_01j: (nodes, 1 or 4)."""
    chi, A = found.field.nodal, found.tensor
    if len(A) == 1:
        return chi
    psi = found.stream.nodal
    return np.concatenate([chi, psi[:, :1] * A[1] - psi[:, 1:] * A[0]], axis=1)


def element_line(mesh, axis, nodal, eps, x, order):
    """Elements at x / eps times the `nodal` weights at x, as functions of x of one axis, or eps times their
    derivatives: (n, N X), sparse, each row of as many entries, zeros among them."""
    values, slopes, _ = basis_matrices(mesh, axis, x / eps % mesh.bounds[axis][1])
    weights, changes = nodal(x)
    parts = [(values, weights)] if order == 0 else [(slopes, weights), (values, eps * changes)]
    (n, N), X = values.shape, weights.shape[1]
    data = sum(elements.data.reshape(n, -1, 1) * factors[:, None] for elements, factors in parts)
    columns = values.indices.reshape(n, -1, 1) * X + np.arange(X)
    return sparse_rows(columns.reshape(n, -1), data.reshape(n, -1), N * X)
