# hint: the rate falls from the first step on
def learning_rate(step, steps, lr, warmup):
    return lr * (1 - step / steps)
