"""The names under which tables show rows that are no compressed networks, by their role."""

ROLE_NAMES = {
    "baseline": "baseline",
    "control": "none: fine-tuning only",
    "floor": "random weights",
}
SHORT_ROLE_NAMES = ROLE_NAMES | {"control": "none"}
