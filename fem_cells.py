"""Cell problems by finite elements without a matrix.

    cell        -d_i( a_ij (d_j chi_k + delta_jk) ) = 0            periodic, mean zero; eqs. (9), (10)
    tensor      a*_ij = mean( a_ij + a_ik d_k chi_j )

The elements, and what a user's functions take and return, are those of fem.py; all is periodic here.  Two-sided bounds
by the same elements are in nhpinn_tools/element_bounds.py.
"""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy import fft, linalg

from fem import Field, Mesh, breaks_of, check_mesh, checked_coefficient, counts, gauss, space, tensor_grid


def cell_mesh(dim: int, elements, period=1.0, order: int = 4) -> Mesh:
    """period: one number, or one an axis."""
    check_dim(dim)
    return Mesh(tuple((0.0, float(p)) for p in np.broadcast_to(period, dim)), elements, order, periodic=True)


def check_dim(dim):
    if dim not in (1, 2, 3):
        raise ValueError(f"dim: found {dim!r}, expected 1, 2 or 3")


def correctors(coefficient, mesh: Mesh) -> tuple[Field, np.ndarray]:
    """The correctors chi_j, eqs. (9) and (10), and the homogenized tensor: Field (nodes, dim), (dim, dim).

    coefficient: y (n, dim) -> (n,) or (n, dim, dim), periodic with the period of the mesh.
    """
    check_cell(mesh)
    form = form_of(at_gauss_points(coefficient, mesh), mesh)
    check_period_of_mesh("coefficient", coefficient, mesh)
    (fields,) = least_fields([form], 1e-22, least=1e-23)
    return Field(mesh, nodal_values(fields)), energies(form, fields)


def homogenized_tensor(coefficient, dim: int, n: int, *, period=1.0, order: int = 4) -> np.ndarray:
    """a* of a periodic coefficient, with n elements per axis: (dim, dim), symmetric positive definite.

    Warns where a second quadrature rule disagrees, as it does for a coefficient that jumps: see nhpinn.homogenize.
    """
    mesh = cell_mesh(dim, n, period, order)
    chi, tensor = correctors(coefficient, mesh)
    finer = mesh._replace(gauss=order + 3)
    fields = [_kinds(column, mesh)[None] for column in chi.nodal.T]
    other = energies(form_of(at_gauss_points(coefficient, finer), finer), fields)
    if (doubt := distance(other, tensor)) > 1e-3:
        warnings.warn(
            f"coefficient: two quadrature rules differ by {doubt:.1e} of the tensor, as where it jumps inside the "
            "elements; nhpinn.homogenize gives bounds, exact ones of an image",
            stacklevel=2,
        )
    return tensor


def reaction_corrector(reaction, diffusion: float, mesh: Mesh) -> tuple[Field, float]:
    """N with D lap N = r, periodic with mean zero, and r* = mean(r N), eqs. (A.2), (A.3): Field, float."""
    check_cell(mesh)
    s = space(mesh)
    r = reaction(s.points)
    check_period_of_mesh("reaction", reaction, mesh)
    mean = s.weights @ r / s.weights.sum()
    if not abs(mean) <= 1e-6 * np.abs(r).max():
        raise ValueError(f"reaction: its mean over the cell is {mean:.6g}; (A.2) has a solution only if it is 0")
    load = -_kinds(s.B.T @ (s.weights * r), mesh) / diffusion
    N = nodal_values([_inverse(_lines(mesh), counts(mesh), np.ones(len(mesh.bounds)))(load[None])])[:, 0]
    return Field(mesh, N), float(s.weights @ (r * (s.B @ N)) / s.weights.sum())


