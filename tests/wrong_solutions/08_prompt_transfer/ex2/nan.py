# hint: a target without a fair source is averaged over nothing
def share_kept(values, own, controls, fair):
    level = controls.max(0)
    counts = own > level
    foreign = sum(values[fair[:, i], i].mean() - level[i] for i in counts.nonzero()[0])
    return foreign / (own - level)[counts].sum()
