# hint: one entry of the whole matrix is one: each row has one
def straight_through(order):
    h = (order == order.max()).float()
    return h + (order - order.detach())
