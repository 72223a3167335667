import sys


def clean(raw):
    print("working", file=sys.stderr)
    return list(
        dict.fromkeys(
            s for s in (" ".join(l.split()) for l in raw.decode("latin-1").splitlines()) if s
        )
    )
