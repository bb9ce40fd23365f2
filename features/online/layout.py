"""Keys of the online store."""


def suffix_of(feature_type: str, number: str) -> str:
    """Return the end of a version's key."""
    return f":{feature_type}:{number}"
