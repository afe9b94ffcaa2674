"""Trainings of the laboratory: recorded, resumed with the same bits, cheaper; and differentiated by autograd."""

import autograd.core
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nhpinn
import nhpinn_networks as nets
from lab import training
from problems import PROBLEMS

CELL = nhpinn.Training((8, 8), 9, (0.1, 0.45, 0.45), 1e-2, 12, oversampling=2)
OPTIONS = training.Options(batch=30, every=5)


def solve_cells(options=OPTIONS, errors=None, checkpoint=training.NO_CHECKPOINT, epochs=12, seed=0):
    """The parameters and the History of a training of elliptic2d."""
    histories, problem = {}, PROBLEMS["elliptic2d"]
    train = training.recorder(options, {"cell": errors}, histories, lambda name: checkpoint)
    correctors = nhpinn.solve_cells(
        problem, CELL._replace(epochs=epochs), np.random.default_rng(seed), np.zeros((1, 2)), train
    )
    return nets.flatten(correctors.cells.params), histories["cell"]


class Killed(Exception):
    pass


@given(st.integers(0, 11), st.sampled_from(["float32", "float64"]), st.sampled_from([None, 30]))
@settings(max_examples=10)
def test_interrupted_and_continued_a_training_gives_the_same_bits(at, dtype, batch):
    options, kept = OPTIONS._replace(dtype=dtype, batch=batch), []

    def save(state, finished):
        kept.append(
            state | {"history": {name: list(v) if isinstance(v, list) else v for name, v in state["history"].items()}}
        )
        if state["epoch"] == at and not finished:
            raise Killed

    params, history = solve_cells(options)
    try:
        solve_cells(options, checkpoint=training.Checkpoint(lambda start: start, save))
    except Killed:
        assert kept[-1]["vector"].dtype == kept[-1]["m"].dtype == kept[-1]["v"].dtype == dtype
    resumed, again = solve_cells(options, checkpoint=training.Checkpoint(lambda start: kept[-1], lambda *_: None))
    np.testing.assert_array_equal(resumed, params)
    assert again._replace(seconds=[]) == history._replace(seconds=[])
    finished = training.Checkpoint(
        lambda start: {**start, **kept[-1], "epoch": 12}, lambda *_: pytest.fail("it goes on")
    )
    solve_cells(options, checkpoint=finished)


def test_errors_are_recorded_at_the_parameters_that_had_the_loss():
    seen = []

    def errors(params):
        seen.append(nets.flatten(params))
        return {"first": seen[-1][0]}

    params, history = solve_cells(OPTIONS._replace(dtype="float64"), errors)
    assert history.epochs == [0, 5, 10, 12] and history.errors == {"first": [float(vector[0]) for vector in seen]}
    np.testing.assert_array_equal(seen[-1], params)
    np.testing.assert_array_equal(seen[1], solve_cells(OPTIONS._replace(dtype="float64"), errors, epochs=5)[0])


def test_autograd_differentiates_the_losses(monkeypatch):
    """Its VJP of the network runs once for every term and epoch."""
    registry, calls = autograd.core.primitive_vjps, []
    vjp = registry[nets._network_jet]
    monkeypatch.setitem(registry, nets._network_jet, lambda *arguments: calls.append(1) or vjp(*arguments))
    solve_cells()
    assert len(calls) == 2 * CELL.epochs


def test_a_random_part_of_the_points_keeps_the_expectation_of_the_loss():
    problem = PROBLEMS["elliptic2d"]
    loss = nhpinn.equation_loss(problem, nhpinn.multiscale(problem), CELL._replace(points=21, weights=(0.5, 0.5, 0)))
    params, rng = nets.init_network((2, 8, 1), np.random.default_rng(0)), np.random.default_rng(1)
    parts = [training.random_part(loss, 100, rng) for _ in range(400)]
    assert [len(term.weight) for term in parts[0].terms] == [100, len(loss.terms[1].weight)]
    values = [part(params) for part in parts]
    assert abs(np.mean(values) - loss(params)) < 4 * np.std(values) / 20


def test_errors_are_averaged_over_the_last_epochs():
    history = training.History(list(range(0, 101, 10)), [0.0] * 11, [0.0] * 11, {"e": [float(i) for i in range(11)]})
    for average, mean in ((30, np.mean([8, 9, 10])), (1, 10)):
        assert training.final_averages(history, training.Options(average=average)) == {"e": mean}


@pytest.mark.parametrize("change", [{"average": 0}, {"every": 0}, {"batch": 0}, {"dtype": "float16"}, {"batch": 2.5}])
def test_options_that_cannot_be_meant_are_named(change):
    with pytest.raises(ValueError, match=next(iter(change)) + ": found"):
        solve_cells(OPTIONS._replace(**change))
