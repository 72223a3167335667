# hint: return a dictionary with the keys prompt tuning, prefix tuning, LoRA, adapters; got {'prom
def count_trained(layers, width, keys, length, rank, bottleneck):
    return {
        "prompt_tuning": length * width,
        "prefix_tuning": 2 * layers * length * keys,
        "lora": layers * rank * (3 * width + keys),
        "adapters": 2 * layers * (2 * width * bottleneck + bottleneck + width),
    }
