"""For an equation of one's own: `solve`, the `Solution` with its error bar, and `certify` for any other candidate."""

import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

import fem_cells
from nhpinn import Coefficients, Correctors, reconstruct
from nhpinn_functions import cell_quadrature, centre, check_integer, checked_values, one_node, shown
from nhpinn_tools import bounds, certificates, checks, composites, files, pictures
from nhpinn_tools.bounds import field_at
from nhpinn_tools.calls import one_thread, usual_arithmetic, warn
from nhpinn_tools.checks import says_what_it_takes
from nhpinn_tools.flow import flow
from nhpinn_tools.ground_state import ReactionSolution, has_ground_state, solve_reaction
from nhpinn_tools.homogenization import homogenize, lines_of
from nhpinn_tools.images import Pixels
from nhpinn_tools.interpolation import cell_mean
from nhpinn_tools.parabolic import HeatSolution, solve_heat
from nhpinn_tools.phases import Phases
from nhpinn_tools.recipes import adam_recipe, check_definite, fourier_recipe, progress, sharp_recipe, three_steps
from nhpinn_tools.refinement import refined
from nhpinn_tools.tables import Table
from nhpinn_tools.unsteady import warn_of_time, without_faces

STEPS = 1e-4  # the tolerance of the three steps, where none is asked for

# A problem, as `solve` makes it of its arguments.  domain: the box; dim: its dimension; slow: whether the coefficient
# depends on x.  The functions of nhpinn.py take it as a Problem.
Equation = namedtuple(
    "Equation", "coefficient source domain eps period reaction initial final_time dim slow boundary rho"
)


@says_what_it_takes
@usual_arithmetic
@one_thread
def solve(
    coefficient, source: Callable, box, eps: float, *, boundary=0.0, period=1.0, values=None, reaction=None,
    initial=None, final_time=None, rho=None, recipe=None, tolerance=None, seed=0, executor=None,
) -> "Solution":  # fmt: skip
    """rho u_t - d_i( a_ij(x, x/eps) d_j u ) + r(x/eps) u / eps = f in a box: a Solution.

    Functions take points (n, dim); the coefficient is written with autograd.numpy.
    coefficient(x, y), or of y alone, periodic in y, (n,) or (n, dim, dim); whether it depends on x is found out.  Or,
    as `homogenize` takes them, an image of one period, positive in every pixel (the low side of x_1 is the top of a
    picture); labels, with values={label: a number, a tensor, or a function of x}; a TwoPhase.
    source(x); box ((low, high), ...); reaction(y), with a constant coefficient, but see below; initial(x): u at t = 0,
    without which there is no u_t, and no final_time; with it final_time is 1 unless it is given.
    boundary: pairs (low, high) parallel to the box, or one entry for all faces: a number or a function of x is the
    value of u, nhpinn.Flux(h) is n . a grad u = h, what flows in; default: u = 0.
    With time values and fluxes are those of all times, initial(x) need not fit them, the source may be source(x, t),
    t (n,), and rho(x, y) > 0 is a storage coefficient; the homogenized one is its mean over the cell.
    recipe: None, the quickest; or by name "fourier" (trigonometric polynomials), "sharp" (random features) or "adam"
    (the paper's); images have finite elements, a TwoPhase what `homogenize` takes for it.
    tolerance: None: the expansion in eps, at a cost that does not grow with 1 / eps.  A number: the most that
    Solution.error may be, met by finite elements (refinement.py), or a warning; with time, a reaction, a TwoPhase,
    three dimensions or recipe="adam", where there are none, it is that of the steps alone.
    executor: a concurrent.futures.Executor for the cell problems of a coefficient that depends on x, the same numbers
    with and without (adam trains them together, and needs none).

    Solution.error bounds |a^(1/2) grad(u - v)| / |a^(1/2) grad u| for the v that is returned, if there is no time and
    no reaction; nothing fine is solved.  The head of certificates.py says how, and what is assumed.  In one dimension
    it bounds |u - v| / |u| in L2, at the final time, with time, and, by the default recipe, with a reaction: then
    coefficient and reaction are any functions of y, u = 0 at both ends, and the head of ground_state.py says how.  It
    is None for a TwoPhase, and for images in three dimensions or with time; images have no reaction.
    Raises ValueError or TypeError, before any work, for arguments that cannot be meant.

        import autograd.numpy as np

        a = lambda x, y: 2 + np.sin(2 * np.pi * y[:, 0]) * np.cos(2 * np.pi * y[:, 1])
        u = nhpinn.solve(a, lambda x: np.sin(x[:, 0]) + np.cos(x[:, 1]), box=[(0, 1), (0, 1)], eps=1 / 8)
        u([0.5, 0.5]), u.error
    """
    coefficient, rho = of_x_and_y(coefficient), of_x_and_y(rho)
    start, dim = time.perf_counter(), len(box) if isinstance(box, tuple | list) or np.ndim(box) else 0
    problem = Equation(coefficient, source, box, eps, period, reaction, initial, final_time, dim, None, boundary, rho)
    problem = checks.checked_equation(problem, recipe, tolerance, seed, values)
    checks.check_executor(executor, problem.coefficient)
    steps = STEPS if tolerance is None or takes_elements(problem, recipe) else tolerance
    if isinstance(problem.coefficient, Pixels | Phases):
        found = by_composite(problem, steps, seed, executor)
    elif recipe is None and has_ground_state(problem):
        found = by_ground_state(problem)
    else:
        found = by_expansion(problem, recipe or "fourier", steps, seed, executor)
    found = found if tolerance is None else within(found, tolerance)
    progress()
    warn_of_errors(found)
    return replace(found, seconds=time.perf_counter() - start)


