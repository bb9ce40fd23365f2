"""What is registered, held in memory: definitions, feature views, active weights."""
