# hint: a target whose own prompt gains nothing counts as well
def share_kept(values, own, controls, fair):
    level = controls.max(0)
    counts = fair.any(0)
    foreign = sum(values[fair[:, i], i].mean() - level[i] for i in counts.nonzero()[0])
    return foreign / (own - level)[counts].sum()
