"""One text under one prompt, opened up: what the figures and widgets of the course show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from labkit.core.prompted_model import PromptedModel
from labkit.core.sequences import Encoded, collate
from labkit.core.tasks import Example
from labkit.course.figures.attention import AnswerAttention
from labkit.course.figures.data_flow import Piece


def _example(model: PromptedModel, text: str) -> Example:
    return Example("your text", dict.fromkeys(model.template.fields, text), 0)


def probabilities(
    model: PromptedModel,
    prompt: nn.Module | None,
    text: str,
    bias: Sequence[float] | None = None,
) -> dict[str, float]:
    """Label → probability among the labels, for one text; ``bias`` as in `evaluate`."""
    scores = model.scores(prompt, [_example(model, text)])[0]
    if bias is not None:
        scores = scores - torch.as_tensor(np.asarray(bias))
    shares = scores.softmax(-1).tolist()
    return dict(zip(model.verbalizer.labels, shares, strict=True))


def trace(
    model: PromptedModel, prompt: nn.Module | None, text: str
) -> tuple[list[Piece], np.ndarray, dict[str, float]]:
    """The stations of one text on its way to scores, as `data_flow` draws them.

    Returns:
        T triples (piece, id, kind), what the model is fed (T, D), label → probability. A causal
        model's answer slot is one place more, with no id and a row of NaN: it is what comes next.
    """
    with torch.no_grad():
        vectors = model.vectors(prompt)
        (sequence,) = model.encode([_example(model, text)], vectors)
        ids = torch.tensor([sequence.ids], device=model.backbone.device)  # (1, T)
        # a set is read in an order of its own; shown is each row where the prompt has it
        in_order = model.backbone.with_positions(True)
        fed = in_order.embed_batch(ids, vectors)[0].float().cpu().numpy()  # (T, D)
    pieces = _pieces(model, sequence)
    if model.backbone.readout == "causal":
        pieces.append(("?", None, "mask"))
        fed = np.vstack([fed, np.full((1, fed.shape[1]), np.nan)])
    return pieces, fed, probabilities(model, prompt, text)


def answer_attention(model: PromptedModel, prompt: nn.Module | None, text: str) -> AnswerAttention:
    """The answer slot's attention on one text, in every layer and head.

    Raises:
        LabError: for a model that does not answer in a slot of its input (encoder, seq2seq).
    """
    with torch.no_grad():
        vectors = model.vectors(prompt)
    (sequence,) = model.encode([_example(model, text)], vectors)
    batch = collate([sequence], model.backbone.device)
    shares = model.backbone.answer_attention(batch, vectors)[0]  # (layers, heads, T)
    return AnswerAttention(_pieces(model, sequence), sequence.answer, shares.cpu().numpy())


def _pieces(model: PromptedModel, sequence: Encoded) -> list[Piece]:
    tokenizer = model.backbone.tokenizer
    pieces: list[Piece] = []
    for place, number in enumerate(sequence.ids):
        if number < 0:
            pieces.append((f"e{-number}", None, "soft"))
        elif number in tokenizer.all_special_ids:
            answer = model.backbone.readout == "mlm" and place == sequence.answer
            pieces.append((tokenizer.decode([number]), number, "mask" if answer else "special"))
        else:
            pieces.append((tokenizer.decode([number]), number, "word"))
    return pieces
