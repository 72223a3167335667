import torch


def content_share(content, added):
    return torch.var(content) / torch.var(content + added)
