import torch
from torch import nn


def training_step(prompt, model, texts, targets, lr):
    loss = nn.CrossEntropyLoss()(
        model(torch.cat([prompt.expand(len(texts), -1, -1), texts], 1)), targets
    )
    prompt.grad = None
    loss.backward()
    prompt.data = prompt.data - lr * prompt.grad
    return loss.detach().numpy()
