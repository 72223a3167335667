import torch


def average_start(prompts, similarities, k):
    weights, best = torch.tensor(similarities).topk(k)
    chosen = torch.stack(prompts)[best]
    return (weights[:, None, None] * chosen).sum(0) / weights.sum()
