# hint: ends in TypeError: expected Tensor as element 0 in argument 0, but got torch.return_types.
import torch


def prediction_matrix(score, prompt, orders):
    return torch.stack([score(prompt[list(o)]).max(-1) for o in orders])
