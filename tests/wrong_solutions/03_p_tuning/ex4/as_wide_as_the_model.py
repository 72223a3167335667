# hint: a prefix is as wide as the keys
def count_trained(layers, width, keys, length, rank, bottleneck):
    return {
        "prompt tuning": length * width,
        "prefix tuning": length * layers * 2 * width,
        "LoRA": layers * rank * 4 * width,
        "adapters": layers * 2 * (2 * width * bottleneck + bottleneck + width),
    }
