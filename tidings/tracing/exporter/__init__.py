"""The process that sends spans: it makes them from records, and keeps them until the collector takes them."""
