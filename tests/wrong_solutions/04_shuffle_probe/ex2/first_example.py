# hint: only the first sentence is there: a column for each
import torch


def prediction_matrix(score, prompt, orders):
    return torch.stack([score(prompt[list(o)])[0].argmax(-1) for o in orders])
