"""Encoding: from an example under a template to token ids and slots.

    "{soft:2}{text} It was {mask}"  +  "Good fun."  ──▶  [−1, −2, 12752, 1517, 30, 657, 436]
                                                          row 0, row 1, Good, fun, ., It, was

Each stretch of text between two slots is tokenised once, as a whole, because pieces depend on what
stands beside them, and one that does not begin the text as it is cut further on (pieces.py). The
space in front of ``{mask}`` is left out of the stretch: it belongs to the
label word's first piece (" great"), and a lone space would be a piece that no text contains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.pieces import ALONE, NEUTRAL, Cut, cut_behind, piece_spans
from labkit.core.sequences import Encoded
from labkit.core.tasks import Example
from labkit.core.templates import Field, Mask, Soft, Template, Words, check_template


@dataclass
class _Stretch:
    """Words and fields between two slots.

    ``places``: what they are cut behind, see :func:`~labkit.core.pieces.cut_behind`.
    """

    parts: list[Words | Field]
    places: tuple[str, ...] = (ALONE,)

    def fill(self, texts: dict[str, str]) -> str:
        return "".join(
            part.text if isinstance(part, Words) else texts[part.name] for part in self.parts
        )

    def spans(self, texts: dict[str, str]) -> list[tuple[str, int, int]]:
        """Where each field stands in the filled stretch: (name, first character, end)."""
        spans, start = [], 0
        for part in self.parts:
            end = start + len(part.text if isinstance(part, Words) else texts[part.name])
            if isinstance(part, Field):
                spans.append((part.name, start, end))
            start = end
        return spans


class _Ids(NamedTuple):
    """A block of ready ids: special tokens, virtual tokens or the mask token."""

    ids: tuple[int, ...]
    is_answer: bool = False


class ExampleEncoder:
    """Lays examples out under a template for one backbone and one prompt length.

    Args:
        length: rows of the prompt, 0 for a hard prompt.
        bos, max_length: as in :class:`~labkit.core.prompted_model.PromptedModel`.

    Raises:
        LabError: for a template that the readout can't take, or whose soft slots don't add up.
    """

    def __init__(
        self, backbone: Backbone, template: Template, length: int, *, bos: str, max_length: int
    ) -> None:
        check_template(template, backbone.readout)
        self.backbone, self.template, self.max_length = backbone, template, max_length
        self.segments = self._segments(length, bos)

    def encode(self, examples: Sequence[Example]) -> list[Encoded]:
        """Encode examples, cutting the longest text of those that are longer than the model.

        Raises:
            LabError: for no examples, an empty text, a field that an example lacks, or a template
                that leaves no room for the text.
        """
        if not examples:
            raise LabError("there are no examples to score; give at least one")
        texts = [texts_of(self.template, example) for example in examples]
        cut = [
            self._cut(stretch, [stretch.fill(row) for row in texts]) for stretch in self.stretches
        ]
        encoded = []
        for index, row in enumerate(texts):
            pieces = [of_stretch[index].ids for of_stretch in cut]
            for ids in pieces:
                self.backbone.check_known(ids)
            sequence = self._lay(pieces)
            if len(sequence.ids) > self.max_length:
                sequence = self._shortened(row)
            encoded.append(sequence)
        return encoded

    @property
    def stretches(self) -> list[_Stretch]:
        return [segment for segment in self.segments if isinstance(segment, _Stretch)]

    def _cut(self, stretch: _Stretch, texts: Sequence[str]) -> list[Cut]:
        """Pieces of a stretch filled with each text."""
        cut = cut_behind(self.backbone.tokenizer, (*stretch.places, ALONE), texts)
        return [pieces for pieces in cut if pieces is not None]  # alone nothing melts

    def _segments(self, length: int, bos: str) -> list[_Stretch | _Ids]:
        before, after = self.backbone.special_tokens()
        if bos == "first" and not before:
            before = [self.backbone.special_id("bos_token_id", "BOS token")]
        counts = iter(self.template.soft_counts(length) if self.template.has_soft else [])
        segments: list[_Stretch | _Ids] = []
        row = 0
        for part in self.template.parts:
            if isinstance(part, Soft):
                count = next(counts)
                segments.append(_Ids(tuple(-1 - r for r in range(row, row + count))))
                row += count
            elif isinstance(part, Mask):
                _drop_last_space(segments)
                segments.append(_Ids(self._mask_ids(), is_answer=True))
            elif segments and isinstance(segments[-1], _Stretch):
                segments[-1].parts.append(part)
            else:
                segments.append(_Stretch([part], self._places(segments)))
        soft_first = isinstance(self.template.parts[0], Soft) and bos == "text"
        segments.insert(1 if soft_first else 0, _Ids(tuple(before)))
        if (
            self.backbone.readout != "causal"
        ):  # a closing token would end the text before the answer
            segments.append(_Ids(tuple(after)))
        return segments

    def _places(self, before: Sequence[_Stretch | _Ids]) -> tuple[str, ...]:
        """What a stretch that stands behind these segments is cut behind."""
        if before and isinstance(before[-1], _Ids) and before[-1].is_answer and before[-1].ids:
            return tuple(self.backbone.tokenizer.convert_ids_to_tokens(list(before[-1].ids)))
        begins = not any(isinstance(segment, _Stretch) for segment in before)
        return (ALONE,) if begins else NEUTRAL

    def _mask_ids(self) -> tuple[int, ...]:
        if self.backbone.readout == "mlm":
            return (self.backbone.special_id("mask_token_id", "mask token"),)
        if self.backbone.readout == "seq2seq":
            return (sentinel_id(self.backbone),)
        return ()  # causal: the answer is what comes next

    def _lay(self, pieces: Sequence[Sequence[int]], shortened: bool = False) -> Encoded:
        ids: list[int] = []
        answer = -1
        stretch = iter(pieces)
        for segment in self.segments:
            if isinstance(segment, _Stretch):
                ids += next(stretch)
                continue
            if segment.is_answer:
                answer = len(ids)
            ids += segment.ids
        if self.backbone.readout == "causal":
            answer = len(ids) - 1
        return Encoded(tuple(ids), answer, shortened)

    def _shortened(self, texts: dict[str, str]) -> Encoded:
        """Cut fields at their ends, the longest down to one common length, until all of it fits."""
        texts = dict(texts)
        stretches = self.stretches
        while True:
            cut = [self._with_offsets(stretch, stretch.fill(texts)) for stretch in stretches]
            sequence = self._lay([ids for ids, _ in cut], shortened=True)
            excess = len(sequence.ids) - self.max_length
            if excess <= 0:
                return sequence
            starts = _piece_starts(stretches, (offsets for _, offsets in cut), texts)
            lengths = [len(own) for places in starts.values() for own in places]
            most = _common_length(lengths, excess)
            shorter = {
                name: texts[name][: min(own[most] for own in places if len(own) > most)]
                for name, places in starts.items()
                if any(len(own) > most for own in places)
            }
            if not most or not all(text.strip() for text in shorter.values()):
                raise LabError(
                    f"template {self.template.text!r} and its virtual tokens leave no room for "
                    f"{', '.join(map(repr, shorter or texts))} in the {self.max_length} positions; "
                    "shorten the template or prompt"
                )
            texts.update(shorter)

    def _with_offsets(
        self, stretch: _Stretch, text: str
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Pieces of a stretch, and the characters (first, end) that each of them covers."""
        (cut,) = self._cut(stretch, [text])
        return cut.ids, piece_spans(self.backbone.tokenizer, text, cut)


