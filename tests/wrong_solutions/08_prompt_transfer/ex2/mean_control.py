# hint: the level is the mean of the controls
def share_kept(values, own, controls, fair):
    level = controls.mean(0)
    counts = (own > level) & fair.any(0)
    foreign = sum(values[fair[:, i], i].mean() - level[i] for i in counts.nonzero()[0])
    return foreign / (own - level)[counts].sum()
