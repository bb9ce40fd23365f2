"""The version of the client, which the package's metadata and the User-Agent take from here."""

__version__ = "0.1.0"
