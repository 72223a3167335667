# hint: This is LoRA
def count_trained(layers, width, keys, length, rank, bottleneck):
    return {
        "prompt tuning": length * width,
        "prefix tuning": 2 * layers * length * keys,
        "LoRA": layers * rank * rank * (3 * width + keys),
        "adapters": 2 * layers * (2 * width * bottleneck + bottleneck + width),
    }
