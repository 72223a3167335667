import torch


def straight_through(order):
    h = torch.eye(order.shape[1])[order.max(1).indices]
    return h - (order.detach() - order)
