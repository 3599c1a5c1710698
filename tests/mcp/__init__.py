"""A key's menu as an assistant's tools."""
