from torch import nn


def size(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def count_trained(layers, width, keys, length, rank, bottleneck):
    def plain(before, after):
        return nn.Linear(before, after, bias=False)

    factors = [plain(width, rank), plain(rank, width), plain(width, rank), plain(rank, keys)]
    adapter = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
    return {
        "prompt tuning": size(nn.Embedding(length, width)),
        "prefix tuning": layers * size(nn.Embedding(length, keys), nn.Embedding(length, keys)),
        "LoRA": layers * size(*factors),
        "adapters": layers * 2 * size(*adapter),
    }
