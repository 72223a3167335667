# hint: off in both count as well
def overlap(a, b):
    return (a == b).float().mean().item()
