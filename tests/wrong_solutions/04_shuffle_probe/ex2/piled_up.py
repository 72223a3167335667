# hint: the result of the one before
import torch


def prediction_matrix(score, prompt, orders):
    rows = []
    for order in orders:
        prompt = prompt[list(order)]
        rows.append(score(prompt).argmax(-1))
    return torch.stack(rows)
