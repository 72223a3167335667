import torch


def prediction_matrix(score, prompt, orders):
    first = score(prompt)
    m = torch.zeros(len(orders), len(first), dtype=torch.int32)
    for r, o in enumerate(orders):
        m[r] = score(torch.stack([prompt[i] for i in o])).max(1).indices
    return m
