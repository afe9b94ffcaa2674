"""What engineers bring in: coefficients, microstructures and equations of their own.

    homogenize, homogenize_at, TwoPhase     a tensor with bounds on both sides        homogenization.py, phases.py
    table                                   a coefficient from values on a grid       tables.py
    tortuosity                              of a sample of pores, with bounds         tortuosity.py, pores.py
    solve, certify                          a solution with an error bar              solutions.py, certificates.py
    load                                    a result from a file of its `save`        files.py

All of it is found as `nhpinn.homogenize` and so on, too.
"""

from nhpinn_tools.files import load
from nhpinn_tools.homogenization import Homogenized, homogenize, homogenize_at
from nhpinn_tools.phases import TwoPhase
from nhpinn_tools.solutions import Solution, certify, solve
from nhpinn_tools.tables import Table, table
from nhpinn_tools.tortuosity import Tortuosity, tortuosity

__all__ = ["Homogenized", "Solution", "Table", "Tortuosity", "TwoPhase", "certify", "homogenize", "homogenize_at",
           "load", "solve", "table", "tortuosity"]  # fmt: skip
