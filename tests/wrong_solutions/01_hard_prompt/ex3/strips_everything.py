# hint: only the space in front of the answer goes
def fill(template, text):
    return "".join(template.partition("{mask}")[0].replace("{text}", text).split(" ")).strip()
