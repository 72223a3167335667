# hint: `width`, `length` makes no difference to the result
def count_trained(layers, width, keys, length, rank, bottleneck):
    return {"prompt tuning": 120, "prefix tuning": 240, "LoRA": 960, "adapters": 2202}
