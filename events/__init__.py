"""Events: ingestion, imports, exports, partitions, dirty marks and tombstones. Never imports `features`."""
