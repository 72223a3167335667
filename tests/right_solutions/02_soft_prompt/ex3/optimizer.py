import torch
from torch import nn


def training_step(prompt, model, texts, targets, lr):
    optimizer = torch.optim.SGD([prompt], lr=lr)
    optimizer.zero_grad()
    inputs = torch.cat([prompt.expand(len(texts), -1, -1), texts], dim=1)
    loss = nn.functional.cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()
