# hint: the columns are one-hot: each place (row) chooses one token
from torch.nn import functional as F


def straight_through(order):
    h = F.one_hot(order.argmax(0), order.shape[-1]).float().T
    return h + (order - order.detach())
