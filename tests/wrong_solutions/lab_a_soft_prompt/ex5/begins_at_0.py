# hint: the first step has the rate 0
def learning_rate(step, steps, lr, warmup):
    if step < warmup:
        return lr * step / warmup
    return lr * (steps - step) / (steps - warmup)
