# hint: the prompt has not moved
import torch
from torch import nn


def training_step(prompt, model, texts, targets, lr):
    inputs = torch.cat([prompt.expand(len(texts), -1, -1), texts], dim=1)
    loss = nn.functional.cross_entropy(model(inputs), targets)
    prompt.grad = None
    loss.backward()
    return loss.item()
