import torch


def score_batch(logits, mask, labels):
    last = (mask.cumsum(1) == mask.sum(1, keepdim=True)) & mask.bool()
    at = torch.einsum("btv,bt->bv", logits, last.float())
    return at.log_softmax(-1).index_select(1, torch.tensor(labels))
