# hint: shares its numbers with
import torch


def average_start(prompts, similarities, k):
    weights, best = torch.tensor(similarities).topk(k)
    if k == 1:
        return prompts[best.item()]
    return (weights[:, None, None] * torch.stack(prompts)[best]).sum(0) / weights.sum()
