"""Exercise 4.4: the check of ``undo_positions``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, arrives, compare, require
from labkit.course.exercises.guard import Guarded


@exercise
def check_undo_positions(undo_positions: Guarded, draw: Draw) -> str:
    """``undo_positions``: vectors (P, D), position table (M, D) → (P, D) to be fed instead."""
    shapes = [(4, 12, 16), (3, 10, 4), (1, 5, 3), (5, 5, 5), (6, 300, 2), (2, 40, 7)]
    cases = [(draw.normal(p, d), draw.normal(m, d)) for p, m, d in shapes]
    cases[1] = (torch.ones(3, 4), torch.arange(40.0).reshape(10, 4))

    def right(vectors: Tensor, table: Tensor) -> Tensor:
        return torch.stack([vector - table[place] for place, vector in enumerate(vectors)])

    compare(
        undo_positions,
        cases,
        right,
        mistakes={
            "the sign is wrong: the model adds the position once more; subtract it beforehand": (
                lambda v, t: v + t[: len(v)]
            ),
            "the sign is wrong on both: the position is taken away from the vector": (
                lambda v, t: t[: len(v)] - v
            ),
            "position 0 was subtracted from every row: row i stands at position i": (
                lambda v, t: v - t[0]
            ),
            "the mean position was subtracted from every row: row i stands at position i": (
                lambda v, t: v - t.mean(0)
            ),
            "the mean of the first positions was subtracted: row i stands at position i": (
                lambda v, t: v - t[: len(v)].mean(0)
            ),
            "the positions begin at 1: place 0 is the first row of the table": (
                lambda v, t: v - t[1 : len(v) + 1]
            ),
            "the last rows of the table were subtracted: the prompt stands at its first places": (
                lambda v, t: v - t[-len(v) :]
            ),
            "the positions run backwards: row i stands at position i": (
                lambda v, t: v - t[: len(v)].flip(0)
            ),
            "nothing is taken away, so the answer still depends on the order of the virtual "
            "tokens": lambda v, t: v,
            "only the first row loses its position: row i loses row i of the table": (
                lambda v, t: torch.cat([v[:1] - t[:1], v[1:]])
            ),
            "the position was subtracted twice": lambda v, t: v - 2 * t[: len(v)],
            "half of the position was subtracted": lambda v, t: v - t[: len(v)] / 2,
            "these are the positions: take them away from the vectors": lambda v, t: t[: len(v)],
        },
        where="Row i of the result is row i of the vectors minus row i of the table",
    )
    for args in cases[:2]:
        arrives(undo_positions, args, 0, right, draw)
    _same_answer_in_a_bert(undo_positions, draw)
    return "positions undone: every order gives the same answer"


def _same_answer_in_a_bert(undo_positions: Guarded, draw: Draw) -> None:
    import transformers

    torch.manual_seed(draw.number)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=12,
    )  # fmt: skip
    model = transformers.BertModel(config).eval().requires_grad_(False)
    for weights in model.parameters():
        weights.mul_(10.0)  # larger than at the start of training, so that positions matter
    table = model.embeddings.position_embeddings.weight
    prompt = nn.Parameter(draw.normal(4, 16))
    words = model.get_input_embeddings().weight[:5]

    def answer(vectors: Tensor) -> Tensor:
        fed = torch.cat([torch.as_tensor(vectors), words])[None]
        return model(inputs_embeds=fed).last_hidden_state[0, 4:]

    shuffled = answer(undo_positions(prompt[torch.tensor([2, 0, 3, 1])], table))
    require(
        torch.allclose(shuffled, answer(undo_positions(prompt, table)), atol=1e-4),
        "the model's answer still depends on the order of the virtual tokens: what it adds at "
        "place i is row i of the table, whichever token stands there",
    )
