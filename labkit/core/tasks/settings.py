"""``task.json``: what a folder says of its task, and the words to ask with.

Each of its entries is optional::

    {
      "template": "{title}: {text} It was {mask}",
      "words": {"negative": "terrible", "positive": ["great", "good"]},
      "prompts": {"encoder": {"template": "{text}", "words": {"negative": "a bad film", ...}}},
      "labels": ["negative", "positive"],
      "range": [0, 5]
    }

``template`` and ``words`` serve every readout that can take the template; ``prompts`` holds others
by readout (mlm, causal, seq2seq, encoder). ``labels`` names the classes 0 … C−1 or says their
order; ``range`` makes a regression. Texts that the templates don't use take no part in anything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from labkit.core.errors import LabError
from labkit.core.files import parse_json
from labkit.core.tasks.task import POLES, TaskPrompt
from labkit.core.templates import READOUTS, Template, Verbalizer, check_template

SETTINGS = "task.json"
_KNOWN = {"template": str, "words": dict, "prompts": dict, "labels": list, "range": list}


def read_settings(folder: Path) -> dict:
    file = folder / SETTINGS
    if not file.exists() and not file.is_symlink():
        return {}
    try:
        about = parse_json(file.read_bytes())
    except ValueError as error:
        raise LabError(f"{file} is not JSON ({error}); mend it") from error
    except OSError as error:
        raise LabError(
            f"{file} can't be read ({error.strerror}); make it a file that can be, or take it away"
        ) from error
    if not isinstance(about, dict):
        raise LabError(f"{file} is not a JSON object; write its entries in braces")
    for name, value in about.items():
        if name not in _KNOWN:
            raise LabError(f"{file}: {name!r} is no entry; there are {', '.join(_KNOWN)}")
        if not isinstance(value, _KNOWN[name]):
            kind = {str: "a text", dict: "an object", list: "a list"}[_KNOWN[name]]
            raise LabError(f"{file}: {name!r} is {json.dumps(value)[:60]}; give {kind}")
    if ("template" in about) != ("words" in about):
        raise LabError(f"{file}: template and words belong together; give both")
    if "labels" in about:
        names = about["labels"]
        if len(set(map(str, names))) < max(len(names), 1) or not all(
            isinstance(name, str) for name in names
        ):
            raise LabError(f"{file}: labels {json.dumps(names)} are not distinct names")
    if "range" in about:
        _check_range(file, about["range"])
    return about


def _check_range(file: Path, span: list) -> None:
    if len(span) != 2 or not all(map(is_number, span)) or not span[0] < span[1]:
        raise LabError(f"{file}: range {json.dumps(span)[:60]} is no lower and higher number")


def is_number(value: object) -> bool:
    """Whether it is a number that a float can hold, and neither NaN nor infinite."""
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


def read_prompts(
    folder: Path, about: Mapping, labels: tuple[str, ...], span: tuple[float, float] | None
) -> dict[str, TaskPrompt]:
    file = folder / SETTINGS
    prompts = {}
    if "template" in about:
        shared = _prompt(file, about, labels, span)
        problems = {r: _problem(shared, r) for r in READOUTS}
        prompts = {r: shared for r, problem in problems.items() if problem is None}
        if not prompts:
            raise LabError(f"{file}: no readout can take that template ({problems['mlm']})")
    for readout, given in about.get("prompts", {}).items():
        if readout not in READOUTS or not isinstance(given, dict):
            raise LabError(
                f"{file}: prompts are objects by readout ({', '.join(READOUTS)}); "
                f"{readout!r} is not one"
            )
        prompts[readout] = _prompt(file, given, labels, span)
        if (problem := _problem(prompts[readout], readout)) is not None:
            raise LabError(f"{file}, prompts, {readout}: {problem}")
    return prompts


def _prompt(
    file: Path, given: Mapping, labels: tuple[str, ...], span: tuple[float, float] | None
) -> TaskPrompt:
    if not isinstance(given.get("template"), str) or not isinstance(given.get("words"), dict):
        raise LabError(f"{file}: a prompt has a template (a text) and words (an object)")
    for label, word in given["words"].items():
        several = word if isinstance(word, list) else [word]
        if not all(isinstance(each, str) for each in several):
            raise LabError(
                f"{file}: the words of {label!r} are {json.dumps(word)[:60]}; give a text, or a "
                "list of texts"
            )
    try:
        template = Template(given["template"])
        words = Verbalizer(
            {k: tuple(v) if isinstance(v, list) else v for k, v in given["words"].items()}
        )
    except LabError as error:
        raise LabError(f"{file}: {error}") from error
    if template.has_soft:
        raise LabError(f"{file}: write the template without {{soft}}; that is added where needed")
    wanted = POLES if span is not None else labels
    if set(words.labels) != set(wanted):
        raise LabError(
            f"{file}: words are given for {', '.join(words.labels)}; the task has "
            f"{', '.join(wanted)}"
        )
    ordered = words if words.labels == wanted else words.reordered(wanted)
    return TaskPrompt(template.text, ordered.words)


def _problem(prompt: TaskPrompt, readout: str) -> str | None:
    """Why a readout can't take the template."""
    try:
        check_template(Template(prompt.template), readout)
    except LabError as error:
        return str(error)
    return None
