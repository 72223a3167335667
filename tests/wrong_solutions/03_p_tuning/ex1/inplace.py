# hint: template_spread changes its argument `right`: work on a copy, the caller needs it as it wa
def template_spread(right):
    right.sort(axis=0)
    a = right.mean(1)
    return float(a.std(ddof=1)), float(a.max() - a.min())
