# hint: nothing comes back (None)
from torch.nn import functional as F


def straight_through(order):
    h = F.one_hot(order.argmax(-1), order.shape[-1]).float()
    h = h + (order - order.detach())
