import torch


def prepend(prompt, embedded, mask):
    p = prompt.unsqueeze(0).repeat(embedded.shape[0], 1, 1)
    return [
        torch.cat((p, embedded), -2),
        torch.cat((torch.ones_like(mask[:, :1]).repeat(1, len(prompt)), mask), 1),
    ]
