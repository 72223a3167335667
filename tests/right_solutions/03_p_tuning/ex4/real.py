from torch import nn


def count_trained(layers, width, keys, length, rank, bottleneck):
    n = lambda m: sum(p.numel() for p in m.parameters())
    ad = n(nn.Linear(width, bottleneck)) + n(nn.Linear(bottleneck, width))
    return {
        "adapters": 2 * layers * ad,
        "LoRA": layers * (rank * 2 * width + rank * (width + keys)),
        "prefix tuning": layers * 2 * length * keys,
        "prompt tuning": length * width,
    }
