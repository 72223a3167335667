def fill(template, text):
    before = template.split("{mask}")[0].rstrip(" ")
    return text.join(before.split("{text}"))
