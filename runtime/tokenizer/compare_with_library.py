# SPDX-License-Identifier: Apache-2.0
"""Compares the tokenizer with the `tokenizers` Python library on random strings: identical ids, identical text.

    compare_with_library.py --driver BUILD/runtime/tokenizer/msa_tokenizer_driver [--count 5000] [--seed 1]
                            [--random-files 50] FILE...

Strings mix scripts, combining marks, emoji, digits, runs of whitespace, words and special tokens. Characters are drawn
from Unicode as this Python knows it (3.11: 14.0), for the library and the system's PCRE2 know different newer ones.
Exits with 1 and prints the first differences when any string differs.
"""

import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

import tokenizers
from tokenizers import models, trainers


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
    """A stream of random strings of characters that |database| knows; of all characters when that is None."""

    def __init__(self, seed, library, database):
        self.random = random.Random(seed)
        added = [token.content for token in library.get_added_tokens_decoder().values()]
        self.special = added + [token[:-1] for token in added] + [token.upper() for token in added]
        self.vocab = [token for token in library.get_vocab() if token not in added]
        self.database = database

    def character(self):
        while True:
            code = self.random.randrange(*self.random.choice(RANGES))
            known = self.database is None or self.database.category(chr(code)) != "Cn"
            if known and not 0xD800 <= code < 0xE000:
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


def compare_every_character(driver_program, path, database):
    """Every character alone and between letters: finds characters that the two put into different classes."""
    library = tokenizers.Tokenizer.from_file(path)
    library.no_truncation()
    library.no_padding()
    driver = Driver(driver_program, path, "encode")
    differing = []
    for code in range(0x110000):
        character = chr(code)
        if 0xD800 <= code < 0xE000 or (database and database.category(character) == "Cn"):
            continue
        text = f"{character} a{character}b"
        if library.encode(text, add_special_tokens=False).ids != driver.encode(text):
            differing.append(f"U+{code:04X}")
    driver.close()
    print(f"{path}: every character, {len(differing)} differences {' '.join(differing[:20])}")
    return len(differing)


def random_normalizer(generator):
    plain = ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"]
    kind = generator.randrange(4)
    if kind == 0:
        return None
    if kind == 1:
        return {"type": generator.choice(plain)}
    if kind == 2:
        return {"type": "Sequence", "normalizers": [{"type": generator.choice(plain)} for _ in range(3)]}
    flags = {name: generator.random() < 0.6 for name in ("clean_text", "handle_chinese_chars", "lowercase")}
    return {"type": "BertNormalizer", "strip_accents": generator.choice([None, True, False]), **flags}


def random_splitter(generator):
    kind = generator.randrange(6)
    behavior = generator.choice(["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"])
    if kind < 2:
        pattern = {"Regex": generator.choice([
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
            "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
            "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|\\p{N}+| ?[^\\s]+",
            "\\w+|[^\\w\\s]+", "\\s", "\\p{Han}", "\\d{1,2}", "[aeiou]*", "(?<=e)r|[\\s\\S]$", "."])}
        return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": generator.random() < 0.3}
    if kind == 2:
        return {"type": "Split", "pattern": {"String": generator.choice([" ", "e", "..", "\n", "th"])},
                "behavior": behavior, "invert": generator.random() < 0.2}
    if kind == 3:
        return {"type": "Punctuation", "behavior": behavior}
    if kind == 4:
        return {"type": "Digits", "individual_digits": generator.random() < 0.5}
    return {"type": generator.choice(["WhitespaceSplit", "BertPreTokenizer"])}


