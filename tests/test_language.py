"""With LABKIT_LANG=zh the checks speak Chinese; what has no translation stays English."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from conftest import ROOT
from labkit.core.errors import LabError
from labkit.course.exercises import checks
from labkit.course.exercises.guard import CheckFailed
from labkit.course.exercises.stand_ins import solved
from labkit.course.language import catalogue, chinese, in_language

MODULES = sorted((ROOT / "labkit/course/exercises").rglob("*.py"))
PLACE = re.compile(r"\{(\d?)\}")
VERBATIM = re.compile(r"`[^`]+`|\{[a-z]\w*\}")
CRAMPED = re.compile(r"[\u4e00-\u9fff][\w,.;:?!()`$]|[\w,.;:?!()`$][\u4e00-\u9fff]", re.ASCII)


@pytest.fixture
def in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_LANG", "zh")


def template(node: ast.AST) -> str | None:
    """A text of the source, with ``{}`` for what is put in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(getattr(part, "value", None) if isinstance(part, ast.Constant) else "{}"
                       for part in node.values)  # fmt: skip
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def messages(path: Path) -> set[str]:
    """Texts of two words or more that are no documentation and no part of another text."""
    tree = ast.parse(path.read_text("utf-8"))
    no_message = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            no_message |= {part for part in node.values if isinstance(part, ast.Constant)}
    texts = {template(node) for node in ast.walk(tree) if node not in no_message} - {None}
    return {t for t in texts if sum(w.isalpha() for w in t.replace("{}", " ").split()) >= 2}


def test_nearly_every_message_of_the_checks_has_its_chinese() -> None:
    listed = catalogue()
    texts = set().union(*map(messages, MODULES))
    missing = sorted(texts - listed.keys())
    # some of the texts are data of a check, such as a review; a new message may wait for its turn
    assert len(texts) > 500
    assert len(missing) < len(texts) / 20, "\n".join(missing)


def test_no_text_is_listed_with_two_translations() -> None:
    listed: dict[str, str] = {}
    for file in (ROOT / "labkit/course/language/zh").glob("*.toml"):
        own = tomllib.loads(file.read_text("utf-8"))
        assert {text for text in own if listed.get(text, own[text]) != own[text]} == set(), file
        listed |= own


def wrong_with(english: str, translation: str) -> str | None:
    """What a translation lost, or how it is misspelt."""
    places = PLACE.findall(translation)
    count = english.count("{}")
    if places != [""] * count and sorted(places) != [str(number) for number in range(count)]:
        return "values"
    if sorted(VERBATIM.findall(english)) != sorted(VERBATIM.findall(translation)):
        return "code"
    return "typography" if CRAMPED.search(re.sub(r"`[^`]*`", "` `", translation)) else None


def test_translations_keep_values_and_code_and_are_well_spelt() -> None:
    wrong = {e: wrong_with(e, c) for e, c in catalogue().items()}
    assert {english: what for english, what in wrong.items() if what} == {}
    assert wrong_with("{} of {}", "{1} 中的 {}") == wrong_with("{} of {}", "{}") == "values"
    assert wrong_with("{} of {}", "{1} 中的 {0}") is None
    assert wrong_with("take `x`", "取 `y`") == "code"
    assert wrong_with("take `x`", "取`x`") == "typography"


@pytest.mark.parametrize(
    ("english", "translation"),
    [
        ("the signs are lost", "符号丢失了"),
        ("f({'a': 1}, 'x. y'): a list comes back, expected one number",
         "f({'a': 1}, 'x. y')：返回的是 list，应为一个数"),
        ("everything is 0.2 too large. f(1): got 1.2, expected 1.0",
         "所有值都大了 0.2。f(1)：得到 1.2，应为 1.0"),
        ("this is a new hint: look again. f(1): got 2, expected 1",
         "this is a new hint: look again. f(1)：得到 2，应为 1"),
        ("other cases of the same kind: the signs are lost", "同一类的其他样例：符号丢失了"),
        ("f(1) ends in ValueError: no (line 2 of the cell: `raise x`)",
         "f(1) 以 ValueError: no 结束（单元格的第 2 行：`raise x`）"),
        ("f(1) ends in RuntimeError: size a (3) must match size b (4) at 0 (line 3)",
         "f(1) 以 RuntimeError: size a (3) must match size b (4) at 0 结束（第 3 行）"),
        ("the signs are lost. f({'a': [(1, 'x …, ['y']): got {'a': [(1, …, expected []",
         "符号丢失了。f({'a': [(1, 'x …, ['y'])：得到 {'a': [(1, …，应为 []"),
        ("this text is listed nowhere", "this text is listed nowhere"),
        ("", ""),
    ],
)  # fmt: skip
def test_messages_are_put_together_in_chinese_too(english: str, translation: str) -> None:
    assert chinese(english) == translation


def reversed_lines(raw: bytes) -> list[str]:
    lines = (" ".join(line.split()) for line in raw.decode("latin-1").split("\n"))
    return list(dict.fromkeys(line for line in lines if line))[::-1]


def test_a_check_speaks_the_language_of_the_reader(
    in_chinese: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CheckFailed) as failed:
        checks.check_clean(reversed_lines)
    assert "顺序颠倒了：请保持文件的顺序" in str(failed.value)
    checks.check_clean(lambda raw: reversed_lines(raw)[::-1])
    assert (
        capsys.readouterr().out
        == "✓ 清洗：latin-1，没有空行，没有连续的空格，没有重复（公开样例）\n"
    )
    with pytest.raises(CheckFailed, match=r"^同一类的其他样例："):
        checks.check_clean(reversed_lines, draw=1)


def test_a_stand_in_is_announced_in_the_language_of_the_reader(
    in_chinese: None, capsys: pytest.CaptureFixture[str]
) -> None:
    solved("possible")
    assert capsys.readouterr().out == "possible：它的检查还没有通过，所以由库中的版本代替\n"


def test_english_is_the_language_of_those_who_chose_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "", "en"):
        if value is None:
            monkeypatch.delenv("LABKIT_LANG", raising=False)
        else:
            monkeypatch.setenv("LABKIT_LANG", value)
        assert in_language("the signs are lost") == "the signs are lost"


def test_another_language_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_LANG", "fr")
    with pytest.raises(LabError, match="LABKIT_LANG='fr' is not a language of the course"):
        in_language("the signs are lost")
