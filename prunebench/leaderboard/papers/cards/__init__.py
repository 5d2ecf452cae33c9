"""The works behind the benchmark: what they published, number by number, as cards."""
