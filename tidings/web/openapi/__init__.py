"""The document that each key is given (OpenAPI 3.1): operations, answers, links, webhooks, bounds and examples."""
