"""What happens around an answer while it is checked, whatever the exercise."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from labkit.course.exercises import checks, guard, running
from labkit.course.exercises.compare import compare


def right(template, text):
    return template.partition("{mask}")[0].removesuffix(" ").replace("{text}", text)


def failure(answer, check=checks.check_fill) -> str:
    with pytest.raises(AssertionError) as caught:
        check(answer)
    return str(caught.value)


def test_a_passed_check_says_public_cases_and_hidden_cases_say_nothing(capsys):
    checks.check_fill(right)
    assert capsys.readouterr().out.endswith(" (public cases)\n")
    checks.check_fill(right, draw=99)
    assert capsys.readouterr().out == ""


def test_jupyter_shows_the_message_alone(capsys):
    shell = InteractiveShell.instance()
    shell.user_ns["check"] = lambda: checks.check_fill(lambda t, x: t.replace("{text}", x))
    result = shell.run_cell("check()")
    shown = capsys.readouterr().out
    assert isinstance(result.error_in_exec, AssertionError)
    assert "a slot is left" in shown and "Traceback" not in shown and len(shown.splitlines()) < 5


def test_nothing_returned_is_told_as_that():
    assert "is the `return` missing?" in failure(lambda template, text: None)


def test_an_error_of_the_answer_is_shown_with_its_line():
    def fill(template, text):
        parts = template.split("{mask}")
        return parts[7]

    said = failure(fill)
    assert "IndexError" in said and "`return parts[7]`" in said


def test_the_line_left_under_a_solution_is_told_from_an_empty_cell():
    def fill(template, text):
        """Words."""
        filled = right(template, text)
        raise NotImplementedError()
        return filled

    def empty(template, text):
        """Words."""
        raise NotImplementedError()

    assert "still stands beside what you wrote" in failure(fill)
    assert "still empty" in failure(empty)


def test_a_name_that_is_no_function_any_more():
    assert "not a function" in failure("Good fun.")


def test_an_answer_that_does_not_end_is_stopped(monkeypatch):
    monkeypatch.setattr(guard, "LIMIT_S", 0.2)

    def block_orders(length, unit, count, seed):
        drawn = set()
        while len(drawn) < 10**9:
            try:
                drawn.add(1)
            except Exception:
                continue

    assert "how many orders exist" in failure(block_orders, checks.check_block_orders)


def test_going_through_all_orders_is_stopped_where_there_are_too_many(monkeypatch):
    monkeypatch.setattr(guard, "LIMIT_S", 1.0)

    def block_orders(length, unit, count, seed):
        """Keeps a random few of those that go by, which takes no memory, and years."""
        blocks, draw, kept = range(length // unit), random.Random(seed), []
        for number, order in enumerate(itertools.permutations(blocks)):
            place = draw.randrange(number) if number > count else number - 1
            if 0 <= place < count:
                kept[place : place + 1] = [order]
        return [[b * unit + i for b in order for i in range(unit)] for order in kept]

    assert "are all orders gone through?" in failure(block_orders, checks.check_block_orders)


def test_an_answer_that_waits_for_a_busy_machine_is_not_cut_off(monkeypatch):
    monkeypatch.setattr(guard, "LIMIT_S", 0.2)
    monkeypatch.setattr(running, "PATIENCE", 1000)
    waits = iter([0.4])

    def waits_once(template, text):
        time.sleep(next(waits, 0))
        return right(template, text)

    checks.check_fill(waits_once)


def test_an_answer_that_waits_for_ever_is_stopped(monkeypatch):
    monkeypatch.setattr(guard, "LIMIT_S", 0.2)

    def waits(template, text):
        threading.Event().wait()

    assert "no answer within" in failure(waits)


@pytest.mark.parametrize(
    "seed", [random.seed, np.random.seed, torch.manual_seed], ids=["random", "numpy", "torch"]
)
def test_reseeding_a_global_generator_is_refused_and_drawing_from_it_is_not(seed):
    def reseeds(template, text):
        seed(3)
        return right(template, text)

    def draws(template, text):
        random.random(), np.random.rand(), torch.rand(1)
        return right(template, text)

    assert "reseeds the global generator" in failure(reseeds)
    checks.check_fill(draws)


def test_a_check_leaves_the_notebooks_own_draws_alone():
    random.seed(5)
    torch.manual_seed(5)
    expected = random.random(), torch.rand(1)
    random.seed(5)
    torch.manual_seed(5)
    checks.check_fill(right)
    assert (random.random(), torch.rand(1)) == expected


def test_standard_error_and_warnings_of_an_answer_cost_nothing(capsys):
    def fill(template, text):
        warnings.warn("slow", stacklevel=1)
        print("42 %", file=sys.stderr)
        return right(template, text)

    checks.check_fill(fill)
    assert capsys.readouterr().err == ""


def test_results_kept_by_object_are_found():
    kept = {}

    def mask_chosen(scores, chosen):
        free = scores.clone()
        free[chosen] = -torch.inf
        return kept.setdefault((id(scores), id(chosen)), free.softmax(0)).clone()

    assert "keeps results from call to call" in failure(mask_chosen, checks.check_mask_chosen)


def test_a_result_that_changes_by_itself_is_blamed_on_nothing_else():
    """The last calls of a check follow one that wrote to a result: where another goes wrong
    there, the cause is another, as long as what comes back is not what was written."""

    def slips(at):
        calls = []

        def leak(logits, new):
            calls.append(1)
            closed = logits.index_fill(1, torch.tensor(new), -torch.inf)
            nats = logits.logsumexp(1) - closed.logsumexp(1)
            return nats + 1 if len(calls) == at else nats

        return calls, leak

    calls, steady = slips(at=None)
    checks.check_leak(steady)
    for before_the_last in (0, 2):
        message = failure(slips(len(calls) - before_the_last)[1], checks.check_leak)
        assert "the same arguments should give the same result" in message


def test_the_prompt_rebound_is_told_from_no_step():
    def rebinds(prompt, model, texts, targets, lr):
        inputs = torch.cat([prompt.expand(len(texts), -1, -1), texts], 1)
        loss = torch.nn.functional.cross_entropy(model(inputs), targets)
        (gradient,) = torch.autograd.grad(loss, prompt)
        prompt = prompt - lr * gradient
        return loss.item()

    assert "only gives the name another value" in failure(rebinds, checks.check_training_step)


@pytest.mark.parametrize("hash_seed", ["1", "18", "4000"])
def test_the_order_of_a_set_is_caught_however_python_was_started(hash_seed):
    """Of two texts a set has one of two orders: each pair of them comes in both, and the same way
    under every start of Python, or a student's mark would depend on it."""
    code = (
        "from labkit.course.exercises.compare import under_other_hashes\n"
        "names = 'editorials amazon tweets movies news a b'.split()\n"
        "pairs = [(x, y) for x in names for y in names if x < y]\n"
        "first = lambda *pair: next(iter(set(pair)))\n"
        "for pair in pairs:\n"
        "    print(*under_other_hashes(first, lambda salt: tuple(map(salt, pair))))\n"
    )
    answers = {
        seed: subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", hash_seed)
    }
    assert answers["0"] == answers[hash_seed]
    assert all(len(set(line.split())) == 2 for line in answers["0"].splitlines())


