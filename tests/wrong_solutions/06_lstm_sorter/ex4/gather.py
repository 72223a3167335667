# hint: the gradient should pass as if the result were Order itself
from torch.nn import functional as F


def straight_through(order):
    h = F.one_hot(order.argmax(-1), order.shape[-1]).float()
    return h * order / order.detach()
