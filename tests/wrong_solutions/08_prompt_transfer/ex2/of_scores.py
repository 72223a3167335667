# hint: these are shares of the scores
def share_kept(values, own, controls, fair):
    level = 0 * own
    counts = fair.any(0)
    foreign = sum(values[fair[:, i], i].mean() - level[i] for i in counts.nonzero()[0])
    return foreign / (own - level)[counts].sum()
