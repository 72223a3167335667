# hint: rounded to 0
import torch


def leak(logits, new):
    return -torch.log(1 - logits.softmax(1)[:, new].sum(1))
