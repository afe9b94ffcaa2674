"""A problem of one's own, with everything that is done for the paper's:

    python run_all.py --problem examples/problem_file.py

    -div( a(x/eps) grad u ) = 1 on the rectangle [0, 2] x [0, 1],  u = 0 on its boundary,
    a layered along a slanted direction: 3 + 2 sin(2 pi (y1 + y2)), eps = 1/8

The equation is enough; boundary=[(100, 20), (nhpinn.Flux(0), nhpinn.Flux(0))] would be another one on the faces, and
initial=, a function of x, a problem in time.  `fast` is the same with a few settings that replace ours: fewer epochs
for the cell problems.
"""

import autograd.numpy as np

from problems import Problem, experiment

slanted = Problem(
    name="slanted",
    title="slanted layers on a rectangle",
    dim=2,
    domain=((0.0, 2.0), (0.0, 1.0)),
    eps=1 / 8,
    coefficient=lambda x, y: 3 + 2 * np.sin(2 * np.pi * (y[:, 0] + y[:, 1])),
    source=lambda x: 1.0 + 0 * x[:, 0],
)
fast = experiment(slanted._replace(name="fast", title="the same, trained less"), cell={"epochs": 1000}, test_points=51)