def random_file(generator, path):
    """Writes a tokenizer.json with sections drawn at random around a small trained vocabulary."""
    byte_level = generator.random() < 0.5
    word_piece = not byte_level and generator.random() < 0.5
    parts = [random_splitter(generator) for _ in range(generator.randrange(3))]
    if byte_level:
        parts.append({"type": "ByteLevel", "add_prefix_space": generator.random() < 0.3, "trim_offsets": True,
                      "use_regex": generator.random() < 0.5})
    settings = {"special_tokens": ["<unk>"], "vocab_size": generator.choice([120, 300, 600]), "show_progress": False}
    if byte_level:
        settings["initial_alphabet"] = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    if word_piece:
        library = tokenizers.Tokenizer(models.WordPiece(unk_token="<unk>"))
        trainer = trainers.WordPieceTrainer(**settings)
    else:
        library = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
        trainer = trainers.BpeTrainer(**settings)
    if byte_level:
        library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        library.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    library.train_from_iterator([__doc__, " ".join(WORDS) * 3, open(__file__, encoding="utf-8").read()], trainer)
    file = json.loads(library.to_str())
    file["normalizer"] = random_normalizer(generator)
    file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": parts} if parts else None
    if byte_level:
        file["decoder"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    elif word_piece:
        file["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": generator.random() < 0.5}
    else:
        file["decoder"] = generator.choice([None, {"type": "Fuse"}, {"type": "ByteFallback"}])
    model = file["model"]
    if not word_piece:
        model["fuse_unk"] = generator.random() < 0.5
        model["ignore_merges"] = generator.random() < 0.3
        model["byte_fallback"] = generator.random() < 0.4
        if model["byte_fallback"]:
            for byte in range(generator.choice([0x80, 0x100])):
                model["vocab"].setdefault(f"<0x{byte:02X}>", len(model["vocab"]))
        if generator.random() < 0.3:
            model["unk_token"] = None
    next_id = len(model["vocab"])
    for content in generator.sample(["<a>", "<a><b>", "the", "İ", "é", " x", "[CLS]", "ﬁn", "東京"], generator.randrange(6)):
        flags = {name: generator.random() < 0.3
                 for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
        # The library decodes a normalized token to its normalized spelling, we to what stands in the file.
        flags["normalized"] &= content in ("<a>", "<a><b>", "the", " x")
        identifier = model["vocab"].get(content, next_id)
        next_id += identifier == next_id
        file["added_tokens"].append({"id": identifier, "content": content, **flags})
    with open(path, "w", encoding="utf-8") as out:
        json.dump(file, out)


def compare(driver_program, path, count, seed, database):
    library = tokenizers.Tokenizer.from_file(path)
    library.no_truncation()
    library.no_padding()
    strings = Strings(seed, library, database)
    drivers = {mode: Driver(driver_program, path, mode) for mode in MODES}
    added = set(library.get_added_tokens_decoder())
    vocab_size = library.get_vocab_size()
    unknown = getattr(library.model, "unk_token", None)
    forbidden = {identifier for identifier, token in library.get_added_tokens_decoder().items()
                 if (token.special or len(token.content) > 1) and token.content != unknown}
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
        check("encode ordinary", text, [], [token for token in ordinary if token in forbidden])
        if not added.intersection(ids):
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
    parser.add_argument("--random-files", type=int, default=0, metavar="N", help="also try N files made at random")
    parser.add_argument("tokenizers", nargs="*", metavar="FILE", help="tokenizer.json")
    arguments = parser.parse_args()
    database = None if arguments.unassigned else unicodedata
    total = 0
    for path in arguments.tokenizers:
        if arguments.every_character:
            total += compare_every_character(arguments.driver, path, database)
        else:
            total += compare(arguments.driver, path, arguments.count, arguments.seed, database)
    # The library's parts know several editions of Unicode, and a random file may use any of them: only old characters.
    generator = random.Random(arguments.seed)
    for number in range(arguments.random_files):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, f"random-{number}.json")
            random_file(generator, path)
            differences = compare(arguments.driver, path, arguments.count // 10, arguments.seed + number,
                                  unicodedata.ucd_3_2_0)
            if differences:
                file = json.load(open(path, encoding="utf-8"))
                file["model"].update(vocab="...", merges="...")
                print(json.dumps(file))
            total += differences
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
