# hint: prediction_matrix changes its argument `orders`: work on a copy, the caller needs it as it
import torch


def prediction_matrix(score, prompt, orders):
    orders.sort()
    return torch.stack([score(prompt[list(o)]).argmax(-1) for o in orders])
