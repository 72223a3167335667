# hint: ZeroDivisionError
def learning_rate(step, steps, lr, warmup):
    up = (step + 1) / warmup
    return lr * min(up, (steps - step) / max(steps - warmup, 1)) if step >= warmup else lr * up
