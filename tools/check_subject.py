"""Check the subject of a commit message: ``area: imperative``, at most 72 characters.

Called by pre-commit with the message's file; the reason for a change goes into the body.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LONGEST = 72
SUBJECT = re.compile(r"[a-z][\w, /-]*: \S.*[^.]")
MADE_BY_GIT = ("Merge ", "Revert ", "fixup! ", "squash! ")


def find_fault(message: str) -> str | None:
    """Return what is wrong with a message; None if nothing is."""
    lines = [line for line in message.splitlines() if not line.startswith("#")]
    subject = lines[0] if lines else ""
    if subject.startswith(MADE_BY_GIT):
        return None
    if len(subject) > LONGEST:
        return f"the subject has {len(subject)} characters; at most {LONGEST}"
    if not SUBJECT.fullmatch(subject):
        return (
            f"the subject {subject!r} is not `area: imperative`, such as `store: lock a key once`"
        )
    if len(lines) > 1 and lines[1].strip():
        return "an empty line must stand between subject and body"
    return None


if __name__ == "__main__":
    fault = find_fault(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.exit(f"commit message: {fault}" if fault else 0)
