"""Runs that are killed, continued, spread out or damaged give the same numbers, or say what is wrong."""

import ctypes
import errno
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nhpinn
from lab import command, files, runner, tasks, training, verify
from lab.settings import Task
from nhpinn_networks import Loss, equation_term, flatten, init_network, network, value_term
from problems import EXPERIMENTS

ROOT = Path(__file__).parents[2]
TASK = Task("const1d", "adam", 0, "smoke")

# A run_all.py with other constants; spawned processes read it, too.
SCRIPT = f"""
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from lab import command, experiments, runner, settings, tasks
{{}}
if __name__ == "__main__":
    import run_all
    sys.argv[1:1] = ["--budget", "smoke", "--only", "const1d", "--no-figures"]
    run_all.run()  # as a run ends: a Ctrl-C that comes while Python shuts down is ignored
"""
QUICK_SAVES = "runner.SAVE_EVERY = 0.05"


def longer(epochs):
    """Source that makes the budget `smoke` as long as this part of the paper's epochs, with random points."""
    return f'settings.BUDGETS["smoke"] = settings.BUDGETS["smoke"]._replace(epochs={epochs}, batch=32)'


def test_checkpoints_have_names_that_every_system_takes(tmp_path):
    path = files.checkpoint_path(tmp_path / "task", "derivatives * h")
    files.save_state(path, {}, [0, 0], ["", ""])
    assert path.name == "task-derivatives x h.npz"
    files.remove_checkpoints(tmp_path / "task")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_cluster_says_nothing_of_processes_here(monkeypatch, capsys):
    monkeypatch.setattr(runner, "connect_dask", lambda address: InThisProcess())
    with pytest.raises(KeyboardInterrupt), runner.executors_for("dask:there", 1, 1):
        raise KeyboardInterrupt
    assert not capsys.readouterr().err


def script(folder, *lines):
    path = folder / "script.py"
    path.write_text(SCRIPT.format("\n".join(lines)))
    return path


def start(path, *arguments):
    """A run in a process group of its own."""
    command = [sys.executable, str(path), *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=path.parent
    )


def finish(process, timeout=120):
    out, err = process.communicate(timeout=timeout)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def group_is_gone(process):
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def planned(seeds, budget):
    """The number of tasks of const1d without studies."""
    methods = [name for name, method in tasks.METHODS.items() if not method.study]
    return len(tasks.plan({"const1d": EXPERIMENTS["const1d"]}, methods, seeds, budget))


def numbers(folder):
    """Everything in the results of a folder but how they were made."""
    return {path.name: verify.repeatable(files.read(path)) for path in (folder / "tasks").glob("*.json")}


class InThisProcess(ProcessPoolExecutor):
    """An executor that runs tasks where monkeypatched data can be seen; what it is given can be sent all the same."""

    def __init__(self):
        super().__init__(1)

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*pickle.loads(pickle.dumps(arguments))))
        return future


@pytest.fixture
def in_this_process(monkeypatch):
    monkeypatch.setattr(runner, "new_process", InThisProcess)


# --- Resume ----------------------------------------------------------------------------------------


class Killed(Exception):
    pass


def small_training(seed, batches, checkpoint):
    """Parameters and History of a training of 12 epochs, on random points or on all."""
    rng, y = np.random.default_rng(seed), np.linspace(0, 1, 20)[:, None]
    ones, zeros = np.ones((20, 1, 1)), np.zeros((20, 1))
    known = value_term(y[[0, -1]], np.zeros(2), np.full(2, 0.25))
    loss = Loss((equation_term(y, ones, zeros, 0.0, np.sin(y[:, 0]), 0.5), known))
    settings = nhpinn.Training((5,), 20, (0.5, 0.5), 0.01, 12, decay=0.1)
    options = training.Options(batch=7 if batches else None, every=3)
    errors = lambda params: {"size": np.abs(network(params, y)).max()}  # noqa: E731
    start = init_network((1, 5, 1), rng)
    params, history = training.run(loss, start, settings, options, rng, errors, checkpoint)
    return flatten(params), history._replace(seconds=[])


