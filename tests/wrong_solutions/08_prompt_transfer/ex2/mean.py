# hint: this is Dice's share, 2 · |A ∩ B| / (|A| + |B|): divide by sqrt(|A| · |B|)
def overlap(a, b):
    both = (a & b).sum().item()
    return both / ((a.sum().item() + b.sum().item()) / 2) if both else 0.0
