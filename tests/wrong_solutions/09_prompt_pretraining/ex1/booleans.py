# hint: numpy boolean subtract
def few_shot_gain(better, worse):
    d = better - worse
    error = (d.mean(1).var(ddof=1) / len(d) + d.mean(0).var(ddof=1) / d.shape[1]) ** 0.5
    return d.mean(), d.mean() - 1.96 * error, d.mean() + 1.96 * error
