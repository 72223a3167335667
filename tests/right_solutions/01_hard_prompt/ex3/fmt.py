def fill(template, text):
    head, _ = template.split("{mask}", 1)
    return head.removesuffix(" ").replace("{text}", "\0").replace("\0", text)
