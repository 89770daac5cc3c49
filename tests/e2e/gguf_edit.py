"""Adds a whole-number key to the metadata of a GGUF file, to make models of another kind out of the bundled one."""
import struct

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, UINT32 = 8, 9, 4


class Cursor:
    def __init__(self, data, at):
        self.data = data
        self.at = at

    def number(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def skip_string(self):
        length = self.number("Q")
        self.at += length

    def skip_value(self, kind):
        if kind == STRING:
            self.skip_string()
        elif kind == ARRAY:
            inner, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.skip_value(inner)
        else:
            self.at += SIZES[kind]


def with_key(data, key, value):
    """The bytes of the file `data` with `key` = `value`; the key must be new."""
    tensors, keys = struct.unpack_from("<QQ", data, 8)
    cursor = Cursor(data, 24)
    for _ in range(keys):
        cursor.skip_string()
        cursor.skip_value(cursor.number("I"))
    for _ in range(tensors):
        cursor.skip_string()
        dimensions = cursor.number("I")
        cursor.at += 8 * dimensions + 4 + 8
    align = 32
    body = data[(cursor.at + align - 1) // align * align:]
    added = struct.pack("<Q", len(key)) + key.encode() + struct.pack("<II", UINT32, value)
    head = data[:16] + struct.pack("<Q", keys + 1) + added + data[24:cursor.at]
    return head + b"\0" * (-len(head) % align) + body
