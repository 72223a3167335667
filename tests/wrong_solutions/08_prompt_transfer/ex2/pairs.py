# hint: this is the sum over all pairs
def share_kept(values, own, controls, fair):
    level = controls.max(0)
    pairs = fair & (own > level)
    return (values - level)[pairs].sum() / (0 * values + own - level)[pairs].sum()
