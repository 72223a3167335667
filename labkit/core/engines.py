"""Engines: where independent jobs run, and how their results come back.

A table is a grid of rows that don't need each other. An engine takes them as jobs and gives each
result as soon as it is there, in whatever order; the caller writes it down at once. Engines pin the
number of threads of a job, because the order in which a processor adds numbers up depends on it:
the same job then gives the same bits on any of them.

- :class:`LocalEngine`: this machine, one process per job, as many at once as cores, memory and GPUs
  allow; a single worker is this process itself.
- :class:`RayEngine`: a Ray cluster (extra ``labkit[cluster]``). Its nodes need this package and the
  result folder under the same path.

A worker that dies (out of memory, machine lost) takes only its own job with it, which is run again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

import psutil
import torch

from labkit.core import budget
from labkit.core.errors import LabError

MEMORY_PER_JOB = 4 * 2**30
"""Bytes that a worker may need: a default model twice, its activations and the libraries."""

RETRIES = 2
"""How often a job is started again after its worker died."""

Tell = Callable[[float, int, str], None]
"""Called with (part done, parts in all, what is running)."""


def silent(done: float, total: int, what: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Job:
    """One piece of work: ``call(*arguments, tell)``, importable by another process."""

    name: str
    call: Callable[..., object]
    arguments: tuple = ()
    # the process that runs it keeps to the budget of the one that asked for it
    batch_tokens: int | None = field(default_factory=budget.chosen_tokens)

    def run(self, tell: Tell = silent) -> object:
        with budget.batch_tokens(self.batch_tokens):
            return self.call(*self.arguments, tell)


class Engine(Protocol):
    """Runs jobs."""

    def results(self, jobs: Sequence[Job], tell: Tell = silent) -> Iterator[tuple[int, object]]:
        """(index of the job, its result), as they come.

        Args:
            tell: called with (jobs done, jobs in all, what is running); jobs done may be a
                fraction.

        Raises:
            LabError: that of a job, or for a job whose worker died each time.
        """
        ...


class LocalEngine:
    """Jobs in processes of their own on this machine.

    Args:
        workers: jobs at once; None: as many as cores, memory and GPUs allow. 1 is this process.
        threads: threads of each job; None: the cores shared out evenly (with one worker: as it
            is).
    """

    def __init__(self, workers: int | None = None, threads: int | None = None) -> None:
        for name, value in (("workers", workers), ("threads", threads)):
            if value is not None and value < 1:
                raise LabError(f"{name}={value}: at least one is needed")
        self.workers, self.threads = workers, threads

    def results(self, jobs: Sequence[Job], tell: Tell = silent) -> Iterator[tuple[int, object]]:
        workers = min(self.workers or room(), len(jobs))
        if workers > 1:
            threads = self.threads or max(1, (os.cpu_count() or 1) // workers)
            yield from _in_processes(jobs, workers, threads, tell)
            return
        with pinned(self.threads):
            for index, job in enumerate(jobs):
                tell(index, len(jobs), job.name)
                yield index, job.run(_part_of(tell, index, len(jobs), job.name))


class RayEngine:
    """Jobs on a Ray cluster.

    Args:
        address: of a running cluster; None: one on this machine, for as long as the jobs run.
        threads: CPU cores and threads of each job; gpus: GPUs of each job, parts allowed.

    Raises:
        LabError: if Ray is not installed, or the cluster does not answer.
    """

    def __init__(self, address: str | None = None, threads: int = 1, gpus: float = 0.0) -> None:
        self.address, self.threads, self.gpus = address, threads, gpus

    def results(self, jobs: Sequence[Job], tell: Tell = silent) -> Iterator[tuple[int, object]]:
        ray = _ray()
        with _connected(ray, self.address):
            remote = ray.remote(num_cpus=self.threads, num_gpus=self.gpus, max_retries=RETRIES)
            start = remote(_run_pinned).remote
            waiting = {start(job, self.threads): index for index, job in enumerate(jobs)}
            while waiting:
                tell(len(jobs) - len(waiting), len(jobs), f"{len(waiting)} rows on the cluster")
                (ready, *_), _ = ray.wait(list(waiting))
                index = waiting.pop(ready)
                try:
                    yield index, ray.get(ready)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from None
                except ray.exceptions.RayError as error:
                    raise _lost(jobs[index].name, str(error).splitlines()[0]) from error


def room() -> int:
    """How many jobs this machine has room for: GPUs, or cores and memory."""
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    return max(1, min(os.cpu_count() or 1, psutil.virtual_memory().available // MEMORY_PER_JOB))


@contextlib.contextmanager
def pinned(threads: int | None) -> Iterator[None]:
    """Within the block torch uses that many threads; None leaves it as it is."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run_pinned(job: Job, threads: int) -> object:
    with pinned(threads):
        return job.run()


