# hint: a long gradient was clipped
import torch
from torch import nn


def training_step(prompt, model, texts, targets, lr):
    prompt.grad = None
    inputs = torch.cat([prompt.expand(len(texts), -1, -1), texts], dim=1)
    loss = nn.functional.cross_entropy(model(inputs), targets)
    loss.backward()
    nn.utils.clip_grad_norm_([prompt], 1.0)
    with torch.no_grad():
        prompt -= lr * prompt.grad
    return loss.item()
