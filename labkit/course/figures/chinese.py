"""Figures in Chinese (``LABKIT_LANG=zh``): their words, and a font of the machine that has them.

A figure is drawn in English and put into Chinese as a whole, by `translate`: every text that
`labkit.course.language` lists, wherever it stands. What is set in `CODE_FONT` is code, or a piece
of somebody's text, and stays. Where no installed font has the characters, figures stay English.
"""

from __future__ import annotations

import contextlib
import functools
import re
import unicodedata
from collections.abc import Callable

from matplotlib import font_manager
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator

from labkit.core.assets import language
from labkit.course.language import catalogue, in_language

CODE_FONT = "DejaVu Sans Mono"

PREFERRED = (
    *("Noto Sans CJK SC", "Source Han Sans SC", "Source Han Sans CN", "Noto Sans SC"),
    *("Microsoft YaHei", "PingFang SC", "Hiragino Sans GB", "Heiti SC", "SimHei"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
)
"""Sans-serif fonts with Chinese characters of Linux, macOS and Windows; any other will do too."""

NO_FONT = (
    "Figures stay English: no installed font has the Chinese characters. On Debian or Ubuntu "
    "`apt-get install fonts-noto-cjk` brings one; restart the kernel afterwards."
)

_WIDE = "\u2e80-\u9fff\uff00-\uffef"  # characters of Chinese, and its punctuation
# What can stand at the end of a line: a character or a word, with the punctuation that clings to it
_UNIT = re.compile(rf"\s*[（“]*(?:[{_WIDE}]|[^\s{_WIDE}“]+)[，。、；：！？）”]*|\S")


def in_figures(message: str) -> str:
    """The message in the reader's language, if a figure can show it."""
    return in_language(message) if speaks_chinese() else message


def speaks_chinese() -> bool:
    """Whether the reader chose Chinese, and a font has it."""
    return language() == "zh" and chinese_font() is not None


@functools.cache
def chinese_font() -> str | None:
    """The family of an installed font with every character of the course's Chinese."""
    characters = {ord(c) for text in catalogue().values() for c in text if c >= "\u2e80"}
    files = {entry.name: entry.fname for entry in _installed() if entry.style == "normal"}
    preferred = [name for name in PREFERRED if name in files]
    return next((n for n in (*preferred, *files) if _draws(files[n], characters)), None)


def _draws(file: str, characters: set[int]) -> bool:
    """Whether a font has them, and not one box for all, as a font of last resort has."""
    glyphs = FT2Font(file).get_charmap()  # code point → number of its picture
    pictures = {glyphs.get(character) for character in characters}
    return None not in pictures and len(pictures) > len(characters) / 2


def _installed() -> list[font_manager.FontEntry]:
    """The fonts of the machine, those of the last minute too, which matplotlib's list misses."""
    manager = font_manager.fontManager
    for path in set(font_manager.findSystemFonts()) - {entry.fname for entry in manager.ttflist}:
        with contextlib.suppress(OSError, RuntimeError):  # a font that matplotlib can't read
            manager.addfont(path)
    return manager.ttflist


@functools.cache
def explain_missing_font() -> None:
    """Say once why figures are English where the reader chose Chinese."""
    if language() == "zh" and not speaks_chinese():
        print(in_language(NO_FONT))


def translate(figure: Figure) -> None:
    """Put the words of a figure into the reader's language, in no longer lines than they had."""
    if not speaks_chinese():
        return
    for axis in figure.findobj(Axis):
        if isinstance(axis.get_major_locator(), FixedLocator):
            labels = axis.get_majorticklabels()
            names = [_translated(label) for label in labels]
            if names != [label.get_text() for label in labels]:  # else a formatter goes on
                axis.set_ticklabels(names)
    for text in figure.findobj(Text):
        text.set_text(_translated(text))


def _translated(text: Text) -> str:
    """Its words in the reader's language; a text that had several lines is broken again."""
    lines = text.get_text().split("\n")
    message = " ".join(text.get_text().split())
    translation = in_language(message)
    if CODE_FONT in text.get_fontfamily() or translation == message:
        return text.get_text()
    if len(lines) == 1:
        return translation
    return "\n".join(balanced(translation, max(map(len, lines)), wrapped))


def balanced(text: str, width: int, split: Callable[[str, int], list[str]]) -> list[str]:
    """As few lines as `split` makes, of nearly equal length: no last line of one word."""
    widest = split(text, width)
    widths = range(1 + _width(text) // len(widest), width)
    return next((lines for w in widths if len(lines := split(text, w)) == len(widest)), widest)


def wrapped(text: str, width: int) -> list[str]:
    """A text with Chinese in it in lines of at most so many characters, its wide ones counted 2."""
    lines = [""]
    for unit in _UNIT.findall(text):
        if lines[-1] and _width(lines[-1] + unit) > width:
            lines.append(unit.lstrip())
        else:
            lines[-1] += unit
    return lines


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
