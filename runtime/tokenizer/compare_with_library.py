# SPDX-License-Identifier: Apache-2.0
"""Compares the tokenizer with the `tokenizers` Python library on random strings: identical ids, identical text.

    compare_with_library.py --driver BUILD/runtime/tokenizer/msa_tokenizer_driver [--count 5000] [--seed 1] FILE...

Strings mix scripts, combining marks, emoji, digits, runs of whitespace, words and special tokens. Characters are drawn
from Unicode as this Python knows it (3.11: 14.0), for the library and the system's PCRE2 know different newer ones.
Exits with 1 and prints the first differences when any string differs.
"""

import argparse
import random
import struct
import subprocess
import sys
import unicodedata

import tokenizers


class Driver:
    """The tokenizer at the other end of a pipe."""

    def __init__(self, program, path, mode):
        self.process = subprocess.Popen([program, path, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, record):
        self.process.stdin.write(struct.pack("<I", len(record)) + record)
        self.process.stdin.flush()
        head = self.process.stdout.read(4)
        if len(head) != 4:
            raise SystemExit("the driver ended early")
        (length,) = struct.unpack("<I", head)
        return self.process.stdout.read(length)

    def encode(self, text):
        answer = self.ask(text if isinstance(text, bytes) else text.encode("utf-8"))
        return list(struct.unpack(f"<{len(answer) // 4}i", answer))

    def decode(self, ids):
        return self.ask(struct.pack(f"<{len(ids)}i", *ids)).decode("utf-8")

    def close(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            raise SystemExit("the driver failed")


RANGES = [
    (0x20, 0x7F), (0x20, 0x7F), (0x20, 0x7F), (0xA0, 0x180), (0x300, 0x370), (0x370, 0x400), (0x400, 0x530),
    (0x590, 0x700), (0x900, 0xE00), (0xE00, 0x1000), (0x1100, 0x1200), (0x1E00, 0x2000), (0x2000, 0x2070),
    (0x20A0, 0x2200), (0x2460, 0x2500), (0x3000, 0x3100), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4), (0xF900, 0xFB00),
    (0xFE00, 0xFE10), (0xFF00, 0xFFEF), (0x1D400, 0x1D800), (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0xE0000, 0xE0080),
    (0x0, 0x110000),
]
ODD_BYTES = [0x80, 0x9F, 0xBF, 0xC0, 0xC3, 0xE0, 0xE2, 0xED, 0xF0, 0xF4, 0xF5, 0xFF]
MODES = ("encode", "ordinary", "decode", "decode-plain", "stream")
SPACES = " \t\n\r\v\f\x85\xa0\u1680\u180e\u2003\u2028\u2029\u202f\u205f\u3000\u200b\ufeff"
WORDS = (
    "the of document question memory attention don't I'M we'll they've it's 'S 'ſ 'RE 'tis 3.14 1,000 x² ½ straße "
    "İstanbul naïve cafe\u0301 Ångström ﬁn e\u0323\u0302 кафе Москва 東京都 你好 こんにちは 서울 😀 👨‍👩‍👧 🇨🇭 "
    "http://a.example/b?c=d a_b snake_case fooBar 2026-11-23 ... !!! -- \u212b K ẞ Σς ǅ"
).split(" ")


class Strings:
    """A stream of random strings."""

    def __init__(self, seed, library, unassigned):
        self.random = random.Random(seed)
        added = [token.content for token in library.get_added_tokens_decoder().values()]
        self.special = added + [token[:-1] for token in added] + [token.upper() for token in added]
        self.vocab = [token for token in library.get_vocab() if token not in added]
        self.unassigned = unassigned

    def character(self):
        while True:
            code = self.random.randrange(*self.random.choice(RANGES))
            if not 0xD800 <= code < 0xE000 and (self.unassigned or unicodedata.category(chr(code)) != "Cn"):
                return chr(code)

    def part(self):
        kind = self.random.randrange(10)
        if kind == 0:
            return self.random.choice(SPACES) * self.random.choice([1, 1, 2, 3, 20])
        if kind == 1:
            return "".join(self.random.choice(SPACES + "   \n\n") for _ in range(self.random.randrange(1, 6)))
        if kind == 2:
            return self.random.choice(self.special) if self.special else ""
        if kind == 3:
            return "".join(self.random.choice("0123456789٣५½") for _ in range(self.random.randrange(1, 8)))
        if kind == 4:
            return "".join(chr(self.random.randrange(0x300, 0x370)) for _ in range(self.random.randrange(1, 5)))
        if kind == 5:
            return "".join(self.character() for _ in range(self.random.randrange(1, 8)))
        if kind == 6:
            return self.random.choice(self.vocab)
        if kind == 7:
            return "".join(chr(self.random.randrange(97, 123)) for _ in range(self.random.randrange(1, 120)))
        return self.random.choice(WORDS) + self.random.choice(["", " "])

    def next(self):
        return "".join(self.part() for _ in range(self.random.randrange(0, 14)))


def invalid_bytes(generator):
    """Bytes that are often not UTF-8, and the text that they count as."""
    data = bytearray("".join(generator.part() for _ in range(4)).encode("utf-8"))
    for _ in range(generator.random.randrange(1, 6)):
        at = generator.random.randrange(len(data) + 1)
        data[at:at] = bytes(generator.random.choice(ODD_BYTES) for _ in range(generator.random.randrange(1, 3)))
        if data and generator.random.random() < 0.5:
            del data[generator.random.randrange(len(data))]
    return bytes(data), bytes(data).decode("utf-8", errors="replace")


def compare_every_character(driver_program, path, unassigned):
    """Every character alone and between letters: finds characters that the two put into different classes."""
    library = tokenizers.Tokenizer.from_file(path)
    library.no_truncation()
    library.no_padding()
    driver = Driver(driver_program, path, "encode")
    differing = []
    for code in range(0x110000):
        character = chr(code)
        if 0xD800 <= code < 0xE000 or (not unassigned and unicodedata.category(character) == "Cn"):
            continue
        text = f"{character} a{character}b"
        if library.encode(text, add_special_tokens=False).ids != driver.encode(text):
            differing.append(f"U+{code:04X}")
    driver.close()
    print(f"{path}: every character, {len(differing)} differences {' '.join(differing[:20])}")
    return len(differing)


def compare(driver_program, path, count, seed, unassigned):
    library = tokenizers.Tokenizer.from_file(path)
    library.no_truncation()
    library.no_padding()
    strings = Strings(seed, library, unassigned)
    drivers = {mode: Driver(driver_program, path, mode) for mode in MODES}
    added = set(library.get_added_tokens_decoder())
    vocab_size = library.get_vocab_size()
    unknown = getattr(library.model, "unk_token", None)
    allowed = {library.token_to_id(unknown)} if unknown else set()
    differences = 0

    def check(what, source, expected, found):
        nonlocal differences
        if expected != found:
            differences += 1
            if differences <= 5:
                print(f"{what} differs\n  of       {ascii(source)}")
                print(f"  expected {ascii(expected)}\n  found    {ascii(found)}")

    for index in range(count):
        text = strings.next()
        ids = library.encode(text, add_special_tokens=False).ids
        check("encode", text, ids, drivers["encode"].encode(text))
        ordinary = drivers["ordinary"].encode(text)
        check("encode ordinary", text, [], [token for token in ordinary if token in added and token not in allowed])
        if not any(token in text for token in strings.special):
            check("encode ordinary", text, ids, ordinary)
        if index % 2:
            ids = [strings.random.randrange(vocab_size + 8) for _ in range(strings.random.randrange(12))]
        expected = library.decode(ids, skip_special_tokens=False)
        check("decode", ids, expected, drivers["decode"].decode(ids))
        check("decode in a stream", ids, expected, drivers["stream"].decode(ids))
        check("decode without special tokens", ids, library.decode(ids), drivers["decode-plain"].decode(ids))
        if index % 8 == 0:
            data, text = invalid_bytes(strings)
            check("encode", data, library.encode(text, add_special_tokens=False).ids, drivers["encode"].encode(data))
    for driver in drivers.values():
        driver.close()
    print(f"{path}: {count} strings, {differences} differences")
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", required=True)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unassigned", action="store_true", help="draw any character, also ones that are not assigned")
    parser.add_argument("--every-character", action="store_true", help="try every character of Unicode instead")
    parser.add_argument("tokenizers", nargs="+", metavar="FILE", help="tokenizer.json")
    arguments = parser.parse_args()
    total = 0
    for path in arguments.tokenizers:
        if arguments.every_character:
            total += compare_every_character(arguments.driver, path, arguments.unassigned)
        else:
            total += compare(arguments.driver, path, arguments.count, arguments.seed, arguments.unassigned)
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
