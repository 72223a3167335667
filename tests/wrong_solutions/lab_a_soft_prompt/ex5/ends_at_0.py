# hint: the rate reaches 0 in the last step
def learning_rate(step, steps, lr, warmup):
    if step < warmup:
        return lr * (step + 1) / warmup
    return lr * (steps - step - 1) / max(steps - warmup - 1, 1)
