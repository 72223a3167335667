import statistics

from scipy.stats import t


def paired_gain(changed, plain):
    gains = []
    for seed, score in plain.items():
        if seed in changed:
            gains.append(changed[seed] - score)
    mean = statistics.mean(gains) if gains else 0
    try:
        error = statistics.stdev(gains) / len(gains) ** 0.5
    except statistics.StatisticsError:
        raise ValueError("an interval takes two seeds") from None
    low, high = t.interval(0.95, len(gains) - 1, loc=mean, scale=error)
    return [mean, low, high]