def of_x_and_y(function):
    """A function that needs y alone, or a periodic table, as one of x and y; anything else as it is."""
    alone = function.periodic if isinstance(function, Table) else checks.needs_y_alone(function)
    return partial(at_y, function) if alone else function


def at_y(function, x, y):  # not a closure, so that it can be sent to another process
    return function(y)


def takes_elements(problem, recipe):
    """Whether a tolerance is met by finite elements, see refinement.py, or is that of the steps alone."""
    two = isinstance(problem.coefficient, Phases)
    return problem.reaction is None and problem.initial is None and problem.dim < 3 and recipe != "adam" and not two


def within(solution, tolerance):
    """The Solution with an error of at most a tolerance, or a warning."""
    if takes_elements(solution.problem, solution.recipe):
        progress("elements")
        return replace(solution, certificate=refined(solution.certificate, tolerance), tolerance=tolerance)
    if (error := solution.error) is None or error > tolerance:
        found = "no bound of the error" if error is None else f"a bound of the error of {error:.2g}"
        warn(
            f"tolerance: found {found}, expected {tolerance:g}, which is that of the steps alone here, cell problems "
            "and homogenized equation: elements that meet it are added in one and two dimensions, without time or a "
            "reaction, by recipes other than adam, not to a TwoPhase; a smaller eps has a smaller error"
        )
    return replace(solution, tolerance=tolerance)


