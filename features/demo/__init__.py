"""Demo data: real purchases of the CDNOW log, and what their customers may have done around them. See README.md."""
