# hint: the step follows the sign of the gradient alone (as Adam's first one does): plain gradient
import torch
from torch.nn import functional as F


def training_step(prompt, model, texts, targets, lr):
    o = torch.optim.Adam([prompt], lr=lr)
    loss = F.cross_entropy(model(torch.cat([prompt.expand(len(texts), -1, -1), texts], 1)), targets)
    o.zero_grad()
    loss.backward()
    o.step()
    return loss.item()
