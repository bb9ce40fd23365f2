"""Read rows of CSV, JSON Lines and Parquet files as a stream, and list the rejected ones beside the file."""
