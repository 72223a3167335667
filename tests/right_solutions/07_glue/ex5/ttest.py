from scipy import stats


def paired_gain(changed, plain):
    seeds = sorted(set(changed) & set(plain))
    if len(seeds) < 2:
        raise ValueError(f"{len(seeds)} shared seeds")
    pairs = [changed[s] for s in seeds], [plain[s] for s in seeds]
    result = stats.ttest_rel(*pairs)
    low, high = result.confidence_interval(0.95)
    return sum(a - b for a, b in zip(*pairs)) / len(seeds), low, high
