# --- the door: an equation of one's own (to be appended to nhpinn.py) -----------------------------------------------


class Equation(NamedTuple):
    """A problem as `solve` makes one of its arguments, see the head of this file."""

    coefficient: Callable
    source: Callable
    domain: tuple
    eps: float
    period: float | tuple
    reaction: Callable | None
    initial: Callable | None
    final_time: float
    dim: int
    slow: bool | None = None  # to be found out


class Solution(NamedTuple):
    """What `solve` returns.  Points x are (n, dim); with time, at the final time, or at t, a number or one a point."""

    problem: Equation
    correctors: Correctors
    coefficients: Coefficients
    u0: Callable  # points, with time last -> value, gradient, second derivatives
    certificate: nhpinn_certificates.Certificate | None
    bounds: nhpinn_bounds.Bounds | None  # of the homogenized tensor at the node nearest to the centre of the box
    recipe: str
    seconds: float

    @property
    def error(self):
        """Guaranteed bound of the relative error in the energy norm; None where there is time or a reaction."""
        return self.certificate and self.certificate.error

    def __call__(self, x, t=None):
        return self._value_and_gradient(x, t)[0]

    def gradient(self, x, t=None):
        return self._value_and_gradient(x, t)[1]

    def homogenized(self, x, t=None):
        return self.u0(self._points(x, t))[0]

    def flux(self, x, t=None):
        """That of the certificate, in balance with the source; a grad u where there is none."""
        x = checked_points("x", x, self.problem.dim)
        if self.certificate:
            return self.certificate.flux(x)
        a = tensor_of(lambda y: self.problem.coefficient(x, y), x / self.problem.eps)
        return np.einsum("nij,nj->ni", a, self.gradient(x, t))

    def tensor(self, x):
        return self.coefficients.tensor(checked_points("x", x, self.problem.dim))

    def corrector(self, x, y):
        x, y = (checked_points(name, points, self.problem.dim) for name, points in (("x", x), ("y", y)))
        return self.correctors.expansion(x, y)[0].T

    def _points(self, x, t):
        x = checked_points("x", x, self.problem.dim)
        if self.problem.initial is None:
            return x
        time = np.broadcast_to(self.problem.final_time if t is None else t, len(x))
        return np.column_stack([x, time])

    def _value_and_gradient(self, x, t):
        x = checked_points("x", x, self.problem.dim)
        if self.certificate:
            return self.certificate.reconstruction(x)
        d, (value, slope, second) = self.problem.dim, self.u0(self._points(x, t))
        expansion = self.correctors.expansion(x, x / self.problem.eps)
        return reconstruct(self.problem, value, slope[:, :d], second[:, :d, :d], expansion)

    def __str__(self):
        centre, p = np.mean(self.problem.domain, axis=1)[None], self.problem
        lines = [
            f"solution by {self.recipe} in {self.seconds:.1f} s, eps = {p.eps:g}, {len(self.correctors.nodes)} cell "
            f"problem{'s' * (len(self.correctors.nodes) > 1)} x {1 if p.reaction else p.dim}",
            f"tensor at {centre[0]}  " + np.array2string(self.tensor(centre)[0], precision=8, prefix=" " * 30),
        ]
        if self.bounds:
            lines.append(f"gap of its bounds  {self.bounds.error:.2g}")
        if p.reaction:
            lines.append(f"reaction r*  {self.coefficients.reaction:.8g}")
        c = self.certificate
        if c:
            lines.append(f"relative error in the energy norm  at most {c.error:.3g}")
            lines.append(
                f"of which the residual of the homogenized equation  {c.residual / max(c.norm[0], 1e-300):.2g}"
            )
        else:
            lines.append("relative error  unknown: the certificate is of elliptic problems without a reaction")
        return "\n".join(lines)

    __repr__ = __str__

    def plot(self, count=200):
        """A figure: in one dimension u and u0, in two and three u and a* on a middle plane."""
        import matplotlib.pyplot as plt

        axes = [np.linspace(*pair, count) for pair in self.problem.domain[:2]]
        middle = [np.mean(pair, keepdims=True) for pair in self.problem.domain[2:]]
        x = tensor_grid([*axes, *middle])
        figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
        pictures = (("u", self(x)), ("homogenized", self.homogenized(x)))
        if len(axes) == 1:
            for name, values in pictures:
                panels[0].plot(axes[0], values, label=name)
            panels[0].legend()
            panels[1].plot(axes[0], self.tensor(x)[:, 0, 0])
            panels[1].set_title("homogenized coefficient")
            return figure
        for panel, (name, values) in zip(panels, pictures, strict=True):
            figure.colorbar(panel.pcolormesh(*axes, values.reshape(count, count).T, shading="gouraud"), ax=panel)
            panel.set(title=name, aspect="equal")
        return figure


