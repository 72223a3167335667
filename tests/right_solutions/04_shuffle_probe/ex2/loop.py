import torch


def prediction_matrix(score, prompt, orders):
    rows = []
    for order in orders:
        shuffled = torch.stack([prompt[i] for i in order])
        rows.append(score(shuffled).max(-1).indices)
    return torch.stack(rows)
