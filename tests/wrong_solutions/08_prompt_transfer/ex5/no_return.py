# hint: nothing comes back (None)
import torch


def average_start(prompts, similarities, k):
    s, i = torch.tensor(similarities).topk(k)
    x = (s[:, None, None] * torch.stack(prompts)[i]).sum(0) / s.sum()