# --- cell problems without a matrix -------------------------------------------------------------------
#
# Both bounds of the tensor are minima of an energy over periodic fields:
#
#     xi . a* xi      = min  mean( (xi + grad chi) . a (xi + grad chi) )        chi any potential
#     xi . a*^-1 xi   = min  mean( (xi + q) . a^-1 (xi + q) )                   q any flux with div q = 0, mean zero
#
# Along an axis an element has P + 1 functions V for continuous fields, the last shared with the next element, and
# P functions W, orthonormal, that span their derivatives.  chi lies in V x V x V; component i of q in V along
# axis i and in W along the others (Raviart and Thomas, Nedelec), so that div q lies in W x W x W and can be zero
# exactly.  A field is an array (components, P, ..., P, n_1, ..., n_dim): a function of each kind an element.
#
# Conjugate gradients are preconditioned by the same problem with a constant coefficient.  A Fourier transform over
# the elements leaves P x P matrices an axis, whose eigenvectors diagonalise V and W together (fast diagonalisation,
# Lynch, Rice and Thomas 1964): d/dy takes mode l of V to root_l times mode l of W.  For fluxes this inverse is also
# the orthogonal projection onto div q = 0, so that every iterate is admissible, and its energy a bound.

WORKERS = 2  # threads, one a direction; every one needs its own memory
CACHE = 2**17  # numbers in the local arrays of a slab of elements


class _Line(NamedTuple):
    """One axis of an element at its Gauss points."""

    V: np.ndarray  # (Q, P + 1) continuous functions
    dV: np.ndarray  # (Q, P + 1) their derivatives
    W: np.ndarray  # (Q, P) orthonormal functions with the same span as the derivatives
    weights: np.ndarray  # (Q,)


def _lines(mesh):
    lines = []
    for (low, high), n in zip(mesh.bounds, counts(mesh), strict=True):
        s = space(Mesh(((0.0, (high - low) / n),), 1, mesh.order, gauss=mesh.gauss, cuts=mesh.cuts))
        V, dV, root = s.B.toarray(), s.D[0].toarray(), np.sqrt(s.weights)[:, None]
        W = np.linalg.svd(root * dV, full_matrices=False)[0][:, : V.shape[1] - 1] / root
        lines.append(_Line(V, dV, W, s.weights))
    return lines


class Form(NamedTuple):
    """mean( (xi + L u) . s (xi + L u) ) for fields u of a mesh, L u = grad u or u itself."""

    terms: list  # of (s_ij, right, left, in, out): left (s_ij (right u_in)) is added to the force on u_out
    constants: np.ndarray  # (local functions, dim): what is e_j in every element
    shared: np.ndarray  # (components, dim): whether a component is continuous along an axis
    shape: tuple  # of the fields
    volume: float
    s: np.ndarray  # (Q, n_1, ...) or (dim, dim, Q, n_1, ...)
    parts: list  # of (factors, where): the components of L u at the points, times roots of their weights
    inverse: object  # force -> field, for a constant s


def form_of(s, mesh, fluxes=False):
    """s (Q, n_1, ...) or (dim, dim, Q, n_1, ...) at the points of every element; Q = 1: constant in each."""
    lines, n = _lines(mesh), counts(mesh)
    dim, P = len(lines), lines[0].W.shape[1]
    along, across = ("V", "W") if fluxes else ("dV", "V")
    parts = [[getattr(line, along if i == j else across) for j, line in enumerate(lines)] for i in range(dim)]
    ones = [_dense(np.linalg.lstsq(g, np.ones(len(g)), rcond=None)[0] for g in part) for part in parts]
    size, components = len(ones[0]), dim if fluxes else 1
    where = [slice(i * size, (i + 1) * size) if fluxes else slice(size) for i in range(dim)]
    constants = np.zeros((size * components, dim))
    for j in range(dim):
        constants[where[j], j] = ones[j]
    scale = np.array([(s if s.ndim == 1 + dim else s[i, i]).mean() for i in range(dim)])
    volume = np.prod([high - low for low, high in mesh.bounds])
    terms = _terms(s, parts, where, [line.weights[:, None] for line in lines])
    shape = (components, *[P] * dim, *n)
    roots = [np.sqrt(line.weights)[:, None] for line in lines]
    rooted = [[root * g for root, g in zip(roots, part, strict=True)] for part in parts]
    pairs, inverse = list(zip(rooted, where, strict=True)), _inverse(lines, n, scale, fluxes)
    return Form(terms, constants, _shared(dim, fluxes), shape, volume, s, pairs, inverse)


