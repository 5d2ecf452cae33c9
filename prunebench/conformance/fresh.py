"""Compresses once in a process of its own: ``python -m prunebench.conformance.fresh``.

Reads a request from the standard input, as JSON; writes the digests of the network before and
after to the standard output.
"""

from __future__ import annotations

import json
import sys

import torch

from prunebench.conformance.bench import fingerprint, trained
from prunebench.conformance.compressing import Subject
from prunebench.plugins import choose


def main() -> None:
    """Carries out one request."""
    request = json.load(sys.stdin)
    torch.set_num_threads(request["threads"])
    parameters = request["parameters"]
    subject = Subject(choose("pruners", request["name"], parameters), parameters)
    digests = {
        "baseline": fingerprint(trained("digits-cnn")),
        "network": fingerprint(subject.main.network),
    }
    print(json.dumps(digests))


if __name__ == "__main__":
    main()
