"""The states of versions and weight sets, and the steps between them."""
