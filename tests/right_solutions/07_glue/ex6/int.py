def possible(printed, n):
    return int(any(abs(100 * k / n - printed) <= 0.05 + 1e-9 for k in range(n + 1)))