def texts_of(template: Template, example: Example) -> dict[str, str]:
    """The text of each of the template's fields; ``{text}`` is also the only text of an example.

    Raises:
        LabError: for a field that the example lacks, or an empty text.
    """
    texts = {}
    for name in template.fields:
        if name in example.fields:
            texts[name] = example.fields[name]
        elif name == "text":
            texts[name] = example.text
        else:
            raise LabError(
                f"template {template.text!r} asks for the field {name!r}; the task has "
                f"{', '.join(example.fields)}"
            )
        if not texts[name].strip():
            raise LabError(f"example {example.id!r} has an empty {name}; give it some text")
    return texts


def sentinel_id(backbone: Backbone) -> int:
    """Id of the first sentinel of T5's span corruption."""
    ids: Any = backbone.tokenizer.convert_tokens_to_ids(["<extra_id_0>"])
    if ids[0] in (None, backbone.tokenizer.unk_token_id):
        raise LabError(
            f"{backbone.name} has no sentinel <extra_id_0>; take {{mask}} out of the template"
        )
    return ids[0]


def _drop_last_space(segments: list[_Stretch | _Ids]) -> None:
    """Take the space in front of the answer slot away, and a stretch that was nothing else."""
    if not segments or not isinstance(segments[-1], _Stretch):
        return
    parts = segments[-1].parts
    if isinstance(parts[-1], Words) and parts[-1].text.endswith(" "):
        parts[-1] = Words(parts[-1].text[:-1])
        if not parts[-1].text:
            parts.pop()
        if not parts:
            segments.pop()


def _piece_starts(stretches, offsets, texts: dict[str, str]) -> dict[str, list[list[int]]]:
    """For each field, and each place where it stands in the template, the character of its text at
    which each of its pieces starts."""
    starts: dict[str, list[list[int]]] = {}
    for stretch, covered in zip(stretches, offsets, strict=True):
        for name, start, end in stretch.spans(texts):
            own = [max(s, start) - start for s, e in covered if s < end and e > start]
            starts.setdefault(name, []).append(own)
    return starts


def _common_length(lengths: Sequence[int], excess: int) -> int:
    """The most that any of ``lengths`` may keep for ``excess`` to go in all; 0 if it can't."""
    most = max(lengths)
    while most and sum(max(length - most, 0) for length in lengths) < excess:
        most -= 1
    return most