def solve(
    coefficient, source, box, eps, *, period=1.0, reaction=None, initial=None, final_time=1.0,
    recipe="sharp", tolerance=1e-6, seed=0, executor=None,
):  # fmt: skip
    """u_t - d_i( a_ij(x, x/eps) d_j u ) + r(x/eps) u / eps = f in a box, u = 0 on its boundary: a Solution.

    coefficient(x, y), periodic in y, (n,) or (n, dim, dim); whether it depends on x is found out.  source(x); box
    ((low, high), ...); reaction(y), with a constant coefficient; initial(x): u at t = 0, without which there is no u_t.
    Functions take points (n, dim) and are written with autograd.numpy.
    recipe: "sharp", "adam" (the paper's) or "fem" (both steps classical).  tolerance: of the steps, not of eps.
    executor: a concurrent.futures.Executor for the cell problems of a coefficient that depends on x.
    Elliptic problems without reaction have a certificate, see nhpinn_certificates.py: Solution.error.
    """
    start = time.perf_counter()
    dim = len(box) if isinstance(box, tuple | list | np.ndarray) else 0
    problem = Equation(coefficient, source, box, eps, period, reaction, initial, final_time, dim)
    check_solve(problem, recipe, tolerance, seed)
    problem = problem._replace(domain=tuple((float(low), float(high)) for low, high in box))
    steps = RECIPES[recipe](problem, tolerance, executor)
    correctors, coefficients, u0 = nh_pinn(problem, steps, seed)
    certificate = bounds = None
    if initial is None and reaction is None:
        potential = u0
        if recipe == "adam":  # the flux need not suffer from a network's errors
            potential = nhpinn_sharp.solve_equation(problem, coefficients, tolerance, np.random.default_rng(seed))
        certificate = nhpinn_certificates.certificate(
            coefficient, source, problem.domain, eps, correctors, coefficients, u0, potential
        )
    if reaction is None:
        bounds = tensor_bounds_at_centre(problem, correctors, tolerance)
    return Solution(problem, correctors, coefficients, u0, certificate, bounds, recipe, time.perf_counter() - start)


def certify(solution, value, gradient):
    """Two-sided bounds of the relative energy error of any other candidate for the same equation: lower, upper.

    value(x) -> (n,), gradient(x) -> (n, dim); the candidate need not vanish on the boundary.
    """
    if solution.certificate is None:
        raise ValueError("solution: found one with time or a reaction, expected one that has a certificate")
    return nhpinn_certificates.certify(solution.certificate, value, gradient)


def check_solve(problem, recipe, tolerance, seed):
    """Raises ValueError or TypeError for arguments that cannot be meant, before any work."""
    if problem.dim not in (1, 2, 3):
        raise ValueError(f"box: found {shown(problem.domain)}, expected 1 to 3 pairs (low, high)")
    check_box("box", problem.domain, problem.dim)
    if recipe not in RECIPES:
        raise ValueError(f"recipe: found {shown(recipe)}, expected one of {tuple(RECIPES)}")
    check_positive("tolerance", tolerance)
    check_integer("seed", seed, 0, np.inf)
    check_problem(problem)
    dim, size = problem.dim, np.diff(problem.domain)[:, 0]
    if np.any(problem.eps * np.broadcast_to(problem.period, dim) > size * (1 + 1e-9)):
        raise ValueError(f"eps: found {problem.eps:g}, expected eps * period at most the box, {size.min():g}")
    if problem.initial is not None:
        edge = grid(problem.domain, 9)
        sizes = np.abs(checked_values("initial", problem.initial, edge))
        if (most := sizes[on_boundary(edge, problem.domain)].max()) > 1e-8 * sizes.max():
            raise ValueError(f"initial: found {most:.3g} on the boundary, expected 0, as u is there")
    if recipe != "fem":
        count = {1: 128, 2: 48, 3: 16}[dim]
        nodes = np.mean(problem.domain, axis=1)[None]
        field, y = at_nodes(problem.coefficient, nodes, midpoints(dim, problem.period, count))
        check_resolved(field, y, np.divide(problem.period, count))


