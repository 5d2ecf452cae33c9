"""Compresses in processes that remember nothing: ``python -m prunebench.conformance.fresh``.

Importing PyTorch costs seconds, so one process imports it once and each request is answered by a
fork of it, which has computed nothing. Reads requests from the standard input, a line of JSON each,
and writes as many answers: the digests of the network before and after, or an error.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import torch

from prunebench.conformance.attempt import CheckedPruner
from prunebench.conformance.bench import digest_network, train_network
from prunebench.plugins import choose


def compress(request: dict[str, Any]) -> dict[str, str]:
    """Carry out one request."""
    torch.set_num_threads(request["threads"])
    parameters = request["parameters"]
    subject = CheckedPruner(choose("pruners", request["name"], parameters), parameters)
    return {
        "baseline": digest_network(train_network("digits-cnn")),
        "network": digest_network(subject.main.network),
    }


def answer_in_a_fork(line: str, answers: int) -> None:
    """Write the answer to one request, computed by a fork of this process."""
    if (child := os.fork()) == 0:
        try:
            answer: dict[str, str] = compress(json.loads(line))
        except Exception as error:  # a plugin may raise anything; the one who asked is told
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(answers, (json.dumps(answer) + "\n").encode())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        os.write(answers, (json.dumps({"error": f"it ended with status {status}"}) + "\n").encode())


def main() -> None:
    """Answer requests until the input ends."""
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # plugins may print
    # Imports all that a training imports. With one thread: threads do not survive a fork.
    torch.set_num_threads(1)
    train_network("digits-cnn", epochs=1)
    for line in sys.stdin:
        answer_in_a_fork(line, answers)


if __name__ == "__main__":
    main()
