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
The error of a job in another process leaves its traceback there in a file that the job names.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import psutil
import torch

from labkit.core import budget, cluster
from labkit.core.errors import LabError, first_line
from labkit.core.threads import started_with

MEMORY_PER_JOB = 4 * 2**30
"""Bytes that a worker may need: a default model twice, its activations and the libraries."""

RETRIES = 2
"""How often a job is started again after its worker died."""

HEARTBEAT = 10.0
"""Seconds after which a cluster that has finished nothing is told of again."""

Tell = Callable[[float, int, str], None]
"""Called with (part done, parts in all, what is running)."""


def silent(done: float, total: int, what: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Job:
    """One piece of work: ``call(*arguments, tell)``, importable by another process.

    ``errors`` is the file that an error of its worker process is added to, with its traceback.
    """

    name: str
    call: Callable[..., object]
    arguments: tuple = ()
    # the process that runs it keeps to the budget of the one that asked for it
    batch_tokens: int | None = field(default_factory=budget.chosen_tokens)
    errors: Path | None = None

    def run(self, tell: Tell = silent) -> object:
        with budget.batch_tokens(self.batch_tokens):
            return self.call(*self.arguments, tell)


class Engine(Protocol):
    """Runs jobs."""

    def results(self, jobs: Sequence[Job], tell: Tell = silent) -> Iterator[tuple[int, object]]:
        """(index of the job, its result), as they come.

        Args:
            tell: called with (jobs done, jobs in all, what is running); jobs done may be a
                fraction. A cluster tells of whole jobs only.

        Raises:
            LabError: that of a job, or for a job whose worker died each time, or that failed in
                another process and says in which file its traceback is.
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
        address: of a running cluster; None: that of ``RAY_ADDRESS``, else a cluster on this
            machine, for as long as the jobs run.
        threads: CPU cores and threads of each job.
        gpus: GPUs of each job, parts allowed; None: one where the cluster has any.

    Raises:
        LabError: if Ray is not installed, or the cluster does not answer.
    """

    def __init__(
        self, address: str | None = None, threads: int = 1, gpus: float | None = None
    ) -> None:
        self.address, self.threads, self.gpus = address, threads, gpus

    def results(self, jobs: Sequence[Job], tell: Tell = silent) -> Iterator[tuple[int, object]]:
        ray = cluster.installed()
        with cluster.connected(ray, self.address):
            gpus = self.gpus_of_a_job(ray.cluster_resources())
            remote = ray.remote(num_cpus=self.threads, num_gpus=gpus, max_retries=RETRIES)
            start = remote(_attempt).remote
            waiting = {start(job, self.threads): index for index, job in enumerate(jobs)}
            while waiting:
                tell(len(jobs) - len(waiting), len(jobs), f"{len(waiting)} rows on the cluster")
                ready, _ = ray.wait(list(waiting), timeout=HEARTBEAT)
                for one in ready:
                    index = waiting.pop(one)
                    try:
                        outcome = ray.get(one)
                    except ray.exceptions.RayError as error:
                        why = first_line(error)
                        raise _lost(jobs[index].name, why, "larger --threads") from error
                    yield index, _result(jobs[index], outcome)

    def gpus_of_a_job(self, resources: Mapping[str, float]) -> float:
        """GPUs that each job asks for, on a cluster of these resources."""
        if self.gpus is not None:
            return self.gpus
        return 1.0 if resources.get("GPU", 0) >= 1 else 0.0


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


class _Failure(NamedTuple):
    """What is sent of an error to the process that asked for the job."""

    error: Exception | None
    """None, where it can't be sent."""
    summary: str
    traceback: str


def _attempt(job: Job, threads: int, tell: Tell = silent) -> object:
    """The result of a job in another process, or its failure."""
    try:
        with pinned(threads):
            return job.run(tell)
    except Exception as error:
        summary = " ".join(traceback.format_exception_only(error)[-1].split())
        failure = _Failure(error, summary, traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(failure.error))  # an exception may go to bits and not come back
    except Exception:
        return failure._replace(error=None)
    return failure


def _result(job: Job, outcome: object) -> object:
    """The result that came from another process; its error is raised, with its traceback kept."""
    if not isinstance(outcome, _Failure):
        return outcome
    kept = "" if job.errors is None else _keep(job.errors, job.name, outcome.traceback)
    if isinstance(outcome.error, LabError):
        raise LabError(f"{job.name}: {outcome.error}{kept}") from None
    if outcome.error is not None and not kept:
        outcome.error.add_note(outcome.traceback)
        raise outcome.error
    where = kept or f"; {outcome.traceback}"
    raise LabError(f"{job.name} failed: {outcome.summary}{where}") from None


def _keep(file: Path, name: str, text: str) -> str:
    """Add a traceback to a file; says where it is, nothing where the file can't be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as errors:
            errors.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {name}\n{text}\n")
    except OSError:
        return ""
    return f" (traceback in {file})"


def _part_of(tell: Tell, index: int, total: int, name: str) -> Tell:
    """A job's own progress as a fraction of all."""

    def tell_part(done: float, parts: int, what: str) -> None:
        tell(index + done / max(parts, 1), total, f"{name}: {what}")

    return tell_part


# ---- processes ----


@dataclass
class _Worker:
    index: int
    process: multiprocessing.process.BaseProcess
    receiver: Connection
    slot: int
    part: float = 0.0


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
                tell(done + _parts(running), len(jobs), names)
            for receiver in wait(list(running)):
                worker = running[receiver]
                name = jobs[worker.index].name
                message = _message(worker)
                if isinstance(message, _Told):
                    worker.part = message.done / max(message.parts, 1)
                    tell(done + _parts(running), len(jobs), f"{name}: {message.what}")
                    continue
                _end(running.pop(receiver))
                free.append(worker.slot)
                if message is None:  # the process is gone without a word
                    failures[worker.index] += 1
                    if failures[worker.index] > RETRIES:
                        raise _lost(name, f"exit {worker.process.exitcode}")
                    waiting.append(worker.index)
                    continue
                done += 1
                yield worker.index, _result(jobs[worker.index], message.outcome)
    finally:
        for worker in running.values():
            worker.process.terminate()
            worker.process.join()


def _start(jobs: Sequence[Job], index: int, threads: int, slot: int) -> _Worker:
    # a forked process would inherit torch's thread pools in whatever state they are
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(jobs[index], threads, slot, sender), daemon=True)
    with started_with(threads):  # numpy's products take every core otherwise
        process.start()
    sender.close()  # the child holds the only other end: its death closes the pipe
    return _Worker(index, process, receiver, slot)


