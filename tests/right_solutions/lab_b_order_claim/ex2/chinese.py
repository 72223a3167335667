def order_plan():
    return {
        "claim": "每五个连在一起的块，比单个虚拟词元的随机顺序少丢一个百分点以上。",
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
