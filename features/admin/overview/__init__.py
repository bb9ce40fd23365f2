"""The Overview: charts over time that refresh by themselves, and alerts that say what to do."""
