"""Tasks in processes, of this machine or of many: they may be killed and continued, and change no number.

A task is data; `run_task` computes its result in any process.  Results come back to one process, which alone
writes them, see files.py.  While a task runs, each of its trainings keeps its state in a checkpoint of its own.
A training is a function of its state, so that one continued from a checkpoint ends with the same numbers.
"""

import importlib.metadata
import inspect
import json
import multiprocessing
import os
import pkgutil
import platform
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np

import fem
import fem_cells
import nhpinn
import nhpinn_functions
import nhpinn_networks
import nhpinn_tools
import problems
from lab import experiments, files, minimisers, one_blas_thread, own, progress, settings, studies, tasks, training

SAVE_EVERY = 15  # seconds between two checkpoints of a training
PATIENCE = 5  # seconds that processes have for their last checkpoints when they are asked to end

# --- One task --------------------------------------------------------------------------------------


def versions():
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("numpy", "scipy", "autograd")},
        "blas": f"{blas['name']} {blas['version']}",
        "machine": platform.machine(),
    }


# All that makes a number
COMPUTING = (
    *(problems, fem, fem_cells, nhpinn, nhpinn_networks, nhpinn_functions),
    *(importlib.import_module(f"nhpinn_tools.{name}") for _, name, _ in pkgutil.iter_modules(nhpinn_tools.__path__)),
    *(training, settings, minimisers, experiments, studies),
)

# Names this code: a checkpoint is continued only by the source and the libraries that made it.
SOURCE = files.digest(json.dumps([versions(), *map(inspect.getsource, COMPUTING)]))

ONE_TASK = threading.Lock()  # a process runs one task at a time: autograd's trace is not for several threads

ENVIRONMENT = ("commit", "versions", "processor", "threads")  # what a result says of where it was made


def run_task(task, stem=None, problem_files=()):
    """Run one task in this process: its result, or the sentence that says why there is none.

    stem: the path of its checkpoints without the ending, if that is in a folder that this machine can see.
    problem_files: where problems of one's own are, see own.py.
    """
    training.reuse_freed_memory()
    started, start, earlier = datetime.now(timezone.utc).isoformat(timespec="seconds"), clock(), [(0.0, 0.0)]

    def spent():
        return np.add(max(earlier), np.subtract(clock(), start)).tolist()

    keeps = stem is not None and stem.parent.is_dir()
    with ONE_TASK, asked_to_end(keeps) as end:
        try:
            setup = tasks.setup(task, own.experiments(problem_files)[task.problem])
            part = partial(progress.part_done, setup)
            checkpoints = keep_at(stem, earlier, spent, end, part) if keeps else training.no_checkpoints
            result = tasks.METHODS[task.method].run(setup, checkpoints)
        except (ArithmeticError, ValueError, TypeError, np.linalg.LinAlgError, MemoryError) as error:
            result = {"error": described(error)}
    if keeps:
        files.progress_path(stem).unlink(missing_ok=True)
    seconds, processor_seconds = spent()
    return {
        "task": task._asdict(),
        **result,
        "seconds": seconds,
        "processor_seconds": processor_seconds,  # the same on a busy machine
        "continued": max(earlier) > (0.0, 0.0),  # from checkpoints: the seconds are those of all sessions
        "started": started,
        "commit": COMMIT,
        "versions": versions(),
        "processor": processor(),
        "threads": os.environ.get("OPENBLAS_NUM_THREADS", "not set"),
    }


def described(error):
    """An error as one sentence; numpy and scipy raise MemoryError with none."""
    text = str(error) or ("out of memory" if isinstance(error, MemoryError) else "no message")
    return f"{type(error).__name__}: {text}"


def clock():
    return time.perf_counter(), time.process_time()


def keep_at(stem, earlier, spent, end, part_done):
    """A function that gives the training.Checkpoint of each training of a task by the training's name.

    A checkpoint holds what the task has spent() so far; one that is loaded adds that to `earlier`.  Once the event
    `end` is set, the next call of `save` is the last thing that this process does.  Once a second part_done({training:
    epochs}) is written for who waits.
    """
    epochs, told = {}, 0.0

    def tell(name, state):
        nonlocal told
        epochs[name] = state["epoch"]
        if time.monotonic() - told >= 1:
            told = time.monotonic()
            with suppress(OSError):
                files.progress_path(stem).write_text(str(part_done(epochs)), encoding="utf-8")

    def checkpoint(name):
        path, last = files.checkpoint_path(stem, name), time.monotonic()
        stamp = [path.name, f"{SOURCE} {processor()}"]

        def load(start):
            state, seconds = files.load_state(path, start, stamp) or (start, (0.0, 0.0))
            earlier.append(seconds)
            return state

        def save(state, finished):
            nonlocal last
            tell(name, state)
            if finished or end.is_set() or time.monotonic() - last >= SAVE_EVERY:
                try:
                    files.save_state(path, state, spent(), stamp)
                except OSError as error:  # the result does not need it
                    print(f"no checkpoint: {error}", file=sys.stderr, flush=True)
                last = time.monotonic()
            if end.is_set():
                os._exit(1)

        return training.Checkpoint(load, save)

    return checkpoint


@contextmanager
def asked_to_end(wanted):
    """An event that is set when this process is asked to end, if that is wanted and can be known: in a main thread."""
    end = threading.Event()
    if not (wanted and threading.current_thread() is threading.main_thread()):
        yield end
        return
    before = signal.signal(signal.SIGTERM, lambda *_: end.set())
    try:
        yield end
    finally:
        signal.signal(signal.SIGTERM, before)


