# hint: applied backwards
import torch


def prediction_matrix(score, prompt, orders):
    inverse = [torch.tensor(order).argsort() for order in orders]
    return torch.stack([score(prompt[order]).argmax(-1) for order in inverse])
