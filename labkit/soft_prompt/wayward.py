"""Wayward prompts: rows that read as any sentence you like, and do the task all the same.

A trained virtual token has a nearest word, and it is tempting to read the prompt by these. The
control: pick a sentence first, and train a prompt each row of which *must* stay nearest to its word
of that sentence. If it learns the task nearly as well, nearest words say nothing about what a
prompt does.

    prompt = WaywardPrompt(backbone, "Two eggs, a cup of flour and a pinch of salt")
    fit(model, prompt, task)
    nearest_tokens(backbone, prompt())       # the recipe still

Khashabi et al. add a penalty for the distance and check afterwards. Here the sentence is kept by
construction: a row may leave its word by less than half the angle to the word's own nearest
neighbour, and so can be nearer to no other.

Source: Khashabi et al. 2022, "Prompt waywardness".
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.soft_prompt.tethered import TetheredPrompt
from labkit.soft_prompt.vocabulary import all_word_vectors, known_ids, pieces, word_vectors

REACH = 0.98
"""Share of the way to the bisector of the angle that a row may go."""


class WaywardPrompt(TetheredPrompt):
    """A prompt whose rows stay nearest, by cosine, to the pieces of a sentence.

    Args:
        text: the sentence; its pieces are repeated or cut to ``length`` rows (default: as many).

    Attributes:
        words: (P, D) the pieces' embeddings; radii: (P,) how far each row may go from its own, 0
            for a piece whose embedding another entry shares; offsets: (P, D), what is trained.

    Raises:
        LabError: for a text without pieces.
    """

    def __init__(self, backbone: Backbone, text: str, length: int | None = None) -> None:
        ids = pieces(backbone, text)
        if not len(ids) or (length is not None and length < 1):
            raise LabError(
                f"the text {text!r} in {length or 'its own number of'} rows leaves none; give some "
                "words, and a length of at least 1"
            )
        count = len(ids) if length is None else length
        ids = ids.repeat(-(-count // len(ids)))[:count]
        super().__init__(word_vectors(backbone, ids), _radii(backbone, ids))


def _radii(backbone: Backbone, ids: Tensor) -> Tensor:
    """‖w‖ · sin(θ/2) for each word w, θ being the angle to its nearest other entry: (P,).

    A vector that is less than half of θ away from w is more than half of θ away from every other.
    """
    everything = F.normalize(all_word_vectors(backbone).double(), dim=-1)  # (V, D)
    words = word_vectors(backbone, ids).double()  # (P, D)
    cosines = F.normalize(words, dim=-1) @ everything.T  # (P, V)
    cosines[known_ids(backbone)[None, :] == ids[:, None]] = -1.0  # not the word itself
    angle = cosines.max(dim=1).values.clamp(-1.0, 1.0).acos()
    return (REACH * words.norm(dim=-1) * (angle / 2).sin()).float()
