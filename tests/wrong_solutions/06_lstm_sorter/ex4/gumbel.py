# hint: the same arguments should give the same result
from torch.nn import functional as F


def straight_through(order):
    return F.gumbel_softmax(order.log(), hard=True)
