# hint: going forward
def straight_through(order):
    return order
