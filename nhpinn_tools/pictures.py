"""Solutions and fields as files of VTK and as figures.

A file is ImageData in XML: a uniform grid, whose points follow one another with x fastest, and the arrays on it, in
base64 behind their number of bytes.  ParaView, VisIt, pyvista and other readers of VTK take it.
"""

import base64

import numpy as np

from fem import tensor_grid
from nhpinn_functions import NotSavedError, check_integer, shown
from nhpinn_tools.calls import warn
from nhpinn_tools.certificates import Certificate

A_PERIOD = 16  # points, of a grid that resolves eps
MOST = {1: 100_000, 2: 1_000, 3: 100}  # points an axis
PERIODS = 4  # of the window in a figure


def on_grid(solution, axes, t=None):
    """u, the homogenized solution, the gradient and the flux on a tensor grid, in the order of its points: a dict.

    The flux is left out, with a warning, of a loaded solution that would need a function of its equation for it.
    """
    x, certificate, flux = tensor_grid(axes), solution.certificate, True
    homogenized = solution.homogenized(x, t)
    try:
        solution.flux(x[:1], t)
    except NotSavedError as error:
        warn(f"flux: left out; {error}")
        flux = False
    if isinstance(certificate, Certificate):
        u, *vectors = certificate.on_grid(axes, flux)
    else:
        u, vectors = solution(x, t), [solution.gradient(x, t)] + ([solution.flux(x, t)] if flux else [])
    return {"u": u, "homogenized": homogenized, **dict(zip(("gradient", "flux"), vectors, strict=False))}


def grid_axes(solution, count=None, window=None, most=MOST):
    """The coordinates of a uniform grid of a window of the box; None: of all of it, as many as resolve eps."""
    p = solution.problem
    window = p.domain if window is None else checked_window(window, p.domain)
    if count is not None:
        check_integer("count", count, 2)
        return [np.linspace(*ends, count) for ends in window]
    lengths = p.eps * np.broadcast_to(p.period, p.dim)
    wanted = [int(np.ceil(A_PERIOD * np.ptp(ends) / length)) + 1 for ends, length in zip(window, lengths, strict=True)]
    return [np.linspace(*ends, min(n, most[p.dim])) for ends, n in zip(window, wanted, strict=True)]


def checked_window(window, domain):
    try:
        low, high = np.array(window, dtype=float).reshape(len(domain), 2).T
    except (TypeError, ValueError):
        low, high = np.zeros(2)
    if not np.all((np.transpose(domain)[0] <= low) & (low < high) & (high <= np.transpose(domain)[1])):
        raise ValueError(f"window: found {shown(window)}, expected {len(domain)} pairs (low, high) inside {domain}")
    return list(zip(low.tolist(), high.tolist(), strict=True))


# --- VTK --------------------------------------------------------------------------------------------------


def write_vtk(solution, file, count, window, t):
    """Writes a solution on a uniform grid, see Solution.to_vtk."""
    if not str(file).endswith(".vti"):
        raise ValueError(f"file: found {shown(str(file))}, expected a name that ends with .vti, as what is written is")
    axes = grid_axes(solution, count, window)
    counts, fields = [len(axis) for axis in axes], on_grid(solution, axes, t)
    with open(file, "w", encoding="ascii") as out:
        out.write(image_data(axes, {name: np.reshape(v, (*counts, *v.shape[1:])) for name, v in fields.items()}))


def image_data(axes, fields):
    """The text of a file of ImageData: values (n_1, ..., n_d), or vectors (n_1, ..., n_d, d)."""
    extent = " ".join(f"0 {len(axis) - 1}" for axis in axes) + " 0 0" * (3 - len(axes))
    origin = [*(axis[0] for axis in axes), 0.0, 0.0][:3]
    spacing = [*(np.ptp(axis) / (len(axis) - 1) for axis in axes), 1.0, 1.0][:3]
    numbers = [" ".join(repr(float(z)) for z in three) for three in (origin, spacing)]
    return "\n".join([
        '<?xml version="1.0"?>',
        '<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
        f'<ImageData WholeExtent="{extent}" Origin="{numbers[0]}" Spacing="{numbers[1]}">',
        f'<Piece Extent="{extent}">',
        "<PointData>",
        *(data_array(name, values, len(axes)) for name, values in fields.items()),
        "</PointData>", "</Piece>", "</ImageData>", "</VTKFile>", "",
    ])  # fmt: skip


def data_array(name, values, dim):
    """One array; vectors have three components."""
    vectors = values.ndim > dim
    if vectors:
        values = np.pad(values, [(0, 0)] * dim + [(0, 3 - dim)])
    data = values.transpose(*range(dim)[::-1], *range(dim, values.ndim)).astype("<f8").tobytes()  # x fastest
    encoded = base64.b64encode(np.array(len(data), "<u8").tobytes() + data).decode()
    components = ' NumberOfComponents="3"' * vectors
    return f'<DataArray type="Float64" Name="{name}"{components} format="binary">{encoded}</DataArray>'