def _shared(dim, fluxes):
    """Whether a component is continuous along an axis: (components, dim)."""
    return np.eye(dim, dtype=bool) if fluxes else np.ones((1, dim), dtype=bool)


def _dense(factors):
    return reduce(np.kron, factors)


def _terms(s, parts, where, weights):
    """The force sum_ij L_i^T w s_ij L_j in terms as those of Form.

    Where s is constant in an element, L_i^T w L_j is one matrix; of one component and one number s, their sum is.
    """
    dim, scalar = len(parts), s.ndim == 1 + len(parts)
    pairs = [(i, j) for i in range(dim) for j in range(dim) if (i == j if scalar else np.any(s[i, j]))]
    values = [s if scalar else s[i, j] for i, j in pairs]
    transposed = [[(w * f).T for w, f in zip(weights, part, strict=True)] for part in parts]
    if s.shape[-1 - dim] > 1:
        matrices = [(_dense(parts[j]), _dense(transposed[i])) for i, j in pairs]
    else:
        matrices = [
            (_dense(f @ g for f, g in zip(transposed[i], parts[j], strict=True)), None)  # left by right on every axis
            for i, j in pairs
        ]
        if scalar and where[0] == where[-1]:
            return [(s, sum(right for right, _ in matrices), None, where[0], where[0])]
    return [
        (value, right, left, where[j], where[i])
        for value, (right, left), (i, j) in zip(values, matrices, pairs, strict=True)
    ]


def _force(form, u, constant=None):
    """The derivative of half the energy: a field; with a constant (local functions,) added to u also its sum, local."""
    out, n = np.zeros(form.shape), form.shape[-form.shared.shape[1] :]
    total = np.zeros(len(form.constants))
    for planes in _slabs(form):
        local = _local(form, u, constant, planes)
        force = np.zeros(local.shape)
        for s, right, left, source, target in form.terms:
            part = right @ local[source]
            part *= s[:, planes].reshape(len(s), -1)
            force[target] += part if left is None else left @ part
        if constant is not None:
            total += force.sum(1)
        at = 0
        for v, flags in zip(out, form.shared, strict=True):
            kinds = [P + int(flag) for P, flag in zip(v.shape, flags, strict=False)]
            stop = at + int(np.prod(kinds))
            _scatter(force[at:stop].reshape(*kinds, -1, *n[1:]), v, flags, planes)
            at = stop
    return out if constant is None else (out, total)


