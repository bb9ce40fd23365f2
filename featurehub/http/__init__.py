"""HTTP for the API: the base view, errors as responses, middleware, the WSGI handler, OpenAPI."""
