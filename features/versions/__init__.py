"""Feature versions: `lifecycle` takes them from a draft to readers and out of use, `drafts` makes and changes them,
`requirements` says what they need for that, `readership` who reads and writes them."""
