# hint: one step ahead after the warm-up
def learning_rate(step, steps, lr, warmup):
    if step < warmup:
        return lr * (step + 1) / warmup
    return lr * (steps - step - 1) / (steps - warmup)
