def order_plan():
    return {
        "claim": "Reading the prompt backwards costs over five points more than a random order.",
        "rows": {
            "single": {"prompt": "smollm2-rt-polarity", "orders": "reversal"},
            "blocks": {"prompt": "minilm-rt-polarity", "orders": "random", "unit": 5},
        },
        "orders": 20,
        "sentences": 100,
        "seed": 3,
        "budget": 6000,
        "compare": ["single", "blocks"],
        "margin": 0.05,
    }
