"""Engines: the same rows on each, to the bit; a dead worker costs its own row only."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
import types
from pathlib import Path

import pytest
import torch

import jobs
from labkit.core.cluster import connected
from labkit.core.engines import Job, LocalEngine, RayEngine, pinned, room
from labkit.core.errors import LabError
from labkit.experiments import order
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import Recipe
from labkit.experiments.base.setting import Experiment
from labkit.experiments.order import OrderSetting


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A real Ray cluster on this machine, running on its own; yields its address.

    Its two GPUs are Ray's word only: it hands out numbers, and nothing here computes on them.
    """
    import ray

    with pytest.MonkeyPatch.context() as patch:  # its workers import the jobs by name
        patch.setenv("PYTHONPATH", str(Path(jobs.__file__).parent))
        patch.setenv("RAY_raylet_start_wait_time_s", "180")  # a busy machine takes its time
        patch.setenv("RAY_worker_register_timeout_seconds", "180")
        patch.delenv("RAY_ADDRESS", raising=False)
        started = started_cluster()
    yield started.address
    ray.shutdown()
    started.shutdown()


def started_cluster(tries: int = 2):
    from ray.cluster_utils import Cluster

    for left in reversed(range(tries)):
        cluster = Cluster()
        try:
            cluster.add_node(num_cpus=2, num_gpus=2)
        except Exception:
            cluster.shutdown()
            if not left:
                raise
        else:
            return cluster


@pytest.fixture(params=["one process", "processes", "ray"])
def engine(request):
    if request.param == "one process":
        return LocalEngine(workers=1, threads=1)
    if request.param == "processes":
        return LocalEngine(workers=2, threads=1)
    return RayEngine(request.getfixturevalue("cluster"), threads=1)


@pytest.fixture(params=["processes", "ray"])
def parallel(request):
    if request.param == "processes":
        return LocalEngine(workers=2, threads=1)
    return RayEngine(request.getfixturevalue("cluster"), threads=1)


