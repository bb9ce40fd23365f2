"""Benchmarks: FeatureHub, its floors and its peer measured in turn on one machine, and compared as ratios.

A floor is the least that the same work costs without FeatureHub's code; the peer is Feast. `python -m benchmarks` runs
them on embedded servers in a folder of its own (`.local/benchmarks`), never on a DATABASE_URL that is set.
"""
