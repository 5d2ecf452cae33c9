"""The board's rules: records grouped into sections, ranked, rescaled and compared.

In: records. Out: sections of ranked rows; what writes them is in ``writers/`` and ``site/``.
"""

from prunebench.leaderboard.board.board import Section, board

__all__ = ["Section", "board"]
