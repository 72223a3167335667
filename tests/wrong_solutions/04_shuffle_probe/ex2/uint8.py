# hint: expected 269.0
import torch


def prediction_matrix(score, prompt, orders):
    return torch.stack([score(prompt[list(o)]).argmax(-1) for o in orders]).to(torch.uint8)