@pytest.mark.parametrize(
    ("switch", "named"),
    [
        (lambda: torch.set_grad_enabled(False), "torch.set_grad_enabled"),
        (lambda: torch.set_default_dtype(torch.float64), "torch.set_default_dtype"),
    ],
)
def test_what_an_answer_switches_for_the_notebook_is_told_and_switched_back(switch, named):
    def fill(template, text):
        switch()
        return right(template, text)

    assert named in failure(fill)
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32


def told(answer, cases, right_answer) -> str:
    """What `compare` says against an answer."""
    with pytest.raises(guard.CheckFailed) as caught:
        compare(guard.Guarded(answer, "answer"), cases, right_answer)
    return str(caught.value)


GRID = [(float(x), float(k)) for x in (1, 2, 3) for k in (1, 2, 3)]


def test_an_argument_that_never_counts_is_named():
    assert "`k` makes no difference" in told(lambda x, k: 3 * x, GRID, lambda x, k: x * k)
    assert "no argument makes a diff" in told(lambda x, k: 7.0, GRID, lambda x, k: x * k)
    rows = [(torch.randn(size),) for size in (2, 2, 3, 3, 3, 2, 2)]
    said = told(lambda row: torch.zeros(len(row)), rows, lambda row: row.softmax(0))
    assert "the values in `row` make no difference" in said


@pytest.mark.parametrize(
    "answer",
    [
        lambda x, k: 1.0 + (k if x == 3 else 0),
        lambda x, k: x + (k == 3),
        lambda x, k: x + 1e-7 * k,  # less than the tolerance
        lambda x, k: 7 + 1e-9 * (x + k),
    ],
)
def test_an_argument_that_counts_anywhere_is_not_said_to_make_no_difference(answer):
    said = told(answer, GRID, lambda x, k: x * k)
    assert "difference" not in said and "expected" in said


@pytest.mark.parametrize(
    ("answer", "right_answer"),
    [
        (lambda n: (i for i in range(n)), lambda n: list(range(n))),
        (lambda n: zip(range(n), range(n), strict=True), lambda n: [(i, i) for i in range(n)]),
        (lambda n: (n, map(str, range(n))), lambda n: (n, [str(i) for i in range(n)])),
        (lambda n: {"a": iter([n])}, lambda n: {"a": [n]}),
    ],
)
def test_an_iterator_is_told_as_one_and_not_as_chance(answer, right_answer):
    said = told(answer, [(3,), (4,), (5,)], right_answer)
    assert "gives an iterator back" in said and "at random" not in said


def test_what_an_answer_changes_about_a_module_is_told():
    def encoded(change):
        def encode(embedding, lstm, mlp):
            change(lstm, mlp)
            return mlp(lstm(embedding[:, None])[0][:, 0])

        return encode

    checks.check_encode(encoded(lambda lstm, mlp: None))
    for change, named in (
        (lambda lstm, mlp: setattr(lstm, "dropout", 0.5), "changes `dropout` of its argument"),
        (lambda lstm, mlp: setattr(mlp, "calls", 1), "changes `calls` of its argument `mlp`"),
        (lambda lstm, mlp: setattr(mlp[0], "forward", torch.tanh), "changes `0.forward` of"),
        (lambda lstm, mlp: delattr(mlp[1], "inplace"), "changes `1.inplace` of"),
        (lambda lstm, mlp: mlp.register_forward_hook(print), "changes `_forward_hooks` of"),
        (lambda lstm, mlp: mlp[1].eval(), "changes its argument `mlp`"),
    ):
        assert named in failure(encoded(change), checks.check_encode)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda model: setattr(model, "scale", 2.0), "changes `scale` of its argument `model`"),
        (lambda model: list(model.modules())[-1].eval(), "switched to another mode"),
    ],
)
def test_of_a_module_that_may_be_changed_the_weights_alone_may(change, named):
    def training_step(prompt, model, texts, targets, lr):
        change(model)
        inputs = torch.cat([prompt.expand(len(texts), -1, -1), texts], 1)
        loss = torch.nn.functional.cross_entropy(model(inputs), targets)
        (gradient,) = torch.autograd.grad(loss, prompt)
        prompt.data -= lr * gradient
        return loss.item()

    assert named in failure(training_step, checks.check_training_step)
