"""Label scores by Hugging Face's plain forward pass: what the fast path is held against.

One sequence at a time, the prompt's rows put in front of the embedded ids by hand, the head run at
every position, a word's pieces fed one after the other, no cache and no batch.
"""

from __future__ import annotations

import torch
import transformers
from torch import Tensor
from torch.nn import functional as F

_CLASSES = {
    "bert": transformers.BertForMaskedLM,
    "roberta": transformers.RobertaForMaskedLM,
    "gpt2": transformers.GPT2LMHeadModel,
    "llama": transformers.LlamaForCausalLM,
    "t5": transformers.T5ForConditionalGeneration,
    "bert-encoder": transformers.BertModel,
}
TEMPLATES = {
    "bert": "{text} It was {mask}.",
    "roberta": "{text} It was {mask}.",
    "gpt2": "{text} It was {mask}",
    "llama": "{text} It was {mask}",
    "t5": "{text}",
    "bert-encoder": "{text}",
}


def load(family: str, folder, dtype: torch.dtype = torch.float32) -> transformers.PreTrainedModel:
    """The checkpoint as Hugging Face's own class, with the plain attention arithmetic."""
    model = _CLASSES[family].from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    return model.eval().requires_grad_(False)


def score(
    family: str, model, tokenizer, vectors: Tensor | None, text: str, words: list[str]
) -> Tensor:
    """Score of each word for ``text`` under ``TEMPLATES[family]``, the prompt in front: (W,)."""
    table = model.get_input_embeddings().weight
    if vectors is None:
        vectors = table[:0]

    def embedded(ids: list[int]) -> Tensor:
        return torch.cat([vectors, table[torch.tensor(ids)]])[None]  # (1, P+T, D)

    def pieces(words_: str) -> list[int]:
        return tokenizer(words_, add_special_tokens=False)["input_ids"]

    def mean(hidden: Tensor) -> Tensor:
        return F.normalize(hidden.mean(0), dim=-1)

    if family in ("bert", "roberta"):
        mask = tokenizer.mask_token
        ids = tokenizer(f"{text} It was{mask}.")["input_ids"]
        where = len(vectors) + ids.index(tokenizer.mask_token_id)
        logits = model(inputs_embeds=embedded(ids)).logits[0, where]
        return torch.stack([logits[pieces(f" {word}")].mean() for word in words])
    if family in ("gpt2", "llama"):
        start = tokenizer(f"{text} It was")["input_ids"]
        scores = []
        for word in words:
            total, ids = torch.zeros(()), list(start)
            for piece in pieces(f" {word}"):
                logits = model(inputs_embeds=embedded(ids)).logits[0, -1]
                total = total + logits.log_softmax(-1)[piece]
                ids.append(piece)
            scores.append(total)
        return torch.stack(scores)
    if family == "t5":
        source = embedded(tokenizer(text)["input_ids"])
        scores = []
        for word in words:
            target = torch.tensor([[*pieces(word), tokenizer.eos_token_id]])
            # HF's loss is the mean cross entropy over the target's pieces
            scores.append(-model(inputs_embeds=source, labels=target).loss * target.shape[1])
        return torch.stack(scores)
    hidden = model(inputs_embeds=embedded(tokenizer(text)["input_ids"])).last_hidden_state[0]
    pooled = mean(hidden[len(vectors) :])
    labels = [mean(model(**tokenizer(w, return_tensors="pt")).last_hidden_state[0]) for w in words]
    return 20.0 * torch.stack([pooled @ label for label in labels])
