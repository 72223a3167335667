# hint: the rate jumps down after the warm-up
def learning_rate(step, steps, lr, warmup):
    if step < warmup:
        return lr * (step + 1) / warmup
    return lr * (1 - step / steps)
