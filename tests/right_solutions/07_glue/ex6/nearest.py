def possible(printed, n):
    near = round(printed / 100 * n)
    counts = range(max(near - 1, 0), min(near + 1, n) + 1)
    return any(f"{100 * k / n:.1f}" == f"{printed:.1f}" for k in counts)