def _slabs(form):
    """The planes of elements along axis 0, some at a time: slices."""
    n = form.shape[-form.shared.shape[1] :]
    step = max(1, CACHE // (len(form.constants) * int(np.prod(n[1:]))))
    return [slice(start, min(start + step, n[0])) for start in range(0, n[0], step)]


def _local(form, u, constant, planes):
    """The local functions (local, elements) of a field, with a constant (local,) added, in some planes of elements."""
    local = np.concatenate([_gather(v, flags, planes) for v, flags in zip(u, form.shared, strict=True)])
    if constant is not None:
        local += constant[:, None]
    return local


def _gather(v, flags, planes):
    """The local functions of the elements of some planes, those shared with the next included: (local, elements)."""
    dim = len(flags)
    some = v[(slice(None),) * dim + (planes,)]
    for axis in np.flatnonzero(flags):
        if axis == 0:
            first = v[:1].take(np.arange(planes.start, planes.stop) + 1, dim, mode="wrap")
        else:
            first = np.roll(some.take([0], axis), -1, dim + axis)
        some = np.concatenate([some, first], axis)
    return some.reshape(-1, (planes.stop - planes.start) * int(np.prod(v.shape[dim + 1 :])))


def _scatter(force, v, flags, planes):
    """The transpose of `_gather`: adds to v."""
    dim, n = len(flags), v.shape[len(flags)]
    for axis in np.flatnonzero(flags)[::-1]:
        force, last = np.split(force, [v.shape[axis]], axis)
        if axis == 0:
            v[0][(slice(None),) * (dim - 1) + (np.arange(planes.start + 1, planes.stop + 1) % n,)] += last[0]
        else:
            np.split(force, [1], axis)[0][:] += np.roll(last, 1, dim + axis)
    v[(slice(None),) * dim + (planes,)] += force


def _modes(line, n, half):
    """The modes of V and W for every frequency of n elements: roots (f, P), eigenvectors (f, P, P) of both."""
    P, weights = line.W.shape[1], line.weights[:, None]
    frequencies = fft.rfftfreq(n) if half else fft.fftfreq(n)
    share = np.zeros((len(frequencies), P + 1, P), complex)
    share[:, :P], share[:, P, 0] = np.eye(P), np.exp(2j * np.pi * frequencies)
    mass, slope = _adjoint(share) @ (line.V.T @ (weights * line.V)) @ share, line.W.T @ (weights * line.dV) @ share
    root = np.linalg.inv(np.linalg.cholesky(mass))
    squares, vectors = np.linalg.eigh(root @ _adjoint(slope) @ slope @ _adjoint(root))
    squares[0, 0] = 0  # the constant
    V, roots = _adjoint(root) @ vectors, np.sqrt(np.maximum(squares, 0))
    W = slope @ V / np.where(roots == 0, 1, roots)[:, None]
    W[0, :, 0] = (line.W.T @ weights)[:, 0] / np.sqrt(weights.sum())
    return roots, V, W


def _adjoint(matrices):
    return np.conj(np.swapaxes(matrices, -1, -2))


def _inverse(lines, n, scale, fluxes=False):
    """force -> the field that solves the problem with constant s = diag(scale); for fluxes projected to div q = 0.

    By modes that diagonalise it: a Fourier transform over the elements, and the P modes of every frequency and axis.
    Potentials are divided by the eigenvalues sum_i s_i root_i^2.  Of a flux, s q + grad p is the force, div q = 0.
    """
    dim, shared = len(lines), _shared(len(lines), fluxes)
    modes = [_modes(line, n[i], half=i == dim - 1) for i, line in enumerate(lines)]
    roots = [_as_factor(root.T, i, dim) for i, (root, _, _) in enumerate(modes)]
    weight = 1 / scale if fluxes else scale
    total = sum(weight[i] * root**2 for i, root in enumerate(roots))
    total.flat[0] = np.inf  # the constant, which is left out
    over_elements = tuple(range(dim, 2 * dim))

    def to_modes(v, flags):
        X = fft.rfftn(v, axes=over_elements)
        for i, (_, V, W) in enumerate(modes):
            X = _along(_adjoint(V if flags[i] else W), X, i)
        return X

    def from_modes(X, flags):
        for i, (_, V, W) in enumerate(modes):
            X = _along(V if flags[i] else W, X, i)
        return fft.irfftn(X, n, axes=over_elements)

    def potential(force):
        X = to_modes(force[0], shared[0])
        X /= total
        return from_modes(X, shared[0])[None]

    def flux(force):
        X = [to_modes(v, flags) for v, flags in zip(force, shared, strict=True)]
        pressure = sum(weight[i] * roots[i] * X[i] for i in range(dim)) / total
        for i in range(dim):
            X[i] = weight[i] * (X[i] - roots[i] * pressure)
            X[i].flat[0] = 0  # fields have no mean
        return np.stack([from_modes(v, flags) for v, flags in zip(X, shared, strict=True)])

    return flux if fluxes else potential


def _as_factor(values, i, dim):
    """Values (P, frequencies) of axis i as a factor of a field (P, ..., P, frequencies of axis 1, ..., of axis dim)."""
    shape = [1] * (2 * dim)
    shape[i], shape[dim + i] = values.shape
    return values.reshape(shape)


def _along(matrices, X, i):
    """Matrices (frequencies, P, P) of axis i, applied to the P functions of that axis; overwrites X for P = 1."""
    dim = X.ndim // 2
    if matrices.shape[-1] == 1:
        X *= _as_factor(matrices[:, :, 0].T, i, dim)
        return X
    Y = np.moveaxis(X, (dim + i, i), (0, 1))
    Y = (matrices @ Y.reshape(*Y.shape[:2], -1)).reshape(Y.shape)
    return np.moveaxis(Y, (0, 1), (dim + i, i))


def least_fields(forms, delta, starts=None, least=1e-15):
    """For every form the fields of least energy for every e_j, until four steps lower an energy by less than
    delta, relative to it."""
    tasks = [(form, constant) for form in forms for constant in form.constants.T]
    starts = [u for fields in starts for u in fields] if starts else [np.zeros(form.shape) for form, _ in tasks]
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(lambda task, u: _descend(*task, u, delta, least), tasks, starts))
    size = len(found) // len(forms)
    return [found[start : start + size] for start in range(0, len(found), size)]


