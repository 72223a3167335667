from torch.nn import functional as F


def nearest(table, vectors, k):
    return [
        sorted(range(len(table)), key=lambda i: -F.cosine_similarity(v, table[i], dim=0).item())[:k]
        for v in vectors
    ]
