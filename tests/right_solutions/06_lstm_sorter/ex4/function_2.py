import torch


class _S(torch.autograd.Function):
    @staticmethod
    def forward(ctx, order):
        return torch.eye(order.shape[-1])[order.argmax(-1)]

    @staticmethod
    def backward(ctx, g):
        return g


def straight_through(order):
    return _S.apply(order)
