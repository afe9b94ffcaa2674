"""The method in plain autograd: const1d, section 2.1, losses written out, on 51 points; nhpinn.py has it fast.
    -(a(x/eps) u')' = sin x  on [0, pi],  u = 0 at the ends,   a(y) = 0.5 sin(2 pi y) + 2,   eps = 1/8
Run: python examples/the_method.py [picture.png]
"""

import sys
from functools import partial

import autograd.numpy as np
from autograd import elementwise_grad as d

from nhpinn import Training, train
from nhpinn_networks import init_network, plain_network

EPS, (w1, w2, w3), h = 1 / 8, (0.02, 0.49, 0.49), 1 / 50
x, y = np.linspace(0, np.pi, 51)[:, None], np.linspace(0, 1, 51)[:, None]  # collocation points
face = np.array([[0.0], [-h], [h], [-2 * h], [2 * h]])  # the face y = 0, and two oversampling layers on both sides


def a(y):
    return 0.5 * np.sin(2 * np.pi * y) + 2


def cell_loss(params):
    """Eq. (12) for (a (chi' + 1))' = 0, eq. (9), and chi(y) = chi(y + 1)."""
    chi = lambda y: plain_network(params, y)[:, None]  # noqa: E731
    residual = d(lambda y: a(y) * (d(chi)(y) + 1))(y)
    jumps = (chi(face) - chi(face + 1)) ** 2
    return w1 * np.mean(residual**2) + w2 * jumps[0, 0] + 2 * w3 * np.mean(jumps[1:])


def equation_loss(k, params):
    """Eq. (3) for -(k u')' = sin x and u = 0 at the ends."""
    u = lambda x: plain_network(params, x)[:, None]  # noqa: E731
    residual = -d(lambda x: k(x) * d(u)(x))(x[1:-1]) - np.sin(x[1:-1])  # L(F) - f, at inner points
    return 0.5 * np.mean(residual**2) + 0.5 * np.mean(u(x[[0, -1]]) ** 2)


def trained(loss):
    rng, settings = np.random.default_rng(0), Training((24, 24), 51, (w1, w2, w3), 1e-2, epochs=800, decay=0.02)
    return train("", loss, init_network((1, 24, 24, 1), rng), settings, rng)


if __name__ == "__main__":
    chi, middle = trained(cell_loss), y[:-1] + h / 2  # step 1
    a_star = np.mean(a(middle) * (1 + d(lambda y: plain_network(chi, y)[:, None])(middle)))  # step 2
    u0 = plain_network(trained(partial(equation_loss, lambda x: a_star)), x)  # step 3
    classical = plain_network(trained(partial(equation_loss, lambda x: a(x / EPS))), x)
    z = np.linspace(0, np.pi, 20_001)  # the fine solution: a u' = cos x + c, integrated
    one, cosine = (np.append(0, np.cumsum(g[1:] + g[:-1])) for g in np.stack([1 + 0 * z, np.cos(z)]) / a(z / EPS))
    u = np.interp(x[:, 0], z, z[1] / 2 * (cosine - one * cosine[-1] / one[-1]))
    errors = [np.linalg.norm(v - u) / np.linalg.norm(u) for v in (u0, classical)]
    print(f"a* {a_star:.4f}, exact {3.75**0.5:.4f}; errors: NH-PINN {errors[0]:.3f}, classical PINN {errors[1]:.3f}")
    assert abs(a_star - 3.75**0.5) < 0.01 and errors[0] < 0.02 and errors[1] > 0.9
    if sys.argv[1:]:
        import matplotlib.pyplot as plt

        plt.plot(x, np.stack([u, u0, classical], axis=1), label=["fine solution", "NH-PINN", "classical PINN"])
        plt.legend()
        plt.savefig(sys.argv[1], dpi=120)
