"""Rules 9 and 13: what a section may claim, by how good its baseline is and how it was chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prunebench.leaderboard.board.grid import CLOSE
from prunebench.leaderboard.board.rows import Row, find_role
from prunebench.record import Record

Kind = Literal["headline", "study", "demonstration"]
KINDS: tuple[Kind, ...] = ("headline", "study", "demonstration")
"""In the order of a board."""

LONGER = 3
"""How many times as long the same network must have been trained to show what it can reach."""
MOST_BELOW = 0.01
"""How far a good baseline may be below that, a fraction: 1 point."""

Network = tuple[str, str, str]
Trained = Mapping[Network, Sequence[tuple[int, float]]]
"""By network and data: epochs of every training, and the accuracy it reached."""


@dataclass(frozen=True)
class Standing:
    """What a section may claim.

    Attributes:
        kind: headline, of the protocol's suites; a study; or a demonstration, of a network that
            was not shown to be good.
        closed: Why nobody is ranked in it; None where pruners are.
        longer: The accuracy of the same network trained at least three times as long.
    """

    kind: Kind
    closed: str | None = None
    longer: float | None = None


UNKNOWN = Standing("study")


def find_trained(records: Iterable[Record]) -> Trained:
    """Collect how long every baseline was trained, and what it reached."""
    found: dict[Network, list[tuple[int, float]]] = {}
    for record in records:
        accuracy = record.mean("accuracy")
        if record.role == "baseline" and record.training and accuracy is not None:
            found.setdefault(_identify(record), []).append((record.training.epochs, accuracy))
    return found


def find_standing(rows: Sequence[Row], trained: Trained, *, headline: bool) -> Standing:
    """Tell what a section may claim.

    Args:
        rows: Its rows.
        trained: How long all baselines were trained: see ``find_trained``.
        headline: Whether the protocol lists its suite.
    """
    kind: Kind = "headline" if headline else "study"
    baseline = find_role(rows, "baseline")
    accuracy = baseline.get("accuracy").mean if baseline else None
    if baseline is None or accuracy is None:
        return Standing("demonstration", "the accuracy of its baseline is not known")
    if all(row.first.role != "compressed" for row in rows):
        return Standing("study", "it has no pruners: it shows what its network reaches")
    training = baseline.first.training
    longest = _find_longest(baseline.first, trained) if training else None
    if longest is not None and accuracy > longest + MOST_BELOW + CLOSE:
        longest = None  # a longer training that came out worse shows nothing
    if longest is not None and accuracy < longest - MOST_BELOW - CLOSE:
        told = (
            f"its baseline reaches {accuracy:.1%}, the same network trained at least {LONGER} "
            f"times as long {longest:.1%}"
        )
        return Standing("demonstration", told, longest)
    if (reason := _find_choice(baseline.first)) is not None:
        return Standing(kind, reason, longest)
    if longest is not None:
        return Standing(kind, None, longest)
    unknown = f"nobody trained its network {LONGER} times as long, to show that it is good"
    # Given weights were trained elsewhere, as long as it took; a network trained here was not.
    return Standing("demonstration" if _is_trained_here(baseline.first) else kind, unknown)


def _find_longest(record: Record, trained: Trained) -> float | None:
    """Return the best that the same network reached in a training long enough."""
    epochs = record.training.epochs if record.training else 0
    if not epochs:  # weights as they come: an adaptation is another training, not a longer one
        return None
    every = trained.get(_identify(record), ())
    return max((reached for others, reached in every if others >= LONGER * epochs), default=None)


def _identify(record: Record) -> Network:
    of = record.conditions
    return (of.dataset, of.data_digest, record.training.network if record.training else "")


def _is_trained_here(record: Record) -> bool:
    if record.training is not None:
        return record.training.from_scratch
    given = "with weights" in record.conditions.model or "pretrained" in record.conditions.model
    return "baseline" in record.curves and not given


def _find_choice(record: Record) -> str | None:
    """Say where validation images may have chosen networks whose weights had seen them."""
    if _is_trained_here(record):
        return None
    recovery = record.conditions.recovery or {}
    chosen = []
    if record.training is not None and record.training.epochs and record.training.keep == "best":
        chosen.append("its adaptation")
    if recovery.get("keep") == "best" and recovery.get("epochs", 1):
        chosen.append("fine-tuning")
    if not chosen:
        return None
    return (
        f"{' and '.join(chosen)} kept the best epoch on validation images that the given weights "
        "may have been trained on"
    )
