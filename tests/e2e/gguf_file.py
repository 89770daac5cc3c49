"""Reads and writes GGUF files for tests, apart from puna's own reader and writer. Standard library only."""
import array
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
UINT16, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 2, 4, 5, 6, 7, 8, 9
F32, Q8_0 = 0, 8
# Values and bytes of a block; other types are not read.
BLOCKS = {F32: (1, 4), 1: (1, 2), Q8_0: (32, 34), 12: (256, 144), 14: (256, 210)}


def row_bytes(kind, width):
    values, size = BLOCKS[kind]
    return width // values * size


class GgufFile:
    """keys: {name: (type, value)}, an array's value being (element type, list); tensors: {name: (dims, type number, bytes)}"""

    def __init__(self, keys=None, tensors=None):
        self.keys = dict(keys or {})
        self.tensors = dict(tensors or {})

    @staticmethod
    def read(path):
        with open(path, "rb") as file:
            data = file.read()
        at = 8

        def take(code):
            nonlocal at
            value = struct.unpack_from("<" + code, data, at)[0]
            at += struct.calcsize("<" + code)
            return value

        def text():
            nonlocal at
            length = take("Q")
            at += length
            return data[at - length:at].decode("utf8", "surrogateescape")

        def value_of(kind):
            if kind == STRING:
                return text()
            if kind == ARRAY:
                element = take("I")
                return element, [value_of(element) for _ in range(take("Q"))]
            return take(SCALARS[kind])

        tensor_count, key_count = take("Q"), take("Q")
        out = GgufFile()
        for _ in range(key_count):
            name, kind = text(), take("I")
            out.keys[name] = (kind, value_of(kind))
        table = []
        for _ in range(tensor_count):
            name = text()
            dims = [take("Q") for _ in range(take("I"))]
            table.append((name, dims, take("I"), take("Q")))
        alignment = out.keys.get("general.alignment", (UINT32, 32))[1]
        start = (at + alignment - 1) // alignment * alignment
        for name, dims, kind, offset in table:
            size = row_bytes(kind, dims[0])
            for dim in dims[1:]:
                size *= dim
            out.tensors[name] = (dims, kind, data[start + offset:start + offset + size])
        return out

    def set_f32(self, name, dims, values):
        self.tensors[name] = (list(dims), F32, array.array("f", values).tobytes())

    def write(self, path):
        def text(value):
            encoded = value.encode("utf8", "surrogateescape")
            return struct.pack("<Q", len(encoded)) + encoded

        def encode(kind, value):
            if kind == STRING:
                return text(value)
            if kind == ARRAY:
                element, values = value
                return struct.pack("<IQ", element, len(values)) + b"".join(encode(element, one) for one in values)
            return struct.pack("<" + SCALARS[kind], value)

        alignment = self.keys.get("general.alignment", (UINT32, 32))[1]
        keys = b"".join(text(name) + struct.pack("<I", kind) + encode(kind, value)
                        for name, (kind, value) in self.keys.items())
        table, blobs = b"", []
        offset = 0
        for name, (dims, kind, content) in self.tensors.items():
            table += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", dim) for dim in dims)
            table += struct.pack("<IQ", kind, offset)
            blobs.append(content + b"\0" * (-len(content) % alignment))
            offset += len(blobs[-1])
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.keys)) + keys + table
        with open(path, "wb") as out:
            out.write(head + b"\0" * (-len(head) % alignment) + b"".join(blobs))