# --- figures ----------------------------------------------------------------------------------------------


def figure_of_solution(solution, count, t):
    """Four panels, see Solution.plot."""
    import matplotlib.pyplot as plt

    p, many = solution.problem, {1: 4000, 2: 400, 3: 200}
    count = max(100, *map(len, grid_axes(solution, most=many))) if count is None else count
    window, d = window_of(p), min(p.dim, 2)
    whole, near = (plane(p.domain, count), plane(window, count))
    fields, detail = on_grid(solution, whole, t), on_grid(solution, near, t)
    figure, panels = plt.subplots(2, 2, figsize=(10, 6.5 if d == 1 else 8.5), layout="constrained")
    panels, what = panels.ravel(), "" if d == 1 else "size of the "
    place = "" if p.dim < 3 else f", $x_3$ = {whole[2][0]:.3g}"
    draw(panels[0], whole, {"$u$": fields["u"], "$u_0$, homogenized": fields["homogenized"]}, "u" + place)
    draw(panels[1], whole, {"$u - u_0$": fields["u"] - fields["homogenized"]}, "u less the homogenized solution", True)
    if "flux" in fields:
        draw(panels[2], whole, {label(r"a \nabla u", p.dim): size(fields["flux"])}, what + "flux")
    else:
        panels[2].set_axis_off()
    draw(panels[3], near, {label(r"\nabla u", p.dim): size(detail["gradient"])}, what + "gradient, a few periods")
    return figure


def figure_of_cell(found, count):
    """One panel for each direction, see Homogenized.plot."""
    import matplotlib.pyplot as plt

    dim = len(found.tensor)
    count = {1: 1000, 2: 200, 3: 200}[dim] if count is None else count
    axes = plane([(0.0, length) for length in found.period], count)
    slopes = found.gradient(tensor_grid(axes))
    figure, panels = plt.subplots(1, dim, figsize=(5 * dim, 4.2), layout="constrained", squeeze=False)
    for j, panel in enumerate(panels[0]):
        name = label(rf"e_{j + 1} + \nabla \chi_{j + 1}", dim)
        title = f"field of mean $e_{j + 1}$" + (f", $y_3$ = {axes[2][0]:.3g}" if dim == 3 else "")
        draw(panel, axes, {name: size(np.eye(dim)[j] + slopes[:, j])}, title, letter="y")
    return figure


def window_of(problem):
    """A few periods about a quarter of the box, where the gradient is rarely least; all of a box with no more."""
    half = PERIODS / 2 * problem.eps * np.broadcast_to(problem.period, problem.dim)
    low, high = np.transpose(problem.domain)
    middle = np.clip(low + (high - low) / 4, low + half, None)
    return list(zip(np.maximum(low, middle - half), np.minimum(high, middle + half), strict=True))


def plane(box, count):
    """Coordinates of a grid: of a box, in three dimensions of its middle plane."""
    check_integer("count", count, 2)
    return [np.linspace(*ends, count) for ends in box[:2]] + [np.array([np.mean(ends)]) for ends in box[2:]]


def size(vectors):
    """The lengths of vectors (n, d); in one dimension the numbers that they are, with their signs."""
    return np.linalg.norm(vectors, axis=1) if vectors.shape[1] > 1 else vectors[:, 0]


def label(vector, dim):
    return f"$|{vector}|$" if dim > 1 else f"${vector}$"


def draw(panel, axes, functions, title, signed=False, letter="x"):
    """Functions on a grid: lines in one dimension, else the first of them in colours; signed: 0 is white."""
    panel.set_title(title)
    panel.set_xlabel(f"${letter}_1$" if len(axes) > 1 else f"${letter}$")
    if len(axes) == 1:
        for (name, values), style in zip(functions.items(), ("-", "--"), strict=False):
            panel.plot(axes[0], values, style, label=name, lw=1)
        panel.legend()
        return
    name, values = next(iter(functions.items()))
    values = values.reshape(len(axes[0]), len(axes[1])).T
    most = np.quantile(np.abs(values), 0.995)
    most = np.abs(values).max() if np.abs(values).max() < 2 * most else most  # else a singularity hides all else
    low = -most if signed else values.min()
    picture = panel.pcolormesh(
        axes[0], axes[1], values, cmap="RdBu_r" if signed else "viridis", vmin=low, vmax=max(low, most),
        shading="gouraud", rasterized=True,
    )  # fmt: skip
    beside = {"label": name, "shrink": min(1, np.ptp(axes[1]) / np.ptp(axes[0]))}  # as high as the panel
    panel.figure.colorbar(picture, ax=panel, extend="max" if values.max() > most else "neither", **beside)
    panel.set_ylabel(f"${letter}_2$")
    panel.set_aspect("equal")
