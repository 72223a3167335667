import heapq

import torch


def average_start(prompts, similarities, k):
    out, total = torch.zeros_like(prompts[0]), 0.0
    for i in heapq.nlargest(k, range(len(prompts)), key=similarities.__getitem__):
        out += similarities[i] * prompts[i]
        total += similarities[i]
    return out.div_(total)
