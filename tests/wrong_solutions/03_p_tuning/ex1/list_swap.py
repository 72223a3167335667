# hint: range and deviation are exchanged: the deviation comes first
def template_spread(right):
    a = right.mean(1)
    return [float(a.max() - a.min()), float(a.std(ddof=1))]
