# hint: as high as its level
def share_kept(values, own, controls, fair):
    level = controls.max(0)
    kept = (own >= level) & fair.any(0)
    foreign = sum(values[fair[:, t], t].mean() - level[t] for t in kept.nonzero()[0])
    return foreign / (own - level)[kept].sum()