def _part_of(tell: Tell, index: int, total: int, name: str) -> Tell:
    """A job's own progress as a fraction of all."""

    def told(done: float, parts: int, what: str) -> None:
        tell(index + done / max(parts, 1), total, f"{name}: {what}")

    return told


# ---- processes ----


@dataclass
class _Worker:
    index: int
    process: multiprocessing.process.BaseProcess
    receiver: Connection
    slot: int


def _in_processes(
    jobs: Sequence[Job], workers: int, threads: int, tell: Tell
) -> Iterator[tuple[int, object]]:
    """A process per job, at most ``workers`` at once."""
    waiting, failures = deque(range(len(jobs))), [0] * len(jobs)
    running: dict[Any, _Worker] = {}
    free, done = list(range(workers)), 0
    try:
        while waiting or running:
            while waiting and free:
                worker = _start(jobs, waiting.popleft(), threads, free.pop())
                running[worker.receiver] = worker
            names = ", ".join(jobs[worker.index].name for worker in running.values())
            tell(done, len(jobs), names)
            for receiver in wait(list(running)):
                worker = running.pop(receiver)
                free.append(worker.slot)
                outcome = _outcome(worker)
                if outcome is None:  # the process is gone without a word
                    failures[worker.index] += 1
                    if failures[worker.index] > RETRIES:
                        raise _lost(jobs[worker.index].name, f"exit {worker.process.exitcode}")
                    waiting.append(worker.index)
                    continue
                kind, value = outcome
                if kind == "error":
                    raise value
                done += 1
                yield worker.index, value
    finally:
        for worker in running.values():
            worker.process.terminate()
            worker.process.join()


def _start(jobs: Sequence[Job], index: int, threads: int, slot: int) -> _Worker:
    # a forked process would inherit torch's thread pools in whatever state they are
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(jobs[index], threads, slot, sender), daemon=True)
    process.start()
    sender.close()  # the child holds the only other end: its death closes the pipe
    return _Worker(index, process, receiver, slot)


def _work(job: Job, threads: int, slot: int, sender: Connection) -> None:
    """What a worker process does."""
    if torch.cuda.is_available():
        torch.cuda.set_device(slot % torch.cuda.device_count())
    try:
        outcome = ("result", _run_pinned(job, threads))
    except KeyboardInterrupt:  # Ctrl-C reaches all processes; the first one speaks
        return
    except Exception as error:
        outcome = ("error", error)
    sender.send(outcome)
    sender.close()


def _outcome(worker: _Worker) -> tuple[str, Any] | None:
    try:
        return worker.receiver.recv()
    except EOFError:
        return None
    finally:
        worker.receiver.close()
        worker.process.join()


def _lost(name: str, why: str) -> LabError:
    return LabError(
        f"the worker of {name!r} died {RETRIES + 1} times ({why}), perhaps for lack of memory; run "
        "fewer rows at once with --workers (finished rows are kept, --resume goes on)"
    )


# ---- Ray ----


def _ray():
    try:
        import ray
    except ImportError as error:
        raise LabError(
            'Ray is not installed; run pip install -c requirements.lock -e ".[cluster]" in the '
            "checkout, or use --engine local"
        ) from error
    return ray


def _reach(address: str | None) -> None:
    """Raise OSError where nothing listens: Ray itself would try again for many minutes."""
    host, _, port = (address or "").rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


@contextlib.contextmanager
def _connected(ray, address: str | None) -> Iterator[None]:
    try:
        _reach(address)
        ray.init(
            address=address, log_to_driver=False, include_dashboard=False, logging_level="ERROR"
        )
    except (OSError, ValueError, RuntimeError) as error:
        where, why = address or "this machine", str(error).splitlines()[0]
        raise LabError(
            f"no Ray cluster answers at {where} ({why}); give the address that `ray start` printed"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