def processor():
    """The name of the processor, as the system knows it."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or "unknown"


def commit():
    """The commit of this source, or 'unknown' outside a repository."""
    try:
        command = ["git", "-C", str(Path(__file__).parents[1]), "describe", "--always", "--dirty", "--abbrev=10"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


COMMIT = commit()  # of the source that was loaded, whatever happens to it while a task runs


# --- Many tasks ------------------------------------------------------------------------------------


def run_tasks(jobs, executors, announce):
    """Run tasks, one at a time on each executor; jobs: {task: function without arguments, such as one of run_task}.

    announce(task, result, tasks at work) is called as each ends, and with None once a second while none does.  A
    process that dies takes down its executor, whose only task has then another try in a new process.
    """
    waiting, free, running, ended, died = list(reversed(jobs)), list(range(len(executors))), {}, SimpleQueue(), set()
    try:
        while waiting or running:
            while waiting and free:
                task, slot = waiting.pop(), free.pop()
                future = submit(executors, slot, jobs[task])
                running[future] = task, slot
                future.add_done_callback(ended.put)
            try:
                future = ended.get(timeout=1)
            except Empty:
                announce(None, None, [task for task, _ in running.values()])
                continue
            task, slot = running.pop(future)
            free.append(slot)
            result = outcome(future)
            if result is None:
                executors[slot] = new_process()
                if task not in died:
                    died.add(task)
                    waiting.append(task)
                    continue
                result = {"error": "its process died, twice: killed, or out of memory"}
            result = {"task": task._asdict(), "seconds": 0, **result}
            announce(task, result, [task for task, _ in running.values()])
    finally:
        for future in running:
            future.cancel()


def submit(executors, slot, job):
    with interrupts_held_back():
        try:
            return executors[slot].submit(job)
        except BrokenProcessPool:  # the process died between two tasks
            executors[slot] = new_process()
            return executors[slot].submit(job)


def outcome(future):
    """What a task returned, or an error that came in its place; None where its process died."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None
    except Exception as error:  # whatever it is, it concerns this task alone
        return {"error": described(error)}


@contextmanager
def interrupts_held_back():
    """Processes started here never see Ctrl-C: that is for the main process, which ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def executors_for(spec, jobs, count):
    """A list of executors, one for each of `count` tasks that may run at once.

    spec: "local", `jobs` processes of this machine; "dask:ADDRESS" or "mpi", the workers of a cluster, whose
    executor decides itself how many of its tasks run at once.  Raises ConnectionError where there is no such cluster.
    """
    if spec == "local":
        executors = [new_process() for _ in range(min(jobs, count))]
    else:
        executors = [connect_mpi() if spec == "mpi" else connect_dask(spec.removeprefix("dask:"))] * count
    try:
        yield executors
    except BaseException:  # Ctrl-C, or a result that cannot be written: no reason to wait
        if spec == "local":
            end_processes()
        raise
    finally:
        for executor in set(executors):
            executor.shutdown(wait=spec == "local")  # its thread ends before Python does, which would write to it


def new_process():
    """An executor of one spawned process, so that it is known which task brought it down."""
    one_blas_thread()  # in the environment that it inherits
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=prepare_process)


def prepare_process():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent():
    """Wait until the main process ends, however it ends, and end this one."""
    multiprocessing.parent_process().join()
    os._exit(1)


def end_processes():
    """End the processes of this machine, those that are training with a last checkpoint."""
    workers, deadline = multiprocessing.active_children(), time.monotonic() + PATIENCE
    for worker in workers:
        worker.terminate()
    print(f"ending, which takes at most {PATIENCE} s", file=sys.stderr, flush=True)
    try:
        for worker in workers:
            worker.join(max(0, deadline - time.monotonic()))
    finally:  # a second Ctrl-C does not wait
        for worker in workers:
            worker.kill()


def connect_mpi():
    try:
        from mpi4py import MPI
        from mpi4py.futures import MPIPoolExecutor
    except (ImportError, RuntimeError) as error:
        raise ConnectionError(f'mpi4py and an MPI library are needed: pip install -e ".[cluster]" ({error})') from error
    if "mpi4py.futures" not in sys.orig_argv or MPI.COMM_WORLD.size < 2:
        raise ConnectionError(
            "start it as `mpiexec -n N python -m mpi4py.futures run_all.py --executor mpi`, with N of at least 2"
        )
    return MPIPoolExecutor()


def source():
    """What has to be the same in every worker."""
    return SOURCE, os.environ.get("OPENBLAS_NUM_THREADS")


def connect_dask(address):
    try:
        from distributed import Client
    except ImportError as error:
        raise ConnectionError(f'dask.distributed is needed: pip install -e ".[cluster]" ({error})') from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise ConnectionError(f"no dask scheduler answers at {address!r} ({error})") from error
    if busy := [worker for worker, threads in client.nthreads().items() if threads > 1]:
        raise ConnectionError(f"workers need one thread each (dask worker --nthreads 1), not so {', '.join(busy)}")
    found = client.run(source, on_error="return")
    if other := [f"{worker} ({code})" for worker, code in found.items() if code != (SOURCE, "1")]:
        raise ConnectionError(
            "workers need this source, the same libraries and OPENBLAS_NUM_THREADS=1 in their environment, "
            f"not so {', '.join(other)}"
        )
    return client.get_executor(pure=False)
