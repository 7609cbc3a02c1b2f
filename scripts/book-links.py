#!/usr/bin/env python3
"""Preprocessor of the book (book.toml): a relative link to a file outside of docs/ leads to the repository."""

import json
import posixpath
import re
import sys

REPOSITORY = "https://github.com/taunet/taunet/blob/main/"
LINK = re.compile(r"\]\(((?:\.\./)+[^)\s]*)\)")


def leads_to_repository(page):
    def link(match):
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), match[1]))
        return match[0] if target.startswith("docs/") else f"]({REPOSITORY}{target})"

    return link


def rewrite(items):
    for item in items:
        if chapter := isinstance(item, dict) and item.get("Chapter"):
            if chapter["path"]:
                chapter["content"] = LINK.sub(leads_to_repository(chapter["path"]), chapter["content"])
            rewrite(chapter["sub_items"])


if sys.argv[1:2] == ["supports"]:
    sys.exit(0)
_, book = json.load(sys.stdin)
rewrite(book.get("items") or book["sections"])
json.dump(book, sys.stdout)
