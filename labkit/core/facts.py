"""Facts to fill in: "The capital of Britain is …", one task per relation.

The course's own small set stands in ``data/facts`` (well-known facts, written for it), in the
layout of LAMA (Petroni et al. 2019), so that a folder with LAMA's own files is read the same way::

    relations.jsonl        {"relation": "capital", "template": "The capital of [X] is [Y]"}
    capital.jsonl          {"sub_label": "Britain", "obj_label": "London"}      (or TREx/P36.jsonl)

The answer is chosen among the relation's own objects, which become the classes of the task. A
subject stands in the same split in all relations, so that no prompt is tested on a subject that it
was trained with; the splits are those of the whole folder, whichever relations are asked for.

Usage::

    tasks = load_facts()
    PromptedModel.for_task(backbone, tasks["capital"], soft=False)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labkit.core.bundled import bundled
from labkit.core.errors import LabError
from labkit.core.tasks import Example, Task, TaskPrompt, split_examples
from labkit.core.tasks.rows import read_jsonl
from labkit.core.templates import escape

FACTS = bundled("facts")
SHARES = {"validation": 0.2, "test": 0.3}
FIELD = "subject"
_LAMA_FOLDERS = ("", "TREx", "Google_RE")


def load_facts(
    folder: str | Path = FACTS, relations: Sequence[str] | None = None
) -> dict[str, Task]:
    """Relation → task with one text, ``subject``, and the relation's objects as classes.

    Args:
        folder: in the layout of the module's docstring.
        relations: only these; default: all that have a file.

    Raises:
        LabError: for a folder without relations, a relation without a file or with fewer than two
            objects, a line that can't be read, or a template without [X] and [Y].
    """
    folder = Path(folder)
    listed = folder / "relations.jsonl"
    if not listed.is_file():
        raise LabError(f"{listed} does not exist; give a folder with relations.jsonl, as LAMA has")
    templates = {row["relation"]: row["template"] for row in _rows(listed, "relation", "template")}
    unknown = sorted(set(relations or ()) - set(templates))
    if unknown:
        raise LabError(
            f"{listed} has no relation {', '.join(unknown)}; it has {', '.join(templates)}"
        )
    files = {name: _file(folder, name) for name in templates}
    missing = [name for name in relations or () if files[name] is None]
    if missing:
        raise LabError(f"{folder} has no file {missing[0]}.jsonl; add it, or leave it out")
    facts = {
        name: [
            (row["sub_label"], row["obj_label"]) for row in _rows(file, "sub_label", "obj_label")
        ]
        for name, file in files.items()
        if file is not None
    }
    if not facts:
        raise LabError(f"{folder} has a file for none of its relations; add <relation>.jsonl")
    objects = {
        name: tuple(sorted({object_ for _, object_ in rows})) for name, rows in facts.items()
    }
    examples = [
        Example(f"{name}-{number}", {FIELD: subject}, objects[name].index(object_))
        for name, rows in facts.items()
        for number, (subject, object_) in enumerate(rows)
    ]
    splits = split_examples(examples, SHARES)
    return {
        name: Task(
            name=f"facts-{name}",
            fields=(FIELD,),
            labels=_at_least_two(objects[name], files[name]),
            splits={
                split: tuple(e for e in part if e.id.rpartition("-")[0] == name)
                for split, part in splits.items()
            },
            source=str(folder.name),
            prompts=_prompts(templates[name], objects[name], listed),
        )
        for name in relations or facts
    }


def _prompts(template: str, objects: Sequence[str], file: Path) -> dict[str, TaskPrompt]:
    """The relation's template for each readout that can ask with it."""
    if template.count("[X]") != 1 or template.count("[Y]") != 1:
        raise LabError(f"{file}: template {template!r} needs one [X] and one [Y]")
    line = escape(template).replace("[X]", f"{{{FIELD}}}").replace("[Y]", "{mask}").strip()
    open_end = line.rstrip(" .")
    words = {object_: object_ for object_ in objects}
    prompts = {"mlm": TaskPrompt(open_end + ".", words)}
    if open_end.endswith("{mask}"):  # a causal model reads its answer at the end only
        prompts["causal"] = TaskPrompt(open_end, words)
    return prompts


def _file(folder: Path, relation: str) -> Path | None:
    files = (folder / below / f"{relation}.jsonl" for below in _LAMA_FOLDERS)
    return next((file for file in files if file.is_file()), None)


def _rows(file: Path, *needed: str) -> list[dict]:
    rows = read_jsonl(file)
    for number, row in enumerate(rows, start=1):
        values = [row.get(name) for name in needed]
        if not all(isinstance(value, str) and value.strip() for value in values):
            raise LabError(f"{file}, object {number}: {', '.join(needed)} must be there, as text")
    return rows


def _at_least_two(objects: tuple[str, ...], file: Path) -> tuple[str, ...]:
    if len(objects) < 2:
        raise LabError(f"{file} has fewer than two different objects; there is nothing to choose")
    return objects
