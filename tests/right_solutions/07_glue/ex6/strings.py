def possible(printed, n):
    return f"{printed:.1f}" in {f"{100 * k / n:.1f}" for k in range(n + 1)}
