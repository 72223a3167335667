# hint: the gradient that comes back is zero: one of the two, added and taken away, has to be deta
from torch.nn import functional as F


def straight_through(order):
    h = F.one_hot(order.argmax(-1), order.shape[-1]).float()
    return h + (order - order)
