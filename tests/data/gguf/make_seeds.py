"""Writes the small GGUF files of this folder: seeds of gguf_fuzz and inputs of gguf_test. Run it here to make them again.

They are made without puna's writer on purpose, so that the reader is not only tested against its own twin.
"""
import struct

TYPES = {"u8": (0, "B"), "i8": (1, "b"), "u16": (2, "H"), "i16": (3, "h"), "u32": (4, "I"), "i32": (5, "i"),
         "f32": (6, "f"), "bool": (7, "?"), "str": (8, None), "u64": (10, "Q"), "i64": (11, "q"), "f64": (12, "d")}
ARRAY = 9


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def element(kind, value):
    return text(value) if kind == "str" else struct.pack("<" + TYPES[kind][1], value)


def key(name, kind, value):
    return text(name) + struct.pack("<I", TYPES[kind][0]) + element(kind, value)


def array(name, kind, values):
    head = text(name) + struct.pack("<IIQ", ARRAY, TYPES[kind][0], len(values))
    return head + b"".join(element(kind, value) for value in values)


def write(path, keys, tensors=(), version=3, alignment=32):
    """tensors: (name, dims, type number, bytes)"""
    table, data = b"", b""
    for name, dims, number, content in tensors:
        table += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims)
        table += struct.pack("<IQ", number, len(data))
        data += content + b"\0" * (-len(content) % alignment)
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + b"".join(keys) + table
    with open(path, "wb") as out:
        out.write(head + b"\0" * (-len(head) % alignment) + data)


def pattern(count):
    return bytes((7 * i + 3) % 251 for i in range(count))


SAMPLES = {"u8": [0, 255], "i8": [-128, 127], "u16": [65535], "i16": [-32768], "u32": [2**32 - 1, 1], "i32": [-2**31],
           "f32": [0.5, float("inf")], "bool": [True, False, True], "str": ["", "token", "\u2581caf\u00e9"],
           "u64": [2**64 - 1], "i64": [-2**63], "f64": [1e300, -0.0]}

write("values.gguf", [key("one." + kind, kind, values[0]) for kind, values in SAMPLES.items()]
      + [array("many." + kind, kind, values) for kind, values in SAMPLES.items()] + [array("none", "str", [])])

write("tensors.gguf", [key("general.architecture", "str", "seed")],
      [("scalar", (), 0, pattern(4)), ("vector", (5,), 1, pattern(10)), ("token_embd.weight", (32, 3), 8, pattern(102)),
       ("blk.0.attn_q.weight", (256, 2), 12, pattern(288)), ("blk.0.ffn_up.weight", (256, 1, 2), 14, pattern(420)),
       ("cube", (2, 3, 2, 2), 30, pattern(48)), ("iq", (256,), 19, pattern(50)), ("fp4", (32,), 39, pattern(17))])

write("version2.gguf", [key("general.name", "str", "old"), array("tokenizer.ggml.tokens", "str", ["<s>", "a", "b"])],
      [("w", (4, 4), 0, pattern(64))], version=2)

write("alignment64.gguf", [key("general.alignment", "u32", 64)],
      [("a", (3,), 24, pattern(3)), ("b", (32, 2), 2, pattern(36))], alignment=64)
