"""The OpenAPI document, held against outside tools: linters, a fuzzer, a generator of clients."""
