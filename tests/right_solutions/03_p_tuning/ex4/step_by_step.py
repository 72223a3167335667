def count_trained(layers, width, keys, length, rank, bottleneck):
    down, up = width * bottleneck + bottleneck, bottleneck * width + width
    query, value = rank * width + width * rank, rank * width + keys * rank
    return {
        "prompt tuning": length * width,
        "prefix tuning": layers * (length * keys + length * keys),
        "LoRA": layers * (query + value),
        "adapters": layers * 2 * (down + up),
    }
