"""Category of an event, as it is stored in a column beside the metadata."""

import hashlib

LONGEST_CATEGORY = 256


def stored_category(category: str) -> str:
    """Return the category, or `sha256:` and its hash if it is longer than LONGEST_CATEGORY characters.

    An index entry can't hold longer texts. The hash is as good for counting and comparing categories.
    """
    if len(category) <= LONGEST_CATEGORY:
        return category
    return f"sha256:{hashlib.sha256(category.encode(errors='surrogatepass')).hexdigest()}"