@given(stops=st.lists(st.integers(1, 13), max_size=4), random=st.booleans(), seed=st.integers(0, 99))
def test_a_training_interrupted_anywhere_ends_with_the_same_bits(stops, random, seed, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "state.npz"

    def killed_at(stop):
        calls = 0

        def save(state, finished):
            nonlocal calls
            calls += 1
            files.save_state(path, state, [0.0, 0.0], ["test", "source"])
            if calls == stop:
                raise Killed

        load = lambda begin: (files.load_state(path, begin, ["test", "source"]) or [begin])[0]  # noqa: E731
        return training.Checkpoint(load, save)

    for stop in stops:
        with suppress(Killed):
            small_training(seed, random, killed_at(stop))
    whole, record = small_training(seed, random, training.NO_CHECKPOINT)
    again, same = small_training(seed, random, killed_at(None))
    assert whole.tobytes() == again.tobytes() and record == same


def run_whole(path, out, *arguments):
    code, _, errors = finish(start(path, "--out", out, *arguments), 900)
    assert (code, errors) == (0, "")


def run_killed(path, out, kills, rng, *arguments):
    """Run, kill and run again, until `kills` random moments have met a living run; then let it finish."""
    met = 0
    while met < kills:
        process = start(path, "--out", out, *arguments)
        if not met % 2:  # a moment in which trainings are under way, else one at any time
            wait_for(lambda p=process: p.poll() is not None or list(out.glob("checkpoints/*.npz")))
        time.sleep(rng.uniform(0, 1.5))
        assert process.poll() in (None, 0)
        met += process.poll() is None
        if rng.random() < 0.5:
            process.kill()  # the main process alone: the others notice
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        wait_for(lambda p=process: group_is_gone(p))
    run_whole(path, out, *arguments)
    assert not list(out.glob("**/*.npz")) and not list(out.glob("**/.*.part"))
    assert any(files.read(path)["continued"] for path in (out / "tasks").glob("*.json"))


@pytest.mark.slow
def test_runs_killed_at_random_moments_end_with_the_same_bits(tmp_path):
    path, trainings = script(tmp_path, longer(0.1), QUICK_SAVES), ("--methods", "adam", "classical")
    run_killed(path, tmp_path / "killed", 1, random.Random(0), *trainings)
    run_whole(path, tmp_path / "whole", *trainings)
    assert numbers(tmp_path / "killed") == numbers(tmp_path / "whole")


@pytest.mark.slow
def test_runs_killed_sixty_times_end_with_the_same_bits(tmp_path):
    path = script(tmp_path, longer(0.5), QUICK_SAVES)
    run_whole(path, tmp_path / "whole", "--seeds", 2)
    for seed in range(5):
        out = tmp_path / f"killed{seed}"
        run_killed(path, out, 12, random.Random(seed), "--seeds", 2)
        assert numbers(out) == numbers(tmp_path / "whole")


@pytest.mark.slow
def test_ctrl_c_ends_a_run_cleanly_at_any_moment(tmp_path):
    """Ctrl-C on a terminal reaches every process of the group."""
    rng, codes = random.Random(0), set()
    for _ in range(30):
        process = start(ROOT / "run_all.py", "--budget", "smoke", "--only", "const1d", "--fresh", "--out", tmp_path)
        time.sleep(rng.uniform(0.3, 4))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        codes.add(finish(process, 60)[0])
        wait_for(lambda p=process: group_is_gone(p), 30)
    assert 130 in codes and codes <= {0, 130}


def test_ctrl_c_saves_says_how_to_go_on_and_leaves_no_process(tmp_path):
    path = script(tmp_path, longer(5))
    process = start(path, "--out", "out", "--fresh", "--methods", "fem", "adam", "classical")
    process.stdout.readline()  # one task has ended
    wait_for(lambda: list(tmp_path.glob("out/checkpoints/.*.progress.part")))  # and a process is training
    process.send_signal(signal.SIGINT)
    code, _, errors = finish(process, 60)
    assert code == 130 and "python run_all.py --budget smoke --only const1d --no-figures --out out " in errors
    assert list(tmp_path.glob("out/checkpoints/*.npz"))  # saved long before the 15 seconds
    wait_for(lambda: group_is_gone(process), 30)
    assert list(tmp_path.glob("out/tasks/*.json"))


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait(tmp_path):
    """A task outside its trainings does not hear that it is asked to end."""
    path = script(tmp_path, "experiments.fine_solution = lambda *_: time.sleep(60)", "runner.PATIENCE = 40")
    process = start(path, "--out", "out")
    wait_for(lambda: list(tmp_path.glob("out/checkpoints")), 30)
    time.sleep(3)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    code, _, errors = finish(process, 60)
    assert code == 130 and "interrupted" in errors and time.monotonic() - begin < 20
    wait_for(lambda: group_is_gone(process), 30)


QUICK = ["--budget", "smoke", "--only", "const1d", "--no-figures", "--methods", "fem", "adam", "classical"]
FEM = ["--budget", "smoke", "--only", "const1d", "--methods", "fem", "--no-figures"]


def test_fresh_starts_over(tmp_path, in_this_process, monkeypatch):
    ran = []
    counted = tasks.METHODS["fem"]._replace(run=lambda *_: ran.append(0) or {"recipe": "fem", "quantities": {}})
    monkeypatch.setitem(tasks.METHODS, "fem", counted)
    name = tasks.name_of(tasks.setup(TASK._replace(method="fem"), EXPERIMENTS["const1d"]))
    checkpoint = tmp_path / "checkpoints" / f"{name}-cell.npz"
    for arguments in ([], [], ["--fresh"], ["--fresh"]):
        files.write(checkpoint, "")
        assert command.main([*FEM, "--out", str(tmp_path), *arguments]) == 0
        assert not checkpoint.exists()
    assert len(ran) == 3
    assert len(list(tmp_path.glob("tasks/*.json"))) == 1 and len(list(tmp_path.glob("tasks/replaced/*"))) == 2


def test_a_checkpoint_of_another_source_is_not_continued(tmp_path, monkeypatch, capsys):
    def epochs_run():
        steps, (load, save) = [], runner.keep_at(tmp_path / "stem", [], lambda: [0, 0], threading.Event(), len)("cell")
        keep = training.Checkpoint(load, lambda state, finished: steps.append(0) or save(state, finished))
        small_training(0, False, keep)
        return len(steps)

    assert (epochs_run(), epochs_run()) == (12, 0)
    monkeypatch.setattr(runner, "SOURCE", "another")
    assert epochs_run() == 12
    assert "made by another source" in capsys.readouterr().err


def test_every_module_that_makes_a_number_is_part_of_the_name_of_the_source():
    others = {
        "__init__",
        "tasks",
        "own",
        "files",
        "runner",
        "command",
        "tables",
        "panels",
        "figures",
        "report",
        "claims",
        "published",
        "overview",
        "progress",
        "verify",
    }
    inside = {f"lab.{path.stem}" for path in (ROOT / "lab").glob("*.py") if path.stem not in others}
    ours = {path.stem for path in ROOT.glob("*.py")} - {"run_all"}
    ours |= {f"nhpinn_tools.{path.stem}" for path in ROOT.glob("nhpinn_tools/*.py")} - {"nhpinn_tools.__init__"}
    assert {module.__name__ for module in runner.COMPUTING} == inside | ours


def threads_of_blas():
    """What numpy's own library says in the process that runs this; 0 where it cannot be asked."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "openblas" in line and (path := line.split()[-1]).startswith("/"):
            for name in ("scipy_openblas_get_num_threads64_", "openblas_get_num_threads"):
                with suppress(AttributeError, OSError):
                    return getattr(ctypes.CDLL(path), name)()
    return 0


def test_the_order_of_imports_does_not_decide_on_the_threads(monkeypatch):
    """numpy is loaded here, and the environment asks for two: a process for tasks has one all the same."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    with runner.new_process() as executor:
        assert executor.submit(os.getenv, "OPENBLAS_NUM_THREADS").result() == "1"
        assert executor.submit(threads_of_blas).result() in (0, 1)


# --- Failures --------------------------------------------------------------------------------------

MORTAL = """
def method(setup, checkpoints):
    task = setup.task
    time.sleep(0.2)
    mark = Path(f"died-{task.seed}")
    dies = task.seed == 1 or (task.seed == 2 and not mark.exists())
    if task.method == "classical" and dies and "IMMORTAL" not in os.environ:
        mark.touch()
        os.kill(os.getpid(), 9)
    return {"recipe": "adam", "quantities": {"e1": float(task.seed)}}

for name, each in tasks.METHODS.items():
    tasks.METHODS[name] = each._replace(run=method)
"""


@pytest.mark.slow
def test_a_process_that_dies_fails_its_task_alone(tmp_path, monkeypatch):
    """Seed 1 kills its process every time, seed 2 once."""
    arguments = ["--seeds", 3, "--jobs", 2, "--out", "out"]
    code, out, errors = finish(start(script(tmp_path, MORTAL), *arguments))
    assert code == 1 and errors.count("failed: ") == 1
    assert "failed: const1d classical seed 1: its process died, twice: killed, or out of memory" in errors
    assert "- const1d classical seed 1: its process died" in (tmp_path / "out" / "tables.md").read_text()
    total = planned(range(3), "smoke")
    assert len(list(tmp_path.glob("out/tasks/*.json"))) == total - 1
    monkeypatch.setenv("IMMORTAL", "1")
    code, out, errors = finish(start(script(tmp_path, MORTAL), *arguments))
    assert (code, errors) == (0, "") and f"{total - 1} of {total} results are in" in out
    assert [line for line in out.splitlines() if line.startswith("[")] == [
        f"[{total}/{total}] const1d classical seed 1: 0.2 s"
    ]


def full(part):
    """os.replace of a disk that is full for files whose name contains `part`."""

    def replace(source, target, real=os.replace):
        if part in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        real(source, target)

    return replace


def test_a_full_disk_loses_nothing_that_was_written(tmp_path, in_this_process, monkeypatch, capsys):
    arguments = [*QUICK, "--out", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", full("classical"))
        assert command.main(arguments) == 1
    errors = capsys.readouterr().err
    assert "error: No space left on device: " in errors and "no checkpoint: " in errors
    kept = numbers(tmp_path)
    assert {name.split("-")[1] for name in kept} >= {"adam", "fem"}
    assert command.main(arguments) == 0
    assert numbers(tmp_path).items() > kept.items() and not list(tmp_path.glob("**/*.part"))


def test_checkpoints_that_cannot_be_written_change_no_number(tmp_path, in_this_process, monkeypatch):
    monkeypatch.setattr(files.os, "replace", full(".npz"))
    monkeypatch.setattr(runner, "SAVE_EVERY", 0)
    results = [
        json.loads(json.dumps(runner.run_task(TASK, stem), default=files.plain_data))
        for stem in (None, tmp_path / "stem")
    ]
    assert verify.compared(TASK, *results)[0] == verify.SAME


def test_a_folder_that_cannot_be_written_is_refused(capsys):
    for out in ("/dev/null/results", "/proc/results", "x" * 300, "a\0b"):
        with pytest.raises(SystemExit) as stopped:
            command.main(["--budget", "smoke", "--only", "const1d", "--out", out])
        assert stopped.value.code == 2 and "error: --out: cannot write to" in capsys.readouterr().err


def test_two_runs_in_one_folder_at_once_are_one_too_many(tmp_path, capsys):
    arguments = ["--budget", "smoke", "--only", "const1d", "--no-figures", "--out", str(tmp_path)]
    with files.lock(tmp_path), pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert f"another run is at work there, process {os.getpid()}" in capsys.readouterr().err
    assert not list(tmp_path.glob("tasks/*.json"))
    files.lock(tmp_path).close()  # free again


# --- Files that are not what they should be --------------------------------------------------------

RESULT = {"task": TASK._asdict(), "recipe": "adam", "quantities": {"e1": 0.1}, "seconds": 1.0, "history": {"a": [1.5]}}
STATE = {"vector": np.arange(5.0), "m": np.ones(5, np.float32), "epoch": 7, "history": {"loss": [0.1]}, "random": {}}
STAMP = ["whose", "source"]
damage = st.one_of(
    st.tuples(st.just("cut"), st.floats(0, 1, exclude_max=True)),
    st.tuples(st.just("flip"), st.floats(0, 1, exclude_max=True), st.integers(1, 255)),
    st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=20)),
    st.tuples(st.just("junk"), st.binary(max_size=200)),
)


