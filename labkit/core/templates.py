"""Templates and verbalizers: where everything stands in the input, and which words answer.

A template is a line of words with slots::

    {soft}{text} It was {mask}              Lester et al. 2021: one leading block
    {soft:3}{text}{soft:3} It was {mask}    P-Tuning (Liu et al. 2021): between the words
    {premise} Question: {hypothesis} Answer: {mask}

``{soft}`` takes the whole prompt, ``{soft:3}`` the next three of its rows, ``{mask}`` is the answer
slot, any other name is a field of the example (``{text}`` is the only text field of a task that has
just one). ``{{`` and ``}}`` write literal braces. Everything else is words.

The two are separate on purpose: the template says *where*, the verbalizer says *which words*
(Schick and Schütze 2021 call the pair a pattern and a verbalizer).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.core.errors import LabError

READOUTS = ("mlm", "causal", "seq2seq", "encoder")
"""What a model answers by, see `backbones`."""

_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+")
_SOFT = re.compile(r"soft(?::(\d+))?$")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")


@dataclass(frozen=True)
class Words:
    """Literal words of the template."""

    text: str


@dataclass(frozen=True)
class Field:
    """A text of the example, by name."""

    name: str


@dataclass(frozen=True)
class Soft:
    """``count`` virtual tokens; ``None`` means the whole prompt."""

    count: int | None


@dataclass(frozen=True)
class Mask:
    """The answer slot."""


Part = Words | Field | Soft | Mask


class Template:
    """A parsed template.

    Args:
        text: the template line, see the module's docstring.

    Raises:
        LabError: for a brace without its partner, an unknown slot, two answer slots, ``{soft}``
            next to ``{soft:n}``, or a template without any text field.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts = tuple(_merge_words([_part(token, text) for token in _TOKEN.findall(text)]))
        self._validate()

    def _validate(self) -> None:
        if not self.fields:
            raise LabError(
                f"template {self.text!r} has no text field; write {{text}} or one of the task's "
                "field names where the example belongs"
            )
        if sum(isinstance(part, Mask) for part in self.parts) > 1:
            raise LabError(f"template {self.text!r} has two {{mask}} slots; keep one")
        counts = [part.count for part in self.parts if isinstance(part, Soft)]
        if None in counts and len(counts) > 1:
            raise LabError(
                f"template {self.text!r} uses {{soft}} beside other soft slots; {{soft}} takes the "
                "whole prompt, so write {soft:n} for every slot instead"
            )

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in the order in which they appear."""
        return tuple(part.name for part in self.parts if isinstance(part, Field))

    @property
    def has_mask(self) -> bool:
        return any(isinstance(part, Mask) for part in self.parts)

    @property
    def has_soft(self) -> bool:
        return any(isinstance(part, Soft) for part in self.parts)

    @property
    def leads_with_soft(self) -> bool:
        """Whether the virtual tokens are one leading block: the layout that PEFT can exchange."""
        soft = [index for index, part in enumerate(self.parts) if isinstance(part, Soft)]
        return soft == [0]

    @property
    def mask_follows_space(self) -> bool:
        """Whether a space stands before ``{mask}``: it then belongs to the label's first piece."""
        for before, part in zip(self.parts, self.parts[1:], strict=False):
            if isinstance(part, Mask):
                return isinstance(before, Words) and before.text.endswith(" ")
        return False

    def soft_counts(self, length: int) -> list[int]:
        """Rows of the prompt that each soft slot takes, for a prompt of ``length`` rows.

        Raises:
            LabError: if the slots ask for more or fewer rows than the prompt has.
        """
        counts = [part.count for part in self.parts if isinstance(part, Soft)]
        if counts == [None]:
            return [length]
        wanted = sum(counts)
        if wanted != length:
            raise LabError(
                f"template {self.text!r} has slots for {wanted} virtual tokens, the prompt has "
                f"{length}; make both numbers equal"
            )
        return counts

    def with_soft(self, slot: str = "{soft}") -> Template:
        """The same template with a leading block of virtual tokens."""
        return self if self.has_soft else Template(slot + self.text)

    def without_soft(self) -> Template:
        """The same template with its virtual tokens taken out: the hard prompt that is left."""
        return Template("".join(spell(part) for part in self.parts if not isinstance(part, Soft)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def escape(text: str) -> str:
    """``text`` as template words: its braces doubled, so that they are not read as slots."""
    return text.replace("{", "{{").replace("}", "}}")


def _part(token: str, template: str) -> Part:
    if token in ("{{", "}}"):
        return Words(token[0])
    if token in ("{", "}"):
        raise LabError(
            f"template {template!r} has a {token!r} without its partner; write {token * 2} for a "
            "literal brace"
        )
    if not token.startswith("{"):
        return Words(token)
    name = token[1:-1]
    if name == "mask":
        return Mask()
    soft = _SOFT.match(name)
    if soft:
        count = None if soft[1] is None else int(soft[1])
        if count == 0:
            raise LabError(f"template {template!r} has {{soft:0}}; a slot takes at least one row")
        return Soft(count)
    if not _NAME.match(name):
        raise LabError(
            f"template {template!r} has an unknown slot {token}; slots are {{text}}, a field's "
            "name, {soft}, {soft:n} and {mask}"
        )
    return Field(name)


def _merge_words(parts: Sequence[Part]) -> list[Part]:
    merged: list[Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, Words) and isinstance(last, Words):
            merged[-1] = Words(last.text + part.text)
        else:
            merged.append(part)
    return merged


def spell(part: Part) -> str:
    """A part as it is written in a template."""
    if isinstance(part, Words):
        return escape(part.text)
    if isinstance(part, Field):
        return f"{{{part.name}}}"
    if isinstance(part, Soft):
        return "{soft}" if part.count is None else f"{{soft:{part.count}}}"
    return "{mask}"


def check_template(template: Template, readout: str) -> None:
    """Whether a readout can take the template.

    Raises:
        LabError: naming the template, what is wrong with it, and the form to use.
    """
    ends_in_mask = isinstance(template.parts[-1], Mask)
    if readout == "mlm" and not template.has_mask:
        problem = "has no {mask}; a masked language model answers there, so put it in"
    elif readout == "causal" and not ends_in_mask:
        problem = (
            "does not end in {mask}; a causal model only predicts what comes next, so put {mask} "
            "last, or fill gaps with a masked or sequence-to-sequence model"
        )
    elif readout == "encoder" and template.has_mask:
        problem = (
            "has {mask}, but a text encoder has no answer slot; take it out (label texts are "
            "compared with the text as a whole)"
        )
    else:
        return
    raise LabError(f"template {template.text!r} {problem}")


class Verbalizer:
    """Which words stand for which class.

    Args:
        words: class name → one label word or several. Words are plain: spaces around them are
            taken off (the template's space before ``{mask}`` is added when they are cut into
            pieces), and a word that is given twice counts once.

    Raises:
        LabError: for fewer than two classes, an empty word, or a word that stands for two classes.
    """

    def __init__(self, words: Mapping[str, str | Sequence[str]]) -> None:
        self.words: dict[str, tuple[str, ...]] = {
            label: tuple(dict.fromkeys(word.strip() for word in _several(given)))
            for label, given in words.items()
        }
        if len(self.words) < 2:
            raise LabError(f"verbalizer {dict(words)!r} needs at least two classes")
        owner: dict[str, str] = {}
        for label, options in self.words.items():
            if not options or not all(options):
                raise LabError(f"verbalizer: class {label!r} has an empty label word; give one")
            for word in options:
                if owner.setdefault(word, label) != label:
                    raise LabError(
                        f"verbalizer: the word {word!r} stands for both {owner[word]!r} and "
                        f"{label!r}; a word can name one class only"
                    )

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, in the order of the score columns."""
        return tuple(self.words)

    def reordered(self, labels: Sequence[str]) -> Verbalizer:
        """The same words in the order of ``labels``.

        Raises:
            LabError: if a class has no words, or words are given for an unknown class.
        """
        if set(labels) != set(self.words):
            raise LabError(
                f"verbalizer has words for {sorted(self.words)}, the task has the classes "
                f"{sorted(labels)}; name exactly these"
            )
        return Verbalizer({label: self.words[label] for label in labels})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verbalizer) and list(self.words.items()) == list(
            other.words.items()
        )

    def __hash__(self) -> int:
        return hash(tuple(self.words.items()))

    def __repr__(self) -> str:
        return f"Verbalizer({self.words!r})"


def _several(given: str | Sequence[str]) -> Sequence[str]:
    return (given,) if isinstance(given, str) else given