def test_a_worker_leaves_the_other_cores_alone(monkeypatch):
    """Threads of libraries beside torch, too, which read the environment when they are loaded."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    work = [Job(f"row {row}", jobs.threads) for row in range(2)]
    for _, numbers in LocalEngine(workers=2, threads=1).results(work):
        assert numbers and set(numbers.values()) == {1}
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_every_engine_gives_the_same_bits(engine):
    work = [Job(f"row {seed}", jobs.arithmetic, (seed,)) for seed in range(4)]
    found = dict(engine.results(work))
    assert sorted(found) == [0, 1, 2, 3]
    with pinned(1):
        expected = [jobs.arithmetic(seed, lambda *_: None)["bits"] for seed in range(4)]
    for index, result in found.items():
        assert result["seed"] == index and result["threads"] == 1
        assert result["bits"] == expected[index]


def test_workers_are_other_processes(parallel):
    work = [Job(str(seed), jobs.arithmetic, (seed,)) for seed in range(3)]
    assert os.getpid() not in {result["process"] for _, result in parallel.results(work)}


def test_a_worker_killed_in_mid_row_costs_that_row_only(parallel, tmp_path):
    work = [
        Job("first", jobs.log, (str(tmp_path), "first")),
        Job("killed", jobs.die_once, (str(tmp_path), "killed")),
        Job("last", jobs.log, (str(tmp_path), "last")),
    ]
    found = dict(parallel.results(work))
    assert found == {0: "first", 1: "killed", 2: "last"}
    begun = {file.name: len(file.read_text().split()) for file in tmp_path.iterdir()}
    assert begun == {"first": 1, "killed": 2, "last": 1}


def test_a_worker_that_always_dies_is_given_up_with_a_word(parallel, tmp_path):
    with pytest.raises(LabError, match="'hungry' died 3 times"):
        list(parallel.results([Job("hungry", jobs.die, (str(tmp_path), "x")), *two(tmp_path)]))


def two(folder):
    return [Job(name, jobs.log, (str(folder), name)) for name in ("a", "b")]


def test_a_jobs_own_error_comes_through(engine):
    with pytest.raises(LabError, match="no data; give it some"):
        list(engine.results([Job("empty", jobs.fail), Job("empty too", jobs.fail)]))


def test_the_error_of_a_worker_leaves_its_traceback_in_a_file(parallel, tmp_path):
    file = tmp_path / "results" / "table.errors.txt"
    for call, name, message in (
        (jobs.blunder, "ZeroDivisionError", "a row without sentences"),
        (jobs.blunder_strangely, "Unsendable", "a row without words"),
        (jobs.fail, "LabError", "this row has no data; give it some"),
    ):
        work = [Job(f"row of {call.__name__}", call, errors=file), *two(tmp_path)]
        with pytest.raises(LabError) as raised:
            list(parallel.results(work))
        line = str(raised.value)
        assert f"row of {call.__name__}" in line and message in line and str(file) in line
        last = file.read_text().split(f"row of {call.__name__}\n")[-1]
        assert "Traceback (most recent call last)" in last and f"in {call.__name__}\n" in last
        assert name in last.splitlines()[-2]
    assert file.read_text().count("Traceback (most recent call last)") >= 3  # earlier ones are kept


def test_an_error_that_nothing_can_be_written_of_is_still_seen(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    jobs_of_it = [Job("row", jobs.blunder, errors=tmp_path / "taken" / "errors.txt")] * 2
    with pytest.raises(ZeroDivisionError, match="a row without sentences") as raised:
        list(LocalEngine(workers=2).results(jobs_of_it))
    assert "in blunder\n" in "".join(raised.value.__notes__)


def test_stopping_ends_the_workers(tmp_path):
    results = LocalEngine(workers=2).results(
        [Job(name, jobs.wait, (str(tmp_path), name)) for name in ("a", "b", "c")],
        tell=lambda done, total, what: None,
    )
    quick = Job("quick", jobs.log, (str(tmp_path), "quick"))
    mixed = LocalEngine(workers=2).results([quick, Job("w", jobs.wait, (str(tmp_path), "w"))])
    assert next(mixed) == (0, "quick")
    started = time.monotonic()
    mixed.close()  # what an interrupt does to the loop over the results
    results.close()
    assert time.monotonic() - started < 30  # the waiting job would have taken 60


def test_progress_of_a_row_counts_as_part_of_the_table():
    told = []
    work = [Job(str(seed), jobs.arithmetic, (seed,)) for seed in range(2)]
    list(LocalEngine(workers=1).results(work, lambda done, total, what: told.append((done, total))))
    assert told == [(0, 2), (0.5, 2), (1, 2), (1.5, 2)]


def test_a_worker_process_tells_of_its_steps():
    told = []
    work = [Job(name, jobs.train, (4,)) for name in ("a", "b")]
    engine = LocalEngine(workers=2, threads=1)
    list(engine.results(work, lambda done, total, what: told.append((done, what))))
    for name in ("a", "b"):
        steps = [what for _, what in told if what.startswith(f"{name}: training")]
        assert steps == [f"{name}: training {step}" for step in range(1, 5)]
    assert 1 < max(done for done, _ in told) <= 2  # parts of rows count


def test_a_cluster_with_gpus_gives_one_to_each_job(cluster):
    ((_, one),) = RayEngine(cluster).results([Job("row", jobs.gpus)])
    assert len(one) == 1
    ((_, none),) = RayEngine(cluster, gpus=0).results([Job("row", jobs.gpus)])
    assert none == []
    assert RayEngine().gpus_of_a_job({"CPU": 8.0}) == 0
    assert RayEngine(gpus=0.5).gpus_of_a_job({"CPU": 8.0, "GPU": 4.0}) == 0.5


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with pinned(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    assert room() >= 1


def test_numbers_below_one_are_refused():
    with pytest.raises(LabError, match="workers=0"):
        LocalEngine(workers=0)


def test_an_address_without_a_cluster_is_refused():
    engine = RayEngine("127.0.0.1:1")
    with pytest.raises(LabError, match=r"127\.0\.0\.1:1"):
        list(engine.results([Job("row", jobs.fail)]))
    with pytest.raises(LabError, match=r"at head \(.*host:port"):
        list(RayEngine("head").results([Job("row", jobs.fail)]))


def test_an_address_in_the_environment_without_a_cluster_is_refused(monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = "127.0.0.1:{1}".format(*closed.getsockname())
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(LabError, match=re.escape(address)):
        list(RayEngine().results([Job("row", jobs.fail)]))


def test_a_cluster_that_does_not_start_here_is_one_line(monkeypatch):
    """Ray raises a bare Exception where a busy machine starts its processes too slowly."""

    def init(**_):
        raise Exception("The current node timed out during startup.\nSee the logs.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray = types.SimpleNamespace(init=init)
    said = r"on this machine \(The current node timed out during startup\.\); .* --engine local"
    with pytest.raises(LabError, match=said), connected(ray, None):
        pass


def test_another_service_at_the_address_is_refused():
    def greet(server):
        connection, _ = server.accept()
        with connection:
            connection.recv(99)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=greet, args=(server,))
        answering.start()
        address = "127.0.0.1:{1}".format(*server.getsockname())
        with pytest.raises(LabError, match=f"{re.escape(address)}.*not Ray"):
            list(RayEngine(address).results([Job("row", jobs.fail)]))
        answering.join()


def test_a_table_is_the_same_on_each_engine(tiny_folder, tmp_path, cluster):
    """Real rows: trained, probed and kept, in this process, in two others, and on the cluster."""
    recipe = Recipe(length=4, steps=2, batch_size=4)
    settings = [
        OrderSetting("single", str(tiny_folder("llama")), recipe, permutations=4),
        OrderSetting("bos", str(tiny_folder("llama")), recipe, permutations=4, bos="first"),
    ]
    experiment = Experiment("table2", "", lambda b, p: settings, order.order_row)
    engines = {
        "one": LocalEngine(workers=1, threads=1),
        "two": LocalEngine(workers=2, threads=1),
        "ray": RayEngine(cluster, threads=1),
    }
    rows = {}
    for name, engine in engines.items():
        result = runner.run_grid(
            experiment,
            profile="small",
            backbone=None,
            task=None,
            seeds=(0, 1),
            out=tmp_path / name,
            resume=False,
            limit=16,
            on_progress=None,
            engine=engine,
        )
        rows[name] = [{k: v for k, v in row.items() if k != "seconds"} for row in result["rows"]]
    assert len(rows["one"]) >= 2
    assert rows["two"] == rows["one"] and rows["ray"] == rows["one"]
