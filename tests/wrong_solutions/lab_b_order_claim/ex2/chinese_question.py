# hint: the claim is a sentence that can turn out false
def order_plan():
    return {
        "claim": "顺序重要吗？",
        "rows": {
            "single": {"prompt": "minilm-rt-polarity", "orders": "random"},
            "blocks": {"prompt": "minilm-rt-polarity", "orders": "random", "unit": 5},
        },
        "orders": 20,
        "sentences": 128,
        "seed": 3,
        "budget": 6000,
        "compare": ["single", "blocks"],
        "margin": 0.01,
    }
