def fill(template, text):
    out, at = [], 0
    while not template.startswith("{mask}", at):
        if template.startswith("{text}", at):
            out.append(text)
            at += len("{text}")
            continue
        if not template.startswith(" {mask}", at):
            out.append(template[at])
        at += 1
    return "".join(out)
