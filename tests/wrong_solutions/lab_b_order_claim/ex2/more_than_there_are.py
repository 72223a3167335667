# hint: the test split of rt-polarity has 1,060
def order_plan():
    return {
        "claim": "Blocks of five that stay together cost less than single tokens, by a point.",
        "rows": {
            "single": {"prompt": "minilm-rt-polarity", "orders": "random"},
            "blocks": {"prompt": "minilm-rt-polarity", "orders": "random", "unit": 5},
        },
        "orders": 3,
        "sentences": 1200,
        "seed": 3,
        "budget": 20000,
        "compare": ["single", "blocks"],
        "margin": 0.01,
    }
