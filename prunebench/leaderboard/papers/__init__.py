"""Published numbers beside ours: for each the nearest row of the board, and what differs."""
