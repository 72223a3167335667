import numpy as np
import torch


def prediction_matrix(score, prompt, orders):
    return np.array([score(prompt[torch.tensor(o)]).numpy().argmax(1) for o in orders])