def damaged(data, kind, *how):
    if kind == "junk":
        return how[0]
    at = int(how[0] * len(data))
    if kind == "cut":
        return data[:at]
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ how[1]]) + data[at + 1 :]
    return data[:at] + how[1] + data[at:]


@given(st.integers(-100, 100), st.lists(st.floats(-1, 1), min_size=1, max_size=9))
def test_fields_are_saved_with_six_digits_in_any_unit(exponent, values):
    field = 10.0**exponent * np.array(values)
    saved = np.array(json.loads(json.dumps({"u": field}, default=files.plain_data))["u"])
    assert np.abs(saved - field).max() <= 5e-6 * np.abs(field).max()


@settings(max_examples=50)
@given(how=damage)
def test_a_damaged_result_is_set_aside_or_unchanged(how, tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "result.json"
    files.save(RESULT, path)
    path.write_bytes(damaged(path.read_bytes(), *how))
    loaded = files.load(path, TASK)
    assert loaded is None or {key: loaded[key] for key in RESULT} == RESULT
    assert (loaded is not None) == path.exists() != path.with_name("result.json.damaged").exists()


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=25)
@given(data=plain, key=st.sampled_from([None, "task", "recipe", "quantities", "seconds", "digest"]))
def test_foreign_data_is_no_result(data, key, tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "result.json"
    path.write_text(json.dumps(data if key is None else {**RESULT, key: data}))
    loaded = files.load(path, TASK)
    assert loaded is None or (loaded["task"], type(loaded["recipe"])) == (RESULT["task"], str)


@settings(max_examples=50)
@given(how=damage)
def test_a_damaged_checkpoint_is_set_aside_or_unchanged(how, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoints") / "state.npz"
    files.save_state(path, STATE, (1.0, 2.0), STAMP)
    path.write_bytes(damaged(path.read_bytes(), *how))
    loaded = files.load_state(path, STATE, STAMP)
    if not path.exists():
        assert loaded is None and path.with_name("state.npz.damaged").exists()
    else:
        assert loaded[1] == (1.0, 2.0) and same_state(loaded[0], STATE)


def same_state(a, b):
    return a.keys() == b.keys() and all(
        a[k].tobytes() == b[k].tobytes() if isinstance(b[k], np.ndarray) else a[k] == b[k] for k in b
    )


class Trap:
    """What is unpickled as this makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_checkpoints_with_pickles_or_of_other_forms_are_not_loaded(tmp_path):
    text = np.frombuffer(json.dumps({"stamp": STAMP, "spent": [0, 0], "state": {"epoch": 1}}).encode(), np.uint8)
    path = tmp_path / "state.npz"
    for arrays in (
        {"json": np.array([Trap(tmp_path / "unpickled")], dtype=object)},
        {"json": text, "vector": np.array([{}], dtype=object)},
        {"json": text},
        {"json": text, **{k: v for k, v in STATE.items() if k != "epoch"}},
        {"vector": np.arange(5.0)},
        {"json": text.view(np.int8)},
    ):
        np.savez(path, **arrays)
        assert files.load_state(path, STATE, STAMP) is None and not path.exists()
    for other in ("vector", "m", "epoch", "history"):
        files.save_state(path, {**STATE, other: np.arange(3)}, (0, 0), STAMP)
        assert files.load_state(path, STATE, STAMP) is None
    assert len(list(tmp_path.glob("state.npz.damaged*"))) == 10  # every one kept
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("depth", [100, 900, 990, 1000, 100000])
def test_nested_data_is_no_result(depth, tmp_path):
    path = tmp_path / "result.json"
    for text in ("[" * depth + "]" * depth, json.dumps(RESULT)[:-1] + ', "x": ' + "[" * depth + "]" * depth + "}"):
        path.write_text(text)
        assert files.load(path, TASK) is None or depth < 1000


def test_a_result_without_a_digest_is_set_aside(tmp_path):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(RESULT))
    assert files.load(path, TASK) is None and path.with_name("result.json.damaged").exists()


NAMES = "only methods problem budget seed seeds jobs executor out fresh no-figures list verify help"
VALUES = "const1d slow1d smoke 0 1 -1 1e3 nan local mpi dask: - --"
options = st.sampled_from([f"--{name}" for name in NAMES.split()] + VALUES.split())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=st.lists(options | st.text(st.characters(exclude_characters="/"), max_size=8), max_size=6))
def test_any_command_line_runs_or_gets_one_clear_sentence(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "run", lambda args: 0)
    try:
        code = command.main(arguments)
    except SystemExit as stopped:
        code = stopped.code
    errors = capsys.readouterr().err
    assert code == 0 or (code == 2 and "run_all.py: error: " in errors)


# --- Repeating -------------------------------------------------------------------------------------


def test_verify_runs_a_tenth_again_and_sees_a_changed_digit(tmp_path, in_this_process, monkeypatch, capsys):
    value = {"e1": 0.1}
    history = {"a": {"epochs": [0], "loss": [0.5], "errors": {}}}
    result = lambda *_: {"recipe": "adam", "quantities": dict(value), "history": history}  # noqa: E731
    monkeypatch.setattr(tasks, "METHODS", {name: m._replace(run=result) for name, m in tasks.METHODS.items()})
    out = str(tmp_path)
    assert command.main(["--only", "const1d", "--seeds", "10", "--no-figures", "--out", out]) == 0
    capsys.readouterr()
    assert command.main(["--verify", out]) == 0
    first = capsys.readouterr().out
    total = planned(range(10), "standard")
    tenth = -(-total // 10)
    assert first.startswith(f"running {tenth} of the {total} tasks") and first.count("the same numbers") == tenth
    command.main(["--verify", out, "--seed", "1"])
    assert capsys.readouterr().out != first
    for path in tmp_path.glob("tasks/*.json"):  # as they are published
        files.save(files.reduced(files.read(path), 1), path)
    assert command.main(["--verify", out]) == 0
    assert capsys.readouterr().out == first
    value["e1"] = np.nextafter(0.1, 1)
    assert command.main(["--verify", out]) == 0
    assert "rounding: quantities e1 by 1.4e-16, relative, the largest of 1: 0.1 saved" in capsys.readouterr().out
    value["e1"] = 0.2
    assert command.main(["--verify", out]) == 1
    assert "differs: quantities e1 by 5.0e-01" in capsys.readouterr().out
    value |= {"e1": 0.1, "e3": 0.1}
    assert command.main(["--verify", out]) == 1
    assert "differs: quantities e3 new\n" in capsys.readouterr().out


def test_verify_runs_all_tasks_that_are_named_and_no_others(tmp_path, in_this_process, monkeypatch, capsys):
    result = lambda *_: {"recipe": "adam", "quantities": {"e1": 0.1}}  # noqa: E731
    monkeypatch.setattr(tasks, "METHODS", {name: m._replace(run=result) for name, m in tasks.METHODS.items()})
    out, problems = str(tmp_path), ["--only", "const1d", "slow1d"]
    assert command.main([*problems, "--seeds", "3", "--studies", "--no-figures", "--out", out]) == 0
    capsys.readouterr()
    assert command.main(["--verify", out, "--only", "slow1d", "--methods", "adam", "law"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == f"running 4 of the 4 tasks in {out} named again"
    named = {f"slow1d adam seed {seed}: the same numbers" for seed in range(3)}
    assert set(lines) == named | {"slow1d law seed 0: the same numbers"}
    assert command.main(["--verify", out, "--methods", "losses"]) == 0  # a study, by its name
    (tmp_path / "tasks" / "slow1d-adam-0-standard-other.json").write_text("{}")
    assert command.main(["--verify", out, "--only", "const1d"]) == 0
    assert "slow1d" not in capsys.readouterr().out
    assert command.main(["--verify", out, "--only", "slow1d"]) == 1
    assert command.main(["--verify", out, "--only", "reaction10"]) == 1  # nothing of it there


@pytest.mark.parametrize("option", ["--fresh", "--seeds=2", "--studies", "--out=x", "--budget=paper", "--list"])
def test_what_verify_does_not_listen_to_is_refused(option, tmp_path, capsys):
    (tmp_path / "tasks").mkdir()
    for arguments in ([option], ["--only", "const1d", "--seed", "1"]):
        with pytest.raises(SystemExit) as stopped:
            command.main(["--verify", str(tmp_path), *arguments])
        name = next(argument for argument in arguments[::-1] if argument[:2] == "--").split("=")[0]
        assert stopped.value.code == 2 and f"error: {name}: has no meaning with --verify" in capsys.readouterr().err


def test_an_interrupted_comparison_does_not_say_that_it_goes_on(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    (tmp_path / "tasks").mkdir()
    monkeypatch.setattr(verify, "verify", interrupted)
    assert command.main(["--verify", str(tmp_path)]) == 130
    assert "interrupted; a comparison saves nothing, and this starts it over:" in capsys.readouterr().err


def test_a_comparison_names_what_is_new_or_gone_beside_the_largest_difference_and_the_commits():
    saved = {"quantities": {"e1": 0.1, "e2": 0.5, "e4": 0.2}, "commit": "old", "recipe": "adam"}
    found = {"quantities": {"e1": 0.101, "e2": 0.5, "e3": 1.0}, "commit": "new", "recipe": "sharp"}
    verdict, sentence = verify.compared(TASK, saved, found)
    parts = ["quantities e3 new", "quantities e4 gone", "recipe changed: adam saved, sharp found now"]
    parts += ["quantities e1 by 9.9e-03, relative, the largest of 1: 0.1 saved, 0.101 found now"]
    assert verdict == verify.DIFFERS and sorted(sentence.split("; ")) == sorted([*parts, "commit old, now new"])
    found = {**saved, "quantities": {**saved["quantities"], "e1": 0.101}, "commit": "new"}
    assert verify.compared(TASK, saved, found) == (verify.ROUNDED, f"{parts[-1]}; commit old, now new")


@pytest.mark.parametrize(("change", "verdict"), [(2.0**-23, verify.ROUNDED), (0.1, verify.DIFFERS)])
def test_a_last_bit_of_the_initial_parameters_is_rounding_and_a_tenth_is_not(change, verdict, monkeypatch):
    task, results = Task("const1d", "classical", 0, "smoke"), []
    for factor in (1.0, 1 + change):
        start = lambda *arguments: [(W * factor, b) for W, b in init_network(*arguments)]  # noqa: B023, E731
        monkeypatch.setattr(nhpinn, "init_network", start)
        results.append(json.loads(json.dumps(runner.run_task(task), default=files.plain_data)))
    assert verify.compared(task, results[0], results[0]) == (verify.SAME, "")
    found, sentence = verify.compared(task, *results)
    assert found == verdict and re.search(r"\w+ by \d\.\de[-+]\d+, relative, the largest of", sentence)


# --- Clusters --------------------------------------------------------------------------------------

SMALL = ["--budget", "smoke", "--only", "const1d", "--seeds", "2", "--no-figures"]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """The numbers of a run on one process."""
    out = tmp_path_factory.mktemp("one")
    subprocess.run([sys.executable, ROOT / "run_all.py", *SMALL, "--jobs", "1", "--out", out], check=True)
    return numbers(out)


def test_a_dask_cluster_gives_the_same_numbers(tmp_path, monkeypatch, request):
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        spec = f"dask:{cluster.scheduler_address}"
        run = [sys.executable, ROOT / "run_all.py", *SMALL, "--executor", spec, "--out", tmp_path]
        subprocess.run(run, check=True)
    assert numbers(tmp_path) == request.getfixturevalue("one_process")


def test_mpi_gives_the_same_numbers(tmp_path, request):
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    if not shutil.which("mpiexec"):
        pytest.skip("mpiexec is not installed")
    command = ["mpiexec", "-n", "3", sys.executable, "-m", "mpi4py.futures", ROOT / "run_all.py", *SMALL]
    subprocess.run([*command, "--executor", "mpi", "--out", tmp_path], check=True, timeout=120)
    assert numbers(tmp_path) == request.getfixturevalue("one_process")


@pytest.mark.parametrize(
    ("spec", "module", "message"),
    [
        (spec, module, f'{name} needed: pip install -e ".[cluster]"')
        for spec, module, name in (
            ("mpi", "mpi4py", "mpi4py and an MPI library are"),
            ("dask:tcp://127.0.0.1:1", "distributed", "dask.distributed is"),
        )
    ],
)
def test_a_missing_package_is_named(spec, module, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    assert command.main([*SMALL, "--executor", spec, "--out", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
