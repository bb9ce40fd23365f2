"""The online store in Redis: a cache of the offline store."""
