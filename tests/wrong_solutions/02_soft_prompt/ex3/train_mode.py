# hint: switched to another mode
import torch
from torch import nn


def training_step(prompt, model, texts, targets, lr):
    model.train()
    prompt.grad = None
    inputs = torch.cat([prompt.expand(len(texts), -1, -1), texts], dim=1)
    loss = nn.functional.cross_entropy(model(inputs), targets)
    loss.backward()
    with torch.no_grad():
        prompt -= lr * prompt.grad
    return loss.item()
