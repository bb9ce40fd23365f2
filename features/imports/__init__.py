"""Import values that clients own from files: checked row by row, written by many customers, safe to run again."""
