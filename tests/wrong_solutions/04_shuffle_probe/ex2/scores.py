# hint: these are the scores
import torch


def prediction_matrix(score, prompt, orders):
    return torch.stack([score(prompt[list(order)]) for order in orders])
