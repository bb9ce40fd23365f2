"""Weights and definitions tried out before readers see them: preview, backtest, shadow, fitting to purchases."""
