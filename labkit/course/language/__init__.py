"""What the course says, in the language that the reader chose (``LABKIT_LANG``).

The English text is the key: ``zh/*.toml`` holds it beside its Chinese, with ``{}`` where a message
has a value; ``{1}`` takes the second one. A value may be a listed message itself, and several
messages may follow one another, also as a list with commas. What is not listed stays English.

Usage::

    in_language("the root is missing: divide by 2")     # as it is, or in Chinese
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Sequence
from importlib import resources

from labkit.core.assets import language

_HOLE = re.compile(r"\{\}")
_PLACE = re.compile(r"\{(\d?)\}")
_OPENS = {")": "(", "]": "[", "}": "{"}


def in_language(message: str) -> str:
    """The message in the reader's language."""
    return chinese(message) if language() == "zh" else message


@functools.lru_cache(4096)  # a slider's picture asks for the same words again and again
def chinese(message: str) -> str:
    """The Chinese of a message; of one that is not listed, the message."""
    whole, _ = _listed()
    if message in whole:
        return whole[message]
    for end in re.finditer(r"(?<=[?]) |[.] ", message):
        first, rest = _sentence(message[: end.start()]), message[end.end() :]
        if first is not None and (others := chinese(rest)) != rest:
            return f"{first}{'' if first.endswith('？') else '。'}{others}"
    sentence = _sentence(message)
    return message if sentence is None else sentence


def catalogue() -> dict[str, str]:
    """English → Chinese, of all files."""
    texts: dict[str, str] = {}
    for file in sorted(resources.files(__name__).joinpath("zh").iterdir(), key=lambda f: f.name):
        texts |= tomllib.loads(file.read_text("utf-8"))
    return texts


def _sentence(text: str) -> str | None:
    """The Chinese of one message, or of one behind its subject (a call, a cause) and a colon."""
    if (worded := _worded(text) or _listing(text)) is not None:
        return worded
    for colon in re.finditer(": ", text):
        rest = text[colon.end() :]
        worded = _worded(rest) or _listing(rest)
        if worded is not None:
            return f"{chinese(text[: colon.start()])}：{worded}"
    return None


def _listing(text: str) -> str | None:
    """The Chinese of messages with commas between, if each of them has one."""
    parts = [_worded(part) for part in text.split(", ")]
    return "，".join(filter(None, parts)) if len(parts) > 1 and None not in parts else None


def _worded(text: str) -> str | None:
    """The Chinese of a listed text, or of one that a listed template makes."""
    whole, templates = _listed()
    if text in whole:
        return whole[text]
    for patterns, translation in templates:
        for pattern in patterns:
            match = pattern.fullmatch(text)
            if match and _are_values(match.groups(), leading=match.start(1) == 0):
                return _filled(translation, [chinese(value) for value in match.groups()])
    return None


def _filled(template: str, values: Sequence[str]) -> str:
    """Each place gets the value of its number, or the next one."""
    following = iter(values)
    return _PLACE.sub(lambda hole: values[int(hole[1])] if hole[1] else next(following), template)


@functools.cache
def _listed() -> tuple[dict[str, str], list[tuple[list[re.Pattern[str]], str]]]:
    """Texts without values, and the patterns of those with, the most particular first.

    A value is taken as short as it can be, or, where brackets of its own tear it, as long.
    """
    texts = catalogue()
    templates = []
    for english in sorted(filter(_HOLE.search, texts), key=lambda t: -len(_HOLE.sub("", t))):
        words = [re.escape(part) for part in _HOLE.split(english)]
        patterns = [re.compile(value.join(words), re.DOTALL) for value in ("(.*?)", "(.*)")]
        templates.append((patterns, texts[english]))
    return {e: c for e, c in texts.items() if not _HOLE.search(e)}, templates


def _are_values(values: Sequence[str], leading: bool) -> bool:
    """Whether the parts of a text are what a message was made with.

    None has a bracket that was torn from its other half, and one in front of the message's first
    word is no message of its own that stands before it.
    """
    bare = [_without_brackets(value) for value in values]
    swallows = leading and bare[0] is not None and ": " in bare[0]
    return None not in bare and not (swallows and _worded(values[0]) is None)


def _without_brackets(value: str) -> str | None:
    """What stands outside of brackets; None where they do not match.

    Behind "…" a long value was cut off, with the other halves of its brackets.
    """
    still_open: list[str] = []
    bare, cut = "", False
    for character in value:
        cut |= character == "…"
        if character in _OPENS.values():
            still_open.append(character)
        elif character in _OPENS:
            while cut and still_open and still_open[-1] != _OPENS[character]:
                still_open.pop()
            if not still_open or still_open.pop() != _OPENS[character]:
                return None
        elif not still_open:
            bare += character
    return None if still_open and not cut else bare
