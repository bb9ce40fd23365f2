"""Ratios, not seconds: FeatureHub, its floors and its peer measured in turn on one machine. `python -m benchmarks`.

Everything runs on embedded servers in a folder of its own (`.local/benchmarks`), never on a DATABASE_URL that is set.
"""
