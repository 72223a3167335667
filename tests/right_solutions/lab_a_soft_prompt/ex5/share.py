def learning_rate(step, steps, lr, warmup):
    share = (step + 1) / warmup if step < warmup else 1 - (step - warmup) / (steps - warmup)
    return share * lr
