# hint: where one of them moves an accuracy by
def order_plan():
    return {
        "claim": "Blocks of five that stay together cost less than single tokens, by a point.",
        "rows": {
            "single": {"prompt": "minilm-rt-polarity", "orders": "random"},
            "blocks": {"prompt": "minilm-rt-polarity", "orders": "random", "unit": 5},
        },
        "orders": 20,
        "sentences": 16,
        "seed": 3,
        "budget": 6000,
        "compare": ["single", "blocks"],
        "margin": 0.01,
    }
