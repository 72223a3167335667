# hint: ends in RuntimeError: a leaf Variable that requires grad is being used in an in-place oper
import torch
from torch.nn import functional as F


def training_step(prompt, model, texts, targets, lr):
    loss = F.cross_entropy(model(torch.cat([prompt.expand(len(texts), -1, -1), texts], 1)), targets)
    prompt.grad = None
    loss.backward()
    prompt -= lr * prompt.grad
    return loss.item()
