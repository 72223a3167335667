# hint: a slot is left
def fill(template, text):
    return template.replace("{text}", text)
