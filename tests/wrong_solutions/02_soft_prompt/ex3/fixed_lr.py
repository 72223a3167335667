# hint: `lr` makes no difference to the result
import torch
from torch.nn import functional as F


def training_step(prompt, model, texts, targets, lr):
    o = torch.optim.SGD([prompt], lr=0.05)
    loss = F.cross_entropy(model(torch.cat([prompt.expand(len(texts), -1, -1), texts], 1)), targets)
    o.zero_grad()
    loss.backward()
    o.step()
    return loss.item()
