# hint: the level is the lowest control
def share_kept(values, own, controls, fair):
    level = controls.min(0)
    counts = (own > level) & fair.any(0)
    foreign = sum(values[fair[:, i], i].mean() - level[i] for i in counts.nonzero()[0])
    return foreign / (own - level)[counts].sum()