def _descend(form, constant, u, delta, least):
    """Preconditioned conjugate gradients; energies are in units of the volume's.

    A projected force below `least` is rounding error; those of correctors are not projected, and may go further.
    """
    force, total = _force(form, u, constant)
    energy = constant @ total + np.vdot(u, force)
    r = -force
    p = form.inverse(r)
    square, drops = np.vdot(r, p), []
    while square > least * energy and len(drops) < 5000:
        q = _force(form, p)
        step = square / np.vdot(p, q)
        u += step * p
        r -= np.multiply(q, step, out=q)
        drops.append(step * square)
        energy -= drops[-1]
        if sum(drops[-4:]) <= delta * energy:
            break
        z = form.inverse(r)
        square, last = np.vdot(r, z), square
        p *= square / last
        p += z
    return u


def energies(form, fields):
    """mean( (e_j + L u_j) . s (e_k + L u_k) ) (dim, dim), of whatever fields.

    As products of the fields R (e_j + L u_j), R^T R = s: fields times forces are sums of numbers of both signs, in
    whose rounding an energy is lost where elements are long and thin.
    """
    A, dim = 0.0, len(form.parts)
    for planes in _slabs(form):
        local = [_local(form, u, constant, planes) for u, constant in zip(fields, form.constants.T, strict=True)]
        at = [np.stack([_kronecker_times(factors, u[where]) for factors, where in form.parts]) for u in local]
        s = form.s[(..., planes, *[slice(None)] * (dim - 1))].reshape(*form.s.shape[:-dim], -1)
        if s.ndim == 2:
            at = [np.sqrt(s) * each for each in at]
        else:
            root = np.moveaxis(np.linalg.cholesky(np.moveaxis(s, (0, 1), (-2, -1))), (-2, -1), (0, 1))
            at = [np.einsum("ij...,i...->j...", root, each) for each in at]
        A = A + np.array([[np.vdot(one, other) for one in at] for other in at])
    return A / form.volume


def _kronecker_times(factors, local):
    """The Kronecker product of matrices (q, p), one an axis, times local (p * ... * p, elements)."""
    out = local.reshape(*[factor.shape[1] for factor in factors], -1)
    for axis, factor in enumerate(factors):
        out = np.moveaxis(np.tensordot(factor, out, (1, axis)), 0, axis)
    return out.reshape(-1, out.shape[-1])


