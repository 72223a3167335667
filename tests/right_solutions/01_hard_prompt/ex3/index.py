def fill(template, text):
    before = template[: template.index("{mask}")]
    return (before[:-1] if before.endswith(" ") else before).replace("{text}", text)
