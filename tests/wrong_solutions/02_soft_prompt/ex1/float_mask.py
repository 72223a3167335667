# hint: the mask came as int64 and comes back as float32
import torch


def prepend(prompt, embedded, mask):
    p = prompt.unsqueeze(0).repeat(embedded.shape[0], 1, 1)
    return torch.cat((p, embedded), -2), torch.cat((torch.ones(len(mask), len(prompt)), mask), 1)
