def count_trained(layers, width, keys, length, rank, bottleneck):
    a = 2 * width * bottleneck + bottleneck + width
    return dict(
        zip(
            ("prompt tuning", "prefix tuning", "LoRA", "adapters"),
            map(
                float,
                (
                    length * width,
                    2 * layers * length * keys,
                    layers * rank * (3 * width + keys),
                    2 * layers * a,
                ),
            ),
        )
    )
