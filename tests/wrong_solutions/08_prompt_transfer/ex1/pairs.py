# hint: average within each target first
def same_kind_gain(values, level, same_kind, fair):
    return (values - level)[fair & same_kind].mean()
