"""Demo data: real purchases from the CDNOW log, and generated behaviour around them. See README.md."""
