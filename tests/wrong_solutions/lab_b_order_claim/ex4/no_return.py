# hint: nothing comes back (None)
def outcome():
    record = (
        '{"plan": "eec0ad8624f6c0b7", "earlier": [], "passes": 768, "rows": {"all free": '
        '{"trained": 0.7344, "mean": 0.6562, "worst": 0.5938, "best": 0.7188, "orders": '
        '5}, "first kept": {"trained": 0.7344, "mean": 0.7594, "worst": 0.75, "best": '
        '0.7812, "orders": 5}}, "effect": [0.1031, -0.0062, 0.2156], "seconds": 68, '
        '"seal": "d92fec38b003a998"}'
    )
    print(record)
