# hint: have biases
def count_trained(layers, width, keys, length, rank, bottleneck):
    return {
        "prompt tuning": length * width,
        "prefix tuning": length * layers * 2 * keys,
        "LoRA": layers * rank * (3 * width + keys),
        "adapters": layers * 2 * 2 * width * bottleneck,
    }
