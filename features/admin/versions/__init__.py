"""Feature versions: the list, the page of one, steps, comparison."""
