import torch


def prediction_matrix(score, prompt, orders):
    rows = []
    for o in orders:
        p = torch.eye(len(prompt))[o]
        rows.append(score(p @ prompt).argmax(-1))
    return torch.vstack(rows).float()
