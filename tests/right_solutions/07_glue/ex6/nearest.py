def possible(printed, n):
    near = round(printed / 100 * n)
    return any(f"{100 * k / n:.1f}" == f"{printed:.1f}" for k in (near - 1, near, near + 1))
