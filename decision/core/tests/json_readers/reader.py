"""Python's json: one document a line in, `length base64`; one form a line out (see form.rs), `2` before it where an object
names a member twice, or `!` for a document that is refused."""
import base64
import decimal
import json
import struct
import sys


class Number:
    """What Python reads by itself, and the decimal that the text is."""

    def __init__(self, text, value):
        self.double = float(value)
        self.exact = decimal.Decimal(text)


class Members(dict):
    """An object; the last of two members counts."""


class Reader:
    def __init__(self):
        self.twice = False

    def members(self, pairs):
        members = Members(pairs)
        self.twice |= len(members) != len(pairs)
        return members

    def read(self, document):
        return json.loads(
            document,
            object_pairs_hook=self.members,
            parse_int=lambda text: Number(text, int(text)),
            parse_float=lambda text: Number(text, float(text)),
            parse_constant=refuse,
        )


def refuse(word):
    raise ValueError(word)


def exact(number):
    sign, digits, power = number.as_tuple()
    digits = "".join(map(str, digits)).lstrip("0")
    kept = digits.rstrip("0")
    if not kept:
        return "0"
    return f"{'-' if sign else ''}{kept}e{power + len(digits) - len(kept)}"


def hexed(text):
    return text.encode("utf-8", "surrogatepass").hex()


def form(value):
    if value is None:
        return "n"
    if value is True:
        return "t"
    if value is False:
        return "f"
    if isinstance(value, Number):
        # Zero has no sign.
        return f"#{struct.pack('>d', value.double + 0.0).hex()}={exact(value.exact)}"
    if isinstance(value, str):
        return f'"{hexed(value)}"'
    if isinstance(value, Members):
        members = sorted((hexed(name), form(inner)) for name, inner in value.items())
        return "{" + ",".join(f"{name}:{inner}" for name, inner in members) + "}"
    return "[" + ",".join(map(form, value)) + "]"


for line in sys.stdin:
    length, encoded = line.rstrip("\n").split(" ")
    document = base64.b64decode(encoded, validate=True)
    if len(document) != int(length):
        sys.exit("a line was cut")
    reader = Reader()
    try:
        answer = form(reader.read(document))
    except (ValueError, OverflowError, RecursionError, decimal.InvalidOperation):
        answer = "!"
    print(("2" if reader.twice and answer != "!" else "") + answer)
