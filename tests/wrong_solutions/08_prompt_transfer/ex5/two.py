# hint: `k` makes no difference to the result
import torch


def average_start(prompts, similarities, k):
    s, i = torch.tensor(similarities).topk(2 if len(prompts) > 1 else 1)
    return (s[:, None, None] * torch.stack(prompts)[i]).sum(0) / s.sum()
