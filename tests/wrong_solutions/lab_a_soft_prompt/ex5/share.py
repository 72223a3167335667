# hint: this is the share of lr
def learning_rate(step, steps, lr, warmup):
    if step < warmup:
        return (step + 1) / warmup
    return (steps - step) / (steps - warmup)
