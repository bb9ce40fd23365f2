"""Import events from files: streamed, validated as over HTTP, safe to run again."""
