"""Weight sets: numbers, steps, studio, backtests."""
