# hint: a list comes back
def lay_between(parts, table, prompt):
    if sum(p for p in parts if isinstance(p, int)) != len(prompt):
        raise ValueError
    rows, used = [], 0
    for p in parts:
        if isinstance(p, int):
            rows.append(prompt[used : used + p])
            used += p
        else:
            rows.append(table[p])
    return rows
