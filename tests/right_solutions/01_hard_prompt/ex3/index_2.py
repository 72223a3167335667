def fill(template, text):
    head = template[: template.index("{mask}")]
    if head[-1:] == " ":
        head = head[:-1]
    return text.join(head.split("{text}"))
