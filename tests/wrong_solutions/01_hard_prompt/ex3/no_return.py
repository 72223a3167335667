# hint: nothing comes back (None)
def fill(template, text):
    template.split("{mask}")[0].replace("{text}", text).rstrip(" ")
