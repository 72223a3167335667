"""Texts of an exported model: those it is tried on, as it is given them, and the note beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labkit.core.backbones import Backbone
from labkit.core.encoding import texts_of
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Example
from labkit.core.templates import Field, Mask, Soft, Words

_WORDS = 12
"""Words of a text that is tried, drawn from the whole vocabulary."""


def random_texts(model: PromptedModel, count: int) -> list[Example]:
    """Texts of random words, a few each, for every field of the template."""
    tokenizer: Any = model.backbone.tokenizer
    drawn = model.backbone.ordinary_ids(count * _WORDS * len(model.template.fields))
    pieces = [drawn[i : i + _WORDS] for i in range(0, len(drawn), _WORDS)]
    lines = [tokenizer.decode(ids).strip() or "a" for ids in pieces]
    fields = model.template.fields
    return [
        Example(str(i), dict(zip(fields, lines[i * len(fields) :], strict=False)), 0)
        for i in range(count)
    ]


def plain_text(model: PromptedModel, example: Example) -> str:
    """The text that the exported tokenizer is given: the template's words, without the prompt."""
    line, texts = "", texts_of(model.template, example)
    for part in model.template.parts:
        if isinstance(part, Words):
            line += part.text
        elif isinstance(part, Field):
            line += texts[part.name]
        elif isinstance(part, Mask):
            line = line.removesuffix(" ") + _mask_text(model.backbone)
        else:
            assert isinstance(part, Soft)  # the tokenizer puts it there
    return line


def _mask_text(backbone: Backbone) -> str:
    if backbone.readout == "mlm":
        return backbone.tokenizer.mask_token
    return "<extra_id_0>" if backbone.readout == "seq2seq" else ""


_TASKS = {"causal": "text-generation", "mlm": "fill-mask", "encoder": "feature-extraction"}


def about(model: PromptedModel, tokens: Sequence[str], front: str) -> str:
    """What stands beside the model: how to use it, with ``front`` written before each text."""
    example = Example("", {name: f"({name})" for name in model.template.fields}, 0)
    labels = ", ".join(f"{name}: {' or '.join(w)}" for name, w in model.verbalizer.words.items())
    where = (
        "their names are written in front of every text"
        if front
        else "the tokenizer puts them in front of every text by itself"
    )
    lines = [
        f"# {model.backbone.name} with a soft prompt",
        "",
        f"{len(tokens)} virtual tokens, {tokens[0]} to {tokens[-1]}, are rows of the embedding "
        f"table; {where}.",
        "",
        f"- Text: `{front}{plain_text(model, example)}`",
        f"- Answers: {labels}",
    ]
    if model.backbone.readout == "encoder":
        lines.append("- Pool over the tokens that are no virtual tokens, and compare by cosine.")
    task = _TASKS.get(model.backbone.readout)
    opening = (
        f'pipeline("{task}", model="FOLDER")'
        if task
        else ('AutoModelForSeq2SeqLM.from_pretrained("FOLDER")')
    )
    lines += ["", f"Open it with `transformers`: `{opening}`.", ""]
    if front and model.backbone.readout == "causal":
        lines += [
            "For llama.cpp, where it knows the model's family and tokenizer: "
            "`python convert_hf_to_gguf.py FOLDER --outtype f32 --outfile MODEL.gguf`. In Python, "
            '`llama_cpp.Llama("MODEL.gguf", type_k=0, type_v=0)` keeps its cache in fp32.',
            "",
        ]
    return "\n".join(lines)
