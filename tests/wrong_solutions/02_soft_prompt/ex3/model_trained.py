# hint: the model's weights changed
import torch
from torch import nn


def training_step(prompt, model, texts, targets, lr):
    model.requires_grad_(True)
    inputs = torch.cat([prompt.expand(len(texts), -1, -1), texts], dim=1)
    loss = nn.functional.cross_entropy(model(inputs), targets)
    prompt.grad = None
    loss.backward()
    with torch.no_grad():
        for weight in [prompt, *model.parameters()]:
            weight -= lr * weight.grad
    model.requires_grad_(False)
    return loss.item()
