from torch.nn import functional as F


def straight_through(order):
    out = order * 1
    out.data = F.one_hot(order.argmax(-1), order.shape[-1]).float()
    return out
