# hint: nothing comes back (None): is the `return` missing?
def count_trained(layers, width, keys, length, rank, bottleneck):
    print({"prompt tuning": length * width})
