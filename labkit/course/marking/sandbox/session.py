"""One submission's cells in one kernel: `python -m labkit.course.marking.sandbox.session SPEC`.

A process of its own, so that whatever a submission does to the process that talks to its kernel
(gigabytes of output, a kernel that vanishes) ends here. Reads ``SPEC`` (JSON: see
:mod:`labkit.course.marking.sandbox`), writes one line of JSON for each cell as soon as it has run.

A kernel that dies, or that does not stop when its time is over, is replaced: the cells before are
run once more without the one that did it, so that one exercise does not cost the others.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec

OWN_MEMORY = 2 << 30
"""Bytes for this process: a single message of a kernel may be large."""

START_S, STOP_S, POLL_S, TRIES = 60, 5, 0.2, 20
MOST_TEXT, MOST_OUTPUTS = 20_000, 50
RESTARTS = 2
MOST_DISK, MOST_FILES, LOOK_S = 1 << 30, 20_000, 1.0
"""What a submission may write (bytes, files and folders), and how often that is looked at."""

ENDED = "the process ended (a crash, an exit, or no memory left)"

NO_KERNEL = 3
"""Exit code: not even the first kernel came up."""


class _Died(Exception):
    """The kernel is gone, or had to be ended; the message says why."""


class _Kernel(NamedTuple):
    manager: KernelManager
    client: Any
    scratch: Path

    def execute(self, source: str, limit_s: float) -> tuple[list[dict], dict]:
        """Outputs and the reply of one cell.

        Raises:
            _Died: if the kernel ends, or goes on after it was told to stop.
        """
        sent = self.client.execute(
            source, store_history=False, allow_stdin=False, stop_on_error=False
        )
        outputs: list[dict] = []
        stop = time.monotonic() + limit_s
        look = time.monotonic() + LOOK_S
        interrupted = False
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=POLL_S)
            except queue.Empty:
                if not self.manager.is_alive():
                    raise _Died(ENDED) from None
                message = {}
            except Exception:  # a message that the submission has forged, and badly
                message = {}
            if _is_end(message, sent, outputs):
                break
            if time.monotonic() > look:
                if _overflows(self.scratch):
                    raise _Died(f"it wrote more than {MOST_DISK >> 30} GB or {MOST_FILES:,} files")
                look = time.monotonic() + LOOK_S
            if time.monotonic() > stop:
                if interrupted:
                    raise _Died(f"it ran longer than {limit_s:.0f} s and could not be stopped")
                self.manager.interrupt_kernel()
                interrupted, stop = True, time.monotonic() + STOP_S
        reply = self._reply(sent)
        if _asks_to_exit(reply):
            raise _Died(ENDED)
        if interrupted:
            reply = {
                "status": "error",
                "ename": "TimeoutError",
                "evalue": f"stopped after {limit_s:.0f} s: an endless loop?",
            }
        return outputs, reply

    def _reply(self, sent: str) -> dict:
        try:
            while True:
                message = self.client.get_shell_msg(timeout=STOP_S)
                if message["parent_header"].get("msg_id") == sent:
                    return message["content"]
        except queue.Empty:
            raise _Died("the process gave no answer") from None

    def end(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def _asks_to_exit(reply: dict) -> bool:
    """Whether a cell called ``exit()``: the kernel answers, and ends a moment later.

    Without this the cell after it would be blamed, or not, as time would have it. After
    ``exit(keep_kernel=True)`` the kernel goes on.
    """
    payload = reply.get("payload")
    parts = payload if isinstance(payload, list) else []  # a submission may forge a reply
    asked = [x for x in parts if isinstance(x, dict) and x.get("source") == "ask_exit"]
    return any(not x.get("keepkernel") for x in asked)


def _overflows(folder: Path) -> bool:
    """Whether more lies below a folder than a submission may write; follows no link."""
    todo, space, files = [str(folder)], 0, 0
    while todo and space <= MOST_DISK and files <= MOST_FILES:
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in itertools.islice(entries, MOST_FILES + 1):
                files += 1
                with contextlib.suppress(OSError):  # gone in between
                    space += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
    return space > MOST_DISK or files > MOST_FILES


def _empty(folder: Path) -> None:
    """Remove what is in a folder, also while a process that has been ended still writes there."""
    for _ in range(TRIES):
        for path in folder.iterdir():
            subprocess.run(["rm", "-rf", str(path)], capture_output=True, check=False)
        if not any(folder.iterdir()):
            return
        time.sleep(POLL_S)


def _is_end(message: dict, sent: str, outputs: list[dict]) -> bool:
    """Whether a message says that the cell sent is done; others of that cell are collected."""
    # what a submission sends in the kernel's name may have any form
    with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):
        if message and message["parent_header"].get("msg_id") == sent:
            if message["content"].get("execution_state") == "idle":
                return True
            _collect(outputs, message)
    return False


def _collect(outputs: list[dict], message: dict) -> None:
    """Keep what a reader of the feedback wants: texts, cut to size, and no pictures."""
    kind, content = message["msg_type"], message["content"]
    if kind == "stream":
        if outputs and outputs[-1].get("name") == content["name"]:
            last = outputs[-1]
            last["text"] = (last["text"] + content["text"])[:MOST_TEXT]
        elif len(outputs) < MOST_OUTPUTS:
            text = content["text"][:MOST_TEXT]
            outputs.append({"output_type": "stream", "name": content["name"], "text": text})
    elif kind in ("execute_result", "display_data") and len(outputs) < MOST_OUTPUTS:
        text = str(content["data"].get("text/plain", ""))[:MOST_TEXT]
        data = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": text}}
        outputs.append(data)


def _start(spec: dict, number: int) -> _Kernel:
    connection = Path(spec["scratch"]) / f"k{number}.json"
    manager = KernelManager(kernel_name="python3", transport="ipc", connection_file=str(connection))
    manager._kernel_spec = KernelSpec(
        argv=spec["kernel"], display_name="marking", language="python", interrupt_mode="message"
    )
    # Its own standard output stays apart: what is printed in cells comes as messages.
    manager.start_kernel(cwd=spec["work"], env=spec["environment"], stdout=subprocess.DEVNULL)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=START_S)
    except RuntimeError as error:
        manager.shutdown_kernel(now=True)
        raise _Died(f"no kernel could be started ({error})") from error
    return _Kernel(manager, client, Path(spec["scratch"]))


def run(spec: dict, kernel: _Kernel, report: Callable[[dict], None]) -> None:
    """Run the cells of a spec; ``report`` gets ``index``, ``outputs`` and ``error`` of each."""
    deadline = time.monotonic() + spec["total_s"]
    cells, lethal, starts = spec["cells"], set(), 1
    try:
        for place, cell in enumerate(cells):
            left = deadline - time.monotonic()
            try:
                if left <= 0:
                    raise _Died(f"the whole notebook ran longer than {spec['total_s']:.0f} s")
                outputs, reply = kernel.execute(cell["source"], _seconds(cell, left, spec))
                report({"index": cell["index"], "outputs": outputs, "error": _error(reply)})
                continue
            except _Died as death:
                lethal.add(place)
                error = {"ename": "KernelDied", "evalue": str(death), "traceback": []}
                report({"index": cell["index"], "outputs": [], "error": error})
            if left <= 0 or starts > RESTARTS:
                return
            pause = time.monotonic()
            kernel.end()
            _empty(Path(spec["work"]))
            starts += 1
            kernel = _start(spec, starts)
            deadline += time.monotonic() - pause
            for earlier in range(place):
                if earlier not in lethal and not cells[earlier]["test"]:
                    left = max(0, deadline - time.monotonic())
                    again = cells[earlier]
                    kernel.execute(again["source"], _seconds(again, left, spec))
    except _Died:
        pass  # while it was replaced: the cells that are left stay unrun
    finally:
        kernel.end()


def _seconds(cell: dict, left: float, spec: dict) -> float:
    return left if cell["given"] else min(left, spec["cell_s"])


def _error(reply: dict) -> dict | None:
    if reply.get("status") != "error":
        return None
    trace = [str(line)[:MOST_TEXT] for line in reply.get("traceback", [])[:MOST_OUTPUTS]]
    named = {key: str(reply.get(key, ""))[:MOST_TEXT] for key in ("ename", "evalue")}
    return {**named, "traceback": trace}


def main(path: Path) -> None:
    import resource  # not on Windows, where nothing is marked, but where this module is imported

    _, most = resource.getrlimit(resource.RLIMIT_DATA)  # stays: the kernel may have more than this
    resource.setrlimit(resource.RLIMIT_DATA, (OWN_MEMORY, most))
    spec = json.loads(path.read_text("utf-8"))

    def report(result: dict) -> None:
        print(json.dumps(result), flush=True)

    try:
        first = _start(spec, 1)
    except _Died as error:
        print(error, file=sys.stderr)
        sys.exit(NO_KERNEL)
    run(spec, first, report)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
