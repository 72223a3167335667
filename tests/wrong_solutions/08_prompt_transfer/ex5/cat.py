# hint: the result has shape (6
import torch


def average_start(prompts, similarities, k):
    s, i = torch.tensor(similarities).topk(k)
    return torch.cat([prompts[j] for j in i])
