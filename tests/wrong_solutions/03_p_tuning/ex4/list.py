# hint: return a dictionary with the keys prompt tuning, prefix tuning, LoRA, adapters; got [120,
def count_trained(layers, width, keys, length, rank, bottleneck):
    return [
        length * width,
        2 * layers * length * keys,
        layers * rank * (3 * width + keys),
        2 * layers * (2 * width * bottleneck + bottleneck + width),
    ]
