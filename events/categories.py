"""What is kept of a category beside the metadata that it came in."""

import hashlib

LONGEST_CATEGORY = 256


def stored_category(category: str) -> str:
    """The category, or what stands for one so long that no index could hold it: as good to count and compare by."""
    if len(category) <= LONGEST_CATEGORY:
        return category
    return f"sha256:{hashlib.sha256(category.encode(errors='surrogatepass')).hexdigest()}"
