# hint: pairs that are not fair count as well: only fair ones
def share_kept(values, own, controls, fair):
    level = controls.max(0)
    counts = (own > level) & fair.any(0)
    foreign = sum(values[:, i].mean() - level[i] for i in counts.nonzero()[0])
    return foreign / (own - level)[counts].sum()
