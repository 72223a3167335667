import torch


def straight_through(order):
    h = torch.zeros_like(order).scatter(-1, order.argmax(-1, keepdim=True), 1.0)
    return h + order - order.detach() if False else h.detach() + (order - order.detach())