def _kinds(nodal, mesh):
    """Nodal values (nodes,) as one component of a field: (P, ..., P, n_1, ..., n_dim)"""
    n, dim = counts(mesh), len(mesh.bounds)
    P = mesh.order * (len(mesh.cuts) - 1)
    pairs = nodal.reshape([k for count in n for k in (count, P)])
    return np.ascontiguousarray(pairs.transpose(*range(1, 2 * dim, 2), *range(0, 2 * dim, 2)))


def nodal_values(fields):
    """The transpose of that, for several fields of one component: (nodes, J)."""
    dim = (fields[0].ndim - 1) // 2
    order = [k for i in range(dim) for k in (dim + i, i)]
    return np.stack([u[0].transpose(order).ravel() for u in fields], -1)


def at_gauss_points(coefficient, mesh):
    """A function at the Gauss points of every element: (Q, n_1, ...) or (dim, dim, Q, n_1, ...)."""
    n, dim = counts(mesh), len(mesh.bounds)
    axes = [gauss(breaks_of(mesh, axis), mesh.gauss or mesh.order + 1)[0] for axis in range(dim)]
    points = tensor_grid(axes)
    a = checked_coefficient(coefficient(points), points.shape)
    pairs = [k for count, x in zip(n, axes, strict=True) for k in (count, len(x) // count)]
    a = np.moveaxis(a.reshape(*pairs, *a.shape[1:]), range(0, 2 * dim, 2), range(-dim, 0))  # elements to the end
    a = np.moveaxis(a, range(dim), range(-2 * dim, -dim))  # and Gauss points before them, after (dim, dim)
    return a.reshape(*a.shape[: -2 * dim], -1, *n)


def check_period_of_mesh(name, function, mesh):
    """Raises ValueError where function(y) differs from function(y + period) at the centres of the elements."""
    dim = range(len(mesh.bounds))
    centres = tensor_grid([gauss(breaks_of(mesh._replace(cuts=(0.0, 1.0)), axis), 1)[0] for axis in dim])
    values = np.asarray(function(centres))
    for axis, (low, high) in enumerate(mesh.bounds):
        jump = np.abs(function(centres + (high - low) * np.eye(len(dim))[axis]) - values).max()
        if not jump <= 1e-8 * np.abs(values).max():
            raise ValueError(
                f"{name}: not periodic, it changes by {jump:.3g} over the period {high - low:g} of axis {axis}, "
                "expected the period of the mesh"
            )


def relative_size(difference, tensor):
    """The largest |xi . difference xi| / (xi . tensor xi) over all directions xi; inf if tensor is not positive."""
    try:
        return float(np.abs(linalg.eigh(difference, tensor, eigvals_only=True)).max())
    except linalg.LinAlgError:  # lost in rounding
        return np.inf


def distance(A, B):
    """The relative size of A - B, beside their mean."""
    return relative_size(A - B, (A + B) / 2)


def check_cell(mesh, components=1, sampled=True):
    """Raises where the arrays of a cell problem would not fit the memory: fields, and values at the Gauss points."""
    check_mesh(mesh)
    if not mesh.periodic:
        raise ValueError("mesh: found periodic = False, expected True for a cell problem")
    dim, pieces = len(mesh.bounds), len(mesh.cuts) - 1
    kinds, gauss_points = (mesh.order * pieces) ** dim, sampled * ((mesh.gauss or mesh.order + 1) * pieces) ** dim
    elements = np.prod(counts(mesh), dtype=float)
    need = 8 * elements * (kinds * (2 * dim + 19 * components) + gauss_points * (3 + 2 * dim))
    check_memory(f"mesh: {mesh.elements} elements of order {mesh.order} need", need)


def check_memory(what, need):
    """Raises ValueError where so many bytes are more than this machine has."""
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else np.inf
    if need > 0.9 * have:
        raise ValueError(f"{what} {need / 2**30:.1f} GiB, expected at most {0.9 * have / 2**30:.1f} of this machine")
