# hint: a float comes back
def template_spread(right):
    return float(right.mean(1).std(ddof=1))
