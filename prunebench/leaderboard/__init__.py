"""The leaderboard: records grouped, ranked, written, published and drawn."""