def tensor_bounds_at_centre(problem, correctors, tolerance):
    """Bounds of the tensor at the node nearest to the centre of the box, by whose correctors they hold."""
    period = np.broadcast_to(np.asarray(problem.period, float), problem.dim)
    nearest = np.linalg.norm(correctors.nodes - np.mean(problem.domain, axis=1), axis=1).argmin()
    x = correctors.nodes[nearest]
    field = nhpinn_sharp.on_unit_cell(lambda y: problem.coefficient(0 * y + x, y), period)
    count = {1: 257, 2: 65, 3: 21}[problem.dim]
    chi = correctors.cells(period * midpoints(problem.dim, 1.0, count))[0][nearest] / period[:, None]
    means = nhpinn_bounds.scattered_means(field, problem.dim)
    resolved = nhpinn_bounds.resolution(field, problem.dim, means)
    chi = chi.reshape(-1, *[count] * problem.dim)
    bounds = nhpinn_bounds.tensor_bounds(field, chi, means, resolved, tolerance)
    square = np.outer(period, period)
    return bounds._replace(lower=square * bounds.lower, upper=square * bounds.upper)


# --- both steps classical ---


def fem_recipe(tolerance=1e-6, executor=None):
    """The same steps by finite elements, for comparison."""
    elements = {1: (32, 6), 2: (12, 6), 3: (5, 4)}  # an axis, order

    def cells(problem, rng):
        dim, period = problem.dim, np.broadcast_to(np.asarray(problem.period, float), problem.dim)
        slow = nhpinn_sharp.chebyshev_points(problem, tolerance) if depends_on_x(problem) else None
        nodes = np.zeros((1, dim)) if slow is None else slow.points
        count, order = elements[dim]
        mesh = fem.Mesh(tuple((0.0, length) for length in period), count, order, periodic=True)
        task = partial(element_correctors, problem.coefficient, problem.reaction, mesh)
        fields = list((executor.map if executor else map)(task, nodes))
        weights = one_node if slow is None else slow.weights
        return Correctors(partial(element_cells, fields), weights, nodes, problem.period)

    return Recipe(cells, nhpinn_bounds.energy, element_equation)


def element_correctors(coefficient, reaction, mesh, x):
    if reaction is None:
        return fem.correctors(lambda y: coefficient(0 * y + x, y), mesh)[0]
    y = np.zeros((1, len(x)))
    N, _ = fem.reaction_corrector(reaction, tensor_of(lambda y: coefficient(0 * y + x, y), y)[0, 0, 0], mesh)
    return N._replace(nodal=N.nodal[:, None])


def element_cells(fields, y):
    value, slope = zip(*(field.at(y)[:2] for field in fields), strict=True)
    return np.moveaxis(np.stack(value), 1, 2), np.moveaxis(np.stack(slope), 1, 2)


def element_equation(problem, coefficients, rng):
    """Step 3; with time, by Crank and Nicolson, anew for every time asked for."""
    mesh = fem.Mesh(problem.domain, {1: 64, 2: 32, 3: 8}[problem.dim], {1: 6, 2: 6, 3: 4}[problem.dim])
    r = coefficients.reaction
    constant = (lambda x: np.full(len(x), r)) if r else None
    if problem.initial is None:
        return fem.solve_elliptic(coefficients.tensor, problem.source, mesh, constant).at

    def at(points):
        d, parts = problem.dim, []
        times, which = np.unique(points[:, -1], return_inverse=True)
        out = np.zeros(len(points)), np.zeros(points.shape), np.zeros((*points.shape, d + 1))
        for k, t in enumerate(times):
            steps = max(1, round(400 * t / problem.final_time))
            u = fem.solve_parabolic(coefficients.tensor, problem.source, problem.initial, t, steps, mesh, constant)
            value, slope, second = u.at(points[which == k, :d])
            out[0][which == k], out[1][which == k, :d], out[2][which == k, :d, :d] = value, slope, second
        return out

    return at


def adam_recipe(problem):
    """The paper's recipe with settings for an equation of one's own."""
    inputs = problem.dim + (problem.initial is not None)
    weights = (0.01, 0.99) if problem.initial is None else (1 / 7, 5 / 7, 1 / 7)
    points = {1: 101, 2: 21, 3: 11, 4: 7}[inputs] if problem.initial is None else {2: 41, 3: 15, 4: 8}[inputs]
    equation = Training((64, 64, 64), points, weights, rate=2e-3, epochs=4000, decay=0.1)
    return paper_recipe(cell_training(problem.dim), equation, nodes={1: 33, 2: 5, 3: 3}[problem.dim])


RECIPES = {
    "sharp": lambda problem, tolerance, executor: sharp_recipe(tolerance),
    "adam": lambda problem, tolerance, executor: adam_recipe(problem),
    "fem": lambda problem, tolerance, executor: fem_recipe(tolerance, executor),
}
