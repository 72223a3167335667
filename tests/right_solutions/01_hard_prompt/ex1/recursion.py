def clean(raw):
    def go(lines, seen):
        if not lines:
            return seen
        s = " ".join(lines[0].split())
        return go(lines[1:], seen + [s] if s and s not in seen else seen)

    return go(raw.decode("latin1").split("\n"), [])
