"""What makes pages of the docs site from the code, from the schemas and from the files that pages link to."""
