import torch
from torch import nn


def count_trained(layers, width, keys, length, rank, bottleneck):
    n = lambda *m: sum(p.numel() for x in m for p in x.parameters())
    L = nn.Linear
    with torch.device("meta"):
        lora = n(
            L(width, rank, False),
            L(rank, width, False),
            L(width, rank, False),
            L(rank, keys, False),
        )
        ad = n(L(width, bottleneck), L(bottleneck, width))
    return {
        "adapters": 2 * layers * ad,
        "LoRA": layers * lora,
        "prefix tuning": layers * 2 * length * keys,
        "prompt tuning": length * width,
    }
