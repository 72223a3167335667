# hint: stays at lr after the warm-up
def learning_rate(step, steps, lr, warmup):
    if step < warmup:
        return lr * (step + 1) / warmup
    return lr
