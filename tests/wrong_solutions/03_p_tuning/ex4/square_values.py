# hint: the value matrix leads from width to keys
def count_trained(layers, width, keys, length, rank, bottleneck):
    return {
        "prompt tuning": length * width,
        "prefix tuning": length * layers * 2 * keys,
        "LoRA": layers * 2 * rank * 2 * width,
        "adapters": layers * 2 * (2 * width * bottleneck + bottleneck + width),
    }
