import torch


def few_shot_gain(better, worse):
    d = torch.as_tensor(better).double() - torch.as_tensor(worse).double()
    error = (d.mean(1).var() / d.shape[0] + d.mean(0).var() / d.shape[1]).sqrt()
    return torch.stack([d.mean(), d.mean() - 1.96 * error, d.mean() + 1.96 * error])
