# hint: the record can't be read
def outcome():
    record = (
        '{"plan": "eec0ad8624f6c0b7", "earlier": [], "passes": 768, "rows": {"all free": '
        '{"trained": 0.7344, "mean": 0.6562, "worst": 0.5938, "best": 0.7188, "orders": '
        '5}, "first'
    )
    return record, "undecided"
