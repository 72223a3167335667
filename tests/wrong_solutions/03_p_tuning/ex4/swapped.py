# hint: `width` makes no difference to the result
def count_trained(layers, width, keys, length, rank, bottleneck):
    return {
        "prefix tuning": length * width,
        "prompt tuning": 2 * layers * length * keys,
        "LoRA": layers * rank * (3 * width + keys),
        "adapters": 2 * layers * (2 * width * bottleneck + bottleneck + width),
    }
