# hint: this is the best source of each target
def share_kept(values, own, controls, fair):
    level = controls.max(0)
    counts = (own > level) & fair.any(0)
    foreign = sum(values[fair[:, i], i].max() - level[i] for i in counts.nonzero()[0])
    return foreign / (own - level)[counts].sum()
