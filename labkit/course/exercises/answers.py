"""What all checks of exercises do beside checking: see :func:`exercise`.

A check is a function ``check_NAME(answer, …)`` that raises ``AssertionError`` with a hint. The
decorator adds what is the same for all of them: an answer that is still empty is told so, one that
hands the work to `labkit` is refused, and one that passes is remembered, so that later cells can
ask for it by name (:func:`labkit.course.exercises.stand_ins.solved`).

What the refusal can't see: it reads the answer's code and that of the functions and classes it
names, as far as they were defined in the notebook. A name put together at run time, or code copied
out of `labkit`, goes unnoticed.
"""

from __future__ import annotations

import dis
import functools
import inspect
import types
from collections.abc import Callable, Collection, Iterator

PACKAGE = __name__.partition(".")[0]

passed: dict[str, Callable] = {}
"""``NAME`` of each ``check_NAME`` → the answer that passed it; a later failure takes it out."""


def exercise(check: Callable | None = None, *, uses: Collection[str] = ()) -> Callable:
    """Decorate ``check_NAME(answer, …)``.

    Args:
        uses: names of labkit's that the exercise asks the reader to use.
    """
    if check is None:
        return functools.partial(exercise, uses=uses)
    name = check.__name__.removeprefix("check_")

    @functools.wraps(check)
    def examined(answer: Callable, *args: object, **kwargs: object) -> None:
        passed.pop(name, None)
        handed = sorted(set(handed_over(answer)) - set(uses))
        assert not handed, (
            f"{name} hands the work to labkit ({', '.join(handed)}): here it is yours to write"
        )
        try:
            check(answer, *args, **kwargs)
        except NotImplementedError as error:
            raise AssertionError(
                f"{name} is still empty: write it in the cell above, run that, then this one"
            ) from error
        passed[name] = answer

    return examined


def handed_over(answer: object) -> Iterator[str]:
    """Names of labkit's that an answer's own code uses."""
    seen: set[int] = set()
    todo: list[object] = [answer]
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, functools.partial):
            todo += [value.func, *value.args, *value.keywords.values()]
        elif inspect.ismethod(value):
            todo += [value.__self__, value.__func__]
        elif name := _ours(value):
            yield name
        elif isinstance(value, types.FunctionType):
            yield from _imports(value.__code__)
            todo += [v for v in _named(value) if _could_work(v, value.__globals__)]
        elif isinstance(value, type):
            todo += [base for base in value.__bases__ if base is not object]
            todo += [_function(member) for member in vars(value).values()]


def _ours(value: object) -> str | None:
    """How labkit calls the value, if it is one of its modules, functions or classes."""
    if isinstance(value, types.ModuleType):
        name = value.__name__
    elif isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        name = value.__module__ or ""
    else:
        return None
    inside = name == PACKAGE or name.startswith(f"{PACKAGE}.")
    return getattr(value, "__qualname__", name) if inside else None


def _could_work(value: object, notebook: dict) -> bool:
    """Worth looking at: something of labkit's, or of the notebook's own."""
    own = getattr(value, "__module__", None) == notebook.get("__name__")
    return own or _ours(value) is not None or isinstance(value, functools.partial)


def _function(member: object) -> object:
    """The function behind a static or class method or a property."""
    return getattr(member, "__func__", None) or getattr(member, "fget", None) or member


def _named(function: types.FunctionType) -> Iterator[object]:
    """The values of the global and enclosing names in a function's code, and of its defaults."""
    for code in _codes(function.__code__):
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in function.__globals__:
                yield function.__globals__[step.argval]
    for cell in function.__closure__ or ():
        yield cell.cell_contents
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    if hasattr(function, "__wrapped__"):
        yield function.__wrapped__


def _imports(code: types.CodeType) -> Iterator[str]:
    for inner in _codes(code):
        for step in dis.get_instructions(inner):
            name = str(step.argval)
            if step.opname == "IMPORT_NAME" and name.partition(".")[0] == PACKAGE:
                yield name


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)
