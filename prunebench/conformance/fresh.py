"""Compresses once in a process of its own: ``python -m prunebench.conformance.fresh``.

Reads a request from the standard input, as JSON; writes the digests of the network before and
after to the standard output.
"""

from __future__ import annotations

import json
import sys

import torch

from prunebench.conformance.attempt import CheckedPruner
from prunebench.conformance.bench import digest_network, train_network
from prunebench.plugins import choose


def main() -> None:
    """Carry out one request."""
    request = json.load(sys.stdin)
    torch.set_num_threads(request["threads"])
    parameters = request["parameters"]
    subject = CheckedPruner(choose("pruners", request["name"], parameters), parameters)
    digests = {
        "baseline": digest_network(train_network("digits-cnn")),
        "network": digest_network(subject.main.network),
    }
    print(json.dumps(digests))


if __name__ == "__main__":
    main()
