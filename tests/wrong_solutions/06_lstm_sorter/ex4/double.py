# hint: the gradient is twice that of Order: add it once
from torch.nn import functional as F


def straight_through(order):
    h = F.one_hot(order.argmax(-1), order.shape[-1]).float()
    return h + 2 * (order - order.detach())
