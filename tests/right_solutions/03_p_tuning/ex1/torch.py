import torch


def template_spread(right):
    a = torch.from_numpy(right).double().mean(1)
    return a.std(), a.max() - a.min()
