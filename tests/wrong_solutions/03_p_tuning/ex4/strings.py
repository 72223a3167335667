# hint: a str comes back
def count_trained(layers, width, keys, length, rank, bottleneck):
    return {
        k: str(v)
        for k, v in {
            "prompt tuning": length * width,
            "prefix tuning": 2 * layers * length * keys,
            "LoRA": layers * rank * (3 * width + keys),
            "adapters": 2 * layers * (2 * width * bottleneck + bottleneck + width),
        }.items()
    }
