"""What weights would do before anybody is touched by them: preview, backtest, shadow, and fitting to purchases."""
