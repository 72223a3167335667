"""Jobs for the engines' tests: a worker process imports them by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch

from labkit.core.errors import LabError


def arithmetic(seed: int, tell) -> dict:
    """A sum whose last bits depend on the number of threads that add it up."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(400, 3000, generator=generator)
    tell(1, 2, "half way")
    return {
        "seed": seed,
        "threads": torch.get_num_threads(),
        "bits": (numbers @ numbers.T).softmax(-1).sum(0).tolist(),
        "process": os.getpid(),
    }


def threads(tell) -> dict[str, int]:
    """Threads of torch, and those that other libraries take when they are loaded."""
    return {"torch": torch.get_num_threads(), "others": int(os.environ["OMP_NUM_THREADS"])}


def log(folder: str, name: str, tell) -> str:
    """Leaves a line for each time it was begun."""
    with open(Path(folder) / name, "a") as file:
        file.write(f"{os.getpid()}\n")
    return name


def die_once(folder: str, name: str, tell) -> str:
    """Killed in mid-job the first time, as by the system when memory runs out."""
    first = not (Path(folder) / name).exists()
    log(folder, name, tell)
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def die(folder: str, name: str, tell) -> str:
    log(folder, name, tell)
    os.kill(os.getpid(), signal.SIGKILL)
    return name


def fail(tell) -> None:
    raise LabError("this row has no data; give it some")


class Unsendable(Exception):
    """Goes to bits, and does not come back from them."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def blunder(tell) -> None:
    raise ZeroDivisionError("a row without sentences")


def blunder_strangely(tell) -> None:
    raise Unsendable("a row ", "without words")


def gpus(tell) -> list[str]:
    """Those that Ray has given to the job."""
    import ray

    return ray.get_runtime_context().get_accelerator_ids()["GPU"]


def train(steps: int, tell) -> int:
    for step in range(1, steps + 1):
        tell(step, steps, f"training {step}")
    return steps


def wait(folder: str, name: str, tell) -> str:
    log(folder, name, tell)
    time.sleep(60)
    return name


def keep(folder: str, tell) -> dict:
    """Something that is kept in a folder, made by the first that comes to it."""
    from labkit.experiments.base.kept import kept_result
    from labkit.experiments.base.setting import Place

    def make() -> dict:
        log(folder, "log", tell)
        time.sleep(1)
        return {"by": os.getpid()}

    out = Path(folder)
    return kept_result(out / "kept" / "result.json", Place(out, out, "labkit run"), make)
