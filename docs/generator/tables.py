"""Tables of Markdown."""


def in_cell(text: str) -> str:
    """Return the text on one line, with the bars that would end a cell escaped."""
    return " ".join(text.split()).replace("|", "\\|")
