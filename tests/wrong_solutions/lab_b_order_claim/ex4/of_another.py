# hint: a result of another plan says nothing
def outcome():
    record = (
        '{"plan": "ea96f1dac0ce9c40", "earlier": [], "passes": 15000, "rows": {"from '
        'words": {"trained": 0.81, "mean": 0.7913, "worst": 0.77, "best": 0.81, "orders":'
        ' 24}, "from noise": {"trained": 0.77, "mean": 0.775, "worst": 0.74, "best": '
        '0.79, "orders": 24}, "from labels": {"trained": 0.76, "mean": 0.755, "worst": '
        '0.735, "best": 0.77, "orders": 24}}, "effect": [0.0238, -0.0054, 0.0552], '
        '"seconds": 218, "seal": "79ad84f7c51969d3"}'
    )
    return record, "undecided"
