"""Facts: candidates per relation, subjects on one side only, LAMA's layout, bad files."""

from __future__ import annotations

import json

import pytest

from labkit.core.errors import LabError
from labkit.core.facts import load_facts
from labkit.core.prompted_model import PromptedModel, evaluate


def write(folder, relations, **facts):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"relation": r, "template": t}) for r, t in relations.items()]
    (folder / "relations.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for name, pairs in facts.items():
        file = folder / f"{name}.jsonl"
        file.parent.mkdir(exist_ok=True)
        rows = [json.dumps({"sub_label": s, "obj_label": o}) for s, o in pairs]
        file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


PAIRS = [(f"place {i}", "great" if i % 2 else "terrible") for i in range(10)]


def test_the_courses_facts_have_every_split_and_one_answer_per_subject():
    tasks = load_facts()
    assert len(tasks) >= 8
    for name, task in tasks.items():
        sizes = [len(task.split(split)) for split in ("train", "validation", "test")]
        assert min(sizes) >= 3, (name, sizes)
        subjects = [e.text for part in task.splits.values() for e in part]
        assert len(subjects) == len(set(subjects)), name


def test_no_subject_stands_on_two_sides_of_any_relation():
    where: dict[str, set[str]] = {}
    for task in load_facts().values():
        for split, part in task.splits.items():
            for example in part:
                where.setdefault(example.text.lower(), set()).add(split)
    assert max(map(len, where.values())) == 1


def test_splits_do_not_depend_on_which_relations_are_asked_for():
    every = load_facts()
    for name in ("currency", "capital"):
        assert load_facts(relations=[name])[name].splits == every[name].splits


def test_an_example_keeps_its_own_object(tmp_path):
    task = load_facts(write(tmp_path, {"is": "[X] is [Y]"}, **{"is": PAIRS}))["is"]
    found = {e.text: task.labels[e.label] for part in task.splits.values() for e in part}
    assert found == dict(PAIRS)


def test_lamas_layout_and_its_spaced_full_stop(tmp_path):
    folder = write(tmp_path, {"P36": "The capital of [X] is [Y] .", "P1": "[Y] is [X] ."})
    (folder / "TREx").mkdir()
    for name in ("P36", "P1"):
        write(folder / "other", {}, **{name: PAIRS})
        (folder / "other" / f"{name}.jsonl").rename(folder / "TREx" / f"{name}.jsonl")
    tasks = load_facts(folder)
    prompts = tasks["P36"].prompts
    assert prompts["causal"].template == "The capital of {subject} is {mask}"
    assert prompts["mlm"].template == "The capital of {subject} is {mask}."
    assert set(tasks["P1"].prompts) == {"mlm"}


def test_a_fact_is_scored_among_its_relations_objects(tmp_path, tiny_backbone):
    folder = write(tmp_path, {"is": "the plot of [X] is [Y]"}, **{"is": PAIRS})
    task = load_facts(folder)["is"]
    model = PromptedModel.for_task(tiny_backbone("llama"), task, soft=False)
    result = evaluate(model, None, task)
    by_candidates = model.scores(None, task.split("test"), [task.labels] * result.n)
    assert result.predictions.tolist() == by_candidates.argmax(-1).tolist()


@pytest.mark.parametrize(
    ("relations", "facts", "message"),
    [
        ({"is": "the film is [Y]"}, {"is": PAIRS}, r"one \[X\] and one \[Y\]"),
        ({"is": "[X] is [Y]"}, {"is": PAIRS[:1]}, "fewer than two"),
        ({"is": "[X] is [Y]"}, {}, "file for none"),
        ({"is": "[X] is [Y]"}, {"is": [("", "great")]}, "object 1"),
    ],
)
def test_bad_folders_are_named(tmp_path, relations, facts, message):
    with pytest.raises(LabError, match=message):
        load_facts(write(tmp_path, relations, **facts))


def test_what_is_not_there(tmp_path):
    with pytest.raises(LabError, match=r"relations\.jsonl"):
        load_facts(tmp_path)
    folder = write(tmp_path, {"is": "[X] is [Y]", "was": "[X] was [Y]"}, **{"is": PAIRS})
    assert list(load_facts(folder)) == ["is"]
    with pytest.raises(LabError, match="no relation had"):
        load_facts(folder, ["had"])
    with pytest.raises(LabError, match=r"no file was\.jsonl"):
        load_facts(folder, ["was"])
    (folder / "is.jsonl").write_text("{broken", encoding="utf-8")
    with pytest.raises(LabError, match=r"is\.jsonl:1 is not JSON"):
        load_facts(folder)


def test_files_as_other_programs_save_them(tmp_path):
    folder = write(tmp_path, {"is": "[X] is [Y]"}, **{"is": PAIRS})
    whole, plain = load_facts(folder)["is"], (folder / "is.jsonl").read_bytes()
    (folder / "is.jsonl").write_bytes(b"\xef\xbb\xbf" + plain)  # a byte order mark, as on Windows
    assert load_facts(folder)["is"] == whole
    line = '{"sub_label": "Vallès", "obj_label": "great"}\n'
    (folder / "is.jsonl").write_bytes(plain + line.encode("latin-1"))
    with pytest.raises(LabError, match="save the file as UTF-8"):
        load_facts(folder)
    broken = line.replace("è", "\u2028")  # a line's end to Unicode, not to JSON
    (folder / "is.jsonl").write_bytes(plain + broken.encode())
    subjects = [e.text for part in load_facts(folder)["is"].splits.values() for e in part]
    assert "Vall\u2028s" in subjects
