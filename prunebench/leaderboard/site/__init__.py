"""The leaderboard as a static site: opens from disk, asks no network for anything."""
