# hint: there is no warm-up
def learning_rate(step, steps, lr, warmup):
    if step < warmup:
        return lr
    return lr * (steps - step) / (steps - warmup)
