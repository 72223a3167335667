# hint: no gradient comes back
from torch.nn import functional as F


def straight_through(order):
    hard = F.one_hot(order.argmax(-1), order.shape[-1]).to(order.dtype)
    return hard
