# SPDX-License-Identifier: Apache-2.0
"""Makes the demo corpus: the longer entries of the Free On-line Dictionary of Computing, one JSON object a line.

    apt-get download dict-foldoc && dpkg-deb -x dict-foldoc_*.deb DIR
    python3 -m msa_models.corpus DIR --out foldoc.jsonl

DIR holds usr/share/dictd/foldoc.dict.dz and foldoc.index. Each line is {"name": "foldoc:HEADWORD", "text": ...}, in the
order of the dictionary. Needs nothing but Python.
"""
import argparse
import gzip
import json
import os
import re
import sys
import zlib

MIN_CHARACTERS = 600  # of the document; shorter entries seldom hold an answer
MIN_BODY = 60  # characters; below, an entry only refers to another
EXPECTED = 2268  # documents of dict-foldoc 20230119-1

_DIGITS = {c: i for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}


class CorpusError(ValueError):
    """The dictionary's files are not what was expected."""


def _number(text, where):
    value = 0
    for c in text:
        if c not in _DIGITS:
            raise CorpusError(f"expected base-64 digits in {where}, found '{text}'")
        value = value * 64 + _DIGITS[c]
    return value


def _read(path, opener):
    try:
        with opener(path, "rb") as f:
            return f.read()
    except (OSError, EOFError, zlib.error) as e:
        raise CorpusError(f"expected a readable file '{path}' of the package dict-foldoc, found: {e}") from None


def entries(folder):
    """Yields the raw text of every entry once, in the order of the dictionary."""
    index_path, text_path = os.path.join(folder, "foldoc.index"), os.path.join(folder, "foldoc.dict.dz")
    text = _read(text_path, gzip.open)
    spans = set()
    for i, line in enumerate(_read(index_path, open).decode("utf-8", "replace").splitlines(), 1):
        fields = line.split("\t")
        if len(fields) != 3:
            raise CorpusError(f"expected three fields in line {i} of '{index_path}', found {len(fields)}")
        offset, length = (_number(f, f"line {i} of '{index_path}'") for f in fields[1:])
        if offset + length > len(text):
            raise CorpusError(f"expected an entry inside the {len(text)} bytes of '{text_path}' in line {i} of "
                              f"'{index_path}', found bytes {offset} to {offset + length}")
        if not fields[0].startswith("00"):  # those are about the dictionary itself
            spans.add((offset, length))
    for offset, length in sorted(spans):
        yield text[offset:offset + length].decode("utf-8", "replace")


def clean(entry):
    """(headword, body) of a raw entry."""
    headword, _, body = entry.strip("\n").partition("\n")
    body = re.sub(r"\(\d{4}-\d{2}-\d{2}\)\s*$", "", body)
    body = re.sub(r"\{([^{}(]*?)\s*(?:\([^{}]*\))?\}", r"\1", body)  # {text} and {text (target)} are links
    body = re.sub(r"^\s*<[^<>]*>", "", body)
    return " ".join(headword.split()), " ".join(body.split())


def documents(folder, min_characters=MIN_CHARACTERS):
    """Yields {"name", "text"} of every entry that is long enough."""
    for entry in entries(folder):
        headword, body = clean(entry)
        text = f"{headword}. {body}"
        if len(body) >= MIN_BODY and len(text) >= min_characters:
            yield {"name": f"foldoc:{headword}", "text": text}


def main(arguments=None):
    p = argparse.ArgumentParser(prog="msa_models.corpus", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", help="root of the unpacked package, or the folder with foldoc.index")
    p.add_argument("--out", default="-", help="file to write (default: standard output)")
    p.add_argument("--min-characters", type=int, default=MIN_CHARACTERS, help="shortest document to keep")
    a = p.parse_args(arguments)
    inside = os.path.join(a.folder, "usr", "share", "dictd")
    try:
        found = list(documents(inside if os.path.isdir(inside) else a.folder, a.min_characters))
        if a.min_characters == MIN_CHARACTERS and len(found) != EXPECTED:
            print(f"warning: expected {EXPECTED} documents, as dict-foldoc 20230119-1 gives, found {len(found)}",
                  file=sys.stderr)
        lines = "".join(json.dumps(d, ensure_ascii=False) + "\n" for d in found)
        if a.out == "-":
            sys.stdout.write(lines)
        else:
            with open(a.out, "w", encoding="utf-8") as f:
                f.write(lines)
    except (CorpusError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