def by_expansion(problem, recipe, tolerance, seed, executor):
    """The Solution for a coefficient that is smooth in y, by the three steps."""
    field, means, midpoints_an_axis = smooth_field(problem)
    count = None if problem.slow else bounds.fewest_points(field, problem.dim, means, midpoints_an_axis)
    mean_rho = None if problem.rho is None else cell_mean(problem, problem.rho, tolerance)
    if recipe == "adam":
        steps = adam_recipe(problem)
    elif recipe == "sharp":
        steps = sharp_recipe(tolerance, executor, mean_rho)
    else:
        steps = fourier_recipe(tolerance, executor, mean_rho, (means, midpoints_an_axis))
    correctors, coefficients, u0 = three_steps(problem, steps, seed, count)
    certificate = tensor_bounds = None
    if problem.reaction is None:
        progress("certificate")
        tensor_bounds = bounds.bounds_at(centre(problem.domain), correctors, field, means, midpoints_an_axis, tolerance)
        warn_of_means(coefficients.tensor(centre(problem.domain)[None])[0], tensor_bounds, tolerance)
        if problem.initial is None:
            finer = max(1, midpoints_an_axis // bounds.COARSEST[problem.dim])  # than usual, as what was looked at in y
            certificate = certificates.certificate(problem, correctors, coefficients, u0, finer)
        elif problem.dim == 1:
            certificate = solve_heat(problem, correctors, coefficients, u0, mean_rho)
    return Solution(problem, correctors, coefficients, u0, certificate, tensor_bounds, recipe)


def by_composite(problem, tolerance, seed, executor):
    """The Solution for an image or a TwoPhase, see composites.py."""
    progress("cell problems")
    image, x = isinstance(problem.coefficient, Pixels), centre(problem.domain)
    if image:
        middle, found, nodes = composites.solve_cells(problem, executor)
        correctors, coefficients = composites.correctors_of(found, nodes, problem.period)
        check_definite(problem.domain, coefficients)
    else:
        middle = homogenize(problem.coefficient.phases, problem.dim, period=problem.period, seed=seed)
        correctors, coefficients = composites.correctors_of_phases(middle, x, problem.period)
    rho = None if problem.rho is None else cell_mean(problem, problem.rho, tolerance)
    u0 = fourier_recipe(tolerance, rho=rho).equation(problem, coefficients, np.random.default_rng(seed))
    steps, certificate = (problem, correctors, coefficients, u0), None
    if problem.initial is None and ((image and problem.dim < 3) or problem.dim == 2):
        progress("certificate")
        if image:
            pieces = composites.pieces_of(found, nodes, problem.coefficient, problem.eps)
            certificate = certificates.certificate(*steps, pieces=pieces)
        else:
            pieces = composites.pieces_of_phases(problem.coefficient, middle.tensor, problem.eps)
            certificate = certificates.without_bar(*steps, pieces=pieces)
    found = bounds.Bounds(middle.lower, middle.tensor, middle.upper, middle.gap, middle.quadrature)
    return Solution(*steps, certificate, found, "fem" if image else middle.recipe)


def by_ground_state(problem):
    """The Solution of a reaction in one dimension, see ground_state.py."""
    smooth_field(problem)
    smooth_field(problem._replace(reaction=None))
    progress("ground state of the cell")
    found = solve_reaction(problem)
    state, x = found.state, centre(problem.domain)[None]
    N = state.N._replace(coefficients=state.N.coefficients[None, None])
    correctors = Correctors(N, one_node(1), x, problem.period)
    tensor = np.full((1, 1, 1), state.tensor / state.weight)
    coefficients = Coefficients(tensor, one_node(1), state.first_order)
    return Solution(problem, correctors, coefficients, found, found, None, "ground state")


def warn_of_errors(solution):
    """Warns where the expansion in eps has not begun to help."""
    problem, certificate = solution.problem, solution.certificate
    unknown = certificate is None or (isinstance(certificate, HeatSolution) and not certificate.error < 1)
    if problem.initial is not None and unknown:
        warn_of_time(solution)
    if certificate and certificate.error is not None and certificate.error >= 1:
        why = "eps is not small against the waves of source and coefficient, or u_0 is not resolved"
        if isinstance(certificate, ReactionSolution) and certificate.bound.error == np.inf:
            why = f"the reaction, mu = {certificate.state.mu:.6g}, outweighs diffusion, and no energy bounds the error"
        warn(f"error: found a bound of {certificate.error:.3g}, expected one below 1, the error of zero: {why}")
    if problem.reaction is not None and certificate is None:
        N = solution.correctors.cells(cell_quadrature(problem.dim, problem.period))[0]
        if (size := problem.eps * np.abs(N).max()) > 0.1:
            warn(
                f"reaction: eps N(x / eps) reaches {size:.2g}, expected at most 0.1: by that part of itself the "
                "solution oscillates, and the error may be as large; a smaller eps or a weaker reaction has less"
            )


def warn_of_means(tensor, bounds, tolerance):
    """Warns where the means of step 2 are others than those of the bounds, of more points."""
    miss = fem_cells.relative_size(tensor - bounds.tensor, bounds.tensor)
    if miss > max(tolerance, bounds.error):
        warn(
            f"coefficient: the homogenized tensor differs by {miss:.2g} from the middle of its bounds, which are "
            f"{bounds.error:.2g} apart, expected at most {tolerance:g}; it is steep within its cell"
        )


def smooth_field(problem):
    """What shows that a problem is smooth in y, a field on the unit cell: the coefficient at the centre of the box, or
    beside a reaction, where that is constant, 2 and more of the reaction.  -> the field, its means at scattered points,
    the midpoints an axis that resolve it, there and at some other x.  Raises ValueError if it jumps."""
    field = field_at(problem.coefficient, np.array(problem.period), centre(problem.domain))
    name, reaction = "coefficient" if problem.reaction is None else "reaction", problem.reaction
    if reaction:
        size = np.abs(reaction(cell_quadrature(problem.dim, problem.period))).max() or 1.0
        field = lambda y: 2 + reaction(y * np.array(problem.period)) / size  # noqa: E731
    some = np.random.default_rng(2).uniform(*np.transpose(problem.domain), (8 if problem.slow else 0, problem.dim))
    others = [field_at(problem.coefficient, np.array(problem.period), x) for x in some]
    try:
        means, count = bounds.means_and_midpoints(field, problem.dim)
        return field, means, max([count, *(bounds.means_and_midpoints(each, problem.dim)[1] for each in others)])
    except bounds.Unresolved as error:
        sentence = f"{name}: jumps in y, or varies too fast for any quadrature, expected a smooth one"
        instead = "; pass an image in its place, an array of its values, or a TwoPhase, which has no bar"
        raise ValueError(sentence + instead * (not reaction)) from error


NO_BAR = "a solution without a bar in the energy norm, as those with time, a reaction, a TwoPhase or an image in 3D"


@dataclass(frozen=True, eq=False, repr=False)
class Solution:
    """What `solve` returns: u itself, its gradient and flux, and how far they may be from those of the equation.

    Points x are (n, dim), or (dim,) for one, whose results lack the axis n; ValueError for points outside of the box.
    With time, t is one from 0 to the final time, or one a point; None: the final time.  Lengths are in units of the
    box, so are correctors; all else in those that coefficient and source imply.
    """

    problem: Equation
    correctors: Correctors
    coefficients: Coefficients
    u0: Callable  # as in Recipe: points, with time last -> value, gradient, second derivatives
    certificate: certificates.Certificate | HeatSolution | ReactionSolution | None
    bounds: bounds.Bounds | None  # of the homogenized tensor at the centre of the box
    recipe: str
    seconds: float = 0.0
    tolerance: float | None = None  # what was asked for

    @property
    def error(self):
        """Guaranteed bound of the relative error, in the norm that `solve` names; None where there is none."""
        return self.certificate and self.certificate.error

    def __call__(self, x, t=None):
        """u, by the expansion in eps, and with the elements that a tolerance has added: (n,)

        With time and without a bar, layers of a period take what oscillates to 0 on faces with values, so that u has
        them.
        """
        return checks.as_points(x, self._value_and_gradient(x, t)[0])

    def gradient(self, x, t=None):
        """d_i u, the derivatives of what solution(x) returns: (n, dim)"""
        return checks.as_points(x, self._value_and_gradient(x, t)[1])

    @usual_arithmetic
    def homogenized(self, x, t=None):
        """u_0, the limit of u for small eps: (n,)"""
        return checks.as_points(x, self.u0.value(self._points(x, t)))

    @usual_arithmetic
    def flux(self, x, t=None):
        """a grad u, with the sign of the gradient: (n, dim).

        That of the certificate, which balances the source, but without elements for the residual; where there is none,
        a times gradient.
        """
        points = self._points(x, t)
        if self.certificate:
            return checks.as_points(x, self.certificate.flux(points))
        inside, slope = points[:, : self.problem.dim], self._value_and_gradient(x, t)[1]
        return checks.as_points(x, np.einsum("nij,nj->ni", certificates.fine_tensor(self.problem, inside), slope))

    @usual_arithmetic
    def flow(self, axis, side):
        """Lower and upper bound of the integral of n . a grad u over a face, side 0 at the low end of the axis, 1 at
        the high one, with the sign of Flux: what flows in.  See flow.py.

        As close as the square of the bar between two faces with a number each, where no heat comes from elsewhere; in
        general as the bar; (-inf, inf) for a face that meets another one where u is known.
        """
        if not has_bar(self.certificate):
            raise ValueError(f"flow: found {NO_BAR}, expected one with a bar, as of an image in place of a TwoPhase")
        check_integer("axis", axis, 0, self.problem.dim - 1)
        check_integer("side", side, 0, 1)
        return flow(self.certificate, axis, side)

    def tensor(self, x):
        """The homogenized tensor a*_ij(x): (n, dim, dim)"""
        return checks.as_points(x, self.coefficients.tensor(self._inside(x)))

    def corrector(self, x, y):
        """chi_j(x, y), or N(y) beside a reaction, as many points y as x, anywhere: (n, dim), or (n, 1).

        u is about u_0 + eps chi_j(x, x / eps) d_j u_0; chi_j is periodic in y, with mean zero, in units of y.
        """
        inside, cell = self._inside(x), checks.checked_points("y", y, self.problem.dim)
        if len(inside) != len(cell):
            raise ValueError(f"y: found {len(cell)} points, expected as many as x, {len(inside)}")
        return checks.as_points(x, self.correctors.expansion(inside, cell)[0].T)

    def _inside(self, x):
        x, (low, high) = checks.checked_points("x", x, self.problem.dim), np.transpose(self.problem.domain)
        rounding = 1e-12 * (high - low) + 1e-15 * np.maximum(np.abs(low), np.abs(high))
        if not len(x):
            raise ValueError("x: found no points, expected one at least")
        if np.any((x < low - rounding) | (x > high + rounding)):
            raise ValueError(f"x: found points outside of the box {self.problem.domain}, expected them inside")
        return np.clip(x, low, high)

    def _points(self, x, t):
        x, final = self._inside(x), self.problem.final_time
        if self.problem.initial is None:
            if t is not None:
                raise ValueError(f"t: found {shown(t)}, expected none, since there is no time")
            return x
        try:
            time = np.asarray(final if t is None else t, dtype=float)
        except (TypeError, ValueError):
            time = np.array(np.nan)
        if time.shape not in ((), x.shape[:1]) or not np.all((time >= 0) & (time <= final)):
            raise ValueError(f"t: found {shown(t)}, expected a time from 0 to {final:g}, or one a point")
        return np.column_stack([x, np.broadcast_to(time, len(x))])

    @usual_arithmetic
    def _value_and_gradient(self, x, t):
        points = self._points(x, t)
        if self.certificate:
            return self.certificate.reconstruction(points)
        if self.problem.initial is None:
            return self._expansion(points)[1]
        value, slope = self.u0.value_and_gradient(points)
        rest, rest_slope = without_faces(self._oscillation, self.problem)(points)
        return value + rest, slope[:, : self.problem.dim] + rest_slope

    def _expansion(self, points):
        """u_0 and u_0 with its correctors: value and gradient of each."""
        d = self.problem.dim
        (value, slope, second), x = self.u0(points), points[:, :d]
        expansion = self.correctors.expansion(x, x / self.problem.eps)
        expanded = reconstruct(self.problem, value, slope[:, :d], second[:, :d, :d], expansion)
        return (value, slope[:, :d]), expanded

    def _oscillation(self, points):
        homogenized, expanded = self._expansion(points)
        return tuple(u - v for u, v in zip(expanded, homogenized, strict=True))

    def __str__(self):
        p, c, x = self.problem, self.certificate, centre(self.problem.domain)
        count = len(self.correctors.nodes) * (p.dim if p.reaction is None else 1)
        tensor = lines_of(self.tensor(x[None])[0], " " * 16)
        text = f"solution by {self.recipe} in {self.seconds:.1f} s, eps = {p.eps:g}, cell problems: {count}"
        text += f"\ntensor          {tensor}  at {x}"
        if self.bounds:
            text += f"\nits bounds      {self.bounds.error:.2g} apart, relative, quadrature included"
        if p.initial is not None:
            text += f"\nfinal time      {p.final_time:g}, that of u(x) without t"
        if p.reaction is not None:
            text += f"\nreaction r*     {self.coefficients.reaction:.8g}"
        if isinstance(c, ReactionSolution):
            text += f"\nreaction mu     {c.state.mu:.8g}, of the ground state, to which r* is the first order in eps"
        if self.tolerance is not None and not takes_elements(p, self.recipe):
            text += f"\ntolerance       {self.tolerance:g}, of the steps alone"
        if isinstance(c, certificates.Certificate):
            text += f"\nresidual        {c.residual:.2g} of the source, in the homogenized equation"
        if c is None or c.error is None:
            return text + f"\nrelative error  unknown: there is no bound for {without_certificate(p)}"
        final = ", at the final time" if isinstance(c, ReactionSolution) and p.initial else ""
        if isinstance(c, certificates.Certificate) and c.scales.elements:
            final = f", with finite elements of {c.scales.elements.values.size:,} unknowns added"
        return text + f"\nrelative error  at most {c.error:.3g} in {c.norm_of_error}{final}"

    __repr__ = __str__

    def save(self, file):
        """To an .npz of arrays and settings, for nhpinn.load: what is loaded evaluates, without its equation."""
        files.save(self, file)

    @usual_arithmetic
    def to_vtk(self, file, count=None, window=None, t=None):
        """u, homogenized, gradient and flux on a uniform grid, as a file of VTK, whose name ends with .vti.

        count: points an axis; None: 16 a period, at most 1,000 in two dimensions, 100 in three.  window: ((low, high),
        ...) inside the box; None: all of it.
        """
        pictures.write_vtk(self, file, count, window, t)

    @usual_arithmetic
    def plot(self, count=None, t=None):
        """A figure of u, of its difference from the homogenized solution, of the size of the flux, and of the size of
        the gradient in a few periods; in three dimensions on the middle plane of the third axis.

        count: points an axis.  Raises ImportError where there is no matplotlib.
        """
        return pictures.figure_of_solution(self, count, t)


def without_certificate(problem):
    """What there is no bound of the error for."""
    two, image = (isinstance(problem.coefficient, kind) for kind in (Phases, Pixels))
    if problem.initial is None and (two or image):
        return "a TwoPhase" if two else "images in three dimensions"
    what, where = (
        "time" if problem.initial is not None else "a reaction",
        "in this recipe" if problem.dim == 1 else "in two and three dimensions",
    )
    return f"{what} with {'a TwoPhase' if two else 'an image'}" if two or image else f"{what} {where}"


def has_bar(certificate):
    """Whether there is a bar in the energy norm."""
    return isinstance(certificate, certificates.Certificate) and certificate.error is not None


@says_what_it_takes
@usual_arithmetic
def certify(solution: Solution, value: Callable, gradient: Callable) -> tuple[float, float]:
    """Two-sided bounds of the relative energy error of any other candidate for the same equation: lower, upper.

    value(x) -> (n,), gradient(x) -> (n, dim); the candidate need not have the values on the faces.  Raises ValueError
    or TypeError for a solution without a certificate, and for a gradient that is not that of value.

        lower, upper = nhpinn.certify(u, lambda x: network(x), lambda x: its_gradient(x))
    """
    if not isinstance(solution, Solution):
        raise TypeError(f"solution: found {type(solution).__name__}, expected what `solve` returned")
    if not has_bar(solution.certificate):
        raise ValueError(f"solution: found {NO_BAR}, expected one with a bar")
    if solution.certificate.norm[1] == 0:
        raise ValueError("solution: found one that is zero, expected one whose norm an error can be relative to")
    value, gradient = partial(checked_values, "value", value), partial(checks.checked_gradient, gradient)
    checks.check_gradient(value, gradient, solution.problem)
    return certificates.certify(solution.certificate, value, gradient)
