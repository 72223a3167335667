# hint: a row has 4 ones
def straight_through(order):
    hot = (order == order.amax(-1, keepdim=True)).to(order.dtype)
    return hot + (order - order.detach())
