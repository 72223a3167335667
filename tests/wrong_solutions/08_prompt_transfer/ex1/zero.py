# hint: counts as a gain of 0
def same_kind_gain(values, level, same_kind, fair):
    kin = fair & same_kind
    return (((values - level) * kin).sum(0) / kin.sum(0).clip(1)).mean()
