"""Feature sets: the list, the page of one, and the form that makes the next one of a name."""