def _work(job: Job, threads: int, slot: int, sender: Connection) -> None:
    """What a worker process does."""
    if torch.cuda.is_available():
        torch.cuda.set_device(slot % torch.cuda.device_count())

    def tell(done: float, parts: int, what: str) -> None:
        sender.send(_Told(done, parts, what))

    try:
        sender.send(_Ended(_attempt(job, threads, tell)))
    except KeyboardInterrupt:  # Ctrl-C reaches all processes; the first one speaks
        return
    sender.close()


class _Told(NamedTuple):
    """A worker's word on the way."""

    done: float
    parts: int
    what: str


class _Ended(NamedTuple):
    """A worker's last word."""

    outcome: object


def _parts(running: Mapping[Any, _Worker]) -> float:
    """What the running jobs have done, in jobs."""
    return sum(worker.part for worker in running.values())


def _message(worker: _Worker) -> _Told | _Ended | None:
    """What a worker says next; None if it died, perhaps in the middle of a word."""
    try:
        return worker.receiver.recv()
    except (EOFError, OSError):
        return None


def _end(worker: _Worker) -> None:
    worker.receiver.close()
    worker.process.join()


def _lost(name: str, why: str, fewer: str = "--workers") -> LabError:
    return LabError(
        f"the worker of {name!r} died {RETRIES + 1} times ({why}), perhaps for lack of memory; run "
        f"fewer rows at once with {fewer} (finished rows are kept, --resume goes on)"
    )
