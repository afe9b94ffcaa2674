"""To change one thing: another optimizer, another activation, another term in the equation.

    train=   whatever minimises a loss: scipy's L-BFGS in the place of Adam
    jet=     whatever evaluates a network and its derivatives: the plain one takes any activation, the sine here
    a term   coefficients of an equation are a function: advection, -(a* u')' + b u' = f, changes those of u'

Run: python examples/change_it.py [picture.png]
"""

import sys
from functools import partial

import autograd.numpy as np
from autograd import value_and_grad
from scipy.optimize import minimize

import nhpinn
from nhpinn_networks import flatten, plain_jet, unflatten
from problems import PROBLEMS

CELL = nhpinn.Training((12, 12), 31, (0.02, 0.49, 0.49), rate=1.0, epochs=300, oversampling=2)
SOLUTION, B = nhpinn.Training((12, 12), 31, (0.5, 0.5, 0), rate=1.0, epochs=300), 1.0  # L-BFGS needs no rate


def lbfgs(name, loss, params, training, rng):
    """In the place of nhpinn.train; epochs: iterations at most."""

    def value_and_vector(x):
        value, gradient = value_and_grad(loss)(unflatten(x, params))
        return value, flatten(gradient)

    options = {"maxiter": training.epochs, "ftol": 1e-15, "gtol": 1e-9}
    found = minimize(value_and_vector, flatten(params), jac=True, method="L-BFGS-B", options=options)
    return unflatten(found.x, params)


def with_advection(k, b, x):
    """-k u'' + b u' = sin x on [0, pi], u = 0 at the ends."""
    A, C = k / (k**2 + b**2), -b / (k**2 + b**2)
    D = 2 * C / np.expm1(b * np.pi / k)
    return A * np.sin(x) + C * (np.cos(x) - 1) + D * np.expm1(b * x / k)


if __name__ == "__main__":
    problem, sine = PROBLEMS["const1d"], partial(plain_jet, activation=np.sin)
    _, coefficients, u0 = nhpinn.nh_pinn(problem, CELL, SOLUTION, 0, train=lbfgs, jet=sine)
    a, _, c = coefficients.at(np.zeros((1, 1)))  # constant; the residual is a_ij d_ij u + b_j d_j u - c u + f
    changed = lambda x: (np.tile(a, (len(x), 1, 1)), np.full(x.shape, -B), c)  # noqa: E731
    u = nhpinn.solve_equation(problem, changed, SOLUTION, np.random.default_rng(1), train=lbfgs, jet=sine)
    x, k = np.linspace(0, np.pi, 101), 3.75**0.5
    found, exact = [v.value(x[:, None]) for v in (u0, u)], [np.sin(x) / k, with_advection(k, B, x)]
    errors = [np.linalg.norm(v - w) / np.linalg.norm(w) for v, w in zip(found, exact, strict=True)]
    print(f"errors of u_0 {errors[0]:.1e}, with advection {errors[1]:.1e}")
    assert max(errors) < 0.01
    if sys.argv[1:]:
        import matplotlib.pyplot as plt

        plt.plot(x, np.transpose(found), label=["homogenized", "with advection"])
        plt.savefig(sys.argv[1], dpi=120)
