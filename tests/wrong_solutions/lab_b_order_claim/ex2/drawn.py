# hint: the plan is another one each time
import random


def order_plan():
    return {
        "claim": "Blocks of five that stay together cost less than single tokens, by a point.",
        "rows": {
            "single": {"prompt": "minilm-rt-polarity", "orders": "random"},
            "blocks": {"prompt": "minilm-rt-polarity", "orders": "random", "unit": 5},
        },
        "orders": 20,
        "sentences": 128,
        "seed": random.SystemRandom().randrange(10**9),
        "budget": 6000,
        "compare": ["single", "blocks"],
        "margin": 0.01,
    }
